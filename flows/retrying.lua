-- A retry controller gives its flow one number after the other until a call succeeds.
local lf = require "taskflow.patterns.linear_flow"
local phone = require "tasks.phone"
local retry = require "taskflow.retry"

return function()
  local numbers = retry.ParameterizedForEach { name = "next-number", rebind = { "numbers" }, provides = "number" }
  local flow = lf.Flow("retrying", { retry = numbers }):add(phone.TryNumber { name = "call", inject = { who = "Jim" } })
  return flow, { store = { numbers = { 333, 444, 555, 666 }, right = 555 } }
end
