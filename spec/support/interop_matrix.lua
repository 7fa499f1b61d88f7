-- One cell of the interop matrix: an engine of one language and workers of the other, on one transport.
-- The same flows and the same expectations in every cell.
local busted = require "busted"
local flows = require "flows"
local json_text = require "json_text"
local peers = require "peers"
local process = require "process"

local assert = require "luassert"
local describe, it, before_each = busted.describe, busted.it, busted.before_each
local lazy_setup, lazy_teardown = busted.lazy_setup, busted.lazy_teardown

local linear, task = flows.linear, flows.task

-- JSON text of what task Give makes, by kind.
local VALUES = {
  ["null"] = "null",
  ["true"] = "true",
  ["false"] = "false",
  zero = "0",
  integer = "42",
  negative = "-7",
  real = "0.1",
  tiny = "5e-324",
  string = '"plain"',
  empty_string = '""',
  empty_list = "[]",
  empty_map = "{}",
  list = '[1,[2,[3,[]]],{},null,"x"]',
  map = '{"a":{"empty":[],"null":null},"b":1,"":"no name"}',
  unicode = [["\u00e9 \u4e2d\u6587 \ud83d\ude00 \u2028 \ufeff"]],
  control = [["\u0000\u0001\u001f\t\r\n\"\\/\u007f"]],
  above_2_53 = "9007199254740993",
  int64_max = "9223372036854775807",
  int64_min = "-9223372036854775808",
  megabyte = '"' .. ("x"):rep(1048576) .. '"',
}
-- What only Python can make and look at; the Lua engine hands it on.
local PYTHON_VALUES = {
  wider_than_64_bits = "1000000000000000000000000000000",
  real_one = "1.0",
  not_a_number = "NaN",
  infinity = "Infinity",
  minus_infinity = "-Infinity",
  lone_surrogate = [["\ud800"]],
  many_digits = "0.30000000000000004",
}

local function sorted(map)
  local keys = {}
  for key in pairs(map) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

-- Give, then other tasks, each of which takes what the one before it gave.
local function chain(kind, ...)
  local before = "give_" .. kind
  local flow = linear(kind, task("Give", before, { inject = { kind = kind }, provides = before }))
  for _, class in ipairs { ... } do
    local name = class:lower() .. "_" .. kind
    table.insert(flow.children, task(class, name, { rebind = { value = before }, provides = name }))
    before = name
  end
  return flow
end

local function values_flow(kinds, ...)
  local flow = { pattern = "unordered", name = "values", children = {} }
  for i, kind in ipairs(sorted(kinds)) do
    flow.children[i] = chain(kind, ...)
  end
  return { flow = flow }
end

local function text(run, name)
  local node = run.results[name]
  assert(node, name .. " is not among the results: " .. run.story)
  return node.text
end

local function string_of(run, name)
  return json_text.parse(text(run, name)).value
end

