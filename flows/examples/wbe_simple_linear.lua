-- Two workers run tasks of one and of three arguments.
local example = require "example"
local lf = require "taskflow.patterns.linear_flow"
local taskflow = require "taskflow"
local wbe = require "tasks.wbe"

local results
example.with_workers(2, "tasks.wbe", function(options)
  print "Executing some work."
  local flow = lf.Flow("simple-linear"):add(
    wbe.OneArgument { name = "first", provides = "result1" },
    wbe.ThreeArguments { name = "second", provides = "result2" }
  )
  options.store = { x = 111, y = 222, z = 333 }
  results = taskflow.engines.run(flow, options)
  print "Execution finished."
  local names = { "result1", "result2", "x", "y", "z" }
  for i, name in ipairs(names) do
    names[i] = ('"%s": %d'):format(name, results[name])
  end
  print(("Result = {%s}"):format(table.concat(names, ", ")))
end)
