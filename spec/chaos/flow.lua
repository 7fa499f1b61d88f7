-- A flow of the storm, CHAOS_FLOW is its name: chains of two tasks side by side, each task with a retry of its own, for
-- the death of a slot fails it.
local linear = require "taskflow.patterns.linear_flow"
local retry = require "taskflow.retry"
local task = require "taskflow.task"
local unordered = require "taskflow.patterns.unordered_flow"

local CHAINS = 10

return function()
  local name = os.getenv "CHAOS_FLOW"
  local flow = unordered.Flow(name)
  for i = 1, CHAINS do
    local chain = linear.Flow(("%s-%d"):format(name, i))
    for _, step in ipairs { "a", "b" } do
      local title = ("%s-%d%s"):format(name, i, step)
      local options = { name = title, provides = title, requires = { "seconds" }, inject = { seconds = 0.2 } }
      local again = retry.Times(50, { name = title .. "-retry" })
      chain:add(linear.Flow(title .. "-again", again):add(task.Reference("effects:Effect", options)))
    end
    flow:add(chain)
  end
  return flow
end
