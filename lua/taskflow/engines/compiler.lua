-- A flow as the steps that build its graph (host/script/flow_load.c): open and close flows, add atoms, link. Walks with
-- a stack of its own, so that nesting may be of any depth.
local class_name = require "taskflow.utils.class_name"
local exceptions = require "taskflow.exceptions"
local flow_module = require "taskflow.flow"
local task = require "taskflow.task"

local M = {}

---@class taskflow.Plan
---@field name string of the root
---@field single boolean? the root is a task
---@field steps any[] as host/script/flow_load.h says
---@field added integer flows and atoms in the steps
---@field order taskflow.Atom[] all atoms, in order of walking
---@field named fun(name: string): taskflow.Atom? the atom of that name
---@field flow_of fun(item: taskflow.Atom|taskflow.Flow): taskflow.Flow|false|nil the flow that it is in; false: it is
---  what is run; nil: it is in none of the plan
---@field class_name fun(atom: taskflow.Atom): string of its class; of what has none the atom's own
---@field references taskflow.Task[] of these, what names its class
---@field deciders { call: function, title: string, where: string }[] by the number in the links

---The name of an atom's class on the wire, or nil and why it has none.
---@param atom table
---@return string?, string?
function M.wire_name(atom)
  if atom.task_cls then
    return atom.task_cls
  end
  if atom.class.functor then
    return nil, "it is made from a plain function, which has no name on the wire"
  end
  local name = class_name.of(atom.class)
  if not name then
    return nil, ("its class (%s) is in no module: return it from a module, so that workers can name it"):format(
      atom.class.where
    )
  end
  return name
end

-- Up to three values into the list of steps.
local function push(plan, a, b, c)
  local steps = plan.steps
  local n = #steps
  steps[n + 1], steps[n + 2], steps[n + 3] = a, b, c
end

-- A class that has no name is searched for in every module: once, not for each of its tasks.
local function class_names()
  local names = {}
  return function(atom)
    local class = atom.class
    if atom.task_cls or not class then
      return atom.task_cls or atom.name
    end
    local name = names[class]
    if name == nil then
      name = M.wire_name(atom) or false
      names[class] = name
    end
    return name or atom.name
  end
end

-- Atoms by name, once somebody asks.
local function by_name(order)
  local names
  return function(name)
    if not names then
      names = {}
      for _, atom in ipairs(order) do
        names[atom.name] = names[atom.name] or atom
      end
    end
    return names[name]
  end
end

