-- What all flows have in common: a name, children, perhaps a retry controller. Patterns say how the
-- children depend on each other; see taskflow.patterns.*.
local check = require "taskflow.utils.check"
local exceptions = require "taskflow.exceptions"
local place = require "taskflow.utils.place"
local retry_module = require "taskflow.retry"
local task = require "taskflow.task"
local text = require "taskflow.utils.text"

---Tasks and other flows. Patterns say how they depend on each other.
---@class taskflow.Flow
---@field provides string[] symbols that something in the flow provides, sorted
---@field requires string[] symbols that the flow needs from elsewhere, sorted
---@field name string
---@field retry taskflow.Retry?
---@field pattern "linear"|"unordered"|"graph"
---@field package _nodes (taskflow.Task|taskflow.Flow)[] in order of adding
---@field package _count integer of these: the length of a long list costs a search
---@field package _known table<taskflow.Task|taskflow.Flow, integer> the place of each in _nodes
---@field package _nested boolean it is or was in another flow
---@field package _mixed boolean not all of its children are tasks whose class is here
local Flow = {}

local M = { Flow = Flow }

local flow_mark = {}

---Whether a value is a flow.
---@param value any
---@return boolean
function M.is_flow(value)
  local meta = type(value) == "table" and getmetatable(value)
  return type(meta) == "table" and meta.mark == flow_mark
end

