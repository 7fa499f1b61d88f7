-- The Lua part of the mixed flow: counts words. What comes before and after it is Python (report.py).
local task = require "taskflow.task"

local M = {}

M.Count = task.Task {
  default_provides = "counts",
  execute = function(_self, words)
    local counts = {}
    for _, word in ipairs(words) do
      counts[word] = (counts[word] or 0) + 1
    end
    return counts
  end,
}

return M
