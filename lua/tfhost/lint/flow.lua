-- What is wrong, or odd, with a flow that could be built.
local class_name = require "taskflow.utils.class_name"
local compiler = require "taskflow.engines.compiler"
local engine_module = require "taskflow.engines.engine"
local flow_module = require "taskflow.flow"
local model = require "tfhost.graph.model"
local task = require "taskflow.task"
local text = require "taskflow.utils.text"

local M = {}

local function hint_for(symbol, graph, given)
  local provider = graph.provided[symbol] and graph.provided[symbol][1]
  if provider then
    return ("'%s' gives it, but does not run before"):format(provider.name)
  end
  local known = {}
  for name in pairs(graph.provided) do
    known[name] = true
  end
  for name in pairs(given) do
    known[name] = true
  end
  local near = text.nearest(symbol, known)
  if near then
    local by = graph.provided[near] and (", which '%s' gives"):format(graph.provided[near][1].name) or ""
    return ("did you mean '%s'%s?"):format(near, by)
  end
  return ("give it with --store %s=..., or add a task that provides it"):format(symbol)
end

-- Inputs that nothing gives.
local function missing(report, graph, atoms, given)
  local found = false
  for _, atom in ipairs(atoms) do
    for _, symbol in ipairs(atom.requires or {}) do
      local injected = atom.inject and atom.inject[symbol] ~= nil
      if not injected and given[symbol] == nil and not model.providers(graph, atom, symbol)[1] then
        found = true
        report("error", "missing-input", atom.where, {
          atom = atom.name,
          symbol = symbol,
          message = ("'%s' needs '%s', which nothing gives"):format(atom.name, symbol),
          hint = hint_for(symbol, graph, given),
        })
      end
    end
  end
  return found
end

-- Whether nothing in the flow comes after an atom: then what it gives is the flow's result.
local function is_last(graph, atom)
  local object, flow = atom, graph.flow_of[atom]
  while flow do
    if flow.pattern == "linear" and graph.position[object] < flow:len() then
      return false
    elseif flow.pattern == "graph" then
      for _, link in ipairs(flow:links()) do
        if link.from == object then
          return false
        end
      end
    end
    object, flow = flow, graph.flow_of[flow]
  end
  return true
end

local function unused(report, graph, atoms)
  for _, atom in ipairs(atoms) do
    local used = graph.used[atom] or {}
    for _, symbol in ipairs(atom.provides or {}) do
      if not used[symbol] then
        local last = is_last(graph, atom)
        report(last and "note" or "warning", "unused-value", atom.where, {
          atom = atom.name,
          symbol = symbol,
          message = ("'%s' gives '%s', which nothing in the flow uses%s"):format(
            atom.name, symbol, last and "; it is a result of the flow" or ""
          ),
          hint = not last and "leave it out of provides if nobody reads it from the flow's results" or nil,
        })
      end
    end
  end
end

-- Atoms and flows that are made but never reached.
local function unreachable(report, made, root)
  local reached, stack = { [root] = true }, { root }
  while stack[1] do
    local object = table.remove(stack)
    if flow_module.is_flow(object) then
      if object.retry then
        reached[object.retry] = true
      end
      for _, node in ipairs(object:nodes()) do
        reached[node] = true
        stack[#stack + 1] = node
      end
      for _, node in ipairs(object._nodes) do
        if not reached[node] then
          reached[node] = true
          report("warning", "unreachable", node.where, {
            atom = node.name,
            message = ("'%s' is never reached: it is not on the way to the target of flow '%s'"):format(
              node.name, object.name
            ),
          })
        end
      end
    end
  end
  for _, object in ipairs(made) do
    if not reached[object] and object.where then
      reached[object] = true
      report("warning", "unreachable", object.where, {
        atom = object.name,
        message = ("the %s '%s' is made here and is in no flow that runs"):format(
          flow_module.is_flow(object) and "flow" or "task", object.name
        ),
        hint = "add it to the flow, or leave it out",
      })
    end
  end
end

local function unserved(report, atoms, served, worker_based)
  for _, atom in ipairs(atoms) do
    local name, why
    if task.is_task(atom) then
      name, why = compiler.wire_name(atom)
      if not name and (worker_based or served) then
        report(worker_based and "error" or "warning", "no-name", atom.where, {
          atom = atom.name,
          message = ("'%s' cannot run on a worker: %s"):format(atom.name, why),
        })
      elseif name and served and not served[name] then
        local near = text.nearest(name, served)
        report("warning", "unserved-class", atom.where, {
          atom = atom.name,
          class = name,
          message = ("'%s': no known worker serves %s"):format(atom.name, name),
          hint = near and ("did you mean %s?"):format(near) or "add its module to the tasks of a worker",
        })
      end
    end
  end
end

---@param report fun(level: string, code: string, where: string?, finding: table)
---@param flow taskflow.Flow|taskflow.Task
---@param options table of the engine, as the builder gave them
---@param texts table<string, string> the store of the command line
---@param made table[] what the script made
---@param served table<string, true>? classes that known workers serve; nil: none is known
function M.check(report, flow, options, texts, made, served)
  local ok, message = pcall(compiler.compile, flow)
  if not ok then
    report("error", "structure", nil, { message = tostring(message) })
    return
  end
  local graph, atoms = model.build(flow, true), model.objects(flow)
  local given = {}
  for name in pairs(options.store or {}) do
    given[name] = true
  end
  for name in pairs(texts) do
    given[name] = true
  end
  local found = missing(report, graph, atoms, given)
  unused(report, graph, atoms)
  unreachable(report, made, flow)
  local worker_based = options.engine == "worker-based" or options.engine == "workers"
  unserved(report, atoms, served, worker_based)
  local refused = M.refusal(flow, options, texts)
  if refused and not found then
    report("error", "refused", nil, { message = refused })
  end
end

---What the engine itself says against a flow, without its workers and without the code of tasks named by reference.
---@param flow taskflow.Flow|taskflow.Task
---@param options table of the engine; its store counts
---@param texts table<string, string>
---@return string? nil if it would run
function M.refusal(flow, options, texts)
  local ok, message = pcall(function()
    local engine = engine_module.new(flow, { store = options.store })
    function engine._fake(atom)
      return atom.reference and atom
    end
    engine:_connect()
    for name, value in pairs(texts) do
      engine.storage:inject_text(name, value)
    end
    engine:check()
    engine:close()
  end)
  return not ok and tostring(message) or nil
end

---Classes of a module's content by their names on the wire.
---@param content any
---@return table<string, table>
function M.classes(content)
  local out = {}
  for _, value in pairs(type(content) == "table" and content or {}) do
    if task.is_class(value) then
      out[class_name.of(value) or value.where] = value
    end
  end
  return out
end

return M
