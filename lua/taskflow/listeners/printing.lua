-- Prints every change of state.
local base = require "taskflow.listeners.base"
local text = require "taskflow.listeners.text"

local M = {}
local methods = {}

function methods:flow_event(state, details)
  self.out:write(text.flow(self.engine, state, details), "\n")
end

function methods:task_event(state, details)
  self.out:write(text.atom(self.engine, state, details), "\n")
end

methods.retry_event = methods.task_event

---PrintingListener(engine, { out = io.stderr }); default: standard output.
M.PrintingListener = base.class(methods, function(self, options)
  self.out = options.out or io.stdout
end)

return M
