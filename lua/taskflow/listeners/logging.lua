-- Logs every change of state: LoggingListener in the words of the printing listener, DynamicLoggingListener in
-- short sentences, failures as warnings.
local base = require "taskflow.listeners.base"
local failure = require "taskflow.failure"
local log = require "taskflow.utils.log"
local states = require "taskflow.states"
local text = require "taskflow.listeners.text"

local M = {}

local plain = {}

function plain:flow_event(state, details)
  self.log[self.level]("engine", text.flow(self.engine, state, details))
end

function plain:task_event(state, details)
  self.log[self.level]("engine", text.atom(self.engine, state, details))
end

plain.retry_event = plain.task_event

local function init(self, options)
  self.log = options.log or log
  self.level = options.level or "debug"
  self.failure_level = options.failure_level or "warn"
end

---LoggingListener(engine, { level = "debug", log = table of functions by level }).
M.LoggingListener = base.class(plain, init)

local dynamic = {}

function dynamic:flow_event(state, details)
  self.log[self.level](
    "engine",
    ("Flow '%s' (%s) transitioned into state '%s' from state '%s'"):format(
      details.flow_name,
      details.flow_uuid,
      state,
      details.old_state
    )
  )
end

function dynamic:task_event(state, details)
  local level = self.level
  local message = ("%s transitioned into state '%s' from state '%s'"):format(
    base.subject(details):gsub("^%l", string.upper),
    state,
    details.old_state
  )
  if states.WITH_RESULT[state] then
    message = ("%s with result '%s'"):format(message, text.result(details.result))
    if failure.is_failure(details.result) then
      level = self.failure_level
    end
  end
  self.log[level]("engine", message)
end

dynamic.retry_event = dynamic.task_event

---DynamicLoggingListener(engine, { level, failure_level = "warn", log }).
M.DynamicLoggingListener = base.class(dynamic, init)

return M
