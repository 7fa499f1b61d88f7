-- Who is told what: listeners by event type, "*" for every event.
-- Listeners of "*" are called first, then those of the event, each group in order of registration. A
-- listener that raises is reported and passed over: watching must not change what happens.
local check = require "taskflow.utils.check"
local exceptions = require "taskflow.exceptions"
local log = require "taskflow.utils.log"

---Listeners by event. Each gets details of its own.
---@class taskflow.Notifier
---@field private _listeners table<string, table[]>
---@field private _allowed table<string, boolean>? events that may be registered, nil: all
---@field private _heard fun()? called after each registration
local Notifier = {}

---@class taskflow.ListenerOptions
---@field details_filter (fun(details: table): boolean)? passes the events that are wanted
---@field args any[]? more arguments of the listener, after the details

local meta = {}

local M = {
  ---@package
  Notifier = Notifier,
  ---Stands for every event.
  ANY = "*",
}

local function is_notifier(value)
  return getmetatable(value) == meta
end

---A notifier without listeners.
---@param allowed string[]? events that listeners may be registered for besides "*"; default: any
---@param heard fun()? called each time after a listener was registered
---@return taskflow.Notifier
function M.new(allowed, heard)
  local self = setmetatable({ _listeners = {}, _heard = heard }, meta)
  if allowed ~= nil then
    self._allowed = {}
    for _, event in ipairs(check.names(allowed, "notifier.new: the events")) do
      self._allowed[event] = true
    end
  end
  return self
end

---Whether a listener may be registered for an event.
---@param event string
---@return boolean
function Notifier:can_be_registered(event)
  return event == M.ANY or self._allowed == nil or self._allowed[event] == true
end

local OPTIONS = { details_filter = true, args = true }

local function invalid(message, ...)
  exceptions.raise(exceptions.ValueError, message:format(...))
end

---Call a function when an event is emitted. The same function may be registered once for an event, and once with
---each filter.
---@param event string a state, a task's event type, or "*"
---@param callback fun(event: string, details: table, ...)
---@param options taskflow.ListenerOptions?
function Notifier:register(event, callback, options)
  if type(event) ~= "string" or event == "" then
    invalid "register: the event must be a non-empty string"
  end
  if not check.is_callable(callback) then
    invalid "register: the listener must be a function"
  end
  options = check.options(options, OPTIONS, "register")
  if options.details_filter ~= nil and not check.is_callable(options.details_filter) then
    invalid "register: details_filter must be a function"
  end
  if not self:can_be_registered(event) then
    invalid("Disallowed event type '%s' can not have a callback registered", event)
  end
  if self:is_registered(event, callback, options.details_filter) then
    invalid("this listener is already registered for '%s'", event)
  end
  local list = self._listeners[event] or {}
  self._listeners[event] = list
  list[#list + 1] = {
    callback = callback,
    filter = options.details_filter,
    args = check.list(options.args or {}, "register: args"),
  }
  if self._heard then
    self._heard()
  end
end

---Whether a listener is registered.
---@param event string
---@param callback function
---@param details_filter function? the one that it was registered with
---@return boolean
function Notifier:is_registered(event, callback, details_filter)
  for _, listener in ipairs(self._listeners[event] or {}) do
    if listener.callback == callback and listener.filter == details_filter then
      return true
    end
  end
  return false
end

---Forget one listener. Nothing happens if it is not registered.
---@param event string
---@param callback function
---@param details_filter function? the one that it was registered with
---@return boolean whether it was registered
function Notifier:deregister(event, callback, details_filter)
  -- A new list, so that a listener may deregister itself while it is called.
  local list, kept = self._listeners[event] or {}, {}
  for _, listener in ipairs(list) do
    if listener.callback ~= callback or listener.filter ~= details_filter then
      kept[#kept + 1] = listener
    end
  end
  if #kept == #list then
    return false
  end
  self._listeners[event] = kept[1] and kept or nil
  return true
end

---Forget all listeners of an event.
---@param event string
---@return integer how many there were
function Notifier:deregister_event(event)
  local list = self._listeners[event] or {}
  if list[1] then
    self._listeners[event] = nil
  end
  return #list
end

---Forget all listeners.
function Notifier:reset()
  self._listeners = {}
end

---Number of registered listeners.
---@return integer
function Notifier:count()
  local n = 0
  for _, list in pairs(self._listeners) do
    n = n + #list
  end
  return n
end

local function call_one(listener, event, details)
  if not listener.filter or listener.filter(details) then
    listener.callback(event, details, unpack(listener.args))
  end
end

local function traceback(err)
  local ok, text = pcall(tostring, err)
  return debug.traceback(ok and text or "an error without a text", 2)
end

-- Each listener has details of its own: what one does to them, the next does not see.
local function copy(details)
  local out = {}
  for key, value in pairs(details) do
    out[key] = value
  end
  return out
end

local function call_all(list, count, event, details)
  for i = 1, count do
    local ok, err = xpcall(call_one, traceback, list[i], event, copy(details))
    if not ok then
      log.warn("notifier", ("a listener for '%s' failed: %s"):format(event, err))
    end
  end
end

---Tell the listeners. "*" cannot be emitted.
---@param event string
---@param details table<string, any>? default: {}
function Notifier:notify(event, details)
  check.is(event, "string", "notify: the event")
  if event == M.ANY then
    invalid "the event '*' can not be emitted"
  end
  details = check.is(details == nil and {} or details, "table", "notify: the details")
  local any, specific = self._listeners[M.ANY], self._listeners[event]
  local any_count, specific_count = any and #any or 0, specific and #specific or 0
  call_all(any, any_count, event, details)
  call_all(specific, specific_count, event, details)
end

meta.__index = check.methods("Notifier", Notifier, is_notifier)

return M
