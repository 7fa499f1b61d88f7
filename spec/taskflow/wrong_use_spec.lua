-- Flows that cannot work: the error names the atom, the flow, and the file and line of the script.
local engines = require "taskflow.engines"
local gf = require "taskflow.patterns.graph_flow"
local lf = require "taskflow.patterns.linear_flow"
local retry = require "taskflow.retry"
local task = require "taskflow.task"
local uf = require "taskflow.patterns.unordered_flow"
local values = require "taskflow.values"

local FILE = debug.getinfo(1, "S").short_src

local function line()
  return debug.getinfo(2, "l").currentline
end

local Step = task.Task {
  execute = function(_self) end,
}
local Needy = task.Task {
  execute = function(_self, x) -- luacheck: ignore x
  end,
}
local Bad = task.Task {
  execute = function(_self)
    error("boom", 0)
  end,
}

-- What `f` raises: an error that has all the words, and the line of this file.
local function refused(f, where, ...)
  local ok, err = pcall(f)
  assert.is_false(ok)
  local text = tostring(err)
  for _, word in ipairs { ... } do
    assert.is_truthy(text:find(word, 1, true), ("'%s' is not in: %s"):format(word, text))
  end
  local place = ("%s:%d"):format(FILE, where)
  assert.is_truthy(text:find(place .. "%f[%D]"), ("'%s' is not in: %s"):format(place, text))
  return err
end

local function run(flow)
  return function()
    local engine = engines.load(flow)
    engine:run()
  end
end

describe("a decider", function()
  local answers = { { "a number", 1 }, { "'yes'", "yes" }, { "nil" }, { "null", values.null }, { "a table", {} } }
  for _, answer in ipairs(answers) do
    it("that returns " .. answer[1] .. " ends the flow", function()
      local a, b = Step { name = "a" }, Step { name = "b" }
      local flow, at = gf.Flow("choosing"):add(a, b), line() + 1
      flow:link(a, b, function() return answer[2] end)
      local engine = engines.load(flow)
      local err = refused(function()
        engine:run()
      end, at, "link from 'a' to 'b'", "flow 'choosing'", "must return true or false, not " .. answer[1])
      assert.is_true(err:is "TypeError")
      assert.equal(('  File "%s", line %d, in decider\n'):format(FILE, at), engine:failures()[1].traceback_str)
      assert.equal("FAILURE", engine.storage:get_flow_state())
      assert.equal("SUCCESS", engine.storage:get_atom_state "a")
    end)
  end

  it("that is no function, or has a depth that there is not", function()
    local a, b = Step { name = "a" }, Step { name = "b" }
    local flow = gf.Flow("choosing"):add(a, b)
    local where = { "link from 'a' to 'b'", "flow 'choosing'" }
    local at = line() + 2
    refused(function()
      flow:link(a, b, true)
    end, at, unpack(where))
    at = line() + 2
    refused(function()
      flow:link(a, b, nil, "ATOM")
    end, at, "Decider depth requires a decider", unpack(where))
    at = line() + 2
    refused(function()
      flow:link(a, b, function() return true end, "ATOMS")
    end, at, "unknown decider depth 'ATOMS'", unpack(where))
  end)
end)

