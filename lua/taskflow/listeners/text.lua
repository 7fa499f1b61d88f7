-- The sentences that the listeners share.
local failure = require "taskflow.failure"
local states = require "taskflow.states"
local values = require "taskflow.values"

local M = {}

---A result for people: text as it is, a failure's text, None as the reference has it, or JSON.
---@param result any
---@return string
function M.result(result)
  if result == nil or result == values.null then
    return "None"
  end
  if type(result) == "string" or failure.is_failure(result) then
    return tostring(result)
  end
  return values.encode(result) or tostring(result)
end

---"<engine> has moved flow 'f' (uuid) into state 'S' from state 'O'".
---@param engine taskflow.Engine
---@param state string
---@param details table
---@return string
function M.flow(engine, state, details)
  return ("%s has moved flow '%s' (%s) into state '%s' from state '%s'"):format(
    tostring(engine),
    details.flow_name,
    details.flow_uuid,
    state,
    details.old_state
  )
end

---The same of a task; what has ended gives its result, and the traceback of an error that was raised here.
---@param engine taskflow.Engine
---@param state string
---@param details table
---@return string
function M.task(engine, state, details)
  local text = ("%s has moved task '%s' (%s) into state '%s' from state '%s'"):format(
    tostring(engine),
    details.task_name,
    details.task_uuid,
    state,
    details.old_state
  )
  if not states.WITH_RESULT[state] then
    return text
  end
  local failed = failure.is_failure(details.result)
  text = ("%s with result '%s' (failure=%s)"):format(text, M.result(details.result), failed and "True" or "False")
  if failed and details.result.exception ~= nil then
    text = text .. "\n" .. details.result:describe()
  end
  return text
end

return M