return function(transport, engine, worker)
  describe(("%s engine, %s worker, %s:"):format(engine, worker, transport), function()
    local side

    lazy_setup(function()
      side = peers.environment(transport)
      side:worker(worker, "work", { slots = 4 })
    end)

    lazy_teardown(process.cleanup)

    before_each(function()
      side:clear_journal()
    end)

    local function play(scenario, more)
      return side:engine(engine, { "work" }, scenario, more)
    end

    describe("a value that goes from task to task arrives unchanged:", function()
      local run

      lazy_setup(function()
        run = play(values_flow(VALUES, "Echo", "Describe"))
      end)

      for _, kind in ipairs(sorted(VALUES)) do
        it(kind, function()
          assert.equal("SUCCESS", run.state)
          local wanted = json_text.describe(VALUES[kind])
          -- As the last task saw it, and as the engine stored it.
          assert.equal(wanted, string_of(run, "describe_" .. kind))
          assert.equal(wanted, json_text.describe(text(run, "echo_" .. kind)))
        end)
      end
    end)

    if worker == "python" then
      it("values that Lua cannot look at are handed on as they are", function()
        local scenario = values_flow(PYTHON_VALUES, "Exact")
        local run = play(scenario)
        assert.equal("SUCCESS", run.state)
        for kind, wanted in pairs(PYTHON_VALUES) do
          assert.equal(wanted, string_of(run, "exact_" .. kind), kind)
        end
      end)
    end

    it("a task that returns nothing gives null, and takes the values of store", function()
      local run = play {
        flow = linear(
          "nothing",
          task("Nothing", "nothing", { provides = "n" }),
          task("Describe", "see_null", { rebind = { value = "n" }, provides = "of_null" }),
          task("Describe", "see_store", { rebind = { value = "stored" }, provides = "of_store" })
        ),
        store = { stored = { 1, "two", { three = 3 } } },
      }
      assert.equal("null", text(run, "n"))
      assert.equal("null", string_of(run, "of_null"))
      assert.equal(json_text.describe '[1,"two",{"three":3}]', string_of(run, "of_store"))
    end)

    it("a list gets names item by item, and branches meet again", function()
      local run = play {
        flow = {
          pattern = "graph",
          name = "diamond",
          children = {
            task("Pair", "pair", { provides = { "left", "right" } }),
            task("Undo", "l", { rebind = { value = "left" }, provides = "l2" }),
            task("Undo", "r", { rebind = { value = "right" }, provides = "r2" }),
            task("Join", "join", { requires = { "l2", "r2" }, provides = "both" }),
          },
        },
        store = { first = 1, second = 2 },
      }
      assert.equal(json_text.describe "[4,2]", json_text.describe(text(run, "both")))
    end)

    it("a failure reverts what ran, last first, each with its result and all failures", function()
      local run = play {
        flow = linear(
          "reverting",
          task("Undo", "one", { rebind = { value = "start" }, provides = "two" }),
          task("Undo", "four", { rebind = { value = "two" }, provides = "eight" }),
          task("Boom", "boom"),
          task("Nothing", "never")
        ),
        store = { start = 1 },
      }
      assert.equal("REVERTED", run.state)
      assert.equal("Woot!", run.failures.boom.exception_str)
      local names = table.concat(run.failures.boom.exc_type_names, " ") .. " "
      assert.matches("RuntimeError Exception $", names)
      assert.matches("Woot!", run.raised)
      local reverts = side:journal "revert"
      assert.same({ "boom", "four", "one" }, { reverts[1].task, reverts[2].task, reverts[3].task })
      assert.equal("failure Woot!", reverts[1].result)
      assert.equal("n4", reverts[2].result)
      assert.equal("n2", reverts[2].value)
      for _, entry in ipairs(reverts) do
        assert.same({ "boom=Woot!" }, entry.failures)
        assert.equal(worker, entry.language)
      end
      assert.same({ "four", "one" }, { side:journal("execute")[2].task, side:journal("execute")[1].task })
      assert.equal("REVERTED", run.atoms.one)
      assert.is_not.equal("REVERTED", run.atoms.never)
    end)

    it("a task that fails while it reverts leaves the flow in FAILURE", function()
      local run = play { flow = linear("stuck", task("RevertBoom", "stuck"), task("Boom", "boom")) }
      assert.equal("FAILURE", run.state)
      assert.equal("REVERT_FAILURE", run.atoms.stuck)
      assert.equal("REVERTED", run.atoms.boom)
      assert.equal("cannot undo", run.revert_failures.stuck.exception_str)
    end)

    it("progress reaches the listeners in order", function()
      local run = play { flow = linear("progress", task("Progress", "steps", { inject = { steps = 4 } })) }
      local seen = {}
      for _, event in ipairs(run.events) do
        assert.same({ "steps", "update_progress" }, { event[1], event[2] })
        seen[#seen + 1] = event[3]
      end
      -- 0.0 and the last 1.0 are the engine's own.
      assert.same({ 0, 0.25, 0.5, 0.75, 1, 1 }, seen)
    end)

    it("a class that no worker offers fails the task after the transition timeout", function()
      local run = play({ flow = linear("absent", task("Absent", "absent")) }, { transition_timeout = 2 })
      assert.equal("taskflow.exceptions.RequestTimeout", run.failures.absent.exc_type_names[1])
      assert.matches("expired after waiting", run.failures.absent.exception_str)
    end)

    if worker == "lua" then
      it("a result that no message can carry fails the task, and the worker serves on", function()
        local run = play { flow = linear("bad", task("BadResult", "bad")) }
        assert.equal("REVERTED", run.state)
        assert.matches("function", run.failures.bad.exception_str)
        assert.equal("SUCCESS", play({ flow = linear("good", task("Nothing", "good")) }).state)
      end)
    end

    it("arguments that the task does not take fail it with a TypeError", function()
      -- The engine's side of the task takes `more`; the worker's does not.
      local class = engine == "python" and "Picky" or "Echo"
      local run = play {
        flow = linear("args", task(class, "wrong", { requires = { "value", "more" }, by_reference = true })),
        store = { value = 1, more = 2 },
      }
      assert.equal("REVERTED", run.state)
      assert.equal("TypeError", run.failures.wrong.exc_type_names[1])
      assert.matches("more", run.failures.wrong.exception_str)
    end)

    it("workers on several topics share a flow", function()
      side:worker(worker, "more", { module = "peer_more", slots = 2 })
      local run = side:engine(engine, { "work", "more", "nobody" }, {
        flow = linear(
          "topics",
          task("Give", "give", { inject = { kind = "integer" }, provides = "n" }),
          task("peer_more.Elsewhere", "there", { rebind = { value = "n" }, provides = "seen" }),
          task("Describe", "back", { rebind = { value = "seen" }, provides = "described" })
        ),
      })
      assert.equal('"elsewhere saw 42"', text(run, "seen"))
      assert.equal(json_text.describe '"elsewhere saw 42"', string_of(run, "described"))
    end)

    -- Two Python consumers of one filesystem queue do not survive each other (PROTOCOL.md 12.6).
    if not (worker == "python" and transport == "filesystem") then
      it("two workers on one topic share the tasks, and each task runs once", function()
        for _ = 1, 2 do
          peers.ready(side:worker(worker, "shared", { slots = 2 }))
        end
        local flow = { pattern = "unordered", name = "shared", children = {} }
        for i = 1, 24 do
          flow.children[i] = task("Slow", "slow-" .. i, { inject = { seconds = 0.2 } })
        end
        local run = side:engine(engine, { "shared" }, { flow = flow })
        assert.equal("SUCCESS", run.state)
        local ran, hosts = {}, {}
        for _, entry in ipairs(side:journal "end") do
          assert.is_nil(ran[entry.task], entry.task .. " ran twice")
          ran[entry.task] = true
          hosts[entry.host] = true
        end
        assert.equal(24, #sorted(ran))
        assert.equal(2, #sorted(hosts))
      end)
    end
  end)
end
