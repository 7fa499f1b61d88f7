-- A failure: an error as it is stored and as it travels.
-- It remembers the live error value only in the process where it was raised.
local check = require "taskflow.utils.check"
local exceptions = require "taskflow.exceptions"
local place = require "taskflow.utils.place"
local equal = require("taskflow.utils.equal").equal
local values = require "taskflow.values"

---An error, told by its type names, text, arguments, traceback and causes.
---@class taskflow.Failure
---@field exception_str string text of the exception
---@field traceback_str string frames, oldest first, as Python writes them
---@field exception_args any[] the exception's arguments
---@field exc_type_names string[] most derived first
---@field causes taskflow.Failure[] nearest first
---@field exception any the live error value, or nil when it was raised elsewhere
local Failure = {}
local meta = {}

local M = {
  ---@package
  Failure = Failure,
}

local VERSION = 1
-- The dict form doubles with each link of a chain of causes.
local MAX_CAUSES = 8

---Whether a value is a Failure.
---@param value any
---@return boolean
function M.is_failure(value)
  return getmetatable(value) == meta
end

-- Whether a constructor argument can travel: nothing but data.
local function is_plain(value, depth)
  local kind = type(value)
  if kind == "string" or kind == "number" or kind == "boolean" or value == values.null then
    return true
  end
  if kind ~= "table" or depth > 8 or exceptions.is_exception(value) or M.is_failure(value) then
    return false
  end
  for key, member in pairs(value) do
    if (type(key) ~= "string" and type(key) ~= "number") or not is_plain(member, depth + 1) then
      return false
    end
  end
  return true
end

local function plain_args(args)
  local out = values.list {}
  for i, value in ipairs(args) do
    if not is_plain(value, 0) then
      return values.list {}
    end
    out[i] = value
  end
  return out
end

-- Bytes of a raised table that are shown.
local MAX_TABLE = 1000

-- The same text as host/script/failure_lua.c gives.
local function message_of(err)
  if type(err) ~= "table" or (getmetatable(err) or {}).__tostring then
    return tostring(err)
  elseif type(err.message) == "string" then
    return err.message
  end
  local text = values.encode(err)
  return text and #text <= MAX_TABLE and ("(error value is a table: %s)"):format(text) or "(error value is a table)"
end

