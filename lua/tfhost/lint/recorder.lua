-- Notes the tasks and flows that a script makes while it is loaded, so that those in no flow are found.
local graph_flow = require "taskflow.patterns.graph_flow"
local linear_flow = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local unordered_flow = require "taskflow.patterns.unordered_flow"

local M = {}

-- Replace a metatable's __call by one that notes what it gives.
local function wrap(meta, made)
  local call = meta.__call
  function meta.__call(...)
    local object = call(...)
    made[#made + 1] = object
    return object
  end
  return function()
    meta.__call = call
  end
end

---@return table[] made grows as things are made
---@return fun() stop
function M.start()
  local made, undo, seen = {}, {}, {}
  local classes = {
    task.Task { execute = function(self) return self end },
    linear_flow.Flow, unordered_flow.Flow, graph_flow.Flow, graph_flow.TargetedFlow,
  }
  for _, class in ipairs(classes) do
    local meta = getmetatable(class)
    if not seen[meta] then
      seen[meta] = true
      undo[#undo + 1] = wrap(meta, made)
    end
  end
  return made, function()
    for _, f in ipairs(undo) do
      f()
    end
  end
end

return M
