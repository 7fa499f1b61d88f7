-- A graph that links itself: who needs x5 runs after who provides it, whatever the order of adding. Branches that do
-- not depend on each other run at once on a parallel or a worker-based engine.
local calculate = require "tasks.calculate"
local gf = require "taskflow.patterns.graph_flow"
local lf = require "taskflow.patterns.linear_flow"

local function sum(name, of)
  return calculate.Adder { name = "sum-" .. name, provides = name, rebind = of }
end

return function()
  local flow = gf.Flow "graph"
  flow:add(
    sum("x7", { "x6", "x6" }),
    sum("x6", { "x5", "x4" }),
    sum("x5", { "x1", "x3" }),
    sum("x4", { "x2", "y5" }),
    sum("x3", { "x1", "x2" }),
    lf.Flow("first"):add(sum("x2", { "y3", "y4" }), sum("x1", { "y1", "y2" }))
  )
  return flow, { store = { y1 = 1, y2 = 3, y3 = 5, y4 = 7, y5 = 9 } }
end
