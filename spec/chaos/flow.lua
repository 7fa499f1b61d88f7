-- A flow of the storm, CHAOS_FLOW is its name: chains of two tasks side by side, each task with a retry of its own, for
-- the death of a slot fails it.
local cjson = require "cjson"
local linear = require "taskflow.patterns.linear_flow"
local process = require "process"
local retry = require "taskflow.retry"
local task = require "taskflow.task"
local unordered = require "taskflow.patterns.unordered_flow"

local CHAINS, ATTEMPTS = 10, 50

-- retry.Times, which writes down when the engine has a failure, and which.
local Again = retry.Retry {
  execute = function(_self, history)
    return history:len() + 1
  end,
  on_failure = function(_self, history)
    local handle = assert(io.open(os.getenv "PEER_JOURNAL", "ab"))
    for task_name, failure in pairs(history:outcomes()) do
      local entry = { did = "failure", at = process.now(), task = task_name, why = failure.exception_str }
      handle:write(cjson.encode(entry) .. "\n")
    end
    handle:close()
    return history:len() < ATTEMPTS and retry.RETRY or retry.REVERT
  end,
}

return function()
  local name = os.getenv "CHAOS_FLOW"
  local flow = unordered.Flow(name)
  for i = 1, CHAINS do
    local chain = linear.Flow(("%s-%d"):format(name, i))
    for _, step in ipairs { "a", "b" } do
      local title = ("%s-%d%s"):format(name, i, step)
      local options = { name = title, provides = title, requires = { "seconds" }, inject = { seconds = 0.2 } }
      local again = Again { name = title .. "-retry" }
      chain:add(linear.Flow(title .. "-again", again):add(task.Reference("effects:Effect", options)))
    end
    flow:add(chain)
  end
  return flow
end
