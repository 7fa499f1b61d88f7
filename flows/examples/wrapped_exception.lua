-- Tasks that fail at the same time: what was raised is taken apart by type.
local example = require "example"
local exceptions = require "taskflow.exceptions"
local failure = require "taskflow.failure"
local task = require "taskflow.task"
local taskflow = require "taskflow"
local uf = require "taskflow.patterns.unordered_flow"

local FirstException = exceptions.class "wrapped_exception.FirstException"
local SecondException = exceptions.class "wrapped_exception.SecondException"

local FirstTask = task.Task {
  execute = function(_self, raise1)
    if type(raise1) ~= "boolean" then
      error(exceptions.TypeError(("Bad raise1 value: '%s'"):format(raise1)))
    elseif raise1 then
      error(FirstException "First task failed")
    end
  end,
}

local SecondTask = task.Task {
  execute = function(_self, raise2)
    if type(raise2) ~= "boolean" then
      error(exceptions.TypeError(("Bad raise2 value: '%s'"):format(raise2)))
    elseif raise2 then
      error(SecondException "Second task failed")
    end
  end,
}

local function run(store)
  local flow = uf.Flow("flow"):add(FirstTask { name = "first" }, SecondTask { name = "second" })
  local ok, err = pcall(taskflow.engines.run, flow, { engine = "parallel", store = store })
  if ok then
    return
  end
  local unknown = {}
  for _, f in err:iter() do
    if f:check(FirstException) then
      print("Got FirstException: " .. f.exception_str)
    elseif f:check(SecondException) then
      print("Got SecondException: " .. f.exception_str)
    else
      print("Unknown failure: " .. tostring(f))
      unknown[#unknown + 1] = f
    end
  end
  failure.reraise_if_any(unknown)
end

example.heading "Raise and catch first exception only"
run { raise1 = true, raise2 = false }

example.heading "Raise and catch both exceptions"
run { raise1 = true, raise2 = true }

example.heading "Handle one exception, and re-raise another"
local _, err = pcall(run, { raise1 = true, raise2 = "boom" })
if err:check(exceptions.TypeError) then
  print("As expected, TypeError is here: " .. tostring(err.failures[1].exception_str))
end
