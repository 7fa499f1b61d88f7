-- What the soak's worker serves; a copy of it is written again and again, so that it is loaded again.
local ffi = require "ffi"
local retry_exceptions = require "taskflow.exceptions"
local task = require "taskflow.task"

ffi.cdef "int getpid(void); int kill(int, int);"

local kept = {} -- what leaks

return {
  Quick = task.Task { execute = function(_, n)
    return n + 1
  end },
  Echo = task.Task { execute = function(_, text)
    return text
  end },
  Undone = task.Task { execute = function(_, n)
    return n
  end, revert = function(_, n, result)
    assert(n == result)
  end },
  Fails = task.Task { execute = function()
    error(retry_exceptions.ValueError "on purpose")
  end },
  Dies = task.Task { execute = function()
    ffi.C.kill(ffi.C.getpid(), 9)
  end },
  Exits = task.Task { execute = function()
    os.exit(3)
  end },
  Loops = task.Task { time_limit = 0.05, execute = function()
    while true do end
  end },
  Leaks = task.Task { execute = function()
    kept[#kept + 1] = ("x"):rep(4 * 2 ^ 20) .. #kept
    return #kept
  end },
  Tells = task.Task { execute = function(self)
    for i = 1, 10 do
      self:update_progress(i / 10)
    end
  end },
}
