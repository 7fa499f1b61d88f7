-- Plain functions as tasks, and listeners for every state of the flow and of its tasks.
local example = require "example"
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local taskflow = require "taskflow"

local function show(context)
  local out = {}
  for i, name in ipairs { "jim_number", "joe_number" } do
    out[i] = ("(%s, %s)"):format(example.python(name), context[name])
  end
  print(("Context = [%s]"):format(table.concat(out, ", ")))
end

local function call_jim(context)
  print "Calling jim."
  show(context)
end

local function call_joe(context)
  print "Calling joe."
  show(context)
end

local flow = lf.Flow("Call-them"):add(
  task.FunctorTask(call_jim, { name = "__main__.call_jim" }),
  task.FunctorTask(call_joe, { name = "__main__.call_joe" })
)
local engine = taskflow.engines.load(flow, { store = { context = { joe_number = 444, jim_number = 555 } } })
engine.notifier:register("*", function(state)
  print("Flow => " .. state)
end)
engine.atom_notifier:register("*", function(state, details)
  print(("Task %s => %s"):format(details.task_name, state))
end)
engine:run()
