-- What one task provides, the next one takes.
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local taskflow = require "taskflow"

local TaskA = task.Task {
  default_provides = "a",
  execute = function(self)
    print(("Executing '%s'"):format(self.name))
    return "a"
  end,
}

local TaskB = task.Task {
  execute = function(self, a)
    print(("Executing '%s'"):format(self.name))
    print(("Got input '%s'"):format(a))
  end,
}

print "Constructing..."
local flow = lf.Flow("pass-from-to"):add(TaskA { name = "a" }, TaskB { name = "b" })
print "Loading..."
local engine = taskflow.engines.load(flow)
print "Compiling..."
engine:compile()
print "Preparing..."
engine:prepare()
print "Running..."
engine:run()
print "Done..."
