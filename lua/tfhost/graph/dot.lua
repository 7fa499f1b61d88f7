-- A flow for graphviz.
local colours = require "tfhost.graph.colours"

local M = {}

local function quoted(text)
  return '"' .. text:gsub("\\", "\\\\"):gsub('"', '\\"'):gsub("\n", "\\n") .. '"'
end

local SHAPES = { task = "box", map = "box3d", retry = "diamond", more = "folder" }
local EDGES = { data = "", order = "style=dotted", link = "style=bold", decider = "style=dashed, arrowhead=empty" }

local function node_line(node, indent)
  local fill, line = colours.of(node)
  local label = node.name .. (node.state and "\n" .. node.state or "")
  return ("%s%s [label=%s, shape=%s, style=\"filled,rounded\", fillcolor=%q, color=%q]"):format(
    indent, node.id, quoted(label), SHAPES[node.kind], fill, line
  ):gsub('"filled,rounded"', node.kind == "task" and '"filled,rounded"' or '"filled"')
end

-- Edges end at atoms; where a flow is meant, at one of its atoms and clipped at the cluster.
local function first_atom(node)
  while node and node.kind == "flow" do
    node = node.children[1]
  end
  return node
end

---@param graph tfhost.Graph
---@return string
function M.render(graph)
  local out = {
    "digraph flow {",
    "  compound=true; rankdir=TB; nodesep=0.4; ranksep=0.5",
    '  node [fontname="Helvetica", fontsize=11]; edge [fontname="Helvetica", fontsize=9, color="#475569"]',
  }
  local stack = { { node = graph.root, depth = 1 } }
  while stack[1] do
    local item = table.remove(stack)
    local indent = ("  "):rep(math.min(item.depth, 40))
    if item.close then
      out[#out + 1] = indent .. "}"
    elseif item.node.kind ~= "flow" then
      out[#out + 1] = (node_line(item.node, indent))
    else
      local node = item.node
      local title = quoted(("%s (%s)"):format(node.name, node.pattern))
      out[#out + 1] = ("%ssubgraph cluster_%s { label=%s; style=rounded"):format(indent, node.id, title)
      out[#out + 1] = indent .. '  color="#94a3b8"; fontname="Helvetica"'
      stack[#stack + 1] = { close = true, depth = item.depth }
      for i = #node.children, 1, -1 do
        stack[#stack + 1] = { node = node.children[i], depth = item.depth + 1 }
      end
    end
  end
  for _, edge in ipairs(graph.edges) do
    local from, to = first_atom(edge.from), first_atom(edge.to)
    local attributes = { EDGES[edge.kind] ~= "" and EDGES[edge.kind] or nil }
    local label = edge.symbols and table.concat(edge.symbols, ", ") or edge.label
    attributes[#attributes + 1] = label and "label=" .. quoted(label) or nil
    attributes[#attributes + 1] = edge.from.kind == "flow" and "ltail=cluster_" .. edge.from.id or nil
    attributes[#attributes + 1] = edge.to.kind == "flow" and "lhead=cluster_" .. edge.to.id or nil
    if from and to and from ~= to then -- a flow may be empty
      out[#out + 1] = ("  %s -> %s [%s]"):format(from.id, to.id, table.concat(attributes, ", "))
    end
  end
  out[#out + 1] = "}\n"
  return table.concat(out, "\n")
end

return M
