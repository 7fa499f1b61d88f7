-- The tasks of a batch of random flows (generator.py), one class a task, for engine and worker alike.
-- TF_CONFORMANCE_FLOWS: file of scenarios, one JSON object a line. TF_CONFORMANCE_RUNS: directory in which executions
-- are counted, for a task that fails the first times may run in another process each time.
local exceptions = require "taskflow.exceptions"
local failure = require "taskflow.failure"
local task = require "taskflow.task"
local values = require "taskflow.values"

local M = {}

local function short(f)
  return values.list { (f.exc_type_names[1]:match "[^.]+$"), f.exception_str }
end

local function plain(value)
  if failure.is_failure(value) then
    return { failure = short(value) }
  end
  if type(value) ~= "table" then
    return value
  end
  local out = {}
  for key, member in pairs(value) do
    out[key] = plain(member)
  end
  return setmetatable(out, getmetatable(value))
end
M._plain, M._short = plain, short

-- Executions so far, this one included: the length of a file that each makes a byte longer.
local function count(name)
  local path = assert(os.getenv "TF_CONFORMANCE_RUNS") .. "/" .. name
  local file = assert(io.open(path, "a"))
  file:write "."
  file:flush()
  local n = file:seek "end"
  file:close()
  return n
end

local function failing(node)
  return node.fail == true or (type(node.fail) == "number" and count(node.name) <= node.fail)
end

-- A function with these parameters that hands them over by name.
local function method(params, body)
  local given = {}
  for i, name in ipairs(params) do
    given[i] = ("[%q] = %s == nil and null or %s"):format(name, name, name)
  end
  local source = "local body, null = ... return function(%s) return body(self, { %s }) end"
  local all = table.concat({ "self", unpack(params) }, ", ")
  return assert(load(source:format(all, table.concat(given, ", "))))(body, values.null)
end

local function join(...)
  local out = {}
  for _, list in ipairs { ... } do
    for _, name in ipairs(list) do
      out[#out + 1] = name
    end
  end
  return out
end

local function class_of(node)
  return task.Task {
    optional = node.optional,
    priority = node.priority,
    execute = method(join(node.params, node.optional or {}), function(self, given)
      self:notify("call", { what = "execute " .. self.name, given = plain(given) })
      if failing(node) then
        error(exceptions.RuntimeError("boom-" .. self.name))
      end
      return node.result
    end),
    revert = method(join(node.revert_params or {}, { "result", "flow_failures" }), function(self, given)
      self:notify("call", { what = "revert " .. self.name, given = plain(given) })
      if node.revert_fail then
        error(exceptions.ValueError("rboom-" .. self.name))
      end
      return "reverted-" .. self.name
    end),
  }
end

local function collect(node)
  if not node.kind then
    M[node.name] = class_of(node)
  end
  for _, child in ipairs(node.children or {}) do
    collect(child)
  end
end

for line in io.lines((assert(os.getenv "TF_CONFORMANCE_FLOWS"))) do
  collect(assert(values.decode(line)).flow)
end

return M
