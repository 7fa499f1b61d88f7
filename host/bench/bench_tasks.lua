-- The tasks of the benchmark: most do nothing, for what is measured is the way there and back.
local task = require "taskflow.task"

local function fib(n)
  return n < 2 and n or fib(n - 1) + fib(n - 2)
end

local failed = {}

return {
  Nothing = task.Task {
    execute = function() end,
  },
  Fib = task.Task {
    execute = function()
      return fib(33)
    end,
  },
  Spin = task.Task {
    execute = function()
      local stop = os.clock() + 0.001
      repeat
      until os.clock() >= stop
    end,
  },
  Same = task.Task {
    default_provides = "text0",
    execute = function(_, text0)
      return text0
    end,
  },
  Flaky = task.Task { -- fails the first time
    execute = function(self)
      if not failed[self.name] then
        failed[self.name] = true
        error("once", 0)
      end
    end,
  },
  Mark = task.Task {
    execute = function(_, path)
      io.open(path, "w"):close()
    end,
  },
  Pass = task.Task {
    execute = function(_, bytes, text)
      return #text == bytes and text or ("x"):rep(bytes)
    end,
  },
}