-- Causes flattened, each with its own causes again, as the reference sends them. `seen` holds the
-- exceptions above, so that a cause that is its own cause ends.
local function causes_of(exc, seen)
  local out = {}
  local function walk(list)
    for _, cause in ipairs(list or {}) do
      if #out < MAX_CAUSES and not seen[cause] then
        seen[cause] = true
        out[#out + 1] = cause
        walk(type(cause) == "table" and cause.causes)
      end
    end
  end
  seen[exc] = true
  walk(exc.causes)
  for i, cause in ipairs(out) do
    local above = {}
    for known in pairs(seen) do
      above[known] = true
    end
    for j = i + 1, #out do
      above[out[j]] = nil
    end
    out[i] = M.from_exception(cause, "", above)
  end
  return out
end

---Capture an error value, as caught by pcall or by a handler of xpcall.
---@param err any a string, an exception, a failure (returned as it is), or any other value
---@param traceback_str string? frames in Python's form
---@param seen table? exceptions of which this one is a cause, internal
---@return taskflow.Failure
function M.from_exception(err, traceback_str, seen)
  if M.is_failure(err) then
    return err
  end
  check.is(traceback_str or "", "string", "from_exception: the traceback")
  local self = setmetatable({ exception = err, traceback_str = traceback_str or "" }, meta)
  if exceptions.is_exception(err) then
    self.exception_str = err:pformat()
    self.exception_args = plain_args(err.args)
    self.exc_type_names = err.class.names
    self.causes = causes_of(err, seen or {})
  else
    self.exception_str = message_of(err)
    self.exception_args = plain_args { self.exception_str }
    self.exc_type_names = exceptions.LuaError.names
    self.causes = {}
  end
  return self
end

---For xpcall: a failure with the traceback of where the error was raised.
---@param err any
---@return taskflow.Failure
function M.handler(err)
  return M.from_exception(err, place.traceback(2))
end

-- Members of the dict form, their types, and whether they must be there.
local MEMBERS = {
  { "exception_str", "string", true },
  { "traceback_str", "string", true },
  { "exc_type_names", "table", true },
  { "exc_args", "table", false },
  { "causes", "table", false },
}
-- What every chain of types ends in.
local ROOTS = { Exception = true, BaseException = true }

local function invalid(message, ...)
  exceptions.raise(exceptions.InvalidFormat, ("failure: " .. message):format(...))
end

local function check_members(dict)
  for _, row in ipairs(MEMBERS) do
    local key, kind, needed = unpack(row)
    local value = dict[key]
    if type(value) ~= kind and (needed or value ~= nil) then
      invalid("'%s' must be a %s, not %s", key, kind, check.kind(value))
    end
  end
  local names = dict.exc_type_names
  for i, name in ipairs(names) do
    if type(name) ~= "string" then
      invalid("'exc_type_names' must be a list of names, entry %d is %s", i, check.kind(name))
    end
  end
  if not ROOTS[names[#names]] then
    invalid("'exc_type_names' must end in Exception or BaseException")
  end
end

---Read the dict form. Raises ValueError or TypeError as the reference does.
---@param dict table
---@return taskflow.Failure
function M.from_dict(dict)
  if type(dict) ~= "table" then
    exceptions.raise(exceptions.TypeError, "a failure must be a table, not a " .. type(dict))
  end
  if dict.version ~= VERSION then
    exceptions.raise(
      exceptions.ValueError,
      ("Invalid dict version of failure object: %s"):format(tostring(dict.version))
    )
  end
  check_members(dict)
  local self = setmetatable({}, meta)
  self.exception_str = dict.exception_str
  self.traceback_str = dict.traceback_str
  self.exc_type_names = dict.exc_type_names
  self.exception_args = dict.exc_args or values.list {}
  self.causes = {}
  for i, cause in ipairs(dict.causes or {}) do
    self.causes[i] = M.from_dict(cause)
  end
  return self
end

---Failures by name from their dict forms.
---@param dicts table<string, table>
---@return table<string, taskflow.Failure>
function M.from_dicts(dicts)
  local out = {}
  for name, dict in pairs(check.is(dicts, "table", "from_dicts: its argument")) do
    out[name] = M.from_dict(dict)
  end
  return out
end

---The six keys of the dict form.
---@return table
function Failure:to_dict()
  local causes = values.list {}
  for i, cause in ipairs(self.causes) do
    causes[i] = cause:to_dict()
  end
  return {
    exception_str = self.exception_str,
    traceback_str = self.traceback_str,
    exc_type_names = values.list { unpack(self.exc_type_names) },
    exc_args = self.exception_args,
    causes = causes,
    version = VERSION,
  }
end

---The first of the given types that the failure is, or nil. A type is an exception class, its full
---name, or the last part of the name.
---@param ... taskflow.ExceptionClass|string
---@return taskflow.ExceptionClass|string|nil
function Failure:check(...)
  for i = 1, select("#", ...) do
    local wanted = select(i, ...)
    local wanted_name = type(wanted) == "table" and wanted.name or wanted
    for _, name in ipairs(self.exc_type_names) do
      if name == wanted_name or name:match("([^.]+)$") == wanted_name then
        return wanted
      end
    end
  end
  return nil
end

-- A list of failures that was handed in.
local function check_failures(list, what)
  for i, f in ipairs(check.list(list, what .. ": the failures")) do
    if not M.is_failure(f) then
      exceptions.raise(exceptions.TypeError, ("%s: entry %d must be a Failure, not %s"):format(what, i, check.kind(f)))
    end
  end
  return list
end

---Like check for several failures at once.
---@param failures taskflow.Failure[]
---@param ... taskflow.ExceptionClass|string
---@return taskflow.ExceptionClass|string|nil
function M.check(failures, ...)
  for _, failure in ipairs(check_failures(failures, "check")) do
    local found = failure:check(...)
    if found then
      return found
    end
  end
  return nil
end

---Whether two failures tell the same story, their causes included.
---@param other taskflow.Failure
---@return boolean
function Failure:matches(other)
  if not M.is_failure(other) or #self.causes ~= #other.causes then
    return false
  end
  if
    self.exception_str ~= other.exception_str
    or self.traceback_str ~= other.traceback_str
    or not equal(self.exc_type_names, other.exc_type_names)
    or not equal(self.exception_args, other.exception_args)
  then
    return false
  end
  for i, cause in ipairs(self.causes) do
    if not cause:matches(other.causes[i]) then
      return false
    end
  end
  return true
end

---Raise the live error, or a WrappedFailure around this failure when it came from elsewhere.
function Failure:reraise()
  if self.exception ~= nil then
    error(self.exception, 0)
  end
  error(exceptions.WrappedFailure { self }, 0)
end

---Raise one failure as it was, several as a WrappedFailure. Nothing happens for none.
---@param failures taskflow.Failure[]
function M.reraise_if_any(failures)
  check_failures(failures, "reraise_if_any")
  if #failures == 1 then
    failures[1]:reraise()
  elseif #failures > 1 then
    error(exceptions.WrappedFailure(failures), 0)
  end
end

---The text with the traceback, for logs.
---@return string
function Failure:describe()
  local head = ("%s: %s"):format(self.exc_type_names[1], self.exception_str)
  return self.traceback_str == "" and head or "Traceback (most recent call last):\n" .. self.traceback_str .. head
end

function meta:__tostring()
  return ("Failure: %s: %s"):format(self.exc_type_names[1], self.exception_str)
end

meta.__index = check.methods("Failure", Failure, M.is_failure)

return M
