-- Two tasks, one after the other, with what they need from the store.
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local taskflow = require "taskflow"

local CallJim = task.Task {
  execute = function(_self, jim_number)
    print(("Calling jim %d."):format(jim_number))
  end,
}

local CallJoe = task.Task {
  execute = function(_self, joe_number)
    print(("Calling joe %d."):format(joe_number))
  end,
}

local flow = lf.Flow("simple-linear"):add(CallJim { name = "call-jim" }, CallJoe { name = "call-joe" })
taskflow.engines.run(flow, { store = { joe_number = 444, jim_number = 555 } })
