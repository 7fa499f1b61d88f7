-- Retry controllers: they decide what a failure inside their flow leads to. They always run in the engine's process.
--
--   lf.Flow("calls", { retry = retry.ForEach({ 333, 444 }, { provides = "number" }) })
--
-- A controller is an atom that executes before its flow's content. Its methods get a history of what it
-- provided and what failed.
local atom = require "taskflow.atom"
local backoff = require "taskflow.utils.backoff"
local check = require "taskflow.utils.check"
local class_name = require "taskflow.utils.class_name"
local equal = require("taskflow.utils.equal").equal
local exceptions = require "taskflow.exceptions"
local failure = require "taskflow.failure"
local notifier = require "taskflow.notifier"
local place = require "taskflow.utils.place"
local text = require "taskflow.utils.text"
local values = require "taskflow.values"

local M = {
  ---Decision of on_failure: revert this flow, and ask the retry around it.
  REVERT = "REVERT",
  ---Decision of on_failure: revert everything.
  REVERT_ALL = "REVERT_ALL",
  ---Decision of on_failure: revert this flow and try it again.
  RETRY = "RETRY",
}

local DECISIONS = { [M.REVERT] = true, [M.REVERT_ALL] = true, [M.RETRY] = true }

---Whether on_failure may return a value.
---@param value any
---@return boolean
function M.is_decision(value)
  return DECISIONS[value] == true
end

---What happened so far: one entry for each execution of the controller, newest last.
---@class taskflow.History
---@field entries { [1]: any, [2]: table<string, taskflow.Failure> }[] provided value, failures by atom name
---@field failure taskflow.Failure? of the controller's own execute
local History = {}
local history_meta = {}

---A history, for specs of controllers.
---@param entries { [1]: any, [2]: table<string, taskflow.Failure> }[] one for each execution
---@param own taskflow.Failure? of the controller
---@return taskflow.History
function M.History(entries, own)
  return setmetatable({ entries = check.list(entries or {}, "History: the entries"), failure = own }, history_meta)
end

---@package a history as the host keeps it.
---@param list { [1]: any, [2]: table<string, table> }[] value, failure dicts by atom name
---@param own table? failure dict of the controller itself
---@return taskflow.History
function M.history_from(list, own)
  local entries = {}
  for i, entry in ipairs(check.list(list, "history_from: the entries")) do
    check.is(entry, "table", "history_from: an entry")
    entries[i] = { entry[1], failure.from_dicts(entry[2]) }
  end
  return M.History(entries, own and failure.from_dict(own))
end

---Number of executions so far.
---@return integer
function History:len()
  return #self.entries
end

---Iterate: for index, provided, failures in history:iter() do ... end
---@return fun(): integer?, any, table<string, taskflow.Failure>?
function History:iter()
  local i = 0
  return function()
    i = i + 1
    local entry = self.entries[i]
    if entry then
      return i, entry[1], entry[2]
    end
  end
end

---What the controller provided, oldest first.
---@return any[]
function History:provided()
  local out = {}
  for i, entry in ipairs(self.entries) do
    out[i] = entry[1]
  end
  return out
end

