-- A second module of tasks, for a worker on another topic.
local task = require "taskflow.task"

return {
  Elsewhere = task.Task {
    execute = function(_, value)
      return ("elsewhere saw %s"):format(value)
    end,
  },
}
