-- An engine stepped phase by phase: other work can be done in between, here each phase is printed.
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local taskflow = require "taskflow"

local EchoNameTask = task.Task {
  execute = function(self)
    print(self.name)
  end,
}

local flow = lf.Flow "counter"
for i = 1, 10 do
  flow:add(EchoNameTask { name = "echo_" .. i })
end

local engine = taskflow.engines.load(flow)
local i = 0
for state in engine:run_iter() do
  i = i + 1
  print(("Transition %d: %s"):format(i, state))
end