---Failures by atom name of one execution, default: the newest.
---@param index integer?
---@return table<string, taskflow.Failure>
function History:outcomes(index)
  local entry = self.entries[index or #self.entries]
  return entry and entry[2] or {}
end

---Whether a failure of the given type happened, in one execution or in any.
---@param wanted taskflow.ExceptionClass|string
---@param index integer?
---@return boolean
function History:caused_by(wanted, index)
  for i, entry in ipairs(self.entries) do
    if not index or i == index then
      for _, f in pairs(entry[2]) do
        if f:check(wanted) then
          return true
        end
      end
    end
  end
  return false
end

history_meta.__index = check.methods("History", History, function(value)
  return getmetatable(value) == history_meta
end)

---A retry controller.
---@class taskflow.Retry: taskflow.Atom
---@field notifier taskflow.Notifier

-- What the engine hands over itself.
local IGNORE = { history = true, flow_failures = true, result = true }

local METHODS = { execute = true, on_failure = true, revert = true }
local INSTANCE_OPTIONS = {
  name = true,
  provides = true,
  requires = true,
  rebind = true,
  auto_extract = true,
  optional = true,
  revert_requires = true,
  revert_rebind = true,
}
local CLASS_OPTIONS = { default_provides = true, kwargs = true, name = true }
for key in pairs(METHODS) do
  CLASS_OPTIONS[key] = true
end

local class_mark, retry_mark = {}, {}

---Whether a value is a retry controller.
---@param value any
---@return boolean
function M.is_retry(value)
  local meta = type(value) == "table" and getmetatable(value)
  return type(meta) == "table" and meta.mark == retry_mark
end

local function describe(self)
  return atom.describe(self)
end

local function method_signature(class, method)
  local f = class.methods[method]
  if not f then
    return { params = {}, accepts_any = true }
  end
  local sig = { params = {}, accepts_any = false }
  for _, name in ipairs(atom.method_parameters(f, ("%s of retry at %s"):format(method, class.where))) do
    if class.kwargs and name == "kwargs" then
      sig.accepts_any = true
    else
      sig.params[#sig.params + 1] = name
    end
  end
  return sig
end

local function instantiate(class, options, state)
  options = check.options(options, INSTANCE_OPTIONS, "retry")
  if options.name ~= nil and type(options.name) ~= "string" then
    exceptions.raise(exceptions.TypeError, "the name of a retry must be a string")
  end
  local self = {
    name = options.name or class.options.name,
    class = class,
    kwargs = class.kwargs,
    where = place.caller() or class.where,
    version = values.list { 1, 0 },
    priority = 0,
    optional_parameters = {},
    notifier = notifier.new {},
  }
  for key, value in pairs(state or {}) do
    self[key] = value
  end
  for _, name in ipairs(atom.names(options.optional, ("retry %s: optional"):format(self.name or self.where))) do
    self.optional_parameters[name] = true
  end
  local function mapping(what, sig, requires, rebind)
    return atom.build_mapping {
      name = self.name or class.where,
      what = what,
      params = sig.params,
      optional = self.optional_parameters,
      ignore = IGNORE,
      accepts_any = sig.accepts_any,
      auto_extract = options.auto_extract ~= false,
      requires = requires,
      rebind = rebind,
    }
  end
  local provides = options.provides
  if provides == nil then
    provides = class.options.default_provides
  end
  atom.set_interface(
    self,
    mapping("execute", class.execute, options.requires, options.rebind),
    mapping(
      "revert",
      class.revert,
      options.revert_requires or options.requires,
      options.revert_rebind or options.rebind
    ),
    provides
  )
  return setmetatable(self, class.instance_meta)
end

---What a class of controllers is made from. Functions under other names are methods.
---@class taskflow.RetryClassOptions
---@field execute fun(self: taskflow.Retry, history: taskflow.History, ...): any what it provides; parameters are inputs
---@field on_failure fun(self: taskflow.Retry, history: taskflow.History, ...): string, number? decides
---@field revert (fun(self: taskflow.Retry, history: taskflow.History, flow_failures: table, ...): any)?
---@field default_provides string|string[]|table|nil
---@field name string?
---@field kwargs boolean? the parameter named kwargs takes a table of all other arguments

---Options of a controller.
---@class taskflow.RetryOptions
---@field name string? default: name of the flow .. "_retry"
---@field provides string|string[]|table|nil what execute gives
---@field requires string|string[]|nil inputs besides the parameters
---@field rebind string[]|table<string, string>|nil other names for the inputs: by place, or by parameter
---@field optional string[]? parameters that may be missing
---@field auto_extract boolean? false: parameters are not read from the functions
---@field revert_requires string|string[]|nil the same for revert; default: requires
---@field revert_rebind string[]|table<string, string>|nil the same for revert; default: rebind

---Options of the controllers below.
---@class taskflow.RepeatOptions: taskflow.RetryOptions, taskflow.BackoffOptions
---@field revert_all boolean? give up with REVERT_ALL instead of REVERT

---Make a retry class from execute(self, history, ...), on_failure(self, history, ...) and, optionally,
---revert(self, history, flow_failures, ...). on_failure gets the inputs of execute and returns one of
---retry.RETRY, retry.REVERT, retry.REVERT_ALL. With RETRY it may return seconds to wait: return retry.RETRY, 1.5
---@param definition taskflow.RetryClassOptions
---@return fun(options: taskflow.RetryOptions?): taskflow.Retry
function M.Retry(definition)
  check.is(definition, "table", "Retry: the methods")
  local class = { methods = {}, options = {}, kwargs = rawget(definition, "kwargs") or false }
  for key, value in pairs(definition) do
    if METHODS[key] and type(value) ~= "function" then
      exceptions.raise(exceptions.TypeError, ("Retry: %s must be a function, not a %s"):format(key, type(value)))
    end
    local is_method = type(key) == "string" and type(value) == "function"
    if not CLASS_OPTIONS[key] and not (is_method and not text.nearest(key, METHODS, 1)) then
      exceptions.raise(exceptions.TypeError, "Retry: " .. text.unknown("option", key, CLASS_OPTIONS))
    end
    class[is_method and "methods" or "options"][key] = value
  end
  for _, key in ipairs { "execute", "on_failure" } do
    if not class.methods[key] then
      exceptions.raise(exceptions.TypeError, ("Retry: a retry needs %s"):format(key))
    end
  end
  class.where = place.of_function(class.methods.execute)
  class.execute, class.revert = method_signature(class, "execute"), method_signature(class, "revert")
  class.instance_meta = { mark = retry_mark, __index = class.methods, __tostring = describe }
  return setmetatable(class, {
    mark = class_mark,
    __call = function(self, options)
      return instantiate(self, options)
    end,
    __tostring = function()
      return "retry class " .. (class_name.of(class) or class.where)
    end,
  })
end

---Reverts its flow, then the retry around it is asked.
---@type fun(options: taskflow.RetryOptions?): taskflow.Retry
M.AlwaysRevert = M.Retry {
  execute = function(_self) end,
  on_failure = function(_self)
    return M.REVERT
  end,
}

---Reverts everything.
---@type fun(options: taskflow.RetryOptions?): taskflow.Retry
M.AlwaysRevertAll = M.Retry {
  execute = function(_self) end,
  on_failure = function(_self)
    return M.REVERT_ALL
  end,
}

local function give_up(self)
  return self.revert_all and M.REVERT_ALL or M.REVERT
end

local TimesClass = M.Retry {
  execute = function(_self, history)
    return history:len() + 1
  end,
  on_failure = function(self, history)
    if history:len() < self.attempts then
      return M.RETRY, backoff.delay(self, history:len())
    end
    return give_up(self)
  end,
}

-- Split what belongs to the controller from the options of an atom.
local function split(options, own, what)
  local rest, state = {}, {}
  for key, value in pairs(check.options(options, own.all, what)) do
    if own[key] then
      state[key] = value
    else
      rest[key] = value
    end
  end
  backoff.check(state, what)
  return rest, state
end

-- Options of a controller: its own with those of waiting; `all`: these and an atom's.
local function options_of(own)
  local all = {}
  for key in pairs(backoff.OPTIONS) do
    own[key] = true
  end
  for _, options in ipairs { own, INSTANCE_OPTIONS } do
    for key in pairs(options) do
      all[key] = true
    end
  end
  own.all = all
  return own
end

local TIMES_OPTIONS = options_of { attempts = true, revert_all = true }
local FOR_EACH_OPTIONS = options_of { values = true, revert_all = true }
local PARAMETERIZED_OPTIONS = options_of { revert_all = true }

---At most `attempts` executions in total. Times(3), Times(3, { name = "r" }) or Times { attempts = 3 }.
---Times { attempts = 5, delay = 0.5, backoff = 2, max_delay = 30, jitter = 0.5 } waits between them.
---It provides the number of the attempt, from 1.
---@param attempts integer|taskflow.RepeatOptions|nil default 1
---@param options taskflow.RepeatOptions?
---@return taskflow.Retry
function M.Times(attempts, options)
  if type(attempts) == "table" then
    attempts, options = attempts.attempts, attempts
  end
  local rest, state = split(options, TIMES_OPTIONS, "Times")
  state.attempts = attempts or 1
  if type(state.attempts) ~= "number" or state.attempts < 1 or state.attempts % 1 ~= 0 then
    exceptions.raise(exceptions.ValueError, "Times: attempts must be an integer of at least 1")
  end
  return instantiate(TimesClass, rest, state)
end

-- The values not yet provided: each provided value takes one equal occurrence away.
local function remaining(all, history)
  local left = { unpack(all) }
  for _, provided in ipairs(history:provided()) do
    for i, value in ipairs(left) do
      if equal(value, provided) then
        table.remove(left, i)
        break
      end
    end
  end
  return left
end

local function next_value(self, all, history)
  local left = remaining(all, history)
  if #left == 0 then
    local message = "No elements left in collection of iterable retry controller " .. tostring(self.name)
    error(exceptions.NotFound(message), 0)
  end
  return left[1]
end

local function decide(self, all, history)
  if #remaining(all, history) > 0 then
    return M.RETRY, backoff.delay(self, history:len())
  end
  return give_up(self)
end

local ForEachClass = M.Retry {
  execute = function(self, history)
    return next_value(self, self.values, history)
  end,
  on_failure = function(self, history)
    return decide(self, self.values, history)
  end,
}

---Provide one value after the other until the flow succeeds.
---ForEach({ 10, 20 }, { provides = "n" }) or ForEach { values = { 10, 20 }, provides = "n" }.
---@param list any[]|taskflow.RepeatOptions
---@param options taskflow.RepeatOptions?
---@return taskflow.Retry
function M.ForEach(list, options)
  if type(list) == "table" and list.values ~= nil then
    list, options = list.values, list
  end
  if type(list) ~= "table" then
    exceptions.raise(exceptions.TypeError, "ForEach: the values must be a list")
  end
  local rest, state = split(options, FOR_EACH_OPTIONS, "ForEach")
  state.values = list
  return instantiate(ForEachClass, rest, state)
end

local ParameterizedForEachClass = M.Retry {
  execute = function(self, values, history) -- luacheck: ignore 431
    return next_value(self, values, history)
  end,
  on_failure = function(self, values, history) -- luacheck: ignore 431
    return decide(self, values, history)
  end,
}

---ForEach over the input `values`; use rebind to take them from another name.
---@param options taskflow.RepeatOptions?
---@return taskflow.Retry
function M.ParameterizedForEach(options)
  local rest, state = split(options, PARAMETERIZED_OPTIONS, "ParameterizedForEach")
  return instantiate(ParameterizedForEachClass, rest, state)
end

return M
