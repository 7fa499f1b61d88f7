-- What arguments must be. Each check raises a TypeError that names the caller's line in the user's script, so
-- that a mistake is never found as an error from inside the library.
local text = require "taskflow.utils.text"

local M = {}

---Raise a TypeError at the caller's line.
---@param format string
---@param ... any for the format
function M.fail(format, ...)
  local exceptions = require "taskflow.exceptions" -- which checks its own arguments here
  exceptions.raise(exceptions.TypeError, format:format(...))
end

---"a number", "nil": what a value is, for messages.
---@param value any
---@return string
function M.kind(value)
  local kind = type(value)
  return kind == "nil" and "nil" or "a " .. kind
end

---A value of one of Lua's types.
---@generic T
---@param value T
---@param kind type "string", "table", ...
---@param what string for the message: "Flow: the name"
---@return T value
function M.is(value, kind, what)
  if type(value) ~= kind then
    M.fail("%s must be a %s, not %s", what, kind, M.kind(value))
  end
  return value
end

---Whether a value is a function, or can be called like one.
---@param value any
---@return boolean
function M.is_callable(value)
  if type(value) == "table" then
    local meta = getmetatable(value)
    return type(meta) == "table" and meta.__call ~= nil
  end
  return type(value) == "function"
end

---A function, or a table that can be called.
---@param value any
---@param what string for the message
---@return function
function M.callable(value, what)
  if not M.is_callable(value) then
    M.fail("%s must be a function, not %s", what, M.kind(value))
  end
  return value
end

---A table without holes and without other keys.
---@param value any
---@param what string for the message
---@return any[]
function M.list(value, what)
  if type(value) ~= "table" then
    M.fail("%s must be a list, not %s", what, M.kind(value))
  end
  local n = 0
  for _ in pairs(value) do
    n = n + 1
  end
  if n ~= #value then
    M.fail("%s must be a list, without holes and other keys", what)
  end
  return value
end

---A list of strings; nil is an empty one.
---@param value string[]?
---@param what string for the message
---@return string[]
function M.names(value, what)
  if value == nil then
    return {}
  end
  for i, name in ipairs(M.list(value, what)) do
    if type(name) ~= "string" then
      M.fail("%s: entry %d must be a string, not %s", what, i, M.kind(name))
    end
  end
  return value
end

---A table of options of which every key is known; nil is none at all. The message of a typo names what was meant.
---@param options table?
---@param known table<string, any>
---@param what string for the message: "Task"
---@return table options
function M.options(options, known, what)
  if options == nil then
    return {}
  end
  if type(options) ~= "table" then
    M.fail("%s: the options are a table, not %s", what, M.kind(options))
  end
  for key in pairs(options) do
    if known[key] == nil then
      M.fail("%s: %s", what, text.unknown("option", key, known))
    end
  end
  return options
end

---The methods of a class, each refusing to be called on anything else, as object.method(x) does.
---@param title string of the class, for the message
---@param methods table<string, function>
---@param belongs fun(value: any): boolean whether a value is an object of the class
---@return table<string, function>
function M.methods(title, methods, belongs)
  local out = {}
  for name, method in pairs(methods) do
    out[name] = method
    if type(method) == "function" and name:sub(1, 1) ~= "_" then
      out[name] = function(self, ...)
        if not belongs(self) then
          M.fail("%s:%s is a method: call it with a colon, on a %s and not on %s", title, name, title, M.kind(self))
        end
        return method(self, ...)
      end
    end
  end
  return out
end

return M
