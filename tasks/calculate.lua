-- Arithmetic: one class, used several times under other names by means of rebind.
local task = require "taskflow.task"

local M = {}

M.Adder = task.Task {
  execute = function(_self, x, y)
    return x + y
  end,
}

M.Multiplier = task.Task {
  execute = function(_self, x, factor)
    return x * factor
  end,
}

return M
