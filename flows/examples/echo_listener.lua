-- A listener logs what the flow and its tasks do.
local lf = require "taskflow.patterns.linear_flow"
local logging = require "taskflow.listeners.logging"
local task = require "taskflow.task"
local taskflow = require "taskflow"

local Echo = task.Task {
  execute = function(self)
    print(self.name)
  end,
}

local log = {
  debug = function(_area, message)
    print("DEBUG:taskflow.listeners.logging:" .. message)
  end,
}

local flow = lf.Flow("abc"):add(Echo { name = "a" }, Echo { name = "b" }, Echo { name = "c" })
local engine = taskflow.engines.load(flow)
logging.DynamicLoggingListener(engine, { log = log }):with(function()
  engine:run()
end)
