-- A flow as a tree of lines.
local M = {}

local PATTERN = { linear = "one after the other", unordered = "in any order", graph = "as values and links say" }

local function taken(node)
  local atom, out = node.object, {}
  for _, symbol in ipairs(atom.requires or {}) do
    out[#out + 1] = symbol
  end
  for _, symbol in ipairs(atom.optional or {}) do
    out[#out + 1] = symbol .. "?"
  end
  return table.concat(out, ", ")
end

local function line_of(node)
  if node.kind == "flow" then
    return ("%s  (%s)"):format(node.name, PATTERN[node.pattern])
  elseif node.kind == "more" then
    return ("... %s%s"):format(node.name, node.state and "  " .. node.state or "")
  end
  local parts = { node.name }
  parts[#parts + 1] = node.kind ~= "task" and "(" .. node.kind .. ")" or nil
  parts[#parts + 1] = node.state
  local takes, gives = taken(node), table.concat(node.object.provides or {}, ", ")
  if takes ~= "" then
    parts[#parts + 1] = "takes " .. takes
  end
  if gives ~= "" then
    parts[#parts + 1] = (takes ~= "" and "and gives " or "gives ") .. gives
  end
  return table.concat(parts, "  ", 1, #parts)
end

---@param graph tfhost.Graph
---@return string
function M.render(graph)
  local out, links = {}, {}
  for _, edge in ipairs(graph.edges) do
    if edge.kind == "link" or edge.kind == "decider" then
      links[edge.from] = links[edge.from] or {}
      table.insert(links[edge.from], ("then %s%s"):format(edge.to.name, edge.label and " (" .. edge.label .. ")" or ""))
    end
  end
  local stack = { { node = graph.root, lead = "", branch = "" } }
  while stack[1] do
    local item = table.remove(stack)
    local node = item.node
    local after = links[node] and "  [" .. table.concat(links[node], ", ") .. "]" or ""
    out[#out + 1] = item.lead .. item.branch .. line_of(node) .. after
    local children = node.children or {}
    local lead = item.branch == "" and "" or item.lead .. (item.last and "    " or "│   ")
    for i = #children, 1, -1 do
      local last = i == #children
      stack[#stack + 1] = { node = children[i], lead = lead, branch = last and "└── " or "├── ", last = last }
    end
  end
  if graph.inputs[1] then
    out[#out + 1] = "from outside: " .. table.concat(graph.inputs, ", ")
  end
  return table.concat(out, "\n") .. "\n"
end

return M
