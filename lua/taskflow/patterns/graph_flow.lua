-- Graph flows: children are linked by the symbols they exchange, or by hand. Each is linked to the one provider of
-- what it needs, whatever the order of adding; several providers raise AmbiguousDependency. A cycle raises
-- DependencyFailure, and the addition is undone.
local check = require "taskflow.utils.check"
local exceptions = require "taskflow.exceptions"
local flow = require "taskflow.flow"
local place = require "taskflow.utils.place"
local text = require "taskflow.utils.text"

local CYCLE = "No path through the node(s) in the graph produces an ordering that will allow for logical edge traversal"

---How far a decider's "no" reaches.
local DEPTHS = { ATOM = 0, NEIGHBORS = 1, FLOW = 2, ALL = 3 }

-- A graph keeps: _out[u][v] = link and _in[v][u] = link with link = { from, to, reasons, manual, decider, depth };
-- _provided[symbol] = providers; _wanted[symbol] = nodes that need it and have no provider yet.
local function init(self)
  self._out, self._in, self._links = {}, {}, {}
  self._provided, self._wanted, self._journal = {}, {}, { n = 0 }
  self._changed = setmetatable({}, { __mode = "k" })
  for _, name in ipairs(self.retry and self.retry.provides or {}) do
    self._provided[name] = { self.retry }
  end
end

