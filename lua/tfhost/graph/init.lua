-- `tfhost graph FLOW`: a flow drawn, with the states of a run if one is named.
local host = require "tfhost.host"
local json = require "tfhost.json"
local logbook = require "tfhost.logbook"
local model = require "tfhost.graph.model"
local run = require "tfhost.run"
local values = require "taskflow.values"

local M = {}

---Exit codes, as --help lists them.
M.EXIT = { OK = 0, ERROR = 1, INVALID = 2 }

-- The graph as data: what --json prints.
local function to_json(graph)
  local nodes, edges = values.list {}, values.list {}
  local stack = { graph.root }
  while stack[1] do
    local node = table.remove(stack)
    local object = node.object or {}
    nodes[#nodes + 1] = {
      id = node.id,
      kind = node.kind,
      name = node.name,
      parent = node.parent and node.parent.id or nil,
      class = node.class,
      pattern = node.pattern,
      count = node.count,
      state = node.state,
      where = object.where,
      requires = node.kind ~= "more" and values.list { unpack(object.requires) } or nil,
      provides = node.kind ~= "more" and values.list { unpack(object.provides) } or nil,
    }
    for i = #(node.children or {}), 1, -1 do
      stack[#stack + 1] = node.children[i]
    end
  end
  for i, edge in ipairs(graph.edges) do
    edges[i] = {
      from = edge.from.id,
      to = edge.to.id,
      kind = edge.kind,
      symbols = edge.symbols and values.list(edge.symbols) or nil,
      label = edge.label,
    }
  end
  return json.encode { nodes = nodes, edges = edges, inputs = values.list(graph.inputs) } .. "\n"
end

local function renderer(form)
  return form == "json" and to_json or require("tfhost.graph." .. form).render
end

-- States by atom of a run that the logbook has, or nil and what is wrong.
local function states_of(given)
  local backend, row = logbook.flow(given, given.run)
  if not backend then
    return nil, row
  end
  local atoms, message = backend._handle:atoms(row.uuid)
  if not atoms then
    return nil, message
  end
  local states = {}
  for _, atom in ipairs(atoms) do
    states[atom.name] = atom.state
  end
  return states
end

local function write(given, text)
  if not given.output then
    io.write(text)
    return M.EXIT.OK
  end
  local file, message = io.open(given.output, "wb")
  local ok
  if file then
    ok, message = file:write(text)
    local closed, later = file:close()
    ok, message = ok and closed, message or later
  end
  if not ok then
    io.stderr:write("tfhost graph: ", tostring(message), "\n")
    return M.EXIT.ERROR
  end
  return M.EXIT.OK
end

---@param given table reference, store, file_store; form: "text", "svg", "dot", "mermaid", "json"; output, run, backend,
---  all
---@return integer exit code
function M.main(given)
  given.command, given.engine_options = "tfhost graph", {}
  local flow, message = run.make(given, run.store_texts(given))
  if not flow then
    return run.complain(given, message)
  end
  local ok
  ok, message = pcall(require("taskflow.engines.compiler").compile, flow) -- tells of flows inside themselves
  if not ok then
    return run.complain(given, tostring(message))
  end
  local graph = model.build(flow, given.all)
  if given.run then
    local states
    states, message = states_of(given)
    if not states then
      return run.complain(given, message)
    end
    model.colour(graph, states)
  end
  host.release_output()
  return write(given, renderer(given.form)(graph))
end

return M
