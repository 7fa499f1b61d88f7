-- Links between the children of a graph flow, which are numbers here, from 1. A graph may have a million of them: a
-- link is a number, too, and its ends, and the way through the links of each child, are in lists of numbers.
local M = {}

---@class taskflow.Links
---@field count integer links are numbered from 1 to this, in order of adding
---@field from integer[] by link: a child
---@field to integer[] by link: the child that comes after it
---@field out integer[] by child: the last link from it, or 0
---@field into integer[] by child: the last link to it, or 0
---@field next_out integer[] by link: the one that was added before it with the same `from`, or 0
---@field next_into integer[] by link: the one that was added before it with the same `to`, or 0
---@field package _pairs table<integer, integer>? from * PAIR + to -> link, once some child has many
local Links = {}
Links.__index = Links

local PAIR = 2 ^ 26 -- more than there are children
local MANY = 16 -- links of a child, to be looked through one by one

---No children, no links.
---@return taskflow.Links
function M.new()
  return setmetatable({ count = 0, from = {}, to = {}, out = {}, into = {}, next_out = {}, next_into = {} }, Links)
end

---A new child, without links.
---@param child integer the number after the last one
function Links:add_child(child)
  self.out[child], self.into[child] = 0, 0
end

local function make_pairs(self)
  local known = {}
  for link = 1, self.count do
    known[self.from[link] * PAIR + self.to[link]] = link
  end
  self._pairs = known
  return known
end

---The link between two children.
---@param from integer
---@param to integer
---@return integer? link nil if there is none
function Links:find(from, to)
  local out, into = self.out[from], self.into[to]
  for _ = 1, MANY do
    if out == 0 or into == 0 then
      return nil
    elseif self.to[out] == to then
      return out
    elseif self.from[into] == from then
      return into
    end
    out, into = self.next_out[out], self.next_into[into]
  end
  return (self._pairs or make_pairs(self))[from * PAIR + to]
end

---A link that there is not yet.
---@param from integer
---@param to integer
---@return integer link
function Links:add(from, to)
  local link = self.count + 1
  self.count = link
  self.from[link], self.to[link] = from, to
  self.next_out[link], self.next_into[link] = self.out[from], self.into[to]
  self.out[from], self.into[to] = link, link
  if self._pairs then
    self._pairs[from * PAIR + to] = link
  end
  return link
end

---Take back the last links, until so many are left.
---@param count integer
function Links:drop_to(count)
  for link = self.count, count + 1, -1 do
    self.out[self.from[link]], self.into[self.to[link]] = self.next_out[link], self.next_into[link]
    self.from[link], self.to[link], self.next_out[link], self.next_into[link] = nil, nil, nil, nil
  end
  self.count, self._pairs = count, nil
end

---Visit the children before or after one, the nearest first, until `visit` returns true. The child itself is visited if
---it is on a cycle.
---@param child integer
---@param back boolean those before it
---@param visit fun(child: integer): boolean?
---@return boolean whether `visit` returned true
function Links:search(child, back, visit)
  local first, following, ends = self.out, self.next_out, self.to
  if back then
    first, following, ends = self.into, self.next_into, self.from
  end
  if first[child] == 0 then
    return false
  end
  local queue, seen, n, at = { child }, {}, 1, 1
  while at <= n do
    local link = first[queue[at]]
    while link ~= 0 do
      local other = ends[link]
      if not seen[other] then
        seen[other] = true
        if visit(other) then
          return true
        end
        n = n + 1
        queue[n] = other
      end
      link = following[link]
    end
    at = at + 1
  end
  return false
end

---Whether a link would close a cycle.
---@param from integer
---@param to integer
---@return boolean
function Links:closes_cycle(from, to)
  -- Only children with links on both sides can be on one.
  return from == to
    or self.out[to] ~= 0
      and self.into[from] ~= 0
      and self:search(to, false, function(child)
        return child == from
      end)
end

-- Children that were found in any order, by rising number.
local function sort(list, count)
  for i = 1, math.floor(count / 2) do -- links are found the last one first: most are the other way round
    list[i], list[count + 1 - i] = list[count + 1 - i], list[i]
  end
  for i = 2, count do
    if list[i] < list[i - 1] then
      for k = #list, count + 1, -1 do -- what is left of an earlier list
        list[k] = nil
      end
      table.sort(list)
      return
    end
  end
end

---Children of which all that come before are first; otherwise in order of their numbers.
---@param children integer how many there are
---@param keep table<integer, true>? those that take part, default: all
---@return integer[]
function Links:topological(children, keep)
  local waiting, order, free, n = {}, {}, {}, 0
  for child = 1, children do
    waiting[child] = 0
  end
  for link = 1, self.count do
    local to = self.to[link]
    if not keep or (keep[self.from[link]] and keep[to]) then
      waiting[to] = waiting[to] + 1
    end
  end
  for child = 1, children do
    if waiting[child] == 0 and (not keep or keep[child]) then
      n = n + 1
      order[n] = child
    end
  end
  local at = 1
  while at <= n do
    local count, link = 0, self.out[order[at]]
    while link ~= 0 do
      local to = self.to[link]
      if not keep or keep[to] then
        waiting[to] = waiting[to] - 1
        if waiting[to] == 0 then
          count = count + 1
          free[count] = to
        end
      end
      link = self.next_out[link]
    end
    sort(free, count)
    for i = 1, count do
      order[n + i] = free[i]
    end
    n = n + count
    at = at + 1
  end
  return order
end

return M
