-- Who is told what: listeners by event type, "*" for every event (ENGINE.md 13).
-- Listeners of "*" are called first, then those of the event, each group in order of registration. A
-- listener that raises is reported and passed over: watching must not change what happens.
local exceptions = require "taskflow.exceptions"
local log = require "taskflow.utils.log"

---@class taskflow.Notifier
---@field private _listeners table<string, table[]>
---@field private _allowed table<string, boolean>? events that may be registered, nil: all
local Notifier = {}
Notifier.__index = Notifier

local M = { Notifier = Notifier, ANY = "*" }

---@param allowed string[]? events that listeners may be registered for besides "*"; default: any
---@return taskflow.Notifier
function M.new(allowed)
  local self = setmetatable({ _listeners = {} }, Notifier)
  if allowed then
    self._allowed = {}
    for _, event in ipairs(allowed) do
      self._allowed[event] = true
    end
  end
  return self
end

local function is_callable(f)
  return type(f) == "function" or (type(f) == "table" and (getmetatable(f) or {}).__call ~= nil)
end

---@param event string
---@return boolean
function Notifier:can_be_registered(event)
  return event == M.ANY or self._allowed == nil or self._allowed[event] == true
end

---@param event string a state, a task's event type, or "*"
---@param callback fun(event: string, details: table)
---@param options { filter: fun(details: table): boolean }?  `filter` passes the events wanted
function Notifier:register(event, callback, options)
  if type(event) ~= "string" or event == "" then
    exceptions.raise(exceptions.ValueError, "register: the event must be a non-empty string")
  end
  if not is_callable(callback) then
    exceptions.raise(exceptions.ValueError, "register: the listener must be a function")
  end
  if not self:can_be_registered(event) then
    exceptions.raise(
      exceptions.ValueError,
      ("Disallowed event type '%s' can not have a callback registered"):format(event)
    )
  end
  if self:is_registered(event, callback) then
    exceptions.raise(exceptions.ValueError, ("this listener is already registered for '%s'"):format(event))
  end
  local list = self._listeners[event] or {}
  self._listeners[event] = list
  list[#list + 1] = { callback = callback, filter = options and options.filter }
end

---@return boolean
function Notifier:is_registered(event, callback)
  for _, listener in ipairs(self._listeners[event] or {}) do
    if listener.callback == callback then
      return true
    end
  end
  return false
end

---Nothing happens if it is not registered.
function Notifier:deregister(event, callback)
  -- A new list, so that a listener may deregister itself while it is called.
  local kept = {}
  for _, listener in ipairs(self._listeners[event] or {}) do
    if listener.callback ~= callback then
      kept[#kept + 1] = listener
    end
  end
  self._listeners[event] = kept[1] and kept or nil
end

---Forget all listeners.
function Notifier:reset()
  self._listeners = {}
end

---Number of registered listeners.
function Notifier:count()
  local n = 0
  for _, list in pairs(self._listeners) do
    n = n + #list
  end
  return n
end

local function call_one(listener, event, details)
  if not listener.filter or listener.filter(details) then
    listener.callback(event, details)
  end
end

local function traceback(err)
  return debug.traceback(tostring(err), 2)
end

local function call_all(list, count, event, details)
  for i = 1, count do
    local ok, err = xpcall(call_one, traceback, list[i], event, details)
    if not ok then
      log.warn("notifier", ("a listener for '%s' failed: %s"):format(event, err))
    end
  end
end

---Tell the listeners. "*" cannot be emitted.
---@param event string
---@param details table
function Notifier:notify(event, details)
  if event == M.ANY then
    exceptions.raise(exceptions.ValueError, "the event '*' can not be emitted")
  end
  local any, specific = self._listeners[M.ANY], self._listeners[event]
  local any_count, specific_count = any and #any or 0, specific and #specific or 0
  call_all(any, any_count, event, details)
  call_all(specific, specific_count, event, details)
end

return M
