-- Watching an engine: what the listeners have in common.
--
--   local listener = printing.PrintingListener(engine)
--   listener:with(function() engine:run() end)     -- or register() ... deregister()
--
-- A listener gets every event of the flow, of tasks and of retries: methods flow_event(state, details),
-- task_event(state, details), retry_event(state, details).
local M = {}

---@class taskflow.Listener
---@field engine taskflow.Engine
local Listener = {}

---Begin to watch. Returns the listener.
function Listener:register()
  if not self._on_flow then
    self._on_flow = function(state, details)
      self:flow_event(state, details)
    end
    self._on_atom = function(state, details)
      if details.retry_name then
        self:retry_event(state, details)
      else
        self:task_event(state, details)
      end
    end
    self.engine.notifier:register("*", self._on_flow)
    self.engine.atom_notifier:register("*", self._on_atom)
  end
  return self
end

---Watch no more.
function Listener:deregister()
  if self._on_flow then
    self.engine.notifier:deregister("*", self._on_flow)
    self.engine.atom_notifier:deregister("*", self._on_atom)
    self._on_flow, self._on_atom = nil, nil
  end
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
function Listener:with(f)
  self:register()
  return finish(self, pcall(f))
end

function Listener:flow_event(_state, _details) end
function Listener:task_event(_state, _details) end
function Listener:retry_event(_state, _details) end

---A class of listeners: Class(engine, options) -> listener. `init` gets the new listener and the options.
---@param methods table
---@param init fun(self: taskflow.Listener, options: table)?
---@return fun(engine: taskflow.Engine, options: table?): taskflow.Listener
function M.class(methods, init)
  setmetatable(methods, { __index = Listener })
  local meta = { __index = methods }
  return function(engine, options)
    local self = setmetatable({ engine = engine }, meta)
    if init then
      init(self, options or {})
    end
    return self
  end
end

---"task 'a' (uuid)" or the same of a retry.
---@param details table
---@return string
function M.subject(details)
  if details.retry_name then
    return ("retry '%s' (%s)"):format(details.retry_name, details.retry_uuid)
  end
  return ("task '%s' (%s)"):format(details.task_name, details.task_uuid)
end

return M
