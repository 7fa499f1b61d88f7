-- A flow as SVG, without help from other programs. Flows nest, so boxes do: a linear flow is a column, an unordered one
-- is rows, a graph is layers in the order of its links. Edges are drawn over them and go around what is in between.
local colours = require "tfhost.graph.colours"

local M = {}

local CHAR, ATOM_HEIGHT, PAD, TITLE, ROW_GAP, COLUMN_GAP, ROW_WIDTH = 7.0, 44, 16, 22, 44, 26, 900
local MAX_NAME = 40

local function utf8_length(text)
  return select(2, text:gsub("[^\128-\191]", ""))
end

local function shorten(text)
  if utf8_length(text) <= MAX_NAME then
    return text
  end
  local count, out = 0, {}
  for char in text:gmatch "[%z\1-\127\194-\244][\128-\191]*" do
    count = count + 1
    if count >= MAX_NAME then
      break
    end
    out[#out + 1] = char
  end
  return table.concat(out) .. "…"
end

local function escape(text)
  return (text:gsub("[%c]", " "):gsub("&", "&amp;"):gsub("<", "&lt;"):gsub(">", "&gt;"):gsub('"', "&quot;"))
end

-- ---- layout ----

-- Children in rows, top to bottom.
local function rows_linear(children)
  local rows = {}
  for i, child in ipairs(children) do
    rows[i] = { child }
  end
  return rows
end

local function rows_unordered(children)
  local rows, width = {}, 0
  for _, child in ipairs(children) do
    if not rows[1] or width + child.w > ROW_WIDTH then
      rows[#rows + 1], width = {}, 0
    end
    table.insert(rows[#rows], child)
    width = width + child.w + COLUMN_GAP
  end
  return rows
end

-- Layers: each child below all that come before it. `nodes()` of a graph is in such an order.
local function rows_graph(children, links, node_of)
  local layer, before, rows = {}, {}, {}
  for _, link in ipairs(links) do
    local to = node_of[link.to]
    before[to] = before[to] or {}
    table.insert(before[to], node_of[link.from])
  end
  for _, child in ipairs(children) do
    local at = 1
    for _, previous in ipairs(before[child] or {}) do
      at = math.max(at, (layer[previous] or 0) + 1)
    end
    layer[child] = at
    rows[at] = rows[at] or {}
    table.insert(rows[at], child)
  end
  -- In a layer, below the middle of what comes before: fewer edges cross.
  local place = {}
  for _, row in ipairs(rows) do
    for i, child in ipairs(row) do
      local sum, count = 0, 0
      for _, previous in ipairs(before[child] or {}) do
        sum, count = sum + (place[previous] or 0), count + 1
      end
      child.wish, child.given = count > 0 and sum / count or i / (#row + 1), i
    end
    table.sort(row, function(a, b)
      if a.wish ~= b.wish then
        return a.wish < b.wish
      end
      return a.given < b.given
    end)
    for i, child in ipairs(row) do
      place[child] = i / (#row + 1)
    end
  end
  return rows
end

local function rows_of(graph, node)
  local children, rows, retry = {}
  for _, child in ipairs(node.children) do
    if child.kind == "retry" then
      retry = child
    else
      children[#children + 1] = child
    end
  end
  if node.pattern == "linear" then
    rows = rows_linear(children)
  elseif node.pattern == "unordered" then
    rows = rows_unordered(children)
  else
    rows = rows_graph(children, node.object:links(), graph.by_object)
  end
  if retry then
    table.insert(rows, 1, { retry })
  end
  return rows
end

local function measure_atom(node)
  node.label = shorten(node.name)
  node.detail = node.state or (node.class and shorten(node.class)) or node.kind
  if node.kind == "map" then
    node.detail = "map over " .. tostring(node.object.over or node.object.each)
  end
  node.w = math.max(96, CHAR * 1.05 * utf8_length(node.label) + 28, CHAR * 0.85 * utf8_length(node.detail) + 28)
  node.h = ATOM_HEIGHT
end

-- Size of a flow, and where its children are inside it.
local function measure_flow(graph, node)
  node.label = ("%s (%s)"):format(shorten(node.name), node.pattern)
  local inner, y = 0, PAD + TITLE
  local rows = rows_of(graph, node)
  for _, row in ipairs(rows) do
    local width = -COLUMN_GAP
    for _, child in ipairs(row) do
      width = width + child.w + COLUMN_GAP
    end
    row.width = width
    inner = math.max(inner, width)
  end
  inner = math.max(inner, CHAR * utf8_length(node.label))
  for i, row in ipairs(rows) do
    local x, height = PAD + (inner - row.width) / 2, 0
    for _, child in ipairs(row) do
      height = math.max(height, child.h)
    end
    for _, child in ipairs(row) do
      child.dx, child.dy = x, y + (height - child.h) / 2
      x = x + child.w + COLUMN_GAP
    end
    local gap = node.pattern == "unordered" and row[1].kind ~= "retry" and COLUMN_GAP or ROW_GAP
    y = y + height + (i < #rows and gap or 0)
  end
  node.w, node.h = inner + 2 * PAD, y + PAD
end

-- Every node gets x, y, w, h. Without recursion: nesting may be deep.
local function layout(graph)
  local order, all = { graph.root }, {}
  for _, node in ipairs(order) do
    for _, child in ipairs(node.children or {}) do
      order[#order + 1] = child
    end
  end
  for i = #order, 1, -1 do
    if order[i].kind == "flow" then
      measure_flow(graph, order[i])
    else
      measure_atom(order[i])
    end
  end
  graph.root.x, graph.root.y = 12, 12
  for _, node in ipairs(order) do
    all[#all + 1] = node
    for _, child in ipairs(node.children or {}) do
      child.x, child.y = node.x + child.dx, node.y + child.dy
    end
  end
  return all
end

-- ---- boxes ----

local function text(out, x, y, class, content, more)
  out[#out + 1] = ('<text x="%.1f" y="%.1f" class="%s"%s>%s</text>'):format(x, y, class, more or "", escape(content))
end

local function draw_flow(out, node)
  out[#out + 1] = ('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="10" class="flow"/>'):format(
    node.x, node.y, node.w, node.h
  )
  text(out, node.x + PAD, node.y + 20, "title", node.label)
end

local function draw_atom(out, node)
  local fill, line = colours.of(node)
  local style = ('fill="%s" stroke="%s"'):format(fill, line)
  local x, y, w, h = node.x, node.y, node.w, node.h
  out[#out + 1] = ("<g><title>%s</title>"):format(escape(node.name))
  if node.kind == "retry" then
    out[#out + 1] = ('<polygon points="%.1f,%.1f %.1f,%.1f %.1f,%.1f %.1f,%.1f %.1f,%.1f %.1f,%.1f" %s/>'):format(
      x + 12, y, x + w - 12, y, x + w, y + h / 2, x + w - 12, y + h, x + 12, y + h, x, y + h / 2, style
    )
  else
    if node.kind ~= "task" then -- a pile
      for i = 2, 1, -1 do
        out[#out + 1] = ('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="6" %s/>'):format(
          x + 4 * i, y + 4 * i, w, h, style
        )
      end
    end
    out[#out + 1] = ('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="6" %s/>'):format(x, y, w, h, style)
  end
  text(out, x + w / 2, y + 19, "name", node.label)
  text(out, x + w / 2, y + 34, "detail", node.detail)
  out[#out + 1] = "</g>"
end

-- ---- edges ----

local function is_inside(node, box)
  while node do
    if node == box then
      return true
    end
    node = node.parent
  end
  return false
end

-- Right-most edge of the atoms that a straight line from (x1, y1) down to (x2, y2) would go through; nil: none.
local function obstacle(graph, edge, x1, y1, x2, y2)
  local right
  for _, node in ipairs(graph.boxes) do
    if node.kind ~= "flow" and not is_inside(node, edge.from) and not is_inside(node, edge.to) then
      local top, bottom = math.max(y1, node.y - 4), math.min(y2, node.y + node.h + 4)
      if top < bottom then
        local xa, xb = x1 + (x2 - x1) * (top - y1) / (y2 - y1), x1 + (x2 - x1) * (bottom - y1) / (y2 - y1)
        if math.max(xa, xb) > node.x - 4 and math.min(xa, xb) < node.x + node.w + 4 then
          right = math.max(right or 0, node.x + node.w)
        end
      end
    end
  end
  return right
end

local STYLES = {
  data = 'class="edge"',
  order = 'class="edge order"',
  link = 'class="edge link"',
  decider = 'class="edge decider"',
}

local MAX_SYMBOLS = 3

local function label_of(edge)
  if not edge.symbols then
    return edge.label
  elseif #edge.symbols <= MAX_SYMBOLS then
    return table.concat(edge.symbols, ", ")
  end
  return ("%s, %d more"):format(table.concat(edge.symbols, ", ", 1, MAX_SYMBOLS), #edge.symbols - MAX_SYMBOLS)
end

-- Edges leave and enter a box side by side, in the order of what is at their other ends.
local function spread(edges)
  local leaving, entering = {}, {}
  for _, edge in ipairs(edges) do
    leaving[edge.from] = leaving[edge.from] or {}
    entering[edge.to] = entering[edge.to] or {}
    table.insert(leaving[edge.from], edge)
    table.insert(entering[edge.to], edge)
  end
  local function set(groups, own, other, key)
    for node, list in pairs(groups) do
      table.sort(list, function(a, b)
        local xa, xb = a[other].x + a[other].w / 2, b[other].x + b[other].w / 2
        if xa ~= xb then
          return xa < xb
        end
        return a[other].id < b[other].id
      end)
      local width = math.min(node.w * 0.7, 28 * (#list - 1))
      for i, edge in ipairs(list) do
        edge[key] = edge[own].x + edge[own].w / 2 + (#list > 1 and width * ((i - 1) / (#list - 1) - 0.5) or 0)
      end
    end
  end
  set(leaving, "from", "to", "x1")
  set(entering, "to", "from", "x2")
end

local function draw_edge(graph, out, labels, edge)
  local pile = edge.from.kind == "map" or edge.from.kind == "more"
  local x1, y1, x2, y2 = edge.x1, edge.from.y + edge.from.h + (pile and 8 or 0), edge.x2, edge.to.y - 2
  local path, lx, ly
  if is_inside(edge.to, edge.from) or is_inside(edge.from, edge.to) or y2 <= y1 then
    -- Side by side, or backwards: around the right.
    local x = math.max(edge.from.x + edge.from.w, edge.to.x + edge.to.w) + 18
    y1, y2 = edge.from.y + edge.from.h / 2, edge.to.y + edge.to.h / 2
    x1, x2 = edge.from.x + edge.from.w, edge.to.x + edge.to.w + 2
    path = ("M%.1f,%.1f C%.1f,%.1f %.1f,%.1f %.1f,%.1f"):format(x1, y1, x, y1, x, y2, x2, y2)
    lx, ly = x, (y1 + y2) / 2
    graph.right = math.max(graph.right, x + 6)
  else
    local right = obstacle(graph, edge, x1, y1, x2, y2)
    if right then
      graph.lanes[right] = (graph.lanes[right] or 0) + 1
      local x = right + 4 + 6 * ((graph.lanes[right] - 1) % 3 + 1) -- between two boxes
      local bend = math.min(24, (y2 - y1) / 4)
      path = ("M%.1f,%.1f C%.1f,%.1f %.1f,%.1f %.1f,%.1f L%.1f,%.1f C%.1f,%.1f %.1f,%.1f %.1f,%.1f"):format(
        x1, y1, x1, y1 + bend, x, y1 + bend * 0.4, x, y1 + 2 * bend, x, y2 - 2 * bend,
        x, y2 - bend * 0.4, x2, y2 - bend, x2, y2
      )
      lx, ly = x1, y1 + 12 -- where it leaves: further down it passes boxes
      graph.right = math.max(graph.right, x + 6)
    else
      local bend = (y2 - y1) / 2
      path = ("M%.1f,%.1f C%.1f,%.1f %.1f,%.1f %.1f,%.1f"):format(x1, y1, x1, y1 + bend, x2, y2 - bend, x2, y2)
      lx, ly = (x1 + x2) / 2, (y1 + y2) / 2
    end
  end
  out[#out + 1] = ('<path d="%s" %s marker-end="url(#arrow)"/>'):format(path, STYLES[edge.kind])
  local label = label_of(edge)
  if label then
    text(labels, lx, ly + 3, "label", label)
    graph.right = math.max(graph.right, lx + CHAR * 0.5 * utf8_length(label))
    graph.left = math.min(graph.left, lx - CHAR * 0.5 * utf8_length(label))
  end
end

local HEAD = [[
<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="%.0f 0 %.0f %.0f">
<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0,0 L8,4 L0,8 z" fill="#475569"/></marker><style>
text { font-family: "DejaVu Sans", Helvetica, Arial, sans-serif }
.flow { fill: #f8fafc; fill-opacity: 0.7; stroke: #94a3b8 }
.title { font-size: 12px; fill: #475569; font-weight: bold }
.name { font-size: 12px; fill: #0f172a; text-anchor: middle }
.detail { font-size: 9.5px; fill: #64748b; text-anchor: middle }
.label { font-size: 9.5px; fill: #1d4ed8; text-anchor: middle; paint-order: stroke; stroke: #ffffff; stroke-width: 4px }
.edge { fill: none; stroke: #475569; stroke-width: 1.2 }
.order { stroke-dasharray: 1 3 }
.link { stroke-width: 2 }
.decider { stroke-dasharray: 6 3 }
</style></defs>
<rect x="%.0f" width="%.0f" height="%.0f" fill="#ffffff"/>
]]

---@param graph tfhost.Graph
---@return string
function M.render(graph)
  graph.boxes = layout(graph)
  local bottom = graph.root.y + graph.root.h + 12
  graph.right, graph.left, graph.lanes = graph.root.x + graph.root.w, 0, {}
  local boxes, edges, labels = {}, {}, {}
  for _, node in ipairs(graph.boxes) do
    if node.kind == "flow" then
      draw_flow(boxes, node)
    else
      draw_atom(boxes, node)
    end
  end
  spread(graph.edges)
  for _, edge in ipairs(graph.edges) do
    draw_edge(graph, edges, labels, edge)
  end
  local inputs = graph.inputs[1] and "from outside: " .. shorten(table.concat(graph.inputs, ", "))
  if inputs then
    text(labels, graph.root.x + 4, bottom + 6, "title", inputs)
    bottom = bottom + 20
    graph.right = math.max(graph.right, graph.root.x + CHAR * 1.1 * utf8_length(inputs))
  end
  local left = graph.left < 0 and graph.left - 8 or 0
  local width = graph.right + 12 - left
  return HEAD:format(width, bottom, left, width, bottom, left, width, bottom)
    .. table.concat(boxes, "\n") .. "\n" .. table.concat(edges, "\n") .. "\n" .. table.concat(labels, "\n")
    .. "\n</svg>\n"
end

return M