describe("a retry", function()
  for _, answer in ipairs { { "'PANIC'", "PANIC" }, { "nil" }, { "a boolean", true }, { "a function", print } } do
    it("that answers " .. answer[1] .. " ends the flow", function()
      local at = line() + 3
      local Wrong = retry.Retry {
        execute = function(_self) end,
        on_failure = function(_self) return answer[2] end,
      }
      local engine = engines.load(lf.Flow("calls", { retry = Wrong { name = "again" } }):add(Bad { name = "t" }))
      local err = refused(function()
        engine:run()
      end, at, "strategy " .. answer[1], "on_failure of retry 'again'", "flow 'calls'")
      assert.is_true(err:is "ValueError")
      assert.equal(('  File "%s", line %d, in on_failure\n'):format(FILE, at), engine:failures()[1].traceback_str)
      assert.equal("FAILURE", engine.storage:get_flow_state())
      assert.equal("FAILURE", engine.storage:get_atom_state "t")
    end)
  end

  it("that raises in on_failure ends the flow with that error", function()
    local Raising = retry.Retry {
      execute = function(_self) end,
      on_failure = function(_self)
        error("no idea", 0)
      end,
    }
    local engine = engines.load(lf.Flow("calls", { retry = Raising { name = "again" } }):add(Bad { name = "t" }))
    local ok, err = pcall(engine.run, engine)
    assert.is_false(ok)
    assert.equal("no idea", err)
    assert.equal("FAILURE", engine.storage:get_flow_state())
  end)

  -- As TaskFlow does: a run that takes failures up ends with the first that nobody can resolve.
  it("that raises when the next run asks it again is asked once, and nothing else is changed", function()
    local asked = 0
    local Raising = retry.Retry {
      execute = function(_self) end,
      on_failure = function(_self)
        asked = asked + 1
        error("no idea", 0)
      end,
    }
    local flow = uf.Flow("calls", { retry = Raising { name = "again" } })
    local engine = engines.load(flow:add(Bad { name = "s" }, Bad { name = "t" }))
    local _, both = pcall(engine.run, engine)
    assert.is_true(both:is "WrappedFailure")
    assert.equal(2, asked)
    local states = engine.storage:get_atoms_states()
    local _, one = pcall(engine.run, engine)
    assert.equal("no idea", one)
    assert.equal(3, asked)
    assert.same(states, engine.storage:get_atoms_states())
    assert.equal("FAILURE", engine.storage:get_flow_state())
  end)

  it("of two flows", function()
    local r = retry.Times(2, { name = "r" })
    local at = line() + 1
    local inner = lf.Flow("inner", { retry = r })
    local flow = lf.Flow("outer", { retry = r }):add(inner)
    refused(run(flow), at, "'r'", "'inner'", "'outer'")
  end)
end)

describe("a cycle", function()
  it("through flows in each other", function()
    local at = line() + 1
    local a, b, c = lf.Flow "a", gf.Flow "b", uf.Flow "c"
    a:add(b)
    b:add(c)
    c:add(a)
    refused(run(a), at, "'a'", "'c'", "can be added only once")
  end)

  it("through what tasks of nested flows exchange", function()
    local x = task.Task { name = "x", default_provides = "b", execute = function(_self, a) return a end }
    local y = task.Task { name = "y", default_provides = "a", execute = function(_self, b) return b end }
    local first, second = lf.Flow("first"):add(x {}), lf.Flow("second"):add(y {})
    local flow = gf.Flow "both"
    local at = line() + 2
    local err = refused(function()
      flow:add(first, second)
    end, at, "flow 'both'", "'first'", "'second'", "closes a cycle")
    assert.is_true(err:is "DependencyFailure")
    assert.equal(0, flow:len())
  end)

  it("by hand", function()
    local a, b, c = Step { name = "a" }, Step { name = "b" }, Step { name = "c" }
    local flow = gf.Flow("round"):add(a, b, c):link(a, b):link(b, c)
    local at = line() + 2
    refused(function()
      flow:link(c, a)
    end, at, "flow 'round'", "'c' -> 'a'")
  end)
end)

describe("a requirement", function()
  it("that no one provides", function()
    local at = line() + 1
    local flow = lf.Flow("outer"):add(lf.Flow("inner"):add(Needy { name = "needy" }))
    local err = refused(run(flow), at, "needy", "requires ['x']", "flow 'inner'", "outer")
    assert.is_true(err:is "MissingDependencies")
  end)

  it("that is provided later, or by a sibling without order", function()
    local Giving = task.Task { default_provides = "x", execute = function(_self) return 1 end }
    local at = line() + 1
    refused(run(lf.Flow("f"):add(Needy { name = "needy" }, Giving { name = "giving" })), at, "needy", "flow 'f'")
    at = line() + 1
    refused(run(uf.Flow("f"):add(Giving { name = "giving" }, Needy { name = "needy" })), at, "needy", "flow 'f'")
  end)

  it("of a revert", function()
    local T = task.Task {
      execute = function(_self) end,
      revert = function(_self, gone) end, -- luacheck: ignore gone
    }
    local at = line() + 1
    refused(run(lf.Flow("f"):add(T { name = "t" })), at, "'revert' method on", "t==1.0", "['gone']", "flow 'f'")
  end)

  it("with several providers in a graph", function()
    local Giving = task.Task { default_provides = "x", execute = function(_self) return 1 end }
    local flow = gf.Flow("g"):add(Giving { name = "a" }, Giving { name = "b" })
    local at = line() + 2
    local err = refused(function()
      flow:add(Needy { name = "needy" })
    end, at, "'needy'", "['a', 'b']", "'x'", "flow 'g'")
    assert.is_true(err:is "AmbiguousDependency")
  end)
end)

