-- Graph flows: children are linked by the symbols they exchange, or by hand. Each is linked to the one provider of
-- what it needs, whatever the order of adding; several providers raise AmbiguousDependency. A cycle raises
-- DependencyFailure, and the addition is undone.
local check = require "taskflow.utils.check"
local exceptions = require "taskflow.exceptions"
local flow = require "taskflow.flow"
local links = require "taskflow.patterns.links"
local place = require "taskflow.utils.place"
local text = require "taskflow.utils.text"

local CYCLE = "No path through the node(s) in the graph produces an ordering that will allow for logical edge traversal"

---How far a decider's "no" reaches.
local DEPTHS = { ATOM = 0, NEIGHBORS = 1, FLOW = 2, ALL = 3 }

-- Children are known to each other by their numbers in _nodes. A graph keeps: _links between them
-- (taskflow.patterns.links); _said[link] = { reasons, manual, decider, depth, title, where }, nothing for a link by
-- hand of which there is no more to be said; _provided[symbol] = providers; _wanted[symbol] = nodes that need it and
-- have no provider yet.
local function init(self)
  self._links, self._said = links.new(), {}
  self._provided, self._wanted, self._journal = {}, {}, { n = 0 }
  self._changed = setmetatable({}, { __mode = "k" })
  for _, name in ipairs(self.retry and self.retry.provides or {}) do
    self._provided[name] = { self.retry }
  end
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
  return self._links:search(self._known[node], true, function(before)
    return contains(self._nodes[before].provides, symbol)
  end)
end

-- Every change is noted with what was there before, so that a rejected addition leaves no trace: table, key, value, one
-- after the other. A flow has one journal, made once. Without a journal nothing can go wrong any more.
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

-- What a link by hand says, if it has no decider.
local BY_HAND = { manual = true, depth = DEPTHS.ALL }

-- What is said of a link, to be added to.
local function say(self, journal, link, new)
  local said = self._said[link]
  if not said then
    said = { reasons = {}, manual = not new or nil }
    assign(journal, self._said, link, said)
  end
  return said
end

-- Link two children, keeping what an existing link says. What it refuses, it refuses before it changes anything.
local function connect(self, journal, from, to, data)
  local first, last = self._known[from], self._known[to]
  local link = self._links:find(first, last)
  local new = not link
  if not link then
    if self._links:closes_cycle(first, last) then
      fail_cycle(self, from, to)
    end
    link = self._links:add(first, last)
  end
  if data == BY_HAND and (new or not self._said[link]) then
    return
  end
  local said = say(self, journal, link, new)
  if data.reason then
    assign(journal, said.reasons, data.reason, true)
  end
  if data.manual then
    assign(journal, said, "manual", true)
  end
  if data.decider then
    self._decides = true
    assign(journal, said, "decider", data.decider)
    assign(journal, said, "depth", data.depth)
    assign(journal, said, "title", data.title)
    assign(journal, said, "where", data.where)
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
  assign(journal, self._nodes, self._count + 1, nil)
  assign(journal, self, "_count", self._count)
  if flow.is_flow(node) then
    assign(journal, node._parents, self, nil)
  end
  flow.attach(self, node)
  self._links:add_child(self._count)
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
  local count = self._links.count
  local ok, err = pcall(f, self, journal, ...)
  if not ok then
    undo(journal)
    self._links:drop_to(count)
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
  if flow.is_one_task(...) then
    local node = ...
    if not node.requires[1] and not node.provides[1] then -- it has nothing to do with any other
      if not self._known[node] then
        attach(self, nil, node)
        self._order = nil
        flow.touch(self)
      end
      return self
    end
  end
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

-- The numbers of children that take part, as a set; nil: all do. A targeted flow leaves some out.
local function active(self)
  if self._target == nil then
    return nil
  end
  local keep = { [self._known[self._target]] = true }
  self._links:search(self._known[self._target], true, function(child)
    keep[child] = true
  end)
  return keep
end

---Children, in an order in which each comes after those that it needs.
---@return (taskflow.Task|taskflow.Flow)[]
function methods:nodes()
  if not self._order then
    local order = {}
    self._numbers = self._links:topological(self._count, active(self))
    for i, child in ipairs(self._numbers) do
      order[i] = self._nodes[child]
    end
    self._order = order
  end
  return self._order
end

---Links between children.
---@return { from: any, to: any, decider: function?, depth: integer?, manual: boolean?, reasons: table }[]
function methods:links()
  local all, keep, out = self._links, active(self), {}
  for link = 1, all.count do
    local from, to = all.from[link], all.to[link]
    if not keep or (keep[from] and keep[to]) then
      local said = self._said[link] or { manual = true, reasons = {} }
      out[#out + 1] = {
        from = self._nodes[from],
        to = self._nodes[to],
        reasons = said.reasons,
        manual = said.manual,
        decider = said.decider,
        depth = said.depth,
        title = said.title,
        where = said.where,
      }
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
