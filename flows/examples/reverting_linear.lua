-- The third call fails: the two before it are taken back, the last one first.
local exceptions = require "taskflow.exceptions"
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local taskflow = require "taskflow"

local CallJim = task.Task {
  execute = function(_self, jim_number)
    print(("Calling jim %d."):format(jim_number))
  end,
  revert = function(_self, jim_number)
    print(("Calling %d and apologizing."):format(jim_number))
  end,
}

local CallJoe = task.Task {
  execute = function(_self, joe_number)
    print(("Calling joe %d."):format(joe_number))
  end,
  revert = function(_self, joe_number)
    print(("Calling %d and apologizing."):format(joe_number))
  end,
}

local CallSuzzie = task.Task {
  execute = function(_self, suzzie_number) -- luacheck: ignore suzzie_number
    error(exceptions.OSError "Suzzie not home right now.")
  end,
}

local flow = lf.Flow("simple-linear"):add(
  CallJim { name = "call-jim" },
  CallJoe { name = "call-joe" },
  CallSuzzie { name = "call-suzzie" }
)
local ok, err = pcall(taskflow.engines.run, flow, {
  store = { joe_number = 444, jim_number = 555, suzzie_number = 666 },
})
if not ok then
  print("Flow failed: " .. err.message)
end
