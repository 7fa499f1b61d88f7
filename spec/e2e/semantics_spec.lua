-- The worked examples of what flows mean, on the three engines: results and provides, hooks, deciders, lookup of
-- names, what run raises, suspending, running again. The sequences of events are in sequences_spec.lua.
local exceptions = require "taskflow.exceptions"
local retry = require "taskflow.retry"
local sequences = require "sequences"
local task = require "taskflow.task"
local values = require "taskflow.values"

local step, linear, unordered, graph = sequences.step, sequences.linear, sequences.unordered, sequences.graph
local hooked = sequences.hooked

local function never()
  return false
end

-- Raises NotFound, as nothing provides it.
local function assert_missing(engine, name)
  local ok, err = pcall(engine.storage.fetch, engine.storage, name)
  assert.is_false(ok, name)
  assert.is_true(err:is(exceptions.NotFound), tostring(err))
end

-- ---- results and provides ----

-- provides, result, named results
local PROVIDES = {
  { "x", { 1, 2 }, { x = { 1, 2 } } },
  { { "x", "y" }, { 1, 2 }, { x = 1, y = 2 } },
  { { "x", "y" }, { 1 }, { x = 1 } },
  { { "x" }, { 1, 2, 3 }, { x = 1 } },
  { task.set { "x", "y" }, { x = 1, y = 2, z = 3 }, { x = 1, y = 2 } },
  { task.set { "x", "y" }, { x = 1 }, { x = 1 } },
  { { "x", "y" }, nil, {} },
  { { "x", "y" }, "ab", { x = "a", y = "b" } },
  { { "x", "y" }, 12, {} },
}

local RESULTS = {}
for i, row in ipairs(PROVIDES) do
  RESULTS[i] = {
    ("provides, row %d: %s"):format(i, values.encode(row[2])),
    flow = function()
      return linear("f", nil, step("a", { provides = row[1], result = row[2] }))
    end,
    events = "...; flow SUCCESS",
    results = row[3],
    check = function(run)
      for _, name in ipairs { "x", "y", "z" } do
        if row[3][name] == nil then
          assert_missing(run.engine, name)
        end
      end
    end,
  }
end

RESULTS[#RESULTS + 1] = {
  "who needs what a result falls short of is not run",
  flow = function()
    local a = step("a", { provides = { "x", "y" }, result = values.list { 1 } })
    return linear("f", nil, a, step("b", { requires = "x" }), step("c", { requires = "y" }))
  end,
  events = "...; X b(x=1); task b SUCCESS; task c RUNNING; flow FAILURE",
  raises_like = "NotFound: .*'c'.*'y'",
}

sequences.describe("results", RESULTS)

-- ---- hooks ----

sequences.describe("hooks", {
  {
    "surround the methods",
    flow = function()
      return linear("f", nil, hooked "a", step("b", { fails = true }))
    end,
    events = "flow RUNNING; task a RUNNING; pre_execute a; execute a; post_execute a; task a SUCCESS; ...; "
      .. "task a REVERTING; pre_revert a; revert a; post_revert a; task a REVERTED; flow REVERTED",
    raises = "RuntimeError: boom-b",
  },
  {
    "come after a method that raises",
    flow = function()
      return linear("f", nil, hooked("a", true))
    end,
    events = "...; pre_execute a; execute a; post_execute a; task a FAILURE; ...; flow REVERTED",
    raises = "RuntimeError: boom in execute",
  },
  {
    "fail the task when they raise before it",
    flow = function()
      return linear("f", nil, hooked "pre_execute")
    end,
    events = "...; pre_execute pre_execute; post_execute pre_execute; task pre_execute FAILURE; ...; flow REVERTED",
    raises = "RuntimeError: boom in pre_execute",
  },
  {
    "fail the task when they raise after it, too",
    flow = function()
      return linear("f", nil, step "a", hooked "post_execute")
    end,
    events = "...; post_execute post_execute; task post_execute FAILURE; ...; R a; task a REVERTED; flow REVERTED",
    raises = "RuntimeError: boom in post_execute",
  },
  {
    "fail a revert",
    flow = function()
      return linear("f", nil, hooked "pre_revert", step("b", { fails = true }))
    end,
    events = "...; pre_revert pre_revert; post_revert pre_revert; task pre_revert REVERT_FAILURE; flow FAILURE",
    raises = "RuntimeError: boom in pre_revert",
  },
  {
    "fail a revert after it",
    flow = function()
      return linear("f", nil, hooked "post_revert", step("b", { fails = true }))
    end,
    events = "...; revert post_revert; post_revert post_revert; task post_revert REVERT_FAILURE; flow FAILURE",
    raises = "RuntimeError: boom in post_revert",
  },
})

-- ---- deciders ----

local DECIDERS = {}

