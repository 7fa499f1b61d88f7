-- Functions as tasks: squares of some numbers, then their sum. These have no name that a worker could know, so
-- the engine is serial or parallel.
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local uf = require "taskflow.patterns.unordered_flow"

return function(store)
  local count = store.count or 10
  local squares, names = uf.Flow "squares", {}
  for i = 1, count do
    names[i] = "square" .. i
    squares:add(task.FunctorTask(function()
      return i * i
    end, { name = names[i], provides = names[i] }))
  end
  local sum = task.ReduceFunctorTask(function(left, right)
    return left + right
  end, { name = "sum", provides = "sum", requires = names })
  return lf.Flow("map-reduce"):add(squares, sum), { store = { count = count } }
end