-- What flows below provide and require is found before what those above do, without recursion: nesting may be deep.
-- A flow inside itself is refused when it is compiled; until then it adds nothing to itself.
local function compute_symbols(root)
  local order, seen = { root }, { [root] = true }
  for _, flow in ipairs(order) do
    for _, node in ipairs(flow:nodes()) do
      if M.is_flow(node) and not node._symbols.requires and not seen[node] then
        seen[node] = true
        order[#order + 1] = node
      end
    end
  end
  for i = #order, 1, -1 do
    local flow = order[i]
    if not flow._computing then
      flow._computing = true
      flow._symbols.provides = flow:get_provides()
      flow._symbols.requires = flow:get_requires()
      flow._computing = false
    end
  end
end

local OPTIONS = { retry = true }

local checked

---A class of flows: callable, Class(name, options) -> flow.
---@param definition { pattern: string, title: string, methods: table, init: fun(flow: table)? }
---@return table
function M.define(definition)
  local methods = check.methods("Flow", definition.methods, M.is_flow)
  local index = setmetatable(methods, { __index = definition.base or checked })
  local meta = {
    mark = flow_mark,
    __tostring = function(self)
      return ('"%s: %s(len=%d)"'):format(definition.title, self.name, self:len())
    end,
  }
  -- provides and requires are computed when asked for, and kept until something is added at or below the flow.
  meta.__index = function(self, key)
    if key == "provides" or key == "requires" then
      if not self._symbols[key] then
        compute_symbols(self)
      end
      return self._symbols[key] or {}
    end
    return index[key]
  end
  local function construct(_, name, options)
    check.is(name, "string", "Flow: the name")
    if retry_module.is_retry(options) then
      options = { retry = options }
    end
    options = check.options(options, OPTIONS, ("flow '%s'"):format(name))
    if options.retry ~= nil and not retry_module.is_retry(options.retry) then
      exceptions.raise(exceptions.TypeError, ("flow '%s': retry must be a retry controller"):format(name))
    end
    local self = {
      name = name,
      pattern = definition.pattern,
      where = place.caller(),
      retry = options.retry,
      _nodes = {},
    _count = 0,
      _known = {},
      _parents = setmetatable({}, { __mode = "k" }),
      _symbols = {},
      _computing = false,
      _nested = false,
      _mixed = false,
    }
    if self.retry and self.retry.name == nil then
      self.retry.name = name .. "_retry"
    end
    if definition.init then
      definition.init(self)
    end
    return setmetatable(self, meta)
  end
  return setmetatable({}, { __call = construct, __index = index })
end

---What flow:add takes, as a node: a task, a flow, or a reference to a task.
---@param flow taskflow.Flow
---@param item any
---@return taskflow.Task|taskflow.Flow
function M.as_node(flow, item)
  if task.is_task(item) or M.is_flow(item) then
    return item
  end
  local reference = task.from_reference(item)
  if reference then
    return reference
  end
  local hint = ""
  if task.is_class(item) then
    hint = ", which is made into a task by calling it: Class { name = ... }"
  elseif retry_module.is_retry(item) then
    hint = ", which belongs into Flow(name, { retry = ... })"
  end
  exceptions.raise(
    exceptions.TypeError,
    ("flow '%s': cannot add a %s%s"):format(
      flow.name,
      (task.is_class(item) and "task class") or (retry_module.is_retry(item) and "retry controller") or type(item),
      hint
    )
  )
end

---Tell the flows around `flow` that what it requires and provides may have changed.
---@param flow taskflow.Flow
function M.touch(flow)
  if flow._symbols.provides or flow._symbols.requires then
    flow._symbols = {}
  end
  if not flow._nested then
    return
  end
  local queue, seen = { flow }, { [flow] = true }
  for _, changed in ipairs(queue) do
    changed._symbols = {}
    for parent in pairs(changed._parents) do
      if parent._changed then
        parent._changed[changed] = true
      end
      if not seen[parent] then
        seen[parent] = true
        queue[#queue + 1] = parent
      end
    end
  end
end

---Put a node into the flow's list of children.
---@param flow taskflow.Flow
---@param node taskflow.Task|taskflow.Flow
function M.attach(flow, node)
  local number = flow._count + 1
  flow._count = number
  flow._known[node] = number
  flow._nodes[number] = node
  if M.is_flow(node) then
    node._parents[flow], node._nested, flow._mixed = true, true, true
  elseif task.is_reference(node) then
    flow._mixed = true
  end
end

---@package Whether these arguments are one task.
---@param ... any
---@return boolean
function M.is_one_task(...)
  return select("#", ...) == 1 and task.is_task((...))
end

-- What flow:add was given once, as a node; nil if the flow has it.
local function new_node(flow, item)
  local node = M.as_node(flow, item)
  if node == flow then
    exceptions.raise(exceptions.ValueError, ("flow '%s': a flow cannot be added to itself"):format(flow.name))
  end
  return not flow._known[node] and node or nil
end

---What flow:add was given, as nodes that are new to the flow.
---@param flow taskflow.Flow
---@param ... any
---@return (taskflow.Task|taskflow.Flow)[]
function M.new_nodes(flow, ...)
  local count = select("#", ...)
  if count == 1 then
    return { (new_node(flow, (...))) }
  end
  local out, seen = {}, {}
  for i = 1, count do
    local node = new_node(flow, (select(i, ...)))
    if node and not seen[node] then
      seen[node] = true
      out[#out + 1] = node
    end
  end
  return out
end

---Add tasks and flows. Adding the same object twice does nothing. Returns the flow.
---@param ... taskflow.Task|taskflow.Flow|string|table tasks, flows, or references (taskflow.task.Reference)
---@return taskflow.Flow
function Flow:add(...)
  if M.is_one_task(...) then
    local node = ...
    if not self._known[node] then
      M.attach(self, node)
      M.touch(self)
    end
    return self
  end
  for _, node in ipairs(M.new_nodes(self, ...)) do
    M.attach(self, node)
  end
  M.touch(self)
  return self
end

---Number of children.
---@return integer
function Flow:len()
  return #self:nodes()
end

---Children, in the order of the pattern.
---@return (taskflow.Task|taskflow.Flow)[]
function Flow:nodes()
  return self._nodes
end

---Iterate: for i, node in flow:iter_nodes() do ... end
---@return fun(nodes: table, i: integer): integer?, taskflow.Task|taskflow.Flow|nil
---@return (taskflow.Task|taskflow.Flow)[]
---@return integer
function Flow:iter_nodes()
  return ipairs(self:nodes())
end

---Links between children: a list of { from, to, options }. Only graphs have some.
---@return table[]
function Flow:links()
  return {}
end

local function sorted(set)
  return text.sorted_keys(set)
end

---All symbols that something in the flow provides, sorted.
---@return string[]
function Flow:get_provides()
  local set = {}
  for _, name in ipairs(self.retry and self.retry.provides or {}) do
    set[name] = true
  end
  for _, node in ipairs(self:nodes()) do
    for _, name in ipairs(node.provides) do
      set[name] = true
    end
  end
  return sorted(set)
end

---Start of the unsatisfied symbols: the retry's own, and a set of what it provides.
---@param flow taskflow.Flow
---@return table<string, true>, table<string, true>
function M.retry_symbols(flow)
  local requires, provides = {}, {}
  for _, name in ipairs(flow.retry and flow.retry.requires or {}) do
    requires[name] = true
  end
  for _, name in ipairs(flow.retry and flow.retry.provides or {}) do
    provides[name] = true
  end
  return requires, provides
end

M.sorted = sorted

checked = check.methods("Flow", Flow, M.is_flow)

return M
