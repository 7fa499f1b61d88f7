-- The two tasks of TaskFlow's introduction: `tasks:TestTask1`, `tasks:TestTask2`.
local task = require "taskflow.task"

local M = {}

M.TestTask1 = task.Task {
  default_provides = "a",
  execute = function(_self, x)
    return x + 1
  end,
}

M.TestTask2 = task.Task {
  default_provides = "b",
  execute = function(_self, a)
    return a * 2
  end,
  revert = function(_self, a, result, flow_failures) -- luacheck: ignore
    -- Here the task would undo what execute did; it is told what that gave, and what failed.
  end,
}

return M
