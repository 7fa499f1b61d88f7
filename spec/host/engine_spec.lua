-- The engine's binding from inside: life, ownership, errors, values.
local engines = require "taskflow.engines"
local exceptions = require "taskflow.exceptions"
local failure = require "taskflow.failure"
local gf = require "taskflow.patterns.graph_flow"
local host = require "tfhost.engine"
local lf = require "taskflow.patterns.linear_flow"
local peers = require "peers"
local process = require "process"
local retry = require "taskflow.retry"
local task = require "taskflow.task"
local uf = require "taskflow.patterns.unordered_flow"
local values = require "taskflow.values"

local Echo = task.Task {
  default_provides = "out",
  execute = function(_self, value)
    return value
  end,
}

local function failing(f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  return tostring(err):gsub("^[^:]+:%d+: ", "")
end

describe("engine", function()
  describe("life", function()
    it("a closed engine says so, whatever is asked", function()
      local eng = engines.load(lf.Flow("f"):add(Echo { name = "e" }), { store = { value = 1 } })
      eng:run()
      eng:close()
      eng:close() -- twice does no harm
      for _, f in ipairs {
        function() eng:run() end,
        function() eng:suspend() end,
        function() eng:reset() end,
        function() eng.storage:fetch "out" end,
        function() eng.storage:fetch_all() end,
        function() eng.storage:get "e" end,
        function() eng.storage:get_atom_state "e" end,
        function() eng.storage:inject { a = 1 } end,
        function() eng:failures() end,
        function() return eng.statistics end,
      } do
        assert.truthy(failing(f):find "the engine is closed")
      end
    end)

    it("methods refuse what is no engine", function()
      local eng = engines.load(lf.Flow "f")
      local method = eng._handle.run
      assert.has_error(function() method {} end)
      assert.has_error(function() method(io.stdout) end)
      assert.has_error(function() method(newproxy(true)) end)
    end)

    it("is collected with all that its listeners hold, though they hold it", function()
      local weak = setmetatable({}, { __mode = "k" })
      local function use(kind)
        local eng = engines.load(lf.Flow("f"):add(Echo { name = "e" }), { engine = kind, store = { value = 1 } })
        eng.notifier:register("*", function()
          return eng
        end)
        eng:run()
        weak[eng], weak[eng._handle] = true, true
      end
      -- From a stack of its own: a slot of this one may keep what it held last.
      for _, kind in ipairs { "serial", "parallel" } do
        coroutine.wrap(use)(kind)
      end
      jit.flush() -- compiled traces hold the objects that they met
      for _ = 1, 4 do
        collectgarbage()
      end
      assert.is_nil(next(weak))
    end)

    it("survives a collection in the middle of a run; events after an action are for listeners alone", function()
      local kept
      local Keeps = task.Task {
        execute = function(self)
          kept = self
          collectgarbage()
          self:notify("alive", { n = 1 })
        end,
      }
      local seen = {}
      local t = Keeps { name = "k" }
      t.notifier:register("*", function(event, details)
        collectgarbage()
        seen[#seen + 1] = event == "alive" and details.n or nil
      end)
      engines.load(lf.Flow("f"):add(t)):run()
      collectgarbage()
      assert.same({ 1 }, seen)
      kept:notify("alive", { n = 2 })
      assert.same({ 1, 2 }, seen)
    end)

    it("tells events of a task whose action runs another engine from those of that engine's tasks", function()
      local inner, seen = nil, {}
      local Both = task.Task {
        execute = function(self)
          if self.name == "outer" then
            engines.load(lf.Flow("g"):add(inner)):run()
            self:notify "after"
          else
            self:notify "within"
            pcall(error, "no action ends by this")
          end
        end,
      }
      inner = Both { name = "inner" }
      local outer = Both { name = "outer" }
      for _, t in ipairs { inner, outer } do
        t.notifier:register("*", function(event)
          if event ~= "update_progress" then
            seen[#seen + 1] = t.name .. " " .. event
          end
        end)
      end
      engines.load(lf.Flow("f"):add(outer)):run()
      assert.same({ "inner within", "outer after" }, seen)
    end)

    it("tells listeners that come while the flow runs, the first of the process too", function()
      local code = [[
        local engines, lf = require "taskflow.engines", require "taskflow.patterns.linear_flow"
        local task = require "taskflow.task"
        local eng, second
        local function hear(what)
          return function(state, details) print(what, state, details.progress) end
        end
        local First = task.Task { execute = function()
          eng.atom_notifier:register("*", hear "atom")
          second.notifier:register("*", hear "task")
        end }
        second = task.Task { execute = function(self) self:update_progress(0.5) end } { name = "second" }
        eng = engines.load(lf.Flow("f"):add(First { name = "first" }, second))
        eng:run()
      ]]
      local done = process.run { peers.tfhost, "lua", "-e", code }
      assert.equal(0, done.code, done.story)
      local told = "atom\tSUCCESS\tnil\natom\tRUNNING\tnil\ntask\tupdate_progress\t%s\ntask\tupdate_progress\t0.5\n"
        .. "atom\tSUCCESS\tnil\ntask\tupdate_progress\t1\n"
      assert.equal(told:format "0", done.stdout)
    end)

    it("cannot be closed or run again from inside its run", function()
      local messages = {}
      local eng = engines.load(lf.Flow("f"):add(Echo { name = "e" }), { store = { value = 1 } })
      eng.atom_notifier:register("SUCCESS", function()
        messages[1] = failing(eng.close, eng)
        messages[2] = failing(eng.run, eng)
        messages[3] = failing(eng.reset, eng)
      end)
      eng:run()
      assert.truthy(messages[1]:find "the engine is running")
      assert.truthy(messages[2]:find "Engine currently locked, please try again later")
      assert.truthy(messages[3]:find "InvalidState")
      assert.equal("SUCCESS", eng.storage:get_flow_state())
    end)

    it("runs from a coroutine, and a task may notify from one of its own", function()
      local seen = {}
      local T = task.Task {
        execute = function(self)
          local co = coroutine.wrap(function()
            self:notify("inner", { n = 1 })
            coroutine.yield()
            self:notify("inner", { n = 2 })
            return "done"
          end)
          co()
          return co()
        end,
      }
      local t = T { name = "t", provides = "r" }
      t.notifier:register("*", function(event, details)
        seen[#seen + 1] = event == "inner" and details.n or nil
      end)
      local result = coroutine.wrap(function()
        return engines.run(lf.Flow("f"):add(t))
      end)()
      assert.same({ 1, 2 }, seen)
      assert.equal("done", result.r)
    end)

    it("is left alone by the slots that are forked from its process", function()
      local outer = engines.load(lf.Flow("f"):add(Echo { name = "e" }), { engine = "parallel", store = { value = 1 } })
      local Collects = task.Task {
        default_provides = "said",
        execute = function(_self)
          local ok, err = pcall(outer.run, outer)
          outer = nil
          collectgarbage()
          collectgarbage()
          return { ok, tostring(err) }
        end,
      }
      outer:run()
      local said = engines.run(lf.Flow("g"):add(Collects { name = "c" }), { engine = "parallel" }).said
      assert.is_false(said[1])
      assert.truthy(said[2]:find "belongs to the process that made it")
      outer:reset()
      outer:run() -- its own slots are alive
      assert.equal(1, outer.storage:fetch "out")
      outer:close()
    end)

    it("an engine runs inside a task of another", function()
      local Outer = task.Task {
        default_provides = "outer",
        execute = function(_self, value)
          return engines.run(lf.Flow("inner"):add(Echo { name = "e" }), { store = { value = value + 1 } }).out
        end,
      }
      assert.equal(42, engines.run(lf.Flow("f"):add(Outer { name = "o" }), { store = { value = 41 } }).outer)
    end)
  end)

  describe("values", function()
    it("pass through unchanged: lists, maps, null, integers of any size", function()
      for _, kind in ipairs { "serial", "parallel" } do
        local function through(value)
          local flow = lf.Flow("f"):add(Echo { name = "e" })
          local eng = engines.load(flow, { engine = kind, store = { value = value } })
          eng:run()
          local out, text = eng.storage:fetch "out", nil
          for name, t in eng.storage:iter_texts() do
            text = name == "out" and t or text
          end
          eng:close()
          return out, text
        end
        local empty, text = through(values.list {})
        assert.is_true(values.is_list(empty))
        assert.equal("[]", text)
        assert.equal("{}", select(2, through {}))
        assert.equal(values.null, (through(values.null)))
        assert.equal("9007199254740993", select(2, through(values.int64 "9007199254740993")))
        assert.equal("h\195\169\0!", (through "h\195\169\0!"))
        assert.same({ a = { 1, 2, { b = true } } }, (through { a = { 1, 2, { b = true } } }))
        assert.equal(1048576, #through(("x"):rep(1048576)))
      end
    end)

    it("a result that cannot be represented fails the task and names the path", function()
      local Bad = task.Task {
        execute = function(_self)
          return { rows = { 1, { id = print } } }
        end,
      }
      local message = failing(engines.run, lf.Flow("f"):add(Bad { name = "b" }))
      assert.truthy(message:find "result%.rows%[2%]%.id")
    end)

    it("so does the store, and what is injected, before anything runs", function()
      local flow = lf.Flow("f"):add(Echo { name = "e" })
      assert.truthy(failing(engines.load, flow, { store = { value = { f = print } } }):find "store%.value%.f")
      local inject = lf.Flow("f"):add(Echo { name = "e", inject = { value = { print } } })
      local message = failing(engines.load, inject)
      assert.truthy(message:find "task 'e'")
      assert.truthy(message:find "inject%.value%[1%]")
    end)

    it("a depth beyond the limit is refused, not a crash", function()
      local deep, flow = {}, lf.Flow("f"):add(Echo { name = "e" })
      local at = deep
      for _ = 1, 100000 do
        at.x = {}
        at = at.x
      end
      assert.truthy(failing(engines.load, flow, { store = { value = deep } }):find "store")
    end)
  end)

  describe("what it raises", function()
    local function raising(value)
      return task.Task {
        execute = function(_self)
          error(value, 0)
        end,
      }
    end

    it("one failure: the very error that was raised", function()
      local tagged = setmetatable({ code = 7 }, { __tostring = function() return "tagged" end })
      for _, value in ipairs { "text", tagged, exceptions.KeyError "k" } do
        local ok, err = pcall(engines.run, lf.Flow("f"):add(raising(value) { name = "t" }))
        assert.is_false(ok)
        assert.equal(value, err)
      end
    end)

    it("from another process: wrapped, checked by type", function()
      local ok, err = pcall(engines.run, lf.Flow("f"):add(raising(exceptions.KeyError "k") { name = "t" }), {
        engine = "parallel",
      })
      assert.is_false(ok)
      assert.equal("WrappedFailure: [Failure: KeyError: k]", tostring(err))
      assert.equal("LookupError", err:check "LookupError")
    end)

    it("several: together", function()
      local flow = uf.Flow("f"):add(raising "a" { name = "a" }, raising "b" { name = "b" })
      local ok, err = pcall(engines.run, flow)
      assert.is_false(ok)
      assert.equal(2, #err.failures)
      assert.equal("WrappedFailure: [Failure: tfhost.LuaError: a, Failure: tfhost.LuaError: b]", tostring(err))
    end)

    it("missing inputs before anything runs, with the places of the atoms", function()
      local ran = false
      local First = task.Task { execute = function(_self) ran = true end }
      local flow = lf.Flow("f"):add(First { name = "first" }, Echo { name = "e" })
      local message = failing(engines.run, flow)
      assert.is_false(ran)
      assert.truthy(message:find("requires ['value'] but no other entity produces said requirements", 1, true))
      assert.truthy(message:find "'e' of flow 'f' is made at [^\n]*engine_spec.lua:%d+")
    end)

    it("duplicate names, objects used twice, empty names", function()
      local e = Echo { name = "e" }
      assert.truthy(failing(engines.load, lf.Flow("f"):add(Echo { name = "e" }, Echo { name = "e" })):find "Duplicate")
      local twice = lf.Flow("f"):add(e, lf.Flow("g"):add(e))
      assert.truthy(failing(engines.load, twice):find "Already compiled item 'e'")
      assert.truthy(failing(engines.load, lf.Flow("f"):add(Echo { name = "" })):find "empty name")
      assert.truthy(failing(engines.load, {}):find "expected a flow or a task to run, not a table")
      local a, b = lf.Flow "a", lf.Flow "b"
      a:add(b)
      b:add(a)
      assert.truthy(failing(engines.load, a):find "Already compiled item 'a'")
      local c, d = gf.Flow "c", gf.Flow "d"
      c:add(d)
      d:add(c)
      c:add(Echo { name = "e" })
      assert.same({ "value" }, c.requires)
      assert.truthy(failing(engines.load, c):find "Already compiled item 'c'")
    end)
  end)

  describe("options", function()
    local flow
    before_each(function()
      flow = lf.Flow("f"):add(Echo { name = "e", inject = { value = 5 } })
    end)

    it("name the engine in several ways", function()
      assert.equal("serial", engines.load(flow).kind)
      for given, kind in pairs {
        default = "serial",
        serial = "serial",
        parallel = "parallel",
        ["parallel://?max_workers=3"] = "parallel",
        ["serial://"] = "serial",
      } do
        local eng = engines.load(flow, { engine = given })
        assert.equal(kind, eng.kind)
        eng:close()
      end
      local eng = engines.load(flow, { engine_conf = { engine = "parallel", max_workers = 2 }, max_workers = "3" })
      assert.equal(3, eng.options.max_workers)
      eng:close()
      assert.equal("serial", engines.load(flow, { engine_conf = "serial" }).kind)
    end)

    it("are checked, and typos are answered with what was meant", function()
      local function message(options)
        return failing(engines.load, flow, options)
      end
      assert.equal("NotFound: Could not find engine 'bogus'", message { engine = "bogus" })
      assert.truthy(message({ engine = "paralel" }):find "did you mean 'parallel'")
      assert.truthy(message({ stoer = {} }):find "unknown option 'stoer', did you mean 'store'")
      assert.truthy(message({ engine = "parallel", max_worker = 2 }):find "did you mean 'max_workers'")
      assert.truthy(message({ engine = "parallel", max_workers = 0 }):find "max_workers: expected an integer")
      assert.truthy(message({ engine = "parallel", executor = "thraeds" }):find "did you mean 'thread")
      assert.truthy(message({ engine = "parallel", executor = 3 }):find "TypeError")
      assert.truthy(message({ defer_reverts = "perhaps" }):find "expected true or false")
      assert.truthy(message({ store = 3 }):find "store: expected a table")
      assert.truthy(message({ engine = "workers", retry_options = { max = 1 } }):find "unknown option 'max'")
      assert.truthy(message({ engine = "workers", topics = { "a", 3 } }):find "topics: entry 2")
      assert.truthy(message({ engine = "workers", topics = {} }):find "name at least one topic")
      assert.truthy(message({ engine = "workers", worker_expiry = 0 }):find "worker_expiry: expected seconds")
      assert.truthy(message({ engine = "serial", max_workers = 2 }):find "'max_workers' is for the engine 'parallel'")
    end)

    it("take booleans as text", function()
      local T = task.Task { execute = function(_self) error("boom", 0) end }
      local eng = engines.load(lf.Flow("f"):add(T { name = "t" }), { never_resolve = "yes" })
      pcall(eng.run, eng)
      assert.equal("FAILURE", eng.storage:get_atom_state "t")
      assert.equal("FAILURE", eng.storage:get_flow_state())
    end)

    it("tasks without a name on the wire cannot go to workers", function()
      local message = failing(engines.load, flow, { engine = "workers", transport = "memory", topics = { "t" } })
      assert.truthy(message:find "task 'e' %(made at [^)]*engine_spec.lua:%d+%) cannot run on workers: its class")
      local functor = lf.Flow("f"):add(task.FunctorTask(function() end, { name = "fn" }))
      message = failing(engines.load, functor, { engine = "workers", transport = "memory", topics = { "t" } })
      assert.truthy(message:find "a plain function, which has no name on the wire")
    end)
  end)

  describe("control", function()
    local ran
    local function step(name, f)
      return task.Task {
        execute = function(_self)
          ran[#ran + 1] = name
          return f and f() or name
        end,
        revert = function(_self)
          ran[#ran + 1] = "-" .. name
        end,
      } { name = name, provides = name }
    end

    before_each(function()
      ran = {}
    end)

    it("refuses what cannot be meant, at the caller's line", function()
      local function load(...)
        local ok, err = pcall(engines.load, ...)
        assert.is_false(ok)
        assert.truthy(tostring(err):find("^[^\n]*engine_spec.lua:%d+: "), tostring(err))
        return (tostring(err):gsub("^[^:]+:%d+: ", ""))
      end
      local function named(name)
        return lf.Flow("f"):add(Echo { name = name })
      end
      local ok = named "e"
      assert.equal("TypeError: engine 'default': the option 'max_workers' is for the engine 'parallel'",
        load(ok, { max_workers = 2 }))
      assert.equal("TypeError: engine 'parallel': the option 'topics' is for the engine 'worker-based'",
        load(ok, { engine = "parallel", topics = { "t" } }))
      assert.equal("TypeError: store.x: a function cannot be represented in JSON", load(ok, { store = { x = print } }))
      assert.truthy(load(Echo):find("a task class, which is made into a task by calling it", 1, true))
      assert.truthy(load(named "a\0b"):find("the name 'a\\0b' has a NUL character", 1, true))
      assert.truthy(load(named "a\255"):find("the name 'a?' is not valid UTF-8", 1, true))
      assert.truthy(load(lf.Flow "\255"):find("flow: the name '?' is not valid UTF-8", 1, true))
      assert.truthy(failing(Echo, { provides = "\255" }):find "provides: the name '%?' is not valid UTF%-8")
      local flow = lf.Flow("日"):add(Echo { name = "☃", provides = "é" })
      assert.equal("ü", engines.run(flow, { store = { value = "ü" } })["é"])
    end)

    it("says of a task alone what that misses", function()
      local eng = engines.load(Echo { name = "e" })
      local text = failing(eng.run, eng)
      assert.equal(
        "MissingDependencies: 'execute' method on '\"e==1.0\"' requires ['value'] but no other entity produces "
          .. "said requirements",
        text:match "^[^\n]*"
      )
      assert.truthy(text:find "\n  'e' is made at [^\n]*engine_spec.lua:%d+$")
    end)

    it("suspends from a listener and goes on", function()
      local eng = engines.load(lf.Flow("f"):add(step "a", step "b"))
      local states = {}
      eng.notifier:register("*", function(state) states[#states + 1] = state end)
      local function suspend()
        eng:suspend()
      end
      eng.atom_notifier:register("SUCCESS", suspend)
      assert.equal("SUSPENDED", (eng:run()))
      eng.atom_notifier:deregister("SUCCESS", suspend)
      assert.equal("SUCCESS", (eng:run()))
      assert.same({ "a", "b" }, ran)
      assert.same({ "RUNNING", "SUSPENDING", "SUSPENDED", "RUNNING", "SUCCESS" }, states)
    end)

    -- One slot and five tasks: a suspended engine waits for the one that runs (and the next, which the slot has
    -- taken), not for all that are queued; those run later, or never had anything to revert.
    local function queued(last)
      local flow = uf.Flow "f"
      for i = 1, 5 do
        flow:add(task.Task {
          execute = function()
            process.sleep(0.02) -- a quick slot would be given more ahead
            return last and i == 2 and error("boom", 0) or i
          end,
          revert = function(_self, result) -- luacheck: ignore
            return "reverted"
          end,
        } { name = "t" .. i })
      end
      local eng = engines.load(flow, { engine = "parallel", max_workers = 1 })
      local seen = { RUNNING = {}, REVERTING = {} }
      eng.atom_notifier:register("*", function(state, details)
        if state == "SUCCESS" then
          eng:suspend()
        elseif seen[state] then
          table.insert(seen[state], details.task_name)
        end
      end)
      assert.equal("SUSPENDED", (eng:run()))
      return eng, seen
    end

    it("suspends without running what waits for a slot", function()
      local eng, seen = queued(false)
      assert.equal("SUCCESS", eng.storage:get_atom_state "t1")
      assert.equal("RUNNING", eng.storage:get_atom_state "t5")
      local state
      for _ = 1, 5 do
        state = eng:run()
      end
      assert.equal("SUCCESS", state)
      assert.same({ "t1", "t2", "t3", "t4", "t5" }, seen.RUNNING)
    end)

    it("does not revert what was queued when it was suspended", function()
      local eng, seen = queued(true)
      assert.equal("boom", failing(eng.run, eng):match "boom")
      table.sort(seen.REVERTING)
      assert.same({ "t1", "t2" }, seen.REVERTING)
      assert.equal("PENDING", eng.storage:get_atom_state "t5")
      assert.equal("REVERTED", eng.storage:get_flow_state())
    end)

    it("does nothing again after SUCCESS, everything after reset", function()
      local eng = engines.load(lf.Flow("f"):add(step "a"))
      eng:run()
      eng:run()
      assert.same({ "a" }, ran)
      eng:reset()
      assert.same({ "PENDING", "EXECUTE" }, eng.storage:get_atoms_states().a)
      eng:run()
      assert.same({ "a", "a" }, ran)
    end)

    it("keeps failures and results by atom", function()
      local eng = engines.load(lf.Flow("f"):add(step "a", step("b", function() error("boom", 0) end)))
      pcall(eng.run, eng)
      assert.same({ "a", "b", "-b", "-a" }, ran)
      assert.equal("boom", eng.storage:get_failures().b.exception_str)
      assert.is_true(failure.is_failure(eng.storage:get "b"))
      assert.equal("boom", eng:failures()[1].exception)
      assert.truthy(failing(eng.storage.get, eng.storage, "nobody"):find "Unknown atom name 'nobody' in flow 'f'")
      assert.truthy(failing(eng.storage.fetch, eng.storage, "nothing"):find "NotFound")
      assert.equal(36, #eng.storage:get_atom_uuid "a")
      assert.equal(4, eng.statistics.completed)
    end)

    it("injects values after loading", function()
      local eng = engines.load(lf.Flow("f"):add(Echo { name = "e" }))
      eng.storage:inject { value = "late" }
      eng:run()
      assert.equal("late", eng.storage:fetch "out")
    end)
  end)

  describe("retries and deciders", function()
    it("run in the engine's process, with history and live failures", function()
      local histories, failures_seen = {}, {}
      local Own = retry.Retry {
        execute = function(_self, history, base)
          return base + history:len()
        end,
        on_failure = function(_self, history)
          histories[#histories + 1] = history:provided()
          failures_seen[#failures_seen + 1] = history:outcomes().t.exception_str
          return history:len() < 3 and retry.RETRY or retry.REVERT
        end,
        revert = function(_self, history, flow_failures)
          histories.reverted = { history:len(), flow_failures.t.exception_str }
        end,
      }
      local T = task.Task {
        execute = function(_self, n)
          error("n is " .. n, 0)
        end,
      }
      local flow = lf.Flow("f", { retry = Own { name = "r", provides = "n" } }):add(T { name = "t" })
      assert.has_error(function()
        engines.run(flow, { store = { base = 10 } })
      end)
      assert.same({ { 10 }, { 10, 11 }, { 10, 11, 12 }, reverted = { 3, "n is 12" } }, histories)
      assert.same({ "n is 10", "n is 11", "n is 12" }, failures_seen)
    end)

    it("a strategy that does not exist ends the flow without a revert", function()
      local Wrong = retry.Retry {
        execute = function(_self) end,
        on_failure = function(_self)
          return "PANIC"
        end,
      }
      local T = task.Task { execute = function(_self) error("boom", 0) end }
      local eng = engines.load(lf.Flow("f", { retry = Wrong { name = "r" } }):add(T { name = "t" }))
      assert.truthy(failing(eng.run, eng):find "Unknown atom failure resolution action/strategy 'PANIC'")
      assert.equal("FAILURE", eng.storage:get_flow_state())
      assert.equal("FAILURE", eng.storage:get_atom_state "t")
    end)

    it("deciders see results by name; one that raises ends the flow", function()
      local seen
      local a = Echo { name = "a", inject = { value = 3 } }
      local b = Echo { name = "b", inject = { value = 4 }, provides = "o2" }
      local flow = gf.Flow("f"):add(a, b)
      flow:link(a, b, function(history)
        seen = history
        return history.a > 5
      end)
      local eng = engines.load(flow)
      eng:run()
      assert.same({ a = 3 }, seen)
      assert.equal("IGNORE", eng.storage:get_atom_state "b")
      flow:link(a, b, function()
        error("cannot decide", 0)
      end)
      local other = engines.load(flow)
      assert.truthy(failing(other.run, other):find "cannot decide")
      assert.equal("FAILURE", other.storage:get_flow_state())
    end)
  end)

  it("runs a task alone, and a flow nested 20000 deep", function()
    assert.equal(9, engines.run(Echo { name = "alone", inject = { value = 9 } }).out)
    local flow = lf.Flow("f"):add(Echo { name = "e", inject = { value = 9 } })
    for i = 1, 20000 do
      flow = lf.Flow("f" .. i):add(flow)
    end
    assert.same({ "out" }, flow.provides)
    assert.same({}, flow.requires)
    assert.equal(9, engines.run(flow).out)
  end)

  it("resolves references on this machine for local engines", function()
    package.loaded.spec_engine_tasks = { Echo = Echo }
    finally(function()
      package.loaded.spec_engine_tasks = nil
    end)
    local flow = lf.Flow("f"):add { "spec_engine_tasks:Echo", name = "r", requires = "value", provides = "o" }
    assert.equal(3, engines.run(flow, { store = { value = 3 } }).o)
    local missing = lf.Flow("f"):add { "spec_engine_tasks:Nobody", name = "r" }
    assert.truthy(failing(engines.load, missing):find "module 'spec_engine_tasks' has no task class 'Nobody'")
    missing = lf.Flow("f"):add { "no.such.module:T", name = "r" }
    local message = failing(engines.load, missing)
    assert.truthy(message:find "task 'r' %(no.such.module:T%): the serial engine runs it on this machine, but")
  end)

  it("the module gives the number of cores", function()
    assert.is_true(host.cores() >= 1)
  end)
end)
