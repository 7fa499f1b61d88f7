-- usage: tfhost lua scenario_engine.lua OPTIONS.json SCENARIO.json
--
-- What python/peer_engine.py does, in Lua: runs the flow of a scenario (peers.lua) and prints one JSON object.
-- Classes are taken from the Lua module of that name where it has them; the others go by reference.
local task = require "taskflow.task"
local taskflow = require "taskflow"
local values = require "taskflow.values"

local PATTERNS = {
  linear = require "taskflow.patterns.linear_flow",
  unordered = require "taskflow.patterns.unordered_flow",
  graph = require "taskflow.patterns.graph_flow",
}

local function read(path)
  local handle = assert(io.open(path))
  local text = handle:read "*a"
  handle:close()
  return text
end

local function reference(node, module, class)
  local requires = {}
  for _, name in ipairs(node.requires or {}) do
    requires[#requires + 1] = name
  end
  for name in pairs(node.inject or {}) do
    requires[#requires + 1] = name
  end
  return task.Reference(module .. ":" .. class, {
    name = node.name,
    provides = node.provides,
    requires = requires,
    rebind = node.rebind,
    inject = node.inject,
  })
end

local function make_task(node)
  local module, class = node.task:match "^(.+)%.([^.]+)$"
  local found, classes = pcall(require, module)
  if node.by_reference or not found or not classes[class] then
    return reference(node, module, class)
  end
  return classes[class] {
    name = node.name,
    provides = node.provides,
    requires = node.requires,
    rebind = node.rebind,
    inject = node.inject,
  }
end

local function build(node, events)
  if node.pattern then
    local flow = PATTERNS[node.pattern].Flow(node.name)
    for _, child in ipairs(node.children) do
      flow:add(build(child, events))
    end
    return flow
  end
  local made = make_task(node)
  made.notifier:register(task.EVENT_UPDATE_PROGRESS, function(event, details)
    events[#events + 1] = values.list { node.name, event, details.progress }
  end)
  return made
end

-- Names that tasks provide, for fetching one by one: one that Lua has no value for must not hide the rest.
local function provided(node, out)
  for _, child in ipairs(node.children or {}) do
    provided(child, out)
  end
  for _, name in ipairs(type(node.provides) == "table" and node.provides or { node.provides }) do
    out[#out + 1] = name
  end
  return out
end

local function main()
  local options = assert(values.decode(read(arg[1])))
  local scenario = assert(values.decode(read(arg[2])))
  local events = values.list {}
  local flow = build(scenario.flow, events)
  options.engine = "worker-based"
  options.store = scenario.store
  local engine = taskflow.engines.load(flow, options)

  local out = { atoms = {}, failures = {}, revert_failures = {}, results = {}, events = events }
  engine.atom_notifier:register("*", function(state, details)
    local name = details.task_name
    out.atoms[name] = state
    if state == "FAILURE" then
      out.failures[name] = details.result:to_dict()
    elseif state == "REVERT_FAILURE" then
      out.revert_failures[name] = details.result:to_dict()
    end
  end)
  engine.notifier:register("*", function(state)
    out.state = state
  end)
  local ok, err = pcall(engine.run, engine)
  if not ok then
    out.raised = tostring(err)
  end
  for _, name in ipairs(provided(scenario.flow, {})) do
    local fetched, value = pcall(engine.storage.fetch, engine.storage, name)
    if fetched then
      out.results[name] = value
    end
  end
  out.statistics = engine.statistics
  io.write(assert(values.encode(out)), "\n")
end

main()
