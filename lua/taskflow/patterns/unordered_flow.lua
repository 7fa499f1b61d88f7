-- Unordered flows: children run in any order, at once if the engine can. They cannot use each other's results.
local flow = require "taskflow.flow"

local M = {}

---@class taskflow.UnorderedFlow: taskflow.Flow
local methods = {}

---Symbols that children need and the flow's retry does not provide.
---@return string[]
function methods:get_requires()
  local requires, provided = flow.retry_symbols(self)
  for _, node in ipairs(self:nodes()) do
    for _, name in ipairs(node.requires) do
      if not provided[name] then
        requires[name] = true
      end
    end
  end
  return flow.sorted(requires)
end

---A new flow.
---@type fun(name: string, options: { retry: taskflow.Retry? }?): taskflow.UnorderedFlow
M.Flow = flow.define { pattern = "unordered", title = "unordered_flow.Flow", methods = methods }

return M
