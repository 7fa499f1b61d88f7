-- The first example of a worker-based engine: results by name from tasks of one and of three arguments.
--
--   tfhost worker tasks.wbe --topic wbe &
--   tfhost run flows:wbe_simple_linear --engine worker-based --topics wbe
local lf = require "taskflow.patterns.linear_flow"
local wbe = require "tasks.wbe"

return function()
  local flow = lf.Flow("simple-linear"):add(
    wbe.OneArgument { name = "first", provides = "result1" },
    wbe.ThreeArguments { name = "second", provides = "result2" }
  )
  return flow, { store = { x = 111, y = 222, z = 333 } }
end
