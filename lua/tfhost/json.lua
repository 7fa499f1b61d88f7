-- JSON text for people and programs: values.encode, and a text for what it refuses.
local values = require "taskflow.values"

local M = {}

---@param value any
---@return string
function M.encode(value)
  local text, message = values.encode(value)
  return text or assert(values.encode(("(%s)"):format(message)))
end

return M
