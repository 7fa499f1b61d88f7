-- Python, Lua, Python: three tasks on two workers, values passing through this engine unchanged.
--
--   PYTHONPATH=tasks python3 -m taskflow.engines.worker_based.worker --exchange words --topic python
--     --connection-url URL --task report &
--   tfhost worker tasks.words --exchange words --topic lua --url URL &
--   tfhost run flows:mixed --engine worker-based --exchange words --topics python,lua --url URL
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local words = require "tasks.words"

return function()
  local flow = lf.Flow("mixed"):add(
    task.Reference("report:Split", { name = "split", requires = "text", provides = "words" }),
    words.Count { name = "count" },
    task.Reference("report:Report", { name = "report", requires = "counts", provides = "report" })
  )
  return flow, { store = { text = "the quick fox and the lazy dog and the cat" } }
end
