-- A flow as what is drawn of it: nested boxes, atoms in them, and edges of four kinds. Every form of `tfhost graph` is
-- made from this, and `tfhost lint` looks at it.
local flow_module = require "taskflow.flow"
local retry_module = require "taskflow.retry"
local task = require "taskflow.task"

---@class tfhost.GraphNode
---@field id string "n1", "n2", ... in the order of the flow
---@field kind "flow"|"task"|"retry"|"map"|"more"
---@field name string
---@field object table? the flow or atom
---@field class string? of a task: what it is made from
---@field pattern string? of a flow: "linear", "unordered", "graph"
---@field children tfhost.GraphNode[]? of a flow, its retry first
---@field parent tfhost.GraphNode?
---@field count integer? of "more": how many children it stands for
---@field state string? in a run

---@class tfhost.GraphEdge
---@field from tfhost.GraphNode
---@field to tfhost.GraphNode
---@field kind "data"|"order"|"link"|"decider"
---@field symbols string[]? of data
---@field label string? of a decider

---@class tfhost.Graph
---@field root tfhost.GraphNode
---@field atoms tfhost.GraphNode[] in the order of the flow, those that are folded left out
---@field edges tfhost.GraphEdge[]
---@field by_object table<table, tfhost.GraphNode>
---@field inputs string[] symbols that come from outside

local M = {}

---More children than these, all tasks and of an unordered flow, are drawn as the first few and how many more.
M.FOLD_AT, M.FOLD_SHOWN = 12, 3

local DEPTHS = { [0] = "ATOM", "NEIGHBORS", "FLOW", "ALL" }

local function kind_of(object)
  if flow_module.is_flow(object) then
    return "flow"
  elseif retry_module.is_retry(object) then
    return "retry"
  end
  return object.each and "map" or "task"
end

local function class_of(object)
  if object.reference then
    return object.reference
  end
  return object.class and require("taskflow.utils.class_name").of(object.class) or nil
end

