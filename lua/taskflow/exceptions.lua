-- Exceptions under TaskFlow's and Python's names, as tables that can be raised. Each carries its chain of type names,
-- by which a Python engine or worker tests a Lua error, and the other way round. A plain Lua error is a
-- `tfhost.LuaError`.
--
--   error(exceptions.NotFound("no such symbol"))
--
local check = require "taskflow.utils.check"
local place = require "taskflow.utils.place"

---Something that was raised.
---@class taskflow.Exception
---@field message string what str(exception) gives in Python
---@field args any[] the constructor's arguments
---@field causes taskflow.Exception[] what led to it, nearest first
---@field exc_type_names string[] the type chain, by which the bindings know an exception
---@field where string? place in the user's script
local Exception = {}

---A class of exceptions; calling it makes one, the first argument is the message.
---@class taskflow.ExceptionClass
---@field name string "taskflow.exceptions.NotFound"
---@field short string "NotFound"
---@field names string[] type chain, most derived first
---@overload fun(message: any, ...: any): taskflow.Exception

---The classes that there are.
---@class taskflow.exceptions
---@field Exception taskflow.ExceptionClass
---@field RuntimeError taskflow.ExceptionClass
---@field NotImplementedError taskflow.ExceptionClass a RuntimeError
---@field RecursionError taskflow.ExceptionClass a RuntimeError
---@field ValueError taskflow.ExceptionClass
---@field UnicodeError taskflow.ExceptionClass a ValueError
---@field TypeError taskflow.ExceptionClass
---@field AttributeError taskflow.ExceptionClass
---@field AssertionError taskflow.ExceptionClass
---@field NameError taskflow.ExceptionClass
---@field ImportError taskflow.ExceptionClass
---@field ModuleNotFoundError taskflow.ExceptionClass a ImportError
---@field MemoryError taskflow.ExceptionClass
---@field LookupError taskflow.ExceptionClass
---@field KeyError taskflow.ExceptionClass a LookupError
---@field IndexError taskflow.ExceptionClass a LookupError
---@field ArithmeticError taskflow.ExceptionClass
---@field ZeroDivisionError taskflow.ExceptionClass a ArithmeticError
---@field OverflowError taskflow.ExceptionClass a ArithmeticError
---@field OSError taskflow.ExceptionClass
---@field FileNotFoundError taskflow.ExceptionClass a OSError
---@field FileExistsError taskflow.ExceptionClass a OSError
---@field PermissionError taskflow.ExceptionClass a OSError
---@field TimeoutError taskflow.ExceptionClass a OSError
---@field ConnectionError taskflow.ExceptionClass a OSError
---@field ConnectionRefusedError taskflow.ExceptionClass a ConnectionError
---@field TaskFlowException taskflow.ExceptionClass
---@field StorageFailure taskflow.ExceptionClass a TaskFlowException
---@field ConductorFailure taskflow.ExceptionClass a TaskFlowException
---@field JobFailure taskflow.ExceptionClass a TaskFlowException
---@field UnclaimableJob taskflow.ExceptionClass a JobFailure
---@field ExecutionFailure taskflow.ExceptionClass a TaskFlowException
---@field RequestTimeout taskflow.ExceptionClass a ExecutionFailure
---@field InvalidState taskflow.ExceptionClass a ExecutionFailure
---@field DependencyFailure taskflow.ExceptionClass a TaskFlowException
---@field AmbiguousDependency taskflow.ExceptionClass a DependencyFailure
---@field MissingDependencies taskflow.ExceptionClass a DependencyFailure
---@field CompilationFailure taskflow.ExceptionClass a TaskFlowException
---@field IncompatibleVersion taskflow.ExceptionClass a TaskFlowException
---@field Duplicate taskflow.ExceptionClass a TaskFlowException
---@field NotFound taskflow.ExceptionClass a TaskFlowException
---@field DisallowedAccess taskflow.ExceptionClass a TaskFlowException
---@field Empty taskflow.ExceptionClass a TaskFlowException
---@field MultipleChoices taskflow.ExceptionClass a TaskFlowException
---@field InvalidFormat taskflow.ExceptionClass a TaskFlowException
---@field WrappedFailure taskflow.ExceptionClass several failures at once, or one whose exception is not alive here;
---  made from a list of them
---@field LuaError taskflow.ExceptionClass what a plain Lua error is to a peer; a RuntimeError
---@field WorkerLost taskflow.ExceptionClass a worker fell silent; a RuntimeError
---@field Cancelled taskflow.ExceptionClass a task was ended because its flow was cancelled
---@field LimitExceeded taskflow.ExceptionClass a RuntimeError
---@field TimeLimitExceeded taskflow.ExceptionClass a LimitExceeded
---@field MemoryLimitExceeded taskflow.ExceptionClass a LimitExceeded
---@field OutOfMemory taskflow.ExceptionClass a task was ended for want of memory; a MemoryLimitExceeded
---@field SizeLimitExceeded taskflow.ExceptionClass arguments or a result are larger than allowed; a LimitExceeded
local M = {}

