-- Keeps every event: `values` is a list of { kind, state, details }.
local base = require "taskflow.listeners.base"

local M = { FLOW = "flow", TASK = "task", RETRY = "retry" }
local methods = {}

local function keep(self, kind, state, details)
  if self.capture[kind] then
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

---CaptureListener(engine, { capture_flow = true, capture_task = true, capture_retry = true }).
M.CaptureListener = base.class(methods, function(self, options)
  self.values = {}
  self.capture = {}
  for _, kind in ipairs { M.FLOW, M.TASK, M.RETRY } do
    self.capture[kind] = options["capture_" .. kind] ~= false
  end
end)

return M
