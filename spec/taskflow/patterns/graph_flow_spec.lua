local exceptions = require "taskflow.exceptions"
local gf = require "taskflow.patterns.graph_flow"
local lf = require "taskflow.patterns.linear_flow"
local retry = require "taskflow.retry"
local task = require "taskflow.task"

local function ref(name, requires, provides)
  return task.Reference("m:" .. name, { name = name, requires = requires, provides = provides })
end

local function names(nodes)
  local out = {}
  for i, node in ipairs(nodes) do
    out[i] = node.name
  end
  return table.concat(out, " ")
end

local function links(flow)
  local out = {}
  for i, link in ipairs(flow:links()) do
    out[i] = link.from.name .. ">" .. link.to.name
  end
  table.sort(out)
  return table.concat(out, " ")
end

local function failing(...)
  local ok, err = pcall(...)
  assert.is_false(ok)
  assert.is_true(exceptions.is_exception(err))
  return err.class.short .. ": " .. err.message
end

describe("taskflow.patterns.graph_flow", function()
  it("links by symbols, whatever the order of adding", function()
    local f = gf.Flow("f"):add(ref("c", { "x", "y" }), ref("b", "x", "y"))
    assert.same({ "x" }, f.requires)
    f:add(ref("a", nil, "x"))
    assert.equal("a>b a>c b>c", links(f))
    assert.equal("a b c", names(f:nodes()))
    assert.same({}, f.requires)
  end)

  it("lets a chain of predecessors supply a symbol", function()
    local a, b = ref("a", nil, "x"), ref "b"
    local f = gf.Flow("f"):add(a, b)
    local c = ref("c", "x")
    f:add(c, { resolve_requires = false })
    f:link(a, b):link(b, c)
    assert.same({}, f.requires)
    f:add(ref("d", nil, "x"))
    assert.equal("a>b b>c", links(f)) -- c has its x already
  end)

  it("refuses to choose between providers, and leaves no trace", function()
    local f = gf.Flow("f"):add(ref("b", nil, "x"), ref("a", nil, "x"))
    assert.equal(
      "AmbiguousDependency: Resolution error detected when adding 'c', multiple providers ['a', 'b'] found for "
        .. "required symbol 'x' (flow 'f')",
      failing(f.add, f, ref("z", nil, "w"), ref("c", { "w", "x" }))
    )
    assert.equal("b a", names(f:nodes()))
    assert.equal("", links(f))
    assert.same({ "x" }, f.provides)
    -- the rejected provider of w is not remembered
    f:add(ref("d", "w"))
    assert.same({ "w" }, f.requires)
  end)

  it("the first provider wins for nodes that wait", function()
    local f = gf.Flow("f"):add(ref("c", "x")):add(ref("a", nil, "x")):add(ref("b", nil, "x"))
    assert.equal("a>c", links(f))
  end)

  it("rejects cycles, by symbols and by hand, and undoes the addition", function()
    local a, b, c = ref("a", "z", "x"), ref("b", "x", "y"), ref "c"
    local f = gf.Flow("f"):add(a, b, c)
    f:link(b, c)
    local cycle = "DependencyFailure: No path through the node(s) in the graph produces an ordering that will allow "
      .. "for logical edge traversal"
    assert.equal(cycle, failing(f.link, f, c, a):sub(1, #cycle))
    assert.equal(cycle, failing(f.link, f, a, a):sub(1, #cycle))
    assert.equal(cycle, failing(f.add, f, ref("d", "y", "z")):sub(1, #cycle))
    assert.equal("a>b b>c", links(f))
    assert.equal("a b c", names(f:nodes()))
    f:add(ref("e", nil, "z")) -- a still waits for z
    assert.equal("a>b b>c e>a", links(f))
  end)

  it("takes symbols of its retry from nobody else", function()
    local f = gf.Flow("f", { retry = retry.Times(2, { provides = "n" }) }):add(ref("b", "n"), ref("a", nil, "n"))
    assert.equal("", links(f))
    assert.same({}, f.requires)
  end)

  it("links by hand, with deciders", function()
    local a, b = ref "a", ref "b"
    local f = gf.Flow("f"):add(a, b)
    local function yes()
      return true
    end
    f:link(a, b, yes, "neighbors")
    assert.equal(yes, f:links()[1].decider)
    assert.equal(1, f:links()[1].depth)
    f:link(a, b) -- keeps the rest of the link
    assert.equal(yes, f:links()[1].decider)
    f:link(a, b, { decider = yes })
    assert.equal(3, f:links()[1].depth)
    assert.equal(1, #f:links())
    assert.equal(
      "ValueError: link from 'a' to 'b' (flow 'f'): Decider boolean callback must be callable, not a number",
      failing(f.link, f, a, b, 3)
    )
    assert.equal(
      "ValueError: link from 'a' to 'b' (flow 'f'): Decider depth requires a decider to be provided along with it",
      failing(f.link, f, a, b, nil, "ALL")
    )
    assert.truthy(failing(f.link, f, a, b, yes, "deep"):find "unknown decider depth 'deep'")
    assert.equal("ValueError: Node 'x' not found to link to (flow 'f')", failing(f.link, f, a, ref "x"))
    assert.equal("ValueError: Node 'nobody' not found to link from (flow 'f')", failing(f.link, f, "nobody", a))
  end)

  it("sees what is added to a subflow later", function()
    local inner = lf.Flow("inner"):add(ref("i", "p"))
    local f = gf.Flow("f"):add(inner)
    inner:add(ref("j", "q", "r"))
    f:add(ref("a", nil, "q"), ref("b", "r"))
    assert.equal("a>inner inner>b", links(f))
    assert.same({ "p" }, f.requires)
  end)

  it("may be nested deep, in any pattern", function()
    local flow = lf.Flow("f"):add(ref("t", "p", "q"))
    for i = 1, 2000 do
      flow = (i % 2 == 0 and gf or lf).Flow("f" .. i):add(flow)
    end
    assert.same({ "p" }, flow.requires)
    assert.same({ "q" }, flow.provides)
  end)

  it("checks the options of add", function()
    local f = gf.Flow "f"
    assert.truthy(failing(f.add, f, ref "a", { resolve_require = false }):find "did you mean 'resolve_requires'")
    f:add(ref("b", "x"))
    f:add(ref("a", nil, "x"), { resolve_existing = false })
    assert.equal("", links(f))
  end)

  it("links a long chain in reverse without going quadratic in memory or stack", function()
    local f = gf.Flow "f"
    for i = 2000, 1, -1 do
      f:add(ref("t" .. i, i > 1 and "s" .. (i - 1) or nil, "s" .. i))
    end
    assert.equal(2000, f:len())
    assert.equal("t1", f:nodes()[1].name)
    assert.equal("t2000", f:nodes()[2000].name)
  end)

  describe("TargetedFlow", function()
    it("keeps the target and what leads to it", function()
      local a, b, c, d = ref("a", nil, "x"), ref("b", "x", "y"), ref("c", "x"), ref("d", "y")
      local f = gf.TargetedFlow("f"):add(a, b, c, d)
      f:set_target(b)
      assert.equal("a b", names(f:nodes()))
      assert.equal("a>b", links(f))
      assert.equal('"graph_flow.TargetedFlow: f(len=2)"', tostring(f))
      f:add(ref("e", nil, "x2"))
      assert.equal("a b", names(f:nodes()))
      f:reset_target()
      assert.equal(5, f:len())
      assert.equal("ValueError: Node 'q' not found (flow 'f')", failing(f.set_target, f, ref "q"))
    end)
  end)
end)
