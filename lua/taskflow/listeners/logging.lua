-- Logs every change of state of the flow and of its tasks: LoggingListener in the words of the printing listener,
-- DynamicLoggingListener in short sentences, those about failures as warnings.
local base = require "taskflow.listeners.base"
local exceptions = require "taskflow.exceptions"
local failure = require "taskflow.failure"
local check = require "taskflow.utils.check"
local host_log = require "taskflow.utils.log"
local states = require "taskflow.states"
local text = require "taskflow.listeners.text"

local M = {}

-- What the lines begin with.
local AREA = "engine"

local LEVELS = { debug = true, info = true, warn = true, error = true }

local function level_of(value, default, what)
  value = value == nil and default or value
  if not LEVELS[value] then
    exceptions.raise(exceptions.ValueError, what .. " must be debug, info, warn or error")
  end
  return value
end

local function log_of(value)
  local log = check.is(value == nil and host_log or value, "table", "log")
  for level in pairs(LEVELS) do
    if log[level] ~= nil then
      check.callable(log[level], "log." .. level)
    end
  end
  return log
end

---@class taskflow.LoggingOptions: taskflow.ListenForOptions
---@field level ("debug"|"info"|"warn"|"error")? default: debug
---@field log table<string, fun(area: string, message: string)>? functions by level; default: the host's log
---@field failure_level ("debug"|"info"|"warn"|"error")? DynamicLoggingListener: of failures; default: warn
---@field hide_inputs_outputs_of string[]? DynamicLoggingListener: names of tasks whose results are not shown

local plain = {}

local function say(self, level, message)
  local write = self.log[level]
  if write then
    write(AREA, message)
  end
end

function plain:flow_event(state, details)
  say(self, self.level, text.flow(self.engine, state, details))
end

function plain:task_event(state, details)
  say(self, self.level, text.task(self.engine, state, details))
end

---The lines of the printing listener, to a log.
---@type fun(engine: taskflow.Engine, options: taskflow.LoggingOptions?): taskflow.Listener
M.LoggingListener = base.class(plain, function(self, options)
  self.log, self.level = log_of(options.log), level_of(options.level, "debug", "level")
end, { log = true, level = true })

-- States that are told at the level of failures.
local FLOW_WARNS = { FAILURE = true, REVERTED = true }
local TASK_WARNS = { FAILURE = true, REVERTED = true, RETRYING = true, REVERT_FAILURE = true }

local dynamic = {}

local function transition(kind, name, uuid, state, old)
  return ("%s '%s' (%s) transitioned into state '%s' from state '%s'"):format(kind, name, uuid, state, old)
end

function dynamic:flow_event(state, details)
  local level = FLOW_WARNS[state] and self.failure_level or self.level
  say(self, level, transition("Flow", details.flow_name, details.flow_uuid, state, details.old_state))
end

function dynamic:task_event(state, details)
  local name, result = details.task_name, details.result
  local message = transition("Task", name, details.task_uuid, state, details.old_state)
  if failure.is_failure(result) then
    say(self, self.failure_level, message .. "\n" .. result:describe())
    return
  end
  if states.WITH_RESULT[state] and not self._hidden[name] then
    message = ("%s with result '%s'"):format(message, text.result(result))
  end
  say(self, TASK_WARNS[state] and self.failure_level or self.level, message)
end

---Short lines; FAILURE, REVERTED, RETRYING and REVERT_FAILURE as warnings, failures with their traceback.
---@type fun(engine: taskflow.Engine, options: taskflow.LoggingOptions?): taskflow.Listener
M.DynamicLoggingListener = base.class(dynamic, function(self, options)
  self.log, self.level = log_of(options.log), level_of(options.level, "debug", "level")
  self.failure_level = level_of(options.failure_level, "warn", "failure_level")
  self._hidden = {}
  for _, name in ipairs(check.names(options.hide_inputs_outputs_of, "hide_inputs_outputs_of")) do
    self._hidden[name] = true
  end
end, { log = true, level = true, failure_level = true, hide_inputs_outputs_of = true })

return M