-- a -> b -> c, c -> d, c -> sub(s1, s2), no at a -> b: depth, what is ignored besides
for depth, ignored in pairs {
  ALL = "b c d s1 s2",
  FLOW = "b c d",
  NEIGHBORS = "b c",
  ATOM = "b",
} do
  DECIDERS[#DECIDERS + 1] = {
    depth .. " from a task",
    flow = function()
      local a, b, c, d = step "a", step "b", step "c", step "d"
      local sub = linear("sub", nil, step "s1", step "s2")
      local f = graph("f", nil, a, b, c, d, sub)
      return f:link(a, b, never, depth):link(b, c):link(c, d):link(c, sub)
    end,
    events = "...; flow SUCCESS",
    ignored = ignored,
  }
end

-- a -> sub(s1, s2) -> z, no at a -> sub
for depth, ignored in pairs { ALL = "s1 s2 z", FLOW = "s1 s2", ATOM = "s1" } do
  DECIDERS[#DECIDERS + 1] = {
    depth .. " into a flow",
    flow = function()
      local a, z, sub = step "a", step "z", linear("sub", nil, step "s1", step "s2")
      return graph("f", nil, a, sub, z):link(a, sub, never, depth):link(sub, z)
    end,
    events = "...; flow SUCCESS",
    ignored = ignored,
  }
end

