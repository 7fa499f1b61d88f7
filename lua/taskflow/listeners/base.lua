-- Watching an engine: what the listeners have in common. They say the same wherever a task runs.
--
--   local listener = printing.PrintingListener(engine)
--   listener:with(function() engine:run() end)     -- or register() ... deregister()
--
-- A listener gets every event of the flow, of tasks and of retries: methods flow_event(state, details),
-- task_event(state, details), retry_event(state, details).
local check = require "taskflow.utils.check"
local notifier = require "taskflow.notifier"

local M = {}

---@class taskflow.Listener
---@field engine taskflow.Engine
---@field package _registered { [1]: taskflow.Notifier, [2]: string, [3]: function, [4]: function? }[]
local Listener = {}

---@class taskflow.ListenForOptions
---@field flow_listen_for string[]? states of the flow that are told; default { "*" }, all of them
---@field task_listen_for string[]? the same for tasks
---@field retry_listen_for string[]? the same for retry controllers

local function is_of_task(details)
  return details.task_name ~= nil
end

local function is_of_retry(details)
  return details.retry_name ~= nil
end

local KINDS = {
  { kind = "task", notifier = "atom_notifier", method = "task_event", filter = is_of_task },
  { kind = "retry", notifier = "atom_notifier", method = "retry_event", filter = is_of_retry },
  { kind = "flow", notifier = "notifier", method = "flow_event" },
}

---Begin to watch. Returns the listener.
---@return taskflow.Listener
function Listener:register()
  if self._registered[1] then
    return self
  end
  for _, row in ipairs(KINDS) do
    local source, method = self.engine[row.notifier], row.method
    local function tell(state, details)
      self[method](self, state, details)
    end
    for _, state in ipairs(self._listen_for[row.kind]) do
      source:register(state, tell, { details_filter = row.filter })
      self._registered[#self._registered + 1] = { source, state, tell, row.filter }
    end
  end
  return self
end

---Watch no more.
function Listener:deregister()
  for _, entry in ipairs(self._registered) do
    entry[1]:deregister(entry[2], entry[3], entry[4])
  end
  self._registered = {}
  self:deregistered()
end

local function finish(self, ok, ...)
  self:deregister()
  if not ok then
    error((...), 0)
  end
  return ...
end

---Watch while a function runs; gives what it gives, raises what it raises.
---@param f fun(): ...
---@return any ... what it gives
function Listener:with(f)
  check.callable(f, "with: the argument")
  self:register()
  return finish(self, pcall(f))
end

---What a class of listeners fills in: the flow has changed its state.
---@param _state string
---@param _details table<string, any>
function Listener:flow_event(_state, _details) end

---What a class of listeners fills in: a task has changed its state.
---@param _state string
---@param _details table<string, any>
function Listener:task_event(_state, _details) end

---What a class of listeners fills in: a retry controller has changed its state.
---@param _state string
---@param _details table<string, any>
function Listener:retry_event(_state, _details) end

---Called once the listener watches no more.
function Listener:deregistered() end

local listener_mark = {}

local function is_listener(value)
  local meta = type(value) == "table" and getmetatable(value)
  return type(meta) == "table" and meta.mark == listener_mark
end

local Base = check.methods("Listener", Listener, is_listener)

local ANY = { notifier.ANY }

local function check_engine(engine)
  local is_engine = require("taskflow.engines.engine").is_engine
  if not is_engine(engine) then
    check.fail("a listener watches an engine (taskflow.engines.load), not %s", check.kind(engine))
  end
  return engine
end

---A class of listeners: Class(engine, options) -> listener. `init` gets the new listener and the options.
---@param methods table<string, function> flow_event, task_event, retry_event, and any others
---@param init fun(self: taskflow.Listener, options: table)?
---@param known table<string, any>? keys are the options besides those of taskflow.ListenForOptions
---@return fun(engine: taskflow.Engine, options: table?): taskflow.Listener
function M.class(methods, init, known)
  local index = setmetatable({}, { __index = Base })
  for name, method in pairs(check.is(methods, "table", "a listener's methods")) do
    index[name] = method
  end
  if init ~= nil then
    check.callable(init, "a listener's init")
  end
  local options_known = {}
  for _, row in ipairs(KINDS) do
    options_known[row.kind .. "_listen_for"] = true
  end
  for name in pairs(check.is(known or {}, "table", "a listener's options")) do
    options_known[name] = true
  end
  local meta = { __index = index, mark = listener_mark }
  return function(engine, options)
    check_engine(engine)
    options = check.options(options, options_known, "listener")
    local self = setmetatable({ engine = engine, _registered = {}, _listen_for = {} }, meta)
    for _, row in ipairs(KINDS) do
      local key = row.kind .. "_listen_for"
      self._listen_for[row.kind] = check.names(options[key] or ANY, key)
    end
    if init then
      init(self, options)
    end
    return self
  end
end

return M
