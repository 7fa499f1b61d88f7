-- One class used twice, under other names: z = x + y, a = z + d, r = a * 3.
local calculate = require "tasks.calculate"
local lf = require "taskflow.patterns.linear_flow"

return function()
  local flow = lf.Flow("calculate-linear"):add(
    -- Inputs x and y are taken from the store, by their names.
    calculate.Adder { name = "add", provides = "z" },
    -- By place: the first parameter from z, the second from d.
    calculate.Adder { name = "add-2", provides = "a", rebind = { "z", "d" } },
    -- By parameter; the factor is a constant of this task alone.
    calculate.Multiplier { name = "multiply", provides = "r", rebind = { x = "a" }, inject = { factor = 3 } }
  )
  return flow, { store = { x = 2, y = 3, d = 5 } }
end
