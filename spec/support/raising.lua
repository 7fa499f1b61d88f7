-- Tasks that fail in ways of their own; python/raising.py has the same.
local exceptions = require "taskflow.exceptions"
local failure = require "taskflow.failure"
local task = require "taskflow.task"

local M = {}

M.Chained = task.Task {
  execute = function(_self)
    error(exceptions.RuntimeError("outer", 7):caused_by(exceptions.OSError "inner"))
  end,
}

M.Missing = task.Task {
  execute = function(_self)
    error(exceptions.NotFound("nothing there"):caused_by(exceptions.StorageFailure "disk"))
  end,
}

M.Wrapping = task.Task {
  execute = function(_self)
    error(exceptions.WrappedFailure { failure.from_exception(exceptions.ValueError "deep") })
  end,
}

return M
