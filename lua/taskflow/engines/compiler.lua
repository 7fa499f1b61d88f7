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
---@field steps any[] without a table for each, for flows may have a million: "open", name, pattern; a task, class name;
---  "retry", a retry, class name; "link", from, to, decider or -1, depth; "close". Links refer to flows and atoms by
---  number, from 1 in order of steps.
---@field added integer flows and atoms in the steps
---@field names table<table, string|false> of classes, on the wire; false: it has none
---@field atoms table<string, taskflow.Atom> by name
---@field order taskflow.Atom[] in order of walking
---@field references taskflow.Task[] of these, what names its class
---@field deciders { call: function, title: string, where: string }[] by the number in the links
---@field flows table<taskflow.Atom|taskflow.Flow, taskflow.Flow|false> the flow that each atom or flow is in

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
local function class_name_of(plan, atom)
  local class = atom.class
  if atom.task_cls or not class then
    plan.references[#plan.references + 1] = atom.reference and atom or nil
    return atom.task_cls or atom.name
  end
  local name = plan.names[class]
  if name == nil then
    name = M.wire_name(atom) or false
    plan.names[class] = name
  end
  return name or atom.name
end

local function add_atom(plan, atom, flow)
  plan.flows[atom] = flow or false
  plan.added = plan.added + 1
  push(plan, atom, class_name_of(plan, atom))
  plan.order[#plan.order + 1] = atom
  plan.atoms[atom.name] = plan.atoms[atom.name] or atom
end

-- Links refer to children by their number.
local function add_links(plan, frame)
  for _, link in ipairs(frame.flow:links()) do
    local decider = -1
    if link.decider then
      plan.deciders[#plan.deciders + 1] = { call = link.decider, title = link.title, where = link.where }
      decider = #plan.deciders
    end
    push(plan, "link", frame.numbers[link.from], frame.numbers[link.to])
    push(plan, decider, link.depth or 3)
  end
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
    push(plan, "retry")
    add_atom(plan, flow.retry, flow)
  end
  return { flow = flow, nodes = flow:nodes(), at = 0, numbers = flow.pattern == "graph" and {} or nil }
end

-- Flows and atoms are counted as they come: what is added next gets the next number.
local function walk(plan, root)
  local stack = { open(plan, root) }
  while stack[1] do
    local frame = stack[#stack]
    frame.at = frame.at + 1
    local node = frame.nodes[frame.at]
    if node and frame.numbers then
      frame.numbers[node] = plan.added + 1
    end
    if node == nil then
      add_links(plan, frame)
      push(plan, "close")
      stack[#stack] = nil
    elseif flow_module.is_flow(node) then
      stack[#stack + 1] = open(plan, node, frame.flow)
    else
      if plan.flows[node] ~= nil then
        refuse_again(plan, node, frame.flow, "task")
      end
      add_atom(plan, node, frame.flow)
    end
  end
end

---Flatten a flow.
---@param root taskflow.Flow|taskflow.Task
---@return taskflow.Plan
function M.compile(root)
  local plan = { steps = {}, added = 0, names = {}, atoms = {}, order = {}, references = {}, deciders = {}, flows = {} }
  if task.is_task(root) then
    plan.name = root.name
    plan.single = true
    plan.added = 1
    push(plan, "open", root.name, "linear")
    add_atom(plan, root)
    push(plan, "close")
  elseif flow_module.is_flow(root) then
    plan.name = root.name
    walk(plan, root)
  else
    local what = task.is_class(root) and "task class, which is made into a task by calling it: Class { name = ... }"
      or type(root)
    exceptions.raise(exceptions.TypeError, "expected a flow or a task to run, not a " .. what)
  end
  return plan
end

return M