-- Links refer to children by their number. `numbers`: by child in the flow
local function add_links(plan, frame)
  local flow, more = frame.flow, {}
  local links = flow._links
  for link = 1, flow._decides and links.count or 0 do
    local said = flow._said[link]
    if said and said.decider then
      plan.deciders[#plan.deciders + 1] = { call = said.decider, title = said.title, where = said.where }
      more[link] = { number = #plan.deciders, depth = said.depth }
    end
  end
  push(plan, "links", links.count, links.from)
  push(plan, links.to, more, frame.numbers)
end

-- An object that is in two flows, or in one of its own.
local function refuse_again(plan, item, parent, what)
  local before = plan.flows[item]
  exceptions.raise(
    exceptions.ValueError,
    ("Already compiled item '%s' (made at %s): a %s %s; this one is %s and in flow '%s' (made at %s)"):format(
      item.name,
      tostring(item.where),
      what,
      what == "retry" and "belongs to one flow" or "can be added only once to a hierarchy",
      before and ("in flow '%s'"):format(before.name) or "what is run",
      parent.name,
      parent.where
    )
  )
end

local function open(plan, flow, parent)
  if plan.flows[flow] ~= nil then
    refuse_again(plan, flow, parent, "flow")
  end
  plan.flows[flow] = parent or false
  plan.added = plan.added + 1
  push(plan, "open", flow.name, flow.pattern)
  if flow.retry then
    if plan.flows[flow.retry] ~= nil then
      refuse_again(plan, flow.retry, flow, "retry")
    end
    plan.flows[flow.retry] = flow
    plan.added = plan.added + 1
    plan.order[#plan.order + 1] = flow.retry
    push(plan, "retry", #plan.order)
  end
  local frame = { flow = flow, nodes = flow:nodes(), at = 1 }
  if flow.pattern == "graph" then
    -- Children that take no part have no number.
    frame.children, frame.numbers = flow._numbers, {}
    for i = 1, #flow._nodes do
      frame.numbers[i] = 0
    end
  end
  return frame
end

-- Tasks of a flow that is all there is, and has no others: nothing needs to be known of them.
local function copy_tasks(plan, frame)
  local order, nodes, n = plan.order, frame.nodes, #plan.order
  for i = 1, #nodes do
    order[n + i] = nodes[i]
  end
  return #nodes
end

-- The tasks from frame.at on, up to a flow or the end: how many.
local function look_at_tasks(plan, frame)
  local order, nodes, flows, flow = plan.order, frame.nodes, plan.flows, frame.flow
  local n, at = #order, frame.at
  local node = nodes[at]
  while node and not flow_module.is_flow(node) do
    if flows[node] ~= nil then
      refuse_again(plan, node, flow, "task")
    end
    flows[node] = flow
    if task.is_reference(node) then
      plan.references[#plan.references + 1] = node
    end
    n = n + 1
    order[n] = node
    at = at + 1
    node = nodes[at]
  end
  return at - frame.at
end

-- Flows and atoms are counted as they come: what is added next gets the next number.
local function number_children(plan, frame, count)
  local numbers, children, added, at = frame.numbers, frame.children, plan.added, frame.at
  for i = 1, numbers and count or 0 do
    numbers[children[at + i - 1]] = added + i
  end
end

local function add_tasks(plan, frame)
  local count = (plan.alone and copy_tasks or look_at_tasks)(plan, frame)
  number_children(plan, frame, count)
  push(plan, "tasks", #plan.order - count + 1, #plan.order)
  plan.added = plan.added + count
  frame.at = frame.at + count
end

local function walk(plan, root)
  local stack = { open(plan, root) }
  while stack[1] do
    local frame = stack[#stack]
    local node = frame.nodes[frame.at]
    if node == nil then
      if frame.numbers then
        add_links(plan, frame)
      end
      push(plan, "close")
      stack[#stack] = nil
    elseif flow_module.is_flow(node) then
      number_children(plan, frame, 1)
      frame.at = frame.at + 1
      stack[#stack + 1] = open(plan, node, frame.flow)
    else
      add_tasks(plan, frame)
    end
  end
end

-- `flows`: by flow, and by atom unless they all are in one.
local function new_plan(root)
  local order, flows, alone = {}, {}, flow_module.is_flow(root) and not root._mixed
  return {
    name = root.name,
    steps = {},
    added = 0,
    order = order,
    named = by_name(order),
    class_name = class_names(),
    references = {},
    deciders = {},
    flows = flows,
    alone = alone,
    flow_of = function(item)
      if alone and item ~= root then
        return root
      end
      return flows[item]
    end,
  }
end

---Flatten a flow.
---@param root taskflow.Flow|taskflow.Task
---@return taskflow.Plan
function M.compile(root)
  if not task.is_task(root) and not flow_module.is_flow(root) then
    local what = task.is_class(root) and "task class, which is made into a task by calling it: Class { name = ... }"
      or type(root)
    exceptions.raise(exceptions.TypeError, "expected a flow or a task to run, not a " .. what)
  end
  local plan = new_plan(root)
  if flow_module.is_flow(root) then
    walk(plan, root)
    return plan
  end
  plan.single = true
  plan.added = 2
  plan.order[1] = root
  plan.flows[root] = false
  plan.references[1] = task.is_reference(root) and root or nil
  push(plan, "open", root.name, "linear")
  push(plan, "tasks", 1, 1)
  push(plan, "close")
  return plan
end

return M
