-- The task of the benchmark: what is measured is the way there and back.
local task = require "taskflow.task"

return {
  Nothing = task.Task {
    execute = function() end,
  },
}
