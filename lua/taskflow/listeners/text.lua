-- The sentences that the printing and the logging listener share.
local base = require "taskflow.listeners.base"
local failure = require "taskflow.failure"
local states = require "taskflow.states"
local values = require "taskflow.values"

local M = {}

---A result for people: a failure's text, or JSON.
---@param result any
---@return string
function M.result(result)
  if failure.is_failure(result) then
    return tostring(result)
  end
  return values.encode(result) or tostring(result)
end

function M.flow(engine, state, details)
  return ("%s has moved flow '%s' (%s) into state '%s' from state '%s'"):format(
    tostring(engine),
    details.flow_name,
    details.flow_uuid,
    state,
    details.old_state
  )
end

function M.atom(engine, state, details)
  local text = ("%s has moved %s into state '%s' from state '%s'"):format(
    tostring(engine),
    base.subject(details),
    state,
    details.old_state
  )
  if states.WITH_RESULT[state] then
    local failed = failure.is_failure(details.result)
    text = ("%s with result '%s' (failure=%s)"):format(text, M.result(details.result), failed and "True" or "False")
  end
  return text
end

return M
