-- Links of a graph flow, beside sets of pairs.
local links = require "taskflow.patterns.links"

local CHILDREN = 40

local function children()
  local l = links.new()
  for child = 1, CHILDREN do
    l:add_child(child)
  end
  return l
end

-- Some links, the same each time; a few children have very many.
local function random(seed, count)
  local l, known = children(), {}
  local function draw(n)
    seed = (seed * 16807) % 2147483647
    return seed % n + 1
  end
  for _ = 1, count do
    local from, to = draw(CHILDREN), draw(draw(2) == 1 and 3 or CHILDREN)
    local key = from .. ">" .. to
    local link = l:find(from, to)
    assert.equal(known[key], link)
    if not link and from ~= to then
      known[key] = l:add(from, to)
    end
  end
  return l, known
end

local function agrees(l, known)
  for from = 1, CHILDREN do
    for to = 1, CHILDREN do
      assert.equal(known[from .. ">" .. to], l:find(from, to))
    end
  end
end

describe("links", function()
  it("are found, also of children with very many", function()
    for seed = 1, 5 do
      agrees(random(seed, 600))
    end
  end)

  it("are taken back from the last one on", function()
    local l, known = random(7, 500)
    for count = l.count, 0, -37 do
      l:drop_to(count)
      for key, link in pairs(known) do
        known[key] = link <= count and link or nil
      end
      agrees(l, known)
    end
  end)

  it("close a cycle where a way leads back", function()
    local l = children()
    l:add(1, 2)
    l:add(2, 3)
    assert.is_true(l:closes_cycle(3, 1))
    assert.is_true(l:closes_cycle(5, 5))
    assert.is_false(l:closes_cycle(1, 3))
    assert.is_false(l:closes_cycle(4, 1))
    local met = {}
    assert.is_false(l:search(3, true, function(child)
      met[#met + 1] = child
    end))
    assert.same({ 2, 1 }, met)
  end)

  it("order children: by what comes before, else by number, and without those that take no part", function()
    local l = children()
    for to = 39, 2, -1 do
      l:add(40, to)
    end
    l:add(3, 2)
    local order = l:topological(CHILDREN)
    assert.equal(CHILDREN, #order)
    assert.same({ 1, 40, 3, 4, 5 }, { unpack(order, 1, 5) })
    assert.equal(2, order[CHILDREN])
    assert.same({ 3, 7, 2 }, l:topological(CHILDREN, { [2] = true, [3] = true, [7] = true }))
  end)
end)
