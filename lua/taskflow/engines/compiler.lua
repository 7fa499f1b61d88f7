-- A flow as the list of steps that build its graph (host/script/flow_load.c): open and close flows, add atoms,
-- link. Walks with a stack of its own, so that nesting may be of any depth.
local class_name = require "taskflow.utils.class_name"
local exceptions = require "taskflow.exceptions"
local flow_module = require "taskflow.flow"
local task = require "taskflow.task"

local M = {}

---@class taskflow.Plan
---@field name string of the root
---@field single boolean? the root is a task
---@field steps table[] { op = "open"|"task"|"retry"|"close"|"link", ... }
---@field atoms table<string, taskflow.Atom> by name
---@field order taskflow.Atom[] in order of walking
---@field deciders function[] by the number in the links

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

local function add_atom(plan, op, atom)
  local step = { op = op, atom = atom, index = #plan.steps + 1, task_cls = M.wire_name(atom) or atom.name }
  plan.steps[step.index] = step
  plan.order[#plan.order + 1] = atom
  plan.atoms[atom.name] = plan.atoms[atom.name] or atom
  plan.indices[atom] = step.index
end

-- Links refer to children by the step that added them.
local function add_links(plan, flow)
  for _, link in ipairs(flow:links()) do
    local decider
    if link.decider then
      plan.deciders[#plan.deciders + 1] = link.decider
      decider = #plan.deciders
    end
    plan.steps[#plan.steps + 1] = {
      op = "link",
      from = plan.indices[link.from],
      to = plan.indices[link.to],
      decider = decider,
      depth = link.depth,
    }
  end
end

local function open(plan, flow)
  if plan.indices[flow] then
    exceptions.raise(
      exceptions.ValueError,
      ("Already compiled item '%s' (a flow can be added only once to a hierarchy)"):format(flow.name)
    )
  end
  plan.indices[flow] = #plan.steps + 1
  plan.steps[#plan.steps + 1] = { op = "open", name = flow.name, pattern = flow.pattern }
  if flow.retry then
    if plan.indices[flow.retry] then
      exceptions.raise(
        exceptions.ValueError,
        ("Already compiled item '%s' (a retry controller belongs to one flow)"):format(flow.retry.name)
      )
    end
    add_atom(plan, "retry", flow.retry)
  end
  return { flow = flow, nodes = flow:nodes(), at = 0 }
end

local function walk(plan, root)
  local stack = { open(plan, root) }
  while stack[1] do
    local frame = stack[#stack]
    frame.at = frame.at + 1
    local node = frame.nodes[frame.at]
    if node == nil then
      add_links(plan, frame.flow)
      plan.steps[#plan.steps + 1] = { op = "close" }
      stack[#stack] = nil
    elseif flow_module.is_flow(node) then
      stack[#stack + 1] = open(plan, node)
    else
      if plan.indices[node] then
        exceptions.raise(
          exceptions.ValueError,
          ("Already compiled item '%s' (a task can be added only once to a hierarchy)"):format(node.name)
        )
      end
      add_atom(plan, "task", node)
    end
  end
end

---@param root taskflow.Flow|taskflow.Task
---@return taskflow.Plan
function M.compile(root)
  local plan = { steps = {}, atoms = {}, order = {}, deciders = {}, indices = {} }
  if task.is_task(root) then
    plan.name = root.name
    plan.single = true
    plan.steps[1] = { op = "open", name = root.name, pattern = "linear" }
    add_atom(plan, "task", root)
    plan.steps[3] = { op = "close" }
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
