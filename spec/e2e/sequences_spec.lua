-- The worked sequences of the engine's semantics, on the three engines.
local process = require "process"
local retry = require "taskflow.retry"
local sequences = require "sequences"

local step, linear, unordered, graph = sequences.step, sequences.linear, sequences.unordered, sequences.graph

-- Retry controllers of a name.
local function times(n, name, options)
  options = options or {}
  options.name = name or "r"
  return retry.Times(n, options)
end

local function boom(name)
  return "RuntimeError: boom-" .. name
end

local function wrapped(...)
  local texts = {}
  for i, name in ipairs { ... } do
    texts[i] = "Failure: RuntimeError: boom-" .. name
  end
  return "WrappedFailure: [" .. table.concat(texts, ", ") .. "]"
end

-- What a custom controller saw.
local seen = {}

local Watching = retry.Retry {
  default_provides = "v",
  execute = function(_self, history)
    return "v" .. history:len()
  end,
  on_failure = function(_self, history)
    local entries = {}
    for i, provided, failures in history:iter() do
      entries[i] = ("%s:%s"):format(provided, failures.a and failures.a.exception_str)
    end
    seen[#seen + 1] = "on_failure " .. table.concat(entries, " ")
    return history:len() < 2 and retry.RETRY or retry.REVERT
  end,
  revert = function(_self, history, flow_failures)
    seen[#seen + 1] = ("revert %d %s"):format(history:len(), flow_failures.a.exception_str)
  end,
}

-- Path that a step waits for; made when the event comes.
local function after(event)
  local path = process.directory() .. "/go"
  return path, function(happened)
    if happened == event then
      process.write(path, "")
    end
  end
end

sequences.describe("sequences", {
  {
    "1 a failure reverts what ran, the last first",
    flow = function()
      return linear("f", nil, step("a", { result = 1 }), step "b", step("c", { fails = true }))
    end,
    events = "flow RUNNING; task a RUNNING; X a; task a SUCCESS; task b RUNNING; X b; task b SUCCESS; "
      .. "task c RUNNING; X c; task c FAILURE; task c REVERTING; R c; task c REVERTED; task b REVERTING; R b; "
      .. "task b REVERTED; task a REVERTING; R a; task a REVERTED; flow REVERTED",
    raises = boom "c",
    states = "a REVERTED/REVERT, b REVERTED/REVERT, c REVERTED/REVERT",
    reverted = {
      a = { result = "1", failures = { "c" } },
      c = { result = "Failure: RuntimeError: boom-c", failures = { "c" } },
    },
  },
  {
    "2 a revert that fails ends the flow where it is",
    flow = function()
      return linear("f", nil, step "a", step("b", { revert_fails = true }), step("c", { fails = true }))
    end,
    events = "...; task c REVERTED; task b REVERTING; R b; task b REVERT_FAILURE; flow FAILURE",
    raises = "ValueError: rboom-b",
    states = "a SUCCESS/REVERT, b REVERT_FAILURE/REVERT, c REVERTED/REVERT",
  },
  {
    "3 Times: the second attempt succeeds",
    flow = function()
      local r = times(3, "r", { provides = "n" })
      return linear("f", { retry = r }, step("a", { requires = "n" }), step("b", { fails = 1 }))
    end,
    events = "flow RUNNING; retry r RUNNING; retry r SUCCESS; task a RUNNING; X a(n=1); task a SUCCESS; "
      .. "task b RUNNING; X b; task b FAILURE; task b REVERTING; R b; task b REVERTED; task a REVERTING; R a; "
      .. "task a REVERTED; retry r RETRYING; task a PENDING; task b PENDING; retry r RUNNING; retry r SUCCESS; "
      .. "task a RUNNING; X a(n=2); task a SUCCESS; task b RUNNING; X b; task b SUCCESS; flow SUCCESS",
    states = "a SUCCESS/EXECUTE, b SUCCESS/EXECUTE, r SUCCESS/EXECUTE",
  },
  {
    "4 Times: attempts are used up",
    flow = function()
      return linear("f", { retry = times(2) }, step "a", step("b", { fails = true }))
    end,
    events = "...; task b FAILURE; ...; retry r RETRYING; ...; task b FAILURE; ...; task a REVERTED; "
      .. "retry r REVERTING; retry r REVERTED; flow REVERTED",
    raises = boom "b",
  },
  {
    "5 ForEach gives the next value",
    flow = function()
      local r = retry.ForEach({ 10, 20 }, { name = "r", provides = "n" })
      return linear("f", { retry = r }, step("a", { requires = "n", fails = 1 }))
    end,
    events = "...; X a(n=10); task a FAILURE; ...; X a(n=20); task a SUCCESS; flow SUCCESS",
  },
  {
    "5 ForEach over nothing",
    flow = function()
      return linear("f", { retry = retry.ForEach({}, { name = "r", provides = "n" }) }, step "a")
    end,
    events = "flow RUNNING; retry r RUNNING; retry r FAILURE; retry r REVERTING; retry r REVERTED; flow REVERTED",
    raises = "NotFound: No elements left in collection of iterable retry controller r",
    states = "a PENDING/REVERT, r REVERTED/REVERT",
  },
  {
    "6 AlwaysRevert leaves what came before its flow",
    flow = function()
      local g = linear("g", { retry = retry.AlwaysRevert { name = "r" } }, step("a", { fails = true }))
      return linear("f", nil, step "z", g, step "y")
    end,
    events = "...; task z SUCCESS; ...; task a REVERTED; retry r REVERTING; retry r REVERTED; flow REVERTED",
    raises = boom "a",
    states = "a REVERTED/REVERT, r REVERTED/REVERT, y PENDING/REVERT, z SUCCESS/EXECUTE",
  },
  {
    "6 with defer_reverts all is reverted",
    options = { defer_reverts = true },
    flow = function()
      local g = linear("g", { retry = retry.AlwaysRevert { name = "r" } }, step("a", { fails = true }))
      return linear("f", nil, step "z", g, step "y")
    end,
    events = "...; retry r REVERTED; task z REVERTING; R z; task z REVERTED; flow REVERTED",
    raises = boom "a",
  },
  {
    "6 AlwaysRevertAll reverts all",
    flow = function()
      local g = linear("g", { retry = retry.AlwaysRevertAll { name = "r" } }, step("a", { fails = true }))
      return linear("f", nil, step "z", g, step "y")
    end,
    events = "...; retry r REVERTED; task z REVERTING; R z; task z REVERTED; flow REVERTED",
    raises = boom "a",
  },
  {
    "6 Times with revert_all reverts all once its attempts are used up",
    flow = function()
      local g = linear("g", { retry = times(1, "r", { revert_all = true }) }, step("a", { fails = true }))
      return linear("f", nil, step "z", g, step "y")
    end,
    events = "...; retry r REVERTED; task z REVERTING; R z; task z REVERTED; flow REVERTED",
    raises = boom "a",
  },
  {
    "7 an exhausted inner controller asks the outer one",
    flow = function()
      local inner = linear("g", { retry = times(2, "inner") }, step("a", { fails = 3 }))
      return linear("f", { retry = times(2, "outer") }, step "z", inner, step "y")
    end,
    events = "flow RUNNING; retry outer RUNNING; retry outer SUCCESS; task z RUNNING; X z; task z SUCCESS; "
      .. "retry inner RUNNING; retry inner SUCCESS; task a RUNNING; X a; task a FAILURE; task a REVERTING; R a; "
      .. "task a REVERTED; retry inner RETRYING; task a PENDING; ...; task a REVERTED; retry inner REVERTING; "
      .. "retry inner REVERTED; task z REVERTING; R z; task z REVERTED; retry outer RETRYING; task z PENDING; "
      .. "retry inner PENDING; task a PENDING; ...; retry outer RUNNING; ...; X a; task a SUCCESS; task y RUNNING; "
      .. "X y; task y SUCCESS; flow SUCCESS",
  },
  {
    "8 an outer AlwaysRevert leaves all but the inner flow",
    flow = function()
      local inner = linear("g", { retry = times(1, "inner") }, step("a", { fails = true }))
      return linear("f", { retry = retry.AlwaysRevert { name = "outer" } }, step "z", inner)
    end,
    events = "...; task a REVERTED; retry inner REVERTING; retry inner REVERTED; flow REVERTED",
    raises = boom "a",
    states = "a REVERTED/REVERT, inner REVERTED/REVERT, outer SUCCESS/EXECUTE, z SUCCESS/EXECUTE",
  },
  {
    "9 a failure outside the flow of a controller is not retried",
    flow = function()
      return linear("f", nil, linear("g", { retry = times(3) }, step "a"), step("b", { fails = true }))
    end,
    events = "...; task b REVERTED; task a REVERTING; R a; task a REVERTED; retry r REVERTING; retry r REVERTED; "
      .. "flow REVERTED",
    raises = boom "b",
  },
  {
    "10 a failure that was retried is not the flow's",
    flow = function()
      return linear("f", nil, linear("g", { retry = times(2) }, step("a", { fails = 1 })), step("c", { fails = true }))
    end,
    events = "...; task a FAILURE; ...; task a SUCCESS; task c RUNNING; X c; task c FAILURE; ...; flow REVERTED",
    raises = boom "c",
    reverted = {
      a = { result = "null", failures = { "c" } },
      c = { result = "Failure: RuntimeError: boom-c", failures = { "c" } },
    },
  },
  {
    "10 but for TaskFlow 5.0.0 it is",
    options = { reference_quirks = true },
    flow = function()
      return linear("f", nil, linear("g", { retry = times(2) }, step("a", { fails = 1 })), step("c", { fails = true }))
    end,
    events = "...; flow REVERTED",
    raises = wrapped("a", "c"),
    reverted = {
      a = { result = "null", failures = { "a", "c" } },
      c = { result = "Failure: RuntimeError: boom-c", failures = { "a", "c" } },
    },
  },
  {
    "11 several failures",
    flow = function()
      return unordered("f", nil, step("a", { fails = true }), step("b", { fails = true }))
    end,
    concurrent = true,
    events = "flow RUNNING; task a RUNNING; X a; task a FAILURE; task a REVERTING; R a; task a REVERTED; "
      .. "task b RUNNING; X b; task b FAILURE; task b REVERTING; R b; task b REVERTED; flow REVERTED",
    raises = wrapped("a", "b"),
  },
  {
    "11 what runs while another fails is reverted when it has ended",
    engines = { parallel = true, ["worker-based"] = true },
    flow = function()
      local path, go = after "task q REVERTED"
      return unordered("f", nil, step("q", { fails = true }), step("s", { waits_for = path })), go
    end,
    concurrent = true,
    events = "flow RUNNING; task q RUNNING; X q; task q FAILURE; task q REVERTING; R q; task q REVERTED; "
      .. "task s RUNNING; X s; task s SUCCESS; task s REVERTING; R s; task s REVERTED; flow REVERTED",
    raises = boom "q",
    before = { "task q REVERTED", "task s SUCCESS" },
  },
  {
    "12 never_resolve leaves everything as it is",
    options = { never_resolve = true },
    flow = function()
      return linear("f", nil, step "a", step("b", { fails = true }), step "c")
    end,
    events = "...; task b FAILURE; flow FAILURE",
    raises = boom "b",
    states = "a SUCCESS/EXECUTE, b FAILURE/EXECUTE, c PENDING/EXECUTE",
  },
  {
    "13 what was ignored is not reverted",
    flow = function()
      local a, b, c, d = step "a", step "b", step "c", step("d", { fails = true })
      local f = graph("f", nil, a, b, c, d)
      f:link(a, b, function()
        return false
      end, "ATOM")
      return f:link(b, c):link(c, d)
    end,
    events = "...; task b IGNORE; task c RUNNING; ...; task d REVERTED; task c REVERTING; R c; task c REVERTED; "
      .. "task a REVERTING; R a; task a REVERTED; flow REVERTED",
    raises = boom "d",
    states = "a REVERTED/REVERT, b IGNORE/REVERT, c REVERTED/REVERT, d REVERTED/REVERT",
  },
  {
    "14 the highest priority starts first",
    options = { max_workers = 1 },
    engines = { serial = true, parallel = true },
    flow = function()
      local lo, hi, mid = step("lo", { priority = 1 }), step("hi", { priority = 5 }), step("mid", { priority = 3 })
      return unordered("f", nil, lo, hi, mid)
    end,
    events = "...; X hi; ...; X mid; ...; X lo; ...; flow SUCCESS",
  },
  {
    "15 a controller of one's own sees what it provided and what failed",
    flow = function()
      seen = {}
      return linear("f", { retry = Watching { name = "r" } }, step("a", { requires = "v", fails = true }))
    end,
    events = "...; X a(v=v0); ...; X a(v=v1); ...; flow REVERTED",
    raises = boom "a",
    check = function()
      assert.same({ "on_failure v0:boom-a", "on_failure v0:boom-a v1:boom-a", "revert 2 boom-a" }, seen)
    end,
  },
  {
    "16 a listener suspends, the next run goes on",
    flow = function()
      return linear("f", nil, step "a", step "b"),
        function(event, engine)
          if event == "task a SUCCESS" then
            engine:suspend()
          end
        end
    end,
    events = "flow RUNNING; task a RUNNING; X a; task a SUCCESS; flow SUSPENDING; flow SUSPENDED",
    later = { { events = "flow RUNNING; task b RUNNING; X b; task b SUCCESS; flow SUCCESS" } },
  },
})
