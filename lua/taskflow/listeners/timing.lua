-- How long tasks and the flow take. DurationListener keeps `durations` (seconds by task name) and `flow_duration`;
-- PrintingDurationListener also prints them; EventTimeListener keeps when each state was entered.
local base = require "taskflow.listeners.base"
local host = require "tfhost.host"
local states = require "taskflow.states"

local M = {}

local STARTING = { RUNNING = true, REVERTING = true }

local duration = {}

function duration:flow_event(state, details)
  if state == states.RUNNING then
    self._flow_began = self.now()
    self:started("flow", details.flow_name)
  elseif states.FINISHED[state] and self._flow_began then
    self.flow_duration = self.now() - self._flow_began
    self._flow_began = nil
    self:ended("flow", details.flow_name, self.flow_duration)
  end
end

function duration:task_event(state, details)
  local name = details.task_name
  if STARTING[state] then
    self._began[name] = self.now()
    self:started("task", name)
  elseif self._began[name] then
    local seconds = self.now() - self._began[name]
    self._began[name] = nil
    self.durations[name] = seconds
    self:ended("task", name, seconds)
  end
end

function duration:started(_kind, _name) end
function duration:ended(_kind, _name, _seconds) end

local function init(self, options)
  self.now = options.now or host.now
  self.durations, self._began = {}, {}
  self.out = options.out or io.stdout
end

---DurationListener(engine, { now = function }).
M.DurationListener = base.class(duration, init)

local printing = {}
for name, method in pairs(duration) do
  printing[name] = method
end

function printing:started(kind, name)
  self.out:write(("'%s' %s started.\n"):format(name, kind))
end

function printing:ended(kind, name, seconds)
  self.out:write(("It took %s '%s' %.2f seconds to finish.\n"):format(kind, name, seconds))
end

---PrintingDurationListener(engine, { now, out = io.stdout }).
M.PrintingDurationListener = base.class(printing, init)

local event_time = {}

function event_time:flow_event(state)
  self.flow_timestamps[state] = self.now()
end

function event_time:task_event(state, details)
  local name = details.task_name or details.retry_name
  self.timestamps[name] = self.timestamps[name] or {}
  self.timestamps[name][state] = self.now()
end

event_time.retry_event = event_time.task_event

---EventTimeListener(engine, { now = os.time }): timestamps by atom name and state, flow_timestamps by state.
M.EventTimeListener = base.class(event_time, function(self, options)
  self.now = options.now or os.time
  self.timestamps, self.flow_timestamps = {}, {}
end)

return M
