-- How long things take. DurationListener keeps `durations` (seconds by atom name) and `flow_duration`;
-- PrintingDurationListener also prints them; EventTimeListener keeps when each state was entered.
local base = require "taskflow.listeners.base"
local host = require "tfhost.host"
local states = require "taskflow.states"

local M = {}

local STARTING = { RUNNING = true, REVERTING = true, RETRYING = true }

local function name_of(details)
  return details.task_name or details.retry_name
end

local duration = {}

function duration:flow_event(state)
  if state == states.RUNNING then
    self._flow_began = self.now()
  elseif states.FINISHED[state] and self._flow_began then
    self.flow_duration = self.now() - self._flow_began
    self._flow_began = nil
  end
end

function duration:task_event(state, details)
  local name = name_of(details)
  if STARTING[state] then
    self._began[name] = self.now()
    self:started(details)
  elseif self._began[name] then
    local seconds = self.now() - self._began[name]
    self._began[name] = nil
    self.durations[name] = seconds
    self:ended(details, seconds)
  end
end

duration.retry_event = duration.task_event

function duration:started(_details) end
function duration:ended(_details, _seconds) end

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

local function kind_of(details)
  return details.retry_name and "retry" or "task"
end

function printing:started(details)
  self.out:write(("'%s' %s started.\n"):format(name_of(details), kind_of(details)))
end

function printing:ended(details, seconds)
  self.out:write(("It took %s '%s' %.2f seconds to finish.\n"):format(kind_of(details), name_of(details), seconds))
end

---PrintingDurationListener(engine, { now, out = io.stdout }).
M.PrintingDurationListener = base.class(printing, init)

local event_time = {}

function event_time:flow_event(state)
  self.flow_timestamps[state] = self.now()
end

function event_time:task_event(state, details)
  local name = name_of(details)
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
