-- Runs the flow and keeps it in the backend that is named.
local my_flows = require "my_flows"
local taskflow = require "taskflow"

local engine = taskflow.engines.load_from_factory(my_flows.flow_factory, { backend = arg[1] })
print(("Running flow %s %s"):format(engine.storage:flow_name(), engine.storage:flow_uuid()))
engine:run()