-- Short name of "module.Class".
local function short_name(name)
  return name:match("([^.]+)$")
end

-- Marks exceptions and their classes; a table is ours if its metatable carries it.
local marker, class_marker = {}, {}

local function has_mark(value, mark)
  local meta = type(value) == "table" and getmetatable(value)
  return type(meta) == "table" and meta.marker == mark
end

---Whether a value is an exception.
---@param value any
---@return boolean
function M.is_exception(value)
  return has_mark(value, marker)
end

---Whether a value is a class of exceptions.
---@param value any
---@return boolean
function M.is_class(value)
  return has_mark(value, class_marker)
end

-- Text with causes indented by two more each (ENGINE.md 16). An exception may be a cause of its own.
local function describe(exc, indent, out, seen)
  seen[exc] = true
  local title = indent >= 0 and (" "):rep(indent) .. exc.class.short .. ": " or ""
  indent = math.max(indent, 0)
  out[#out + 1] = title .. exc.message
  for _, cause in ipairs(exc.causes) do
    if not seen[cause] then
      describe(cause, indent + 2, out, seen)
    end
  end
end

---The whole story: place, type, message, then each cause on a line of its own.
---@return string
function Exception:describe()
  local out = {}
  describe(self, 0, out, {})
  if self.where then
    out[1] = self.where .. ": " .. out[1]
  end
  return table.concat(out, "\n")
end

---What str(exception) gives in Python, and what a Failure keeps as exception_str: the message, and below it the
---causes of an exception of TaskFlow's.
---@return string
function Exception:pformat()
  if not self:is(M.TaskFlowException) then
    return self.message
  end
  local out = {}
  describe(self, -1, out, {})
  return table.concat(out, "\n")
end

---Whether the exception is of one of the classes (class, full or short name).
---@param ... taskflow.ExceptionClass|string
---@return boolean
function Exception:is(...)
  for i = 1, select("#", ...) do
    local wanted = select(i, ...)
    wanted = type(wanted) == "table" and wanted.name or wanted
    for _, name in ipairs(self.class.names) do
      if name == wanted or short_name(name) == wanted then
        return true
      end
    end
  end
  return false
end

---Add a cause and return the exception: error(exceptions.NotFound("x"):caused_by(other))
---@param cause taskflow.Exception
---@return taskflow.Exception
function Exception:caused_by(cause)
  if not M.is_exception(cause) then
    M.raise(M.TypeError, "caused_by: a cause is an exception, not " .. check.kind(cause))
  end
  self.causes[#self.causes + 1] = cause
  return self
end

local function construct(class, message, ...)
  local exc = { class = class, args = { message, ... }, causes = {}, exc_type_names = class.names }
  exc.message = message == nil and "" or tostring(message)
  return setmetatable(exc, class.meta)
end

local class_meta = {
  marker = class_marker,
  __call = construct,
  __tostring = function(class)
    return class.name
  end,
}

---Make an exception class: exceptions.class("billing.CardRefused", exceptions.RuntimeError)
---@param name string as on the wire: "module.Class"
---@param base taskflow.ExceptionClass? default: Exception
---@param methods table<string, function>? methods and __tostring besides the common ones
---@return taskflow.ExceptionClass
function M.class(name, base, methods)
  if check.is(name, "string", "exceptions.class: the name") == "" then
    M.raise(M.ValueError, "exceptions.class: the name must not be empty")
  end
  if base ~= nil and not M.is_class(base) then
    M.raise(M.TypeError, "exceptions.class: the base must be a class of exceptions, not " .. check.kind(base))
  end
  check.is(methods or {}, "table", "exceptions.class: the methods")
  local class = { name = name, short = short_name(name), names = { name }, base = base }
  base = base or M.Exception
  for _, inherited in ipairs(base and base.names or {}) do
    class.names[#class.names + 1] = inherited
  end
  local index = setmetatable({}, { __index = base and base.meta.__index or Exception })
  class.meta = {
    __index = index,
    __tostring = base and base.meta.__tostring or Exception.describe,
    marker = marker,
  }
  for key, value in pairs(methods or {}) do
    if key == "__tostring" then
      class.meta.__tostring = value
    else
      index[key] = value
    end
  end
  return setmetatable(class, class_meta)
end

---Raise an exception that names the caller's place in the user's script.
---@param class taskflow.ExceptionClass
---@param message string
---@param causes taskflow.Exception[]?
function M.raise(class, message, causes)
  if not M.is_class(class) then
    M.raise(M.TypeError, "exceptions.raise: expected a class of exceptions, not " .. check.kind(class))
  end
  local exc = class(message)
  exc.where = place.caller()
  for _, cause in ipairs(check.list(causes or {}, "exceptions.raise: the causes")) do
    exc:caused_by(cause)
  end
  error(exc, 0)
end

Exception = check.methods("Exception", Exception, M.is_exception)
M.Exception = M.class("Exception")

-- name, base: Python's own that tasks meet or raise.
local builtin = {
  { "RuntimeError", "Exception" },
  { "NotImplementedError", "RuntimeError" },
  { "RecursionError", "RuntimeError" },
  { "ValueError", "Exception" },
  { "UnicodeError", "ValueError" },
  { "TypeError", "Exception" },
  { "AttributeError", "Exception" },
  { "AssertionError", "Exception" },
  { "NameError", "Exception" },
  { "ImportError", "Exception" },
  { "ModuleNotFoundError", "ImportError" },
  { "MemoryError", "Exception" },
  { "LookupError", "Exception" },
  { "KeyError", "LookupError" },
  { "IndexError", "LookupError" },
  { "ArithmeticError", "Exception" },
  { "ZeroDivisionError", "ArithmeticError" },
  { "OverflowError", "ArithmeticError" },
  { "OSError", "Exception" },
  { "FileNotFoundError", "OSError" },
  { "FileExistsError", "OSError" },
  { "PermissionError", "OSError" },
  { "TimeoutError", "OSError" },
  { "ConnectionError", "OSError" },
  { "ConnectionRefusedError", "ConnectionError" },
}
for _, row in ipairs(builtin) do
  M[row[1]] = M.class(row[1], M[row[2]])
end

-- TaskFlow's (ENGINE.md 16).
local taskflow = {
  { "TaskFlowException", nil },
  { "StorageFailure", "TaskFlowException" },
  { "ConductorFailure", "TaskFlowException" },
  { "JobFailure", "TaskFlowException" },
  { "UnclaimableJob", "JobFailure" },
  { "ExecutionFailure", "TaskFlowException" },
  { "RequestTimeout", "ExecutionFailure" },
  { "InvalidState", "ExecutionFailure" },
  { "DependencyFailure", "TaskFlowException" },
  { "AmbiguousDependency", "DependencyFailure" },
  { "MissingDependencies", "DependencyFailure" },
  { "CompilationFailure", "TaskFlowException" },
  { "IncompatibleVersion", "TaskFlowException" },
  { "Duplicate", "TaskFlowException" },
  { "NotFound", "TaskFlowException" },
  { "DisallowedAccess", "TaskFlowException" },
  { "Empty", "TaskFlowException" },
  { "MultipleChoices", "TaskFlowException" },
  { "InvalidFormat", "TaskFlowException" },
}
for _, row in ipairs(taskflow) do
  M[row[1]] = M.class("taskflow.exceptions." .. row[1], row[2] and M[row[2]] or M.Exception)
end

-- Several failures at once, or one whose exception is not alive in this process (ENGINE.md 10).
-- Construct with a list of failures and of other wrapped failures.

---What WrappedFailure makes.
---@class taskflow.WrappedFailure: taskflow.Exception
---@field failures taskflow.Failure[] the flat list
local Wrapped = {}

---How many failures there are.
---@return integer
function Wrapped:len()
  return #self.failures
end

---Iterate: for _, failure in wrapped:iter() do ... end
---@return fun(failures: taskflow.Failure[], i: integer): integer?, taskflow.Failure?
---@return taskflow.Failure[]
---@return integer
function Wrapped:iter()
  return ipairs(self.failures)
end

---The first of the given types that one of the failures is, or nil.
---@param ... taskflow.ExceptionClass|string
---@return taskflow.ExceptionClass|string|nil
function Wrapped:check(...)
  for _, failure in ipairs(self.failures) do
    local found = failure:check(...)
    if found then
      return found
    end
  end
  return nil
end

function Wrapped:__tostring()
  return (self.where and self.where .. ": " or "") .. self.message
end

M.WrappedFailure = M.class(
  "taskflow.exceptions.WrappedFailure",
  M.Exception,
  check.methods("WrappedFailure", Wrapped, M.is_exception)
)

-- exceptions.WrappedFailure(failures): wrapped ones among the failures' exceptions are flattened.
local function wrap(class, failures)
  for i, failure in ipairs(check.list(failures, "WrappedFailure: the failures")) do
    if not require("taskflow.failure").is_failure(failure) then
      M.raise(M.TypeError, ("WrappedFailure: entry %d must be a Failure, not %s"):format(i, check.kind(failure)))
    end
  end
  local flat, texts = {}, {}
  local function collect(list)
    for _, failure in ipairs(list) do
      local inner = failure.exception
      if M.is_exception(inner) and inner.class == class then
        collect(inner.failures)
      else
        flat[#flat + 1] = failure
        texts[#texts + 1] = tostring(failure)
      end
    end
  end
  collect(failures)
  local exc = construct(class, "WrappedFailure: [" .. table.concat(texts, ", ") .. "]")
  exc.failures = flat
  return exc
end
setmetatable(M.WrappedFailure, { marker = class_marker, __call = wrap, __tostring = class_meta.__tostring })

-- What a plain Lua error is to a peer, and what the host itself reports.
M.LuaError = M.class("tfhost.LuaError", M.RuntimeError)
M.WorkerLost = M.class("tfhost.WorkerLost", M.RuntimeError)
M.Cancelled = M.class("tfhost.Cancelled", M.Exception)
M.LimitExceeded = M.class("tfhost.LimitExceeded", M.RuntimeError)
M.TimeLimitExceeded = M.class("tfhost.TimeLimitExceeded", M.LimitExceeded)
M.SizeLimitExceeded = M.class("tfhost.SizeLimitExceeded", M.LimitExceeded)
M.MemoryLimitExceeded = M.class("tfhost.MemoryLimitExceeded", M.LimitExceeded)
M.OutOfMemory = M.class("tfhost.OutOfMemory", M.MemoryLimitExceeded)

return M
