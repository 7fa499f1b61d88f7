-- Tasks of the demo: counting primes in pieces. A worker serves them, a flow names them.
local task = require "taskflow.task"

local M = {}

-- Parameters are what a task needs, by name; `default_provides` is what others may take from it.
M.Split = task.Task {
  default_provides = { "low", "high" },
  execute = function(_, limit)
    local middle = math.floor(limit / 2)
    return { { 2, middle }, { middle + 1, limit } }
  end,
}

local function is_prime(n)
  for divisor = 2, math.floor(math.sqrt(n)) do
    if n % divisor == 0 then
      return false
    end
  end
  return true
end

M.Count = task.Task {
  execute = function(self, range)
    local first, last = range[1], range[2]
    local count, step = 0, math.ceil((last - first + 1) / 4)
    for n = first, last do
      if is_prime(n) then
        count = count + 1
      end
      if (n - first + 1) % step == 0 then
        self:update_progress((n - first + 1) / (last - first + 1))
      end
    end
    return count
  end,
}

M.Add = task.Task {
  default_provides = "primes",
  execute = function(_, below, above)
    return below + above
  end,
}

M.Report = task.Task {
  default_provides = "report",
  execute = function(_, limit, primes)
    return ("%d primes up to %d, %.1f %%"):format(primes, limit, 100 * primes / limit)
  end,
}

return M
