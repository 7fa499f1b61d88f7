-- Values of limits: seconds, numbers, and bytes as "64M".
local exceptions = require "taskflow.exceptions"

local M = {}

local UNITS = { [""] = 1, K = 1024, M = 1024 ^ 2, G = 1024 ^ 3 }
local MAX_COUNT = 10000
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

local function bytes_of(value, least)
  local digits, unit = tostring(value):match "^(%d+)([KMG]?)$"
  local bytes = digits and tonumber(digits) * UNITS[unit]
  return bytes and bytes >= least and bytes <= MAX_BYTES and bytes or nil
end

---Check a limit of memory.
---@param value number|string|nil bytes of memory, or as "512K", "64M", "2G"; at least 1M
---@param what string for the message
---@return number? nil for nil
function M.bytes(value, what)
  local bytes = bytes_of(value, MIN_BYTES)
  if value ~= nil and not bytes then
    exceptions.raise(
      exceptions.ValueError,
      ("%s: expected bytes, at least 1M, as 67108864 or \"64M\", got '%s'"):format(what, tostring(value))
    )
  end
  return bytes
end

---Check a limit of the size of a value.
---@param value number|string|nil bytes of a value, or as "512K", "64M", "2G"; at least 1
---@param what string for the message
---@return number? nil for nil
function M.size(value, what)
  local bytes = bytes_of(value, 1)
  if value ~= nil and not bytes then
    exceptions.raise(
      exceptions.ValueError,
      ("%s: expected bytes, at least 1, as 65536 or \"64K\", got '%s'"):format(what, tostring(value))
    )
  end
  return bytes
end

---Check a number of things.
---@param value integer? 1 to `most`
---@param what string for the message
---@param most integer? default 10000
---@return integer? nil for nil
function M.count(value, what, most)
  most = most or MAX_COUNT
  if value ~= nil and (type(value) ~= "number" or value < 1 or value > most or value % 1 ~= 0) then
    exceptions.raise(
      exceptions.ValueError,
      ("%s: expected an integer from 1 to %d, got '%s'"):format(what, most, tostring(value))
    )
  end
  return value
end

return M
