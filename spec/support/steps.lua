-- A task that does what its step says, on any engine, and tells the engine's process what it does: events X
-- (execute was called, with its arguments) and R (revert was called, with what it was given).
local exceptions = require "taskflow.exceptions"
local failure = require "taskflow.failure"
local process = require "process"
local task = require "taskflow.task"
local values = require "taskflow.values"

local M = {}

-- Number of this execution, counted in a file: every process that runs the task sees it.
local function count(path)
  local file = assert(io.open(path, "a"))
  file:write "."
  local n = file:seek "end"
  file:close()
  return n
end

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

local function shown(arguments)
  local out = {}
  for i, name in ipairs(sorted_keys(arguments)) do
    out[i] = ("%s=%s"):format(name, tostring(arguments[name]))
  end
  return table.concat(out, ", ")
end

local function wait_for(path)
  assert(process.poll(20, function()
    local file = io.open(path)
    return file and file:close()
  end), path)
end

---step: { fails = true or how often, revert_fails, result, waits_for = path, counter = path }
M.Step = task.Task {
  kwargs = true,
  execute = function(self, step, kwargs)
    self:notify("X", { arguments = shown(kwargs) })
    local n = count(step.counter)
    if step.waits_for then
      wait_for(step.waits_for)
    end
    if step.fails == true or (step.fails and n <= step.fails) then
      error(exceptions.RuntimeError("boom-" .. self.name))
    end
    return step.result
  end,
  revert = function(self, step, result, flow_failures, kwargs) -- luacheck: ignore kwargs
    self:notify("R", {
      result = failure.is_failure(result) and tostring(result) or values.encode(result),
      failures = values.list(sorted_keys(flow_failures)),
    })
    if step.revert_fails then
      error(exceptions.ValueError("rboom-" .. self.name))
    end
  end,
}

-- Tells that it was called, and raises if the task's name is its own.
local function hook(name)
  return function(self)
    self:notify(name, {})
    if self.name == name then
      error(exceptions.RuntimeError("boom in " .. name))
    end
  end
end

local hooked = { kwargs = true }
for _, name in ipairs { "pre_execute", "post_execute", "pre_revert", "post_revert" } do
  hooked[name] = hook(name)
end

function hooked.execute(self, fails)
  self:notify("execute", {})
  if fails then
    error(exceptions.RuntimeError "boom in execute")
  end
end

function hooked.revert(self)
  self:notify("revert", {})
end

---A task that tells which of its methods are called. A hook of the task's own name raises.
M.Hooked = task.Task(hooked)

return M