describe("a name", function()
  it("of two atoms", function()
    local first = line() + 1
    local inner = lf.Flow("inner"):add(Step { name = "same" })
    local flow, second = lf.Flow("outer"):add(inner, Step { name = "same" }), line()
    local err = refused(run(flow), first, "'same'", "flow 'inner'", "flow 'outer'")
    refused(run(flow), second, "'same'")
    assert.is_true(err:is "Duplicate")
  end)

  it("of a retry and a task", function()
    local at = line() + 1
    local flow = lf.Flow("f", { retry = retry.Times(1, { name = "same" }) }):add(Step { name = "same" })
    refused(run(flow), at, "'same'", "flow 'f'")
  end)

  it("that is empty", function()
    local at = line() + 1
    local flow = lf.Flow("f"):add(Step { name = "" })
    refused(run(flow), at, "empty name", "flow 'f'")
  end)
end)

describe("an object", function()
  it("in two flows", function()
    local at = line() + 1
    local a = Step { name = "a" }
    local flow = lf.Flow("outer"):add(lf.Flow("inner"):add(a), a)
    refused(run(flow), at, "Already compiled item 'a'", "'inner'", "'outer'")
    local g = lf.Flow("g"):add(Step { name = "b" })
    flow = lf.Flow("outer"):add(lf.Flow("one"):add(g), lf.Flow("two"):add(g))
    refused(run(flow), at + 3, "Already compiled item 'g'", "'one'", "'two'")
  end)

  it("that is no task", function()
    local flow = lf.Flow "f"
    local at = line() + 2
    refused(function()
      flow:add(Step)
    end, at, "flow 'f'", "task class", "Class { name = ... }")
    at = line() + 2
    refused(function()
      flow:add(retry.Times(1))
    end, at, "flow 'f'", "retry controller")
    at = line() + 2
    refused(function()
      flow:add { no = "task" }
    end, at, "flow 'f'", "cannot add a table")
  end)
end)

describe("a link", function()
  it("of what is not in the flow", function()
    local a, b = Step { name = "a" }, Step { name = "b" }
    local flow = gf.Flow("f"):add(a)
    local at = line() + 2
    refused(function()
      flow:link(a, b)
    end, at, "Node 'b' not found to link to", "flow 'f'")
    at = line() + 2
    refused(function()
      flow:link(b, a)
    end, at, "Node 'b' not found to link from", "flow 'f'")
    at = line() + 2
    refused(function()
      flow:link(a)
    end, at, "Node 'nil' not found to link to", "flow 'f'")
  end)

  it("target that is not in the flow", function()
    local flow, b = gf.TargetedFlow("f"):add(Step { name = "a" }), Step { name = "b" }
    local at = line() + 2
    refused(function()
      flow:set_target(b)
    end, at, "Node 'b' not found", "flow 'f'")
  end)
end)

describe("arguments of a task", function()
  local function made(options, ...)
    local at = line() + 2
    refused(function()
      local _ = Needy(options)
    end, at, "needy", ...)
  end

  it("too many, too few", function()
    made({ name = "needy", requires = "y" }, "Extra arguments given to atom needy: ['y']")
    made({ name = "needy", rebind = { "a", "b" } }, "Extra arguments given to atom needy: ['b']")
    made({ name = "needy", auto_extract = false }, "Missing arguments for atom needy: ['x']")
  end)

  it("of wrong types", function()
    made({ name = "needy", provides = 3 }, "provides")
    made({ name = "needy", provides = { x = "y" } }, "provides")
    made({ name = "needy", provides = { "x", "x" } }, "provides", "'x' is named twice")
    made({ name = "needy", requires = { 1 } }, "requires")
    made({ name = "needy", rebind = "x" }, "rebind")
    made({ name = "needy", rebind = { x = 1 } }, "rebind")
    made({ name = "needy", inject = "x" }, "inject")
    made({ name = "needy", inject = { 1 } }, "inject")
    made({ name = "needy", optional = { "z" } }, "optional", "unknown parameter 'z'")
    made({ name = "needy", version = "new" }, "version")
    made({ name = "needy", priority = "high" }, "priority")
  end)
end)
