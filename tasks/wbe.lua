-- Tasks of one and of three arguments.
local task = require "taskflow.task"

local M = {}

M.OneArgument = task.Task {
  execute = function(_self, x)
    return x > 0 and 1 or -1
  end,
}

M.ThreeArguments = task.Task {
  execute = function(_self, x, y, z)
    return x + y + z
  end,
}

return M
