-- Values of limits: seconds, and bytes as "64M".
local exceptions = require "taskflow.exceptions"

local M = {}

local UNITS = { [""] = 1, K = 1024, M = 1024 ^ 2, G = 1024 ^ 3 }
local MAX_SECONDS, MIN_BYTES, MAX_BYTES = 1e8, 1024 ^ 2, 2 ^ 50

---Check a limit of time.
---@param value number? seconds, 0.001 to 1e8
---@param what string for the message
---@return number? nil for nil
function M.seconds(value, what)
  if value ~= nil and (type(value) ~= "number" or not (value >= 0.001 and value <= MAX_SECONDS)) then
    exceptions.raise(
      exceptions.ValueError,
      ("%s: expected seconds, 0.001 to %d, got '%s'"):format(what, MAX_SECONDS, tostring(value))
    )
  end
  return value
end

---Check a limit of memory.
---@param value number|string|nil bytes, or as "512K", "64M", "2G"; at least 1M
---@param what string for the message
---@return number? nil for nil
function M.bytes(value, what)
  if value == nil then
    return nil
  end
  local digits, unit = tostring(value):match "^(%d+)([KMG]?)$"
  local bytes = digits and tonumber(digits) * UNITS[unit]
  if not bytes or bytes < MIN_BYTES or bytes > MAX_BYTES then
    exceptions.raise(
      exceptions.ValueError,
      ("%s: expected bytes, at least 1M, as 67108864 or \"64M\", got '%s'"):format(what, tostring(value))
    )
  end
  return bytes
end

return M