-- Breadth-first walk over `edges` from `start`, which is not visited itself unless it is on a cycle.
local function reach(edges, start, visit)
  if not edges[start] then
    return false
  end
  local queue, seen = { start }, {}
  for _, node in ipairs(queue) do
    for neighbour in pairs(edges[node] or {}) do
      if not seen[neighbour] then
        seen[neighbour] = true
        if visit(neighbour) then
          return true
        end
        queue[#queue + 1] = neighbour
      end
    end
  end
  return false
end

local function contains(list, value)
  for _, member in ipairs(list) do
    if member == value then
      return true
    end
  end
  return false
end

-- Whether a predecessor of the node, or the flow's retry, provides the symbol.
local function is_supplied(self, node, symbol)
  if self.retry and contains(self.retry.provides, symbol) then
    return true
  end
  return reach(self._in, node, function(predecessor)
    return contains(predecessor.provides, symbol)
  end)
end

-- Every change is noted with what was there before, so that a rejected addition leaves no trace: table, key, value, one
-- after the other. A flow has one journal, made once: those of a million links need this cheap. Without a journal
-- nothing can go wrong any more.
local NOTHING = {}

local function assign(journal, t, key, value)
  if journal then
    local before, n = t[key], journal.n
    journal[n + 1], journal[n + 2], journal[n + 3] = t, key, before == nil and NOTHING or before
    journal.n = n + 3
  end
  t[key] = value
end

local function append(journal, list, value)
  assign(journal, list, #list + 1, value)
end

local function undo(journal)
  for i = journal.n - 2, 1, -3 do
    local before = journal[i + 2]
    if before == NOTHING then
      before = nil
    end
    journal[i][journal[i + 1]] = before
  end
end

local function bucket(journal, t, key)
  if not t[key] then
    assign(journal, t, key, {})
  end
  return t[key]
end

local function fail_cycle(self, from, to)
  exceptions.raise(
    exceptions.DependencyFailure,
    ("%s (flow '%s': '%s' -> '%s' closes a cycle)"):format(CYCLE, self.name, from.name, to.name)
  )
end

-- Of links by hand: most have none, and there may be a million.
local NO_REASONS = {}

-- Link two children, keeping what an existing link says. What it refuses, it refuses before it changes anything.
local function connect(self, journal, from, to, data)
  local link = self._out[from] and self._out[from][to]
  if not link then
    if from == to then
      fail_cycle(self, from, to)
    end
    -- Only a node with links on both sides can close a cycle.
    if self._out[to] and self._in[from] then
      local cyclic = reach(self._out, to, function(node)
        return node == from
      end)
      if cyclic then
        fail_cycle(self, from, to)
      end
    end
    link = { from = from, to = to, reasons = NO_REASONS, manual = data.manual }
    assign(journal, bucket(journal, self._out, from), to, link)
    assign(journal, bucket(journal, self._in, to), from, link)
    append(journal, self._links, link)
  end
  if data.reason then
    if link.reasons == NO_REASONS then
      assign(journal, link, "reasons", {})
    end
    assign(journal, link.reasons, data.reason, true)
  end
  if data.manual then
    assign(journal, link, "manual", true)
  end
  if data.decider then
    assign(journal, link, "decider", data.decider)
    assign(journal, link, "depth", data.depth)
    assign(journal, link, "title", data.title)
    assign(journal, link, "where", data.where)
  end
end

local function index_provides(self, journal, node)
  for _, symbol in ipairs(node.provides) do
    append(journal, bucket(journal, self._provided, symbol), node)
  end
end

local function want(self, journal, node, symbol)
  local list = bucket(journal, self._wanted, symbol)
  if not contains(list, node) then
    append(journal, list, node)
  end
end

-- Link a new node to the one provider of each symbol it needs.
local function resolve_requires(self, journal, node)
  local needs = {}
  for _, symbol in ipairs(node.requires) do
    if not is_supplied(self, node, symbol) then
      needs[#needs + 1] = symbol
    end
  end
  for _, symbol in ipairs(needs) do
    local providers = self._provided[symbol]
    if not providers or #providers == 0 then
      want(self, journal, node, symbol)
    elseif #providers == 1 then
      connect(self, journal, providers[1], node, { reason = symbol })
    else
      local names = {}
      for i, provider in ipairs(providers) do
        names[i] = provider.name
      end
      table.sort(names)
      local message = "Resolution error detected when adding '%s', multiple providers %s found for required "
        .. "symbol '%s' (flow '%s')"
      exceptions.raise(
        exceptions.AmbiguousDependency,
        message:format(node.name, text.pylist(names), symbol, self.name)
      )
    end
  end
end

-- Link a new node to those that were waiting for what it provides.
local function resolve_existing(self, journal, node)
  for _, symbol in ipairs(node.provides) do
    local kept = {}
    for _, needy in ipairs(self._wanted[symbol] or {}) do
      if needy == node then
        kept[#kept + 1] = needy
      elseif not is_supplied(self, needy, symbol) then
        connect(self, journal, node, needy, { reason = symbol })
      end
    end
    if self._wanted[symbol] then
      assign(journal, self._wanted, symbol, kept)
    end
  end
end

local function remove_from_all(journal, lists, node)
  for _, symbol in ipairs(text.sorted_keys(lists)) do
    if contains(lists[symbol], node) then
      local kept = {}
      for _, member in ipairs(lists[symbol]) do
        if member ~= node then
          kept[#kept + 1] = member
        end
      end
      assign(journal, lists, symbol, kept)
    end
  end
end

-- Subflows that were added to since: what they provide and need is looked up again.
local function refresh(self, journal)
  if next(self._changed) == nil then
    return
  end
  for _, node in ipairs(self._nodes) do
    if self._changed[node] then
      remove_from_all(journal, self._provided, node)
      remove_from_all(journal, self._wanted, node)
      index_provides(self, journal, node)
      for _, symbol in ipairs(node.requires) do
        if not is_supplied(self, node, symbol) then
          want(self, journal, node, symbol)
        end
      end
    end
  end
  self._changed = setmetatable({}, { __mode = "k" })
end

local function attach(self, journal, node)
  assign(journal, self._known, node, nil)
  assign(journal, self._nodes, #self._nodes + 1, nil)
  if flow.is_flow(node) then
    assign(journal, node._parents, self, nil)
  end
  flow.attach(self, node)
end

local function add_all(self, journal, nodes, options)
  refresh(self, journal)
  for _, node in ipairs(nodes) do
    attach(self, journal, node)
    if options.resolve_requires ~= false then
      resolve_requires(self, journal, node)
    end
    index_provides(self, journal, node)
    if options.resolve_existing ~= false then
      resolve_existing(self, journal, node)
    end
  end
  if options.resolve_requires == false then
    -- Not linked now, but a later addition may provide what they need.
    for _, node in ipairs(nodes) do
      for _, symbol in ipairs(node.requires) do
        if not is_supplied(self, node, symbol) then
          want(self, journal, node, symbol)
        end
      end
    end
  end
end

local function transaction(self, f, ...)
  local journal = self._journal
  journal.n = 0
  local ok, err = pcall(f, self, journal, ...)
  if not ok then
    undo(journal)
  end
  self._order = nil
  flow.touch(self)
  if not ok then
    error(err, 0)
  end
  return self
end

local ADD_OPTIONS = { resolve_requires = true, resolve_existing = true }

-- The last argument of add may be a table of options: no node, no reference.
local function take_options(...)
  local count = select("#", ...)
  local last = count > 0 and (select(count, ...)) or nil
  if type(last) == "table" and getmetatable(last) == nil and last[1] == nil and next(last) ~= nil then
    for key in pairs(last) do
      if not ADD_OPTIONS[key] then
        exceptions.raise(exceptions.TypeError, "add: " .. text.unknown("option", key, ADD_OPTIONS))
      end
    end
    return last, count - 1
  end
  return {}, count
end

local M = {}

---@class taskflow.GraphFlow: taskflow.Flow
local methods = {}

---Add nodes and link each to the providers of what it needs. A last table may say resolve_requires = false
---(no links to providers) or resolve_existing = false (no links to nodes that already wait).
---@param ... taskflow.Task|taskflow.Flow|string|table tasks, flows, references, and last perhaps the options
---@return taskflow.GraphFlow
function methods:add(...)
  local options, count = take_options(...)
  local nodes = flow.new_nodes(self, unpack({ ... }, 1, count))
  if #nodes == 0 then
    return self
  end
  return transaction(self, add_all, nodes, options)
end

local function name_of(node)
  return type(node) == "table" and node.name or tostring(node)
end

local function refuse(message, ...)
  exceptions.raise(exceptions.ValueError, message:format(...))
end

-- What a link by hand says, as `connect` takes it.
local BY_HAND = { manual = true, depth = DEPTHS.ALL }

local function parse_link_options(self, from, to, decider, depth)
  if decider == nil and depth == nil then
    return BY_HAND
  end
  local title = ("link from '%s' to '%s' (flow '%s')"):format(from.name, to.name, self.name)
  if type(decider) == "table" and getmetatable(decider) == nil then
    decider, depth = decider.decider, decider.decider_depth
  end
  if decider ~= nil and not check.is_callable(decider) then
    refuse("%s: Decider boolean callback must be callable, not %s", title, check.kind(decider))
  end
  if depth ~= nil and decider == nil then
    refuse("%s: Decider depth requires a decider to be provided along with it", title)
  end
  local number = DEPTHS[tostring(depth or "ALL"):upper()]
  if not number then
    refuse("%s: unknown decider depth '%s', expected one of ALL, FLOW, NEIGHBORS, ATOM", title, tostring(depth))
  end
  return { manual = true, decider = decider, depth = number, title = title, where = place.caller() }
end

---Link two children: `to` runs after `from`. A decider is called with { source name = result } when `to` is
---otherwise ready; anything but true lets `to` (and, by depth, what follows it) be ignored.
---@param from taskflow.Task|taskflow.Flow
---@param to taskflow.Task|taskflow.Flow
---@param decider fun(history: table<string, any>): boolean | { decider: function, decider_depth: string? } | nil
---@param decider_depth string? "ALL" (default), "FLOW", "NEIGHBORS" or "ATOM"
---@return taskflow.GraphFlow
function methods:link(from, to, decider, decider_depth)
  if from == nil or not self._known[from] then
    refuse("Node '%s' not found to link from (flow '%s')", name_of(from), self.name)
  end
  if to == nil or not self._known[to] then
    refuse("Node '%s' not found to link to (flow '%s')", name_of(to), self.name)
  end
  connect(self, nil, from, to, parse_link_options(self, from, to, decider, decider_depth))
  self._order = nil
  flow.touch(self)
  return self
end

-- Children of which all predecessors come first; otherwise in order of adding.
local function topological(nodes, incoming, outgoing)
  local position, waiting, order, free = {}, {}, {}, {}
  for i, node in ipairs(nodes) do
    position[node] = i
  end
  for i, node in ipairs(nodes) do
    local count = 0
    for predecessor in pairs(incoming[node] or NOTHING) do
      if position[predecessor] then
        count = count + 1
      end
    end
    waiting[i] = count
    if count == 0 then
      order[#order + 1] = node
    end
  end
  for _, node in ipairs(order) do
    local count = 0
    for successor in pairs(outgoing[node] or NOTHING) do
      local i = position[successor]
      if i then
        waiting[i] = waiting[i] - 1
        if waiting[i] == 0 then
          count = count + 1
          free[count] = i
        end
      end
    end
    for i = #free, count + 1, -1 do -- what is left of an earlier node's
      free[i] = nil
    end
    if count > 1 then
      table.sort(free)
    end
    for i = 1, count do
      order[#order + 1] = nodes[free[i]]
    end
  end
  return order
end

-- The children that take part; a targeted flow leaves some out.
local function active(self)
  if self._target == nil then
    return self._nodes, self._known
  end
  local keep = { [self._target] = true }
  reach(self._in, self._target, function(node)
    keep[node] = true
  end)
  local nodes = {}
  for _, node in ipairs(self._nodes) do
    if keep[node] then
      nodes[#nodes + 1] = node
    end
  end
  return nodes, keep
end

---Children, in an order in which each comes after those that it needs.
---@return (taskflow.Task|taskflow.Flow)[]
function methods:nodes()
  if not self._order then
    self._order = topological(active(self), self._in, self._out)
  end
  return self._order
end

---Links between children.
---@return { from: any, to: any, decider: function?, depth: integer?, manual: boolean?, reasons: table }[]
function methods:links()
  local _, keep = active(self)
  local out = {}
  for _, link in ipairs(self._links) do
    if keep[link.from] and keep[link.to] then
      out[#out + 1] = link
    end
  end
  return out
end

---Symbols that a child needs and neither the retry nor one of its predecessors provides.
---@return string[]
function methods:get_requires()
  local requires = flow.retry_symbols(self)
  for _, node in ipairs(self:nodes()) do
    for _, symbol in ipairs(node.requires) do
      if not requires[symbol] and not is_supplied(self, node, symbol) then
        requires[symbol] = true
      end
    end
  end
  return flow.sorted(requires)
end

---A new flow.
---@type fun(name: string, options: { retry: taskflow.Retry? }?): taskflow.GraphFlow
M.Flow = flow.define { pattern = "graph", title = "graph_flow.Flow", methods = methods, init = init }

---@class taskflow.TargetedFlow: taskflow.GraphFlow
local targeted = {}

---Run only this child and what it depends on.
---@param node taskflow.Task|taskflow.Flow
---@return taskflow.GraphFlow
function targeted:set_target(node)
  if not self._known[node] then
    exceptions.raise(exceptions.ValueError, ("Node '%s' not found (flow '%s')"):format(name_of(node), self.name))
  end
  self._target, self._order = node, nil
  flow.touch(self)
  return self
end

---Run everything again.
---@return taskflow.GraphFlow
function targeted:reset_target()
  self._target, self._order = nil, nil
  flow.touch(self)
  return self
end

---A new flow of which only a part may be run.
---@type fun(name: string, options: { retry: taskflow.Retry? }?): taskflow.TargetedFlow
M.TargetedFlow = flow.define {
  pattern = "graph",
  title = "graph_flow.TargetedFlow",
  methods = targeted,
  base = M.Flow,
  init = init,
}

return M
