-- How long tasks and the flow take, and when they entered each state. What is found out is kept as metadata, beside
-- what else the storage knows of an atom or the flow: `duration` in seconds, `<STATE>-timestamp` in Unix time.
local base = require "taskflow.listeners.base"
local check = require "taskflow.utils.check"
local host = require "tfhost.host"
local log = require "taskflow.utils.log"

local M = {}

local STARTING = { RUNNING = true, REVERTING = true }
local FINISHED = { FAILURE = true, SUCCESS = true, REVERTED = true, REVERT_FAILURE = true }
local WATCHED = { "FAILURE", "SUCCESS", "REVERTED", "REVERT_FAILURE", "RUNNING", "REVERTING", "PENDING" }

---@class taskflow.TimingOptions: taskflow.ListenForOptions
---@field now (fun(): number)? the clock, in seconds; default: monotonic for durations, Unix time for timestamps
---@field printer (fun(line: string))? PrintingDurationListener: default print

local duration = {}

local function record(self, kind, name, seconds)
  if kind == "flow" then
    self.engine.storage:update_flow_metadata { duration = seconds }
  else
    self.engine.storage:update_atom_metadata(name, { duration = seconds })
  end
  self:ended(kind, name, seconds)
end

local function watch(self, kind, name, state)
  local began = self._began[kind]
  if state == "PENDING" then
    began[name] = nil
  elseif STARTING[state] then
    began[name] = self.now()
    self:started(kind, name)
  elseif FINISHED[state] and began[name] then
    local seconds = self.now() - began[name]
    began[name] = nil
    record(self, kind, name, seconds)
  end
end

function duration:flow_event(state, details)
  watch(self, "flow", details.flow_name, state)
end

function duration:task_event(state, details)
  watch(self, "task", details.task_name, state)
end

-- What was begun and has not ended is reported.
function duration:deregistered()
  for kind, began in pairs(self._began) do
    local n = 0
    for _ in pairs(began) do
      n = n + 1
    end
    if n > 0 then
      log.warn("timing", ("%d %s(s) did not enter an end state"):format(n, kind))
    end
    self._began[kind] = {}
  end
end

-- For classes that print, too.
function duration:started(_kind, _name) end
function duration:ended(_kind, _name, _seconds) end

local function init(self, options)
  self.now = check.callable(options.now or host.now, "now")
  self._began = { flow = {}, task = {} }
  self._listen_for = { flow = WATCHED, task = WATCHED, retry = {} }
end

---Metadata `duration`, in seconds, of tasks and of the flow.
---@type fun(engine: taskflow.Engine, options: taskflow.TimingOptions?): taskflow.Listener
M.DurationListener = base.class(duration, init, { now = true })

local printing = {}
for name, method in pairs(duration) do
  printing[name] = method
end

function printing:started(kind, name)
  self._print(("'%s' %s started."):format(name, kind))
end

function printing:ended(kind, name, seconds)
  self._print(("It took %s '%s' %.2f seconds to finish."):format(kind, name, seconds))
end

---The same, and lines.
---@type fun(engine: taskflow.Engine, options: taskflow.TimingOptions?): taskflow.Listener
M.PrintingDurationListener = base.class(printing, function(self, options)
  init(self, options)
  self._print = check.callable(options.printer or print, "printer")
end, { now = true, printer = true })

local event_time = {}

function event_time:flow_event(state)
  self.engine.storage:update_flow_metadata { [state .. "-timestamp"] = self.now() }
end

function event_time:task_event(state, details)
  local name = details.task_name or details.retry_name
  self.engine.storage:update_atom_metadata(name, { [state .. "-timestamp"] = self.now() })
end

event_time.retry_event = event_time.task_event

---Metadata `<STATE>-timestamp`, in Unix time, of tasks, retry controllers and the flow.
---@type fun(engine: taskflow.Engine, options: taskflow.TimingOptions?): taskflow.Listener
M.EventTimeListener = base.class(event_time, function(self, options)
  self.now = check.callable(options.now or host.time, "now")
end, { now = true })

return M
