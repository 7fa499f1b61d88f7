-- Linear flows: children run one after the other, and are reverted the other way round.
local flow = require "taskflow.flow"

local M = {}

---@class taskflow.LinearFlow: taskflow.Flow
local methods = {}

---Symbols needed before anything earlier in the flow provides them.
---@return string[]
function methods:get_requires()
  local requires, provided = flow.retry_symbols(self)
  for _, node in ipairs(self:nodes()) do
    for _, name in ipairs(node.requires) do
      if not provided[name] then
        requires[name] = true
      end
    end
    for _, name in ipairs(node.provides) do
      provided[name] = true
    end
  end
  return flow.sorted(requires)
end

---A new flow.
---@type fun(name: string, options: { retry: taskflow.Retry? }?): taskflow.LinearFlow
M.Flow = flow.define { pattern = "linear", title = "linear_flow.Flow", methods = methods }

return M
