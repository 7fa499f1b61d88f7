-- Two tasks, one after the other: b = (x + 1) * 2.
--
--   tfhost run flows:simple_linear --store x=20
--   tfhost worker tasks --topic test-tasks &
--   tfhost run flows:simple_linear --engine worker-based --topics test-tasks
local lf = require "taskflow.patterns.linear_flow"
local tasks = require "tasks"

return function()
  local flow = lf.Flow("simple-linear"):add(tasks.TestTask1 { name = "t1" }, tasks.TestTask2 { name = "t2" })
  return flow, { store = { x = 1 } }
end
