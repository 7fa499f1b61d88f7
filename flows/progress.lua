-- A task that tells how far it is; `tfhost run` shows it, wherever the task runs.
local events = require "tasks.events"
local lf = require "taskflow.patterns.linear_flow"

return function()
  return lf.Flow("progress"):add(events.Copy { name = "copy" }), { store = { items = { "a", "b", "c", "d" } } }
end
