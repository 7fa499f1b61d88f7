-- Tasks without their code: the flow says what they need and give; a worker that knows the classes runs them.
--
--   tfhost worker tasks.calculate --topic sums &
--   tfhost run flows:by_reference --engine worker-based --topics sums
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"

return function()
  local flow = lf.Flow("by-reference"):add(
    task.Reference("tasks.calculate:Adder", { name = "add", requires = { "x", "y" }, provides = "sum" }),
    -- The same in short. What execute calls x is taken from sum.
    {
      "tasks.calculate:Multiplier",
      name = "multiply",
      rebind = { x = "sum", factor = "factor" },
      provides = "product",
    }
  )
  return flow, { store = { x = 111, y = 222, factor = 2 } }
end
