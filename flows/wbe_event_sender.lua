-- Events of a task's own: it sends 26 of them, and a listener in the engine's process gets each, wherever the task
-- runs.
--
--   tfhost worker tasks.events --topic letters &
--   tfhost run flows:wbe_event_sender --engine worker-based --topics letters
local events = require "tasks.events"
local lf = require "taskflow.patterns.linear_flow"

return function()
  local letters = events.Letters { name = "letters" }
  letters.notifier:register("*", function(event_type, details)
    if event_type ~= "update_progress" then
      print(("got %s, %d left"):format(event_type, #details.leftover))
    end
  end)
  return lf.Flow("letters"):add(letters)
end
