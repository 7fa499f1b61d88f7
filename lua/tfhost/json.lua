-- JSON text for people and programs: values.encode, and a text for what it refuses.
local values = require "taskflow.values"

local M = {}

---@param value any
---@return string
function M.encode(value)
  local text, message = values.encode(value)
  return text or assert(values.encode(("(%s)"):format(message)))
end

local function utf8(code)
  if code < 0x800 then
    return string.char(0xC0 + math.floor(code / 0x40), 0x80 + code % 0x40)
  elseif code < 0x10000 then
    return string.char(0xE0 + math.floor(code / 0x1000), 0x80 + math.floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
  end
  return string.char(
    0xF0 + math.floor(code / 0x40000),
    0x80 + math.floor(code / 0x1000) % 0x40,
    0x80 + math.floor(code / 0x40) % 0x40,
    0x80 + code % 0x40
  )
end

---JSON text for people: letters of all scripts instead of their escapes. Control characters stay escaped.
---@param text string
---@return string
function M.readable(text)
  local high -- the first half of a pair, whose second comes next
  -- Every escape is taken whole, so that `\\u00e9` is not mistaken for one.
  return (text:gsub("(\\u?)(.%x?%x?%x?)()", function(escape, rest, after)
    local code = escape == "\\u" and #rest == 4 and tonumber(rest, 16)
    if not code or code < 0xA0 then
      return nil
    end
    if code >= 0xD800 and code < 0xDC00 then
      high = text:find("^\\u[dD][c-fC-F]%x%x", after) and code
      return high and "" or nil
    elseif code >= 0xDC00 and code < 0xE000 then
      code, high = high and 0x10000 + (high - 0xD800) * 0x400 + code - 0xDC00, nil
      return code and utf8(code) or nil
    end
    return utf8(code)
  end))
end

---What a failure says in one line: "ValueError: too small".
---@param encoded string? its dict as JSON
---@return string? nil: there is none
function M.failure(encoded)
  local dict = encoded and values.decode(encoded)
  if type(dict) ~= "table" then
    return nil
  end
  local types = dict.exc_type_names
  return ("%s: %s"):format(type(types) == "table" and types[1] or "failure", tostring(dict.exception_str))
end

return M
