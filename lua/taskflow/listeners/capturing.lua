-- Keeps every event.
local base = require "taskflow.listeners.base"
local check = require "taskflow.utils.check"

local M = {
  ---Kind of an event of the flow.
  FLOW = "flow",
  ---Kind of an event of a task.
  TASK = "task",
  ---Kind of an event of a retry controller.
  RETRY = "retry",
}
local methods = {}

local function keep(self, kind, state, details)
  local name = details[kind .. "_name"]
  if self._capture[kind] and not self._skip[kind][name] then
    self.values[#self.values + 1] = { kind, state, details }
  end
end

function methods:flow_event(state, details)
  keep(self, M.FLOW, state, details)
end

function methods:task_event(state, details)
  keep(self, M.TASK, state, details)
end

function methods:retry_event(state, details)
  keep(self, M.RETRY, state, details)
end

---@class taskflow.CaptureOptions: taskflow.ListenForOptions
---@field capture_flow boolean? default: true
---@field capture_task boolean? default: true
---@field capture_retry boolean? default: true
---@field skip_flows string[]? names of flows that are not kept
---@field skip_tasks string[]? the same for tasks
---@field skip_retries string[]? the same for retry controllers
---@field values table[]? the list to add to

local SKIP = { flow = "skip_flows", task = "skip_tasks", retry = "skip_retries" }
local OPTIONS = { values = true }
for kind, skip in pairs(SKIP) do
  OPTIONS["capture_" .. kind], OPTIONS[skip] = true, true
end

---A listener whose `values` are a list of { kind, state, details }.
---@type fun(engine: taskflow.Engine, options: taskflow.CaptureOptions?): taskflow.Listener
M.CaptureListener = base.class(methods, function(self, options)
  self.values = check.is(options.values or {}, "table", "values")
  self._capture, self._skip = {}, {}
  for kind, skip in pairs(SKIP) do
    self._capture[kind] = options["capture_" .. kind] ~= false
    self._skip[kind] = {}
    for _, name in ipairs(check.names(options[skip], skip)) do
      self._skip[kind][name] = true
    end
  end
end, OPTIONS)

return M
