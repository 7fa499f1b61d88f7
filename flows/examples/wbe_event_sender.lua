-- A task on a worker sends events of its own; a listener here gets each of them.
local events = require "tasks.events"
local example = require "example"
local lf = require "taskflow.patterns.linear_flow"
local taskflow = require "taskflow"

local function event_receiver(event_type, details)
  print(("Recieved event '%s'"):format(event_type))
  if details.progress then
    print(("Details = {'progress': %.1f}"):format(details.progress))
  else
    print(("Details = %s"):format(example.dict(details)))
  end
end

example.with_workers(1, "tasks.events", function(options)
  print "Executing some work."
  local reporter = events.Alphabet { name = "reporter" }
  reporter.notifier:register("*", event_receiver)
  local engine = taskflow.engines.load(lf.Flow("event-reporter"):add(reporter), options)
  engine:run()
  print "Execution finished."
end)
