-- A flow for Markdown that draws mermaid.
local colours = require "tfhost.graph.colours"

local M = {}

-- Mermaid takes HTML's entities for what would end a text.
local function quoted(text)
  return '"' .. text:gsub("[^%w%s%._%-:,%(%)]", function(c)
    return c:byte() < 128 and ("#%d;"):format(c:byte()) or c
  end):gsub("\n", "<br/>") .. '"'
end

local SHAPES = { task = "(%s)", map = "[[%s]]", retry = "{{%s}}", more = "[/%s/]" }
local ARROWS = { data = "-->", order = "-.->", link = "==>", decider = "-.->" }

---@param graph tfhost.Graph
---@return string
function M.render(graph)
  local out, classes = { "flowchart TB" }, {}
  local stack = { { node = graph.root, depth = 1 } }
  while stack[1] do
    local item = table.remove(stack)
    local indent = ("  "):rep(math.min(item.depth, 40))
    if item.close then
      out[#out + 1] = indent .. "end"
    elseif item.node.kind == "flow" then
      local node = item.node
      local title = quoted(("%s (%s)"):format(node.name, node.pattern))
      out[#out + 1] = ("%ssubgraph %s [%s]"):format(indent, node.id, title)
      stack[#stack + 1] = { close = true, depth = item.depth }
      for i = #node.children, 1, -1 do
        stack[#stack + 1] = { node = node.children[i], depth = item.depth + 1 }
      end
    else
      local node = item.node
      out[#out + 1] = indent .. node.id .. SHAPES[node.kind]:format((quoted(node.name):gsub("%%", "%%%%")))
      if node.state then
        classes[node.state] = classes[node.state] or {}
        table.insert(classes[node.state], node.id)
      end
    end
  end
  for _, edge in ipairs(graph.edges) do
    local label = edge.symbols and table.concat(edge.symbols, ", ") or edge.label
    out[#out + 1] = ("  %s %s%s %s"):format(
      edge.from.id, ARROWS[edge.kind], label and ("|%s|"):format(quoted(label)) or "", edge.to.id
    )
  end
  local states = require("taskflow.utils.text").sorted_keys(classes)
  for _, state in ipairs(states) do
    local fill, line = colours.of { state = state }
    out[#out + 1] = ("  classDef %s fill:%s,stroke:%s"):format(state, fill, line)
    out[#out + 1] = ("  class %s %s"):format(table.concat(classes[state], ","), state)
  end
  return table.concat(out, "\n") .. "\n"
end

return M
