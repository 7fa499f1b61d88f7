-- Task classes of task_rig.h: each does one thing, right or wrong.
local task = require 'taskflow.task'
local failure = require 'taskflow.failure'
local exceptions = require 'taskflow.exceptions'
local values = require 'taskflow.values'
local M = {}
local log = {}
M.Add = task.Task { execute = function(self, a, b) return a + b end }
M.Order = task.Task { execute = function(self, c, a, b) return { a, b, c } end }
M.Optional = task.Task { optional = { 'b' }, execute = function(self, a, b) return { a = a, b = b or 'none' } end }
M.Any = task.Task { kwargs = true, execute = function(self, a, kwargs) return { a = a, rest = kwargs } end }
M.Name = task.Task { execute = function(self) return self.name end }
M.Echo = task.Task { execute = function(self, x) return x end }
M.Type = task.Task { execute = function(self, x) return type(x) end }
M.Nothing = task.Task { execute = function(self) end }
M.Boom = task.Task { execute = function(self, why)
  local function inner() error(why) end
  inner()
  return 1
end }
M.Raise = task.Task { execute = function(self) error(exceptions.class('billing.CardRefused', exceptions.ValueError)('no money')) end }
M.Cause = task.Task { execute = function(self)
  local c = exceptions.KeyError('c')
  local b = exceptions.ValueError('b'):caused_by(c)
  error(exceptions.RuntimeError('a'):caused_by(b))
end }
M.Reraise = task.Task { execute = function(self) error(failure.from_exception('first', 'frames\n')) end }
M.Odd = task.Task { execute = function(self, x)
  if x == 'nil' then error(nil) elseif x == 'table' then error({ code = 5 }) elseif x == 'message' then error({ message = 'said', f = print }) elseif x == 'true' then error(true)
  elseif x == 'tostring' then error(setmetatable({}, { __tostring = function() return 'spoken' end }))
  elseif x == 'liar' then error(setmetatable({}, { __tostring = function() error('no') end }))
  elseif x == 'index' then error(setmetatable({}, { __index = function() error('no') end }))
  elseif x == 'bytes' then error('\255\0x', 0)
  elseif x == 'types' then error({ exc_type_names = { 'A' }, message = 'm', args = { print } })
  elseif x == 'self' then local t = { exc_type_names = { 'A' } } t.causes = { t, t } error(t) end
end }
M.Return = task.Task { execute = function(self, x)
  local cycle = {} cycle[1] = cycle
  return ({ fn = { a = { print } }, cycle = cycle, bytes = { k = '\255' }, mixed = { 1, k = 2 }, nan = 0 / 0, list = values.list {} })[x]
end }
M.Overflow = task.Task { execute = function(self) local function f() return 1 + f() end return f() end }
M.Deep = task.Task { execute = function(self) local function f(n) if n == 0 then error('deep') end return 1 + f(n - 1) end return f(200) end }
M.Coroutine = task.Task { execute = function(self) return coroutine.wrap(function() error('inside') end)() end }
M.Hooks = task.Task {
  pre_execute = function(self) log = { 'pre' } end,
  execute = function(self, fail) log[#log + 1] = 'execute' if fail then error('main', 0) end return log end,
  post_execute = function(self) log[#log + 1] = 'post' end,
}
M.Log = task.Task { execute = function(self) return log end }
M.PreFails = task.Task { pre_execute = function() log = {} error('pre', 0) end, execute = function() log[1] = 'ran' end,
  post_execute = function() log[#log + 1] = 'post' end }
M.PostFails = task.Task { execute = function(self, fail) if fail then error('main', 0) end end, post_execute = function() error('post', 0) end }
M.Revert = task.Task {
  execute = function(self, a) return a end,
  revert = function(self, a, result, flow_failures)
    local names = {}
    for name, f in pairs(flow_failures) do names[#names + 1] = name .. '=' .. f.exc_type_names[1] .. ':' .. f.exception_str end
    table.sort(names)
    if failure.is_failure(result) then result = 'failure ' .. result.exception_str end
    return { a = a, result = result, failures = values.list(names) }
  end,
}
M.RevertLess = task.Task { execute = function(self) end, revert = function(self) return 'reverted' end }
M.Progress = task.Task { execute = function(self)
  self:update_progress(0.25)
  self:notify('custom', { k = { 1, 2 }, s = 'v' })
  self:notify('bare')
  kept = self
end }
M.BadEvent = task.Task { execute = function(self, x) self:notify('e', ({ fn = { f = print }, list = { 1 } })[x]) end }
M.Late = task.Task { execute = function(self) kept:notify('late', {}) return 'told nobody' end }
M.BadInit = task.Task { name = 'fixed', execute = function(self) end }
M.Exit = task.Task { execute = function(self) os.exit(3) end }
M.Loop = task.Task { execute = function(self) while true do end end }
M.Random = task.Task { execute = function(self) return math.random(2 ^ 30) end }
M.Garbage = task.Task { execute = function(self) local t = {} for i = 1, 100 do t[i] = ('x'):rep(100) .. i end return #t end }
-- These raise whenever the collector finds them, in whatever the host does just then.
local finalized = 0
local function finalizer() finalized = finalized + 1 error('in the finalizer') end
local ffi = require 'ffi'
local Typed = ffi.metatype('struct { int x; }', { __gc = finalizer })
M.Finalizer = task.Task { execute = function(self)
  for _ = 1, 20 do
    local p = newproxy(true)
    getmetatable(p).__gc = finalizer
    ffi.gc(ffi.new('char[10]'), finalizer)
    Typed()
  end
end }
M.Finalized = task.Task { execute = function(self) return finalized end }
M._Private = task.Task { execute = function(self) end }
M.helper = function() end
return M
