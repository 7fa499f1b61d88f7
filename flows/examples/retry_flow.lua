-- A retry controller gives one number of the directory after the other, until the call succeeds.
local lf = require "taskflow.patterns.linear_flow"
local retry = require "taskflow.retry"
local task = require "taskflow.task"
local taskflow = require "taskflow"

local CallJim = task.Task {
  execute = function(_self, jim_number)
    print(("Calling jim %d."):format(jim_number))
    if jim_number ~= 555 then
      error "Wrong number!"
    end
    print "Hello Jim!"
  end,
  revert = function(_self)
    print "Wrong number, apologizing."
  end,
}

local numbers = retry.ParameterizedForEach { rebind = { "phone_directory" }, provides = "jim_number" }
local flow = lf.Flow("retrying-linear", { retry = numbers }):add(CallJim { name = "call-jim" })
taskflow.engines.run(flow, { store = { phone_directory = { 333, 444, 555, 666 } } })