local function add(graph, parent, object, kind)
  graph.count = graph.count + 1
  local node = { id = "n" .. graph.count, kind = kind or kind_of(object), object = object, parent = parent }
  if object then
    node.name = object.name
    graph.by_object[object] = node
    node.class = node.kind ~= "flow" and class_of(object) or nil
  end
  if node.kind == "flow" then
    node.pattern, node.children = object.pattern, {}
  elseif node.kind ~= "more" then
    graph.atoms[#graph.atoms + 1] = node
  end
  if parent then
    parent.children[#parent.children + 1] = node
  end
  return node
end

-- How many of the children are drawn.
local function shown(flow, nodes, all)
  if all or flow.pattern ~= "unordered" or #nodes <= M.FOLD_AT then
    return #nodes
  end
  for _, node in ipairs(nodes) do
    if not task.is_task(node) then
      return #nodes
    end
  end
  return M.FOLD_SHOWN
end

-- Without recursion: nesting may be deep.
local function nest(graph, object, all)
  graph.root = add(graph, nil, object)
  local stack = { graph.root }
  while stack[1] do
    local node = table.remove(stack)
    local flow = node.object
    if node.kind == "flow" then
      if flow.retry then
        add(graph, node, flow.retry)
      end
      local nodes = flow:nodes()
      local count = shown(flow, nodes, all)
      for i = 1, count do
        add(graph, node, nodes[i])
      end
      if count < #nodes then
        local more = add(graph, node, nil, "more")
        more.count, more.name = #nodes - count, ("%d more"):format(#nodes - count)
        more.hidden = { unpack(nodes, count + 1) }
        for _, hidden in ipairs(more.hidden) do
          graph.by_object[hidden] = more
        end
      end
      for i = #node.children, 1, -1 do
        if node.children[i].kind == "flow" then
          stack[#stack + 1] = node.children[i]
        end
      end
    end
  end
end

-- ---- edges ----

-- Every atom below a node, in order, folded ones included.
function M.objects(root)
  local out, stack = {}, { root }
  while stack[1] do
    local object = table.remove(stack)
    if flow_module.is_flow(object) then
      local nodes = object:nodes()
      for i = #nodes, 1, -1 do
        stack[#stack + 1] = nodes[i]
      end
      if object.retry then
        stack[#stack + 1] = object.retry
      end
    else
      out[#out + 1] = object
    end
  end
  return out
end

-- The flows around something, from the root to itself.
local function path_to(flow_of, object)
  local path = {}
  while object do
    table.insert(path, 1, object)
    object = flow_of[object]
  end
  return path
end

-- Whether `before` runs before `after`, by the structure of the flows around them.
local function precedes(graph, before, after)
  local a, b = path_to(graph.flow_of, before), path_to(graph.flow_of, after)
  local i = 1
  while a[i] and a[i] == b[i] do
    i = i + 1
  end
  local flow, left, right = a[i - 1], a[i], b[i]
  if not left or not right then
    return false
  elseif left == flow.retry then
    return true
  elseif right == flow.retry or flow.pattern == "unordered" then
    return false
  elseif flow.pattern == "linear" then
    return graph.position[left] < graph.position[right]
  end
  return graph.reach(flow, left, right)
end

-- Reachability along the links of graph flows, found when asked for.
local function reachability()
  local known, targets = {}, {}
  return function(flow, from, to)
    if not targets[flow] then
      targets[flow] = {}
      for _, link in ipairs(flow:links()) do
        local list = targets[flow][link.from] or {}
        targets[flow][link.from] = list
        list[#list + 1] = link.to
      end
    end
    if not known[from] then
      local seen, queue = {}, { from }
      for _, node in ipairs(queue) do
        for _, target in ipairs(targets[flow][node] or {}) do
          if not seen[target] then
            seen[target] = true
            queue[#queue + 1] = target
          end
        end
      end
      known[from] = seen
    end
    return known[from][to] == true
  end
end

local function index(graph, root)
  graph.flow_of, graph.position, graph.reach = {}, {}, reachability()
  local stack = { root }
  while stack[1] do
    local flow = table.remove(stack)
    if flow_module.is_flow(flow) then
      if flow.retry then
        graph.flow_of[flow.retry] = flow
      end
      for i, node in ipairs(flow:nodes()) do
        graph.flow_of[node], graph.position[node] = flow, i
        stack[#stack + 1] = node
      end
    end
  end
end

---Providers of a symbol that run before an atom: the nearest ones, which is what it is given.
---@param graph tfhost.Graph
---@param atom table
---@param symbol string
---@return table[] atoms
function M.providers(graph, atom, symbol)
  local out = {}
  for _, provider in ipairs(graph.provided[symbol] or {}) do
    if provider ~= atom and precedes(graph, provider, atom) then
      out[#out + 1] = provider
    end
  end
  return out
end

local function inputs_of(atom)
  local out, seen = {}, {}
  for _, list in ipairs { atom.requires or {}, atom.optional or {} } do
    for _, symbol in ipairs(list) do
      if not seen[symbol] then
        seen[symbol] = true
        out[#out + 1] = symbol
      end
    end
  end
  return out
end

-- One edge for each pair of atoms, whatever number of symbols go along it.
local function add_data(graph, edges, from, to, symbol)
  local a, b = graph.by_object[from], graph.by_object[to]
  if a == b then
    return
  end
  local key = a.id .. " " .. b.id
  local edge = edges[key]
  if not edge then
    edge = { from = a, to = b, kind = "data", symbols = {}, seen = {} }
    edges[key] = edge
    graph.edges[#graph.edges + 1] = edge
  end
  if not edge.seen[symbol] then
    edge.seen[symbol] = true
    edge.symbols[#edge.symbols + 1] = symbol
  end
end

local function ancestors(node)
  local path = {}
  while node do
    table.insert(path, 1, node)
    node = node.parent
  end
  return path
end

-- Which children of one flow have data going from what is in one to what is in the other.
local function siblings(edges)
  local out = {}
  for _, edge in pairs(edges) do
    local from, to, i = ancestors(edge.from), ancestors(edge.to), 1
    while from[i] == to[i] do
      i = i + 1
    end
    if from[i] and to[i] then
      out[from[i]] = out[from[i]] or {}
      out[from[i]][to[i]] = true
    end
  end
  return out
end

local function data_edges(graph, atoms)
  local edges, outside = {}, {}
  graph.provided, graph.used = {}, {}
  for _, atom in ipairs(atoms) do
    for _, symbol in ipairs(atom.provides or {}) do
      graph.provided[symbol] = graph.provided[symbol] or {}
      table.insert(graph.provided[symbol], atom)
    end
  end
  for _, atom in ipairs(atoms) do
    for _, symbol in ipairs(inputs_of(atom)) do
      local providers = M.providers(graph, atom, symbol)
      local from = providers[#providers]
      if from then
        graph.used[from] = graph.used[from] or {}
        graph.used[from][symbol] = true
        add_data(graph, edges, from, atom, symbol)
      elseif not outside[symbol] then
        outside[symbol] = true
        graph.inputs[#graph.inputs + 1] = symbol
      end
    end
  end
  table.sort(graph.inputs)
  return siblings(edges)
end

local function link_edges(graph, data, object)
  for _, link in ipairs(object:links()) do
    local from, to = graph.by_object[link.from], graph.by_object[link.to]
    if from ~= to and (link.decider or link.manual) then
      local edge = { from = from, to = to, kind = link.decider and "decider" or "link" }
      if link.decider then
        edge.label = "decider" .. (link.depth ~= 3 and " " .. DEPTHS[link.depth] or "")
      end
      graph.edges[#graph.edges + 1] = edge
    end
  end
  -- What follows in a linear flow, where no value says so.
  if object.pattern == "linear" then
    local nodes = object:nodes()
    for i = 2, #nodes do
      local from, to = graph.by_object[nodes[i - 1]], graph.by_object[nodes[i]]
      if not data[from] or not data[from][to] then
        graph.edges[#graph.edges + 1] = { from = from, to = to, kind = "order" }
      end
    end
  end
end

---@param object taskflow.Flow|taskflow.Task
---@param all boolean? fold nothing
---@return tfhost.Graph
function M.build(object, all)
  local graph = { atoms = {}, edges = {}, by_object = {}, inputs = {}, count = 0 }
  nest(graph, object, all)
  index(graph, object)
  local atoms = M.objects(object)
  local data = data_edges(graph, atoms)
  local stack = { graph.root }
  while stack[1] do
    local node = table.remove(stack)
    if node.kind == "flow" then
      link_edges(graph, data, node.object)
      for _, child in ipairs(node.children) do
        stack[#stack + 1] = child
      end
    end
  end
  return graph
end

---Note the states of a run.
---@param graph tfhost.Graph
---@param states table<string, string> by name of atom
function M.colour(graph, states)
  for _, node in ipairs(graph.atoms) do
    node.state = states[node.name] or "PENDING"
  end
  local function worst(hidden)
    local counts = {}
    for _, object in ipairs(hidden) do
      local state = states[object.name] or "PENDING"
      counts[state] = (counts[state] or 0) + 1
    end
    for _, state in ipairs { "REVERT_FAILURE", "FAILURE", "REVERTING", "RUNNING", "REVERTED", "PENDING", "IGNORE" } do
      if counts[state] then
        return state
      end
    end
    return "SUCCESS"
  end
  for _, node in pairs(graph.by_object) do
    if node.kind == "more" and not node.state then
      node.state = worst(node.hidden)
    end
  end
end

return M
