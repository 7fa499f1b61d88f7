-- Two sums that do not depend on each other, then their sum.
--
--   tfhost run flows:calculate_in_parallel --engine parallel
local calculate = require "tasks.calculate"
local lf = require "taskflow.patterns.linear_flow"
local uf = require "taskflow.patterns.unordered_flow"

return function()
  local sums = uf.Flow("sums"):add(
    calculate.Adder { name = "left", provides = "z1", rebind = { "x1", "y1" } },
    calculate.Adder { name = "right", provides = "z2", rebind = { "x2", "y2" } }
  )
  local flow = lf.Flow("calculate-in-parallel"):add(
    sums,
    calculate.Adder { name = "total", provides = "sum", rebind = { "z1", "z2" } }
  )
  return flow, { store = { x1 = 1, y1 = 3, x2 = 5, y2 = 7 } }
end