for _, sequence in ipairs(DECIDERS) do
  sequence.check = function(run)
    local found = {}
    for name, state in pairs(run.engine.storage:get_atoms_states()) do
      if state[1] == "IGNORE" then
        found[#found + 1] = name
        assert.equal("IGNORE", state[2])
      else
        assert.equal("SUCCESS", state[1])
      end
    end
    table.sort(found)
    assert.equal(sequence.ignored, table.concat(found, " "))
  end
end

local asked

local function more(sequence)
  DECIDERS[#DECIDERS + 1] = sequence
end

more {
  "into a flow with a controller ignore that",
  flow = function()
    local a, sub = step "a", linear("sub", { retry = retry.Times(2, { name = "r" }) }, step "s1")
    return graph("f", nil, a, sub):link(a, sub, never, "ATOM")
  end,
  events = "...; retry r IGNORE; task s1 RUNNING; X s1; task s1 SUCCESS; flow SUCCESS",
}

more {
  "see the results of all tasks before that decide, and the widest no counts",
  flow = function()
    asked = {}
    local a, b, c, d = step("a", { result = 1 }), step("b", { result = "two" }), step "c", step "d"
    local function decider(answer)
      return function(history)
        asked[#asked + 1] = history
        return answer
      end
    end
    local f = graph("f", nil, a, b, c, d)
    return f:link(a, c, decider(false), "ATOM"):link(b, c, decider(false), "ALL"):link(c, d)
  end,
  events = "...; task c IGNORE; task d IGNORE; flow SUCCESS",
  check = function()
    assert.same({ a = 1, b = "two" }, asked[1])
    assert.same(asked[1], asked[2])
  end,
}

more {
  "of a link from a flow are asked without it",
  flow = function()
    asked = nil
    local sub, b = linear("sub", nil, step "s1"), step "b"
    return graph("f", nil, sub, b):link(sub, b, function(history)
      asked = history
      return true
    end)
  end,
  events = "...; X b; task b SUCCESS; flow SUCCESS",
  check = function()
    assert.same({}, asked)
  end,
}

more {
  "of a source that was ignored are not asked",
  flow = function()
    asked = 0
    local a, b, c = step "a", step "b", step "c"
    return graph("f", nil, a, b, c):link(a, b, never, "ATOM"):link(b, c, function()
      asked = asked + 1
      return false
    end)
  end,
  events = "...; task b IGNORE; task c RUNNING; X c; task c SUCCESS; flow SUCCESS",
  check = function()
    assert.equal(0, asked)
  end,
}

more {
  "that leave out a provider leave its consumer without its input",
  flow = function()
    local a, b, c = step "a", step("b", { provides = "x" }), step("c", { requires = "x" })
    return graph("f", nil, a, b, c):link(a, b, never, "ATOM")
  end,
  events = "...; task b IGNORE; task c RUNNING; flow FAILURE",
  raises_like = "NotFound: .*'c'.*'x'",
}

more {
  "that raise end the flow as it is",
  flow = function()
    local a, b = step "a", step "b"
    return graph("f", nil, a, b):link(a, b, function()
      error(exceptions.OSError "undecided")
    end)
  end,
  events = "...; task a SUCCESS; flow FAILURE",
  raises = "OSError: undecided",
  states = "a SUCCESS/EXECUTE, b PENDING/EXECUTE",
}

sequences.describe("deciders", DECIDERS)

-- ---- lookup of names ----

sequences.describe("names", {
  {
    "the nearest provider before wins",
    flow = function()
      local a, b = step("a", { provides = "x", result = 1 }), step("b", { provides = "x", result = 2 })
      return linear("f", nil, a, b, step("c", { requires = "x" }))
    end,
    events = "...; X c(x=2); ...; flow SUCCESS",
    results = { x = 1 },
    check = function(run)
      assert.same({ x = { 1, 2 } }, run.engine.storage:fetch_all())
    end,
  },
  {
    "of an inner flow, seen from inside and from after it",
    flow = function()
      local i = step("i", { provides = "x", result = "inner" })
      local o = step("o", { provides = "x", result = "outer" })
      local g = linear("g", nil, i, step("c", { requires = "x" }))
      return linear("f", nil, o, g, step("d", { requires = "x" }))
    end,
    events = "...; X c(x=inner); ...; X d(x=inner); ...; flow SUCCESS",
  },
  {
    "the store comes before providers",
    store = { x = "s" },
    flow = function()
      return linear("f", nil, step("a", { provides = "x", result = 1 }), step("c", { requires = "x" }))
    end,
    events = "...; X c(x=s); ...; flow SUCCESS",
    results = { x = "s" },
  },
  {
    "what is injected into an atom comes before the store",
    store = { x = "s" },
    flow = function()
      return linear("f", nil, step("c", { requires = "x", inject = { x = "i" } }), step("d", { requires = "x" }))
    end,
    events = "...; X c(x=i); ...; X d(x=s); ...; flow SUCCESS",
  },
  {
    "of siblings without order the last added is nearer",
    flow = function()
      local a, b = step("a", { provides = "x", result = 1 }), step("b", { provides = "x", result = 2 })
      return linear("f", nil, unordered("u", nil, a, b), step("c", { requires = "x" }))
    end,
    events = "...; X c(x=2); task c SUCCESS; flow SUCCESS",
  },
  {
    "of a failed task fetch as its failure",
    options = { never_resolve = true },
    flow = function()
      return linear("f", nil, step("a", { provides = "x", fails = true }))
    end,
    events = "...; flow FAILURE",
    raises = "RuntimeError: boom-a",
    check = function(run)
      assert.equal("Failure: RuntimeError: boom-a", tostring(run.engine.storage:fetch "x"))
    end,
  },
})

-- ---- running again ----

local function suspend_at(event)
  return function(happened, engine)
    if happened == event then
      engine:suspend()
    end
  end
end

local ONCE = "flow RUNNING; task a RUNNING; X a; task a SUCCESS; flow SUCCESS"

sequences.describe("runs", {
  {
    "after SUCCESS there is nothing to do until a reset",
    flow = function()
      return linear("f", nil, step "a")
    end,
    events = ONCE,
    later = {
      { events = "flow RUNNING; flow SUCCESS" },
      { reset = true, events = "...; flow RUNNING; task a RUNNING; X a; task a SUCCESS; flow SUCCESS" },
    },
  },
  {
    "after REVERTED begin anew",
    flow = function()
      return linear("f", nil, step "a", step("b", { fails = 1 }))
    end,
    events = "...; flow REVERTED",
    raises = "RuntimeError: boom-b",
    later = {
      {
        events = "task a PENDING; task b PENDING; flow PENDING; flow RUNNING; task a RUNNING; X a; task a SUCCESS; "
          .. "task b RUNNING; X b; task b SUCCESS; flow SUCCESS",
      },
    },
  },
  {
    "after a failed revert only end, until a reset",
    flow = function()
      return linear("f", nil, step("a", { revert_fails = true }), step("b", { fails = 1 }))
    end,
    events = "...; task a REVERT_FAILURE; flow FAILURE",
    raises = "ValueError: rboom-a",
    later = {
      {
        events = "flow RUNNING; flow REVERTED",
        raises = "WrappedFailure: [Failure: RuntimeError: boom-b, Failure: ValueError: rboom-a]",
      },
      { reset = true, events = "...; flow RUNNING; ...; X b; task b SUCCESS; flow SUCCESS" },
    },
  },
  {
    "suspended in the last task end as they would",
    flow = function()
      return linear("f", nil, step "a"), suspend_at "X a"
    end,
    events = "flow RUNNING; task a RUNNING; X a; ...; flow SUSPENDING; ...; flow SUCCESS",
  },
  {
    "suspended while reverting go on reverting, and raise then",
    flow = function()
      return linear("f", nil, step "a", step "b", step("c", { fails = true })), suspend_at "task b REVERTED"
    end,
    events = "...; task b REVERTED; flow SUSPENDING; flow SUSPENDED",
    later = {
      {
        events = "flow RUNNING; task a REVERTING; R a; task a REVERTED; flow REVERTED",
        raises = "RuntimeError: boom-c",
      },
    },
  },
  {
    "of a controller count from the start again after a reset",
    flow = function()
      local r = retry.Times(3, { name = "r", provides = "n" })
      return linear("f", { retry = r }, step("a", { requires = "n" }))
    end,
    events = "...; X a(n=1); ...; flow SUCCESS",
    later = { { reset = true, events = "...; X a(n=1); ...; flow SUCCESS" } },
  },
  {
    "of a controller go on counting in TaskFlow 5.0.0",
    options = { reference_quirks = true },
    flow = function()
      local r = retry.Times(3, { name = "r", provides = "n" })
      return linear("f", { retry = r }, step("a", { requires = "n" }))
    end,
    events = "...; X a(n=1); ...; flow SUCCESS",
    later = { { reset = true, events = "...; X a(n=2); ...; flow SUCCESS" } },
  },
  {
    "of an empty flow succeed",
    flow = function()
      return graph("f", nil, linear("g", nil), unordered "h")
    end,
    events = "flow RUNNING; flow SUCCESS",
  },
})
