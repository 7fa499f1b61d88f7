-- A listener prints how long the tasks take.
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local taskflow = require "taskflow"
local timing = require "taskflow.listeners.timing"

local VariableTask = task.Task {
  execute = function(_self)
    os.execute(("sleep %.2f"):format(math.random() / 10))
  end,
}

local flow = lf.Flow("root"):add(VariableTask { name = "a" }, VariableTask { name = "b" }, VariableTask { name = "c" })
local engine = taskflow.engines.load(flow)
timing.PrintingDurationListener(engine):with(function()
  engine:run()
end)
