-- Prints every change of state of the flow and of its tasks.
local base = require "taskflow.listeners.base"
local exceptions = require "taskflow.exceptions"
local text = require "taskflow.listeners.text"

local M = {}
local methods = {}

function methods:flow_event(state, details)
  self.out:write(text.flow(self.engine, state, details), "\n")
end

function methods:task_event(state, details)
  self.out:write(text.task(self.engine, state, details), "\n")
end

-- Whether something can be written to.
local function is_file(value)
  local ok, write = pcall(function()
    return value.write
  end)
  return ok and write ~= nil
end

---@class taskflow.PrintingOptions: taskflow.ListenForOptions
---@field stderr boolean? print to standard error; default: standard output
---@field out file*? anything else with a method write

---A line for each state of the flow and its tasks.
---@type fun(engine: taskflow.Engine, options: taskflow.PrintingOptions?): taskflow.Listener
M.PrintingListener = base.class(methods, function(self, options)
  self.out = options.out or (options.stderr and io.stderr) or io.stdout
  if not is_file(self.out) then
    exceptions.raise(exceptions.TypeError, "out must be a file, or have a method write")
  end
end, { stderr = true, out = true })

return M
