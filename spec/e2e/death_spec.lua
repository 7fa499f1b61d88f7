-- kill -9 of what runs a task, while it runs: the engine learns of it and says what happened.
local flows = require "flows"
local peers = require "peers"
local process = require "process"

for _, transport in ipairs { "amqp", "filesystem" } do
  describe("death over " .. transport .. ":", function()
    local side, worker

    before_each(function()
      side = peers.environment(transport)
      worker = peers.ready(side:worker("lua", "work", { slots = 2 }))
    end)

    after_each(process.cleanup)

    -- An engine whose task runs now, and the pid of the slot that runs it.
    local function running(engine_language, options)
      local scenario = {
        flow = flows.linear(
          "dying",
          flows.task("Undo", "before", { rebind = { value = "n" } }),
          flows.task("Slow", "victim", { inject = { seconds = 60 } })
        ),
        store = { n = 1 },
      }
      local engine = side:start_engine(engine_language, { "work" }, scenario, options)
      local entry = process.poll(20, function()
        return side:journal("start")[1]
      end)
      assert(entry, "the task did not start: " .. engine:story() .. worker:story())
      process.sleep(0.3) -- the engine knows, too
      return engine, entry.pid
    end

    for _, language in ipairs { "lua", "python" } do
      it(("a killed slot is a failure that names the signal, %s engine"):format(language), function()
        local engine, slot = running(language)
        assert.is_not.equal(worker.pid, slot)
        process.signal(slot, "KILL")
        local run = peers.result(engine, 20)
        assert.equal("REVERTED", run.state)
        assert.matches("WorkerLost", run.failures.victim.exc_type_names[1])
        assert.matches("signal 9", run.failures.victim.exception_str)
        -- The task before was reverted, by the same worker with a new slot.
        assert.equal("REVERTED", run.atoms.before)
        assert.is_nil(worker:ended())
        local again = side:engine(language, { "work" }, { flow = flows.linear("one", flows.task("Nothing", "again")) })
        assert.equal("SUCCESS", again.state)
      end)
    end

    it("a killed worker is noticed by its silence, and its slots die with it", function()
      local engine, slot = running("lua", { transition_timeout = 5 })
      worker:kill "KILL"
      worker:wait(5)
      local killed = process.now()
      local run = peers.result(engine, 30)
      -- 2.5 s of silence, then nobody is left to take over, nor to revert: each gives up after the transition timeout.
      assert.is_true(process.now() - killed < 20)
      assert.matches("WorkerLost", run.failures.victim.exc_type_names[1])
      assert.matches("work", run.failures.victim.exception_str)
      assert.matches("silent", run.failures.victim.exception_str)
      assert.equal("FAILURE", run.state)
      assert.equal("taskflow.exceptions.RequestTimeout", run.revert_failures.victim.exc_type_names[1])
      assert.is_false(process.is_running(slot))
    end)

    it("another worker takes over what a killed worker ran", function()
      local engine = running "lua"
      local other = peers.ready(side:worker("lua", "work", { slots = 2 }))
      worker:kill "KILL"
      assert(process.poll(20, function()
        return #side:journal "start" == 2
      end), "nobody took over: " .. engine:story() .. other:story())
      -- And a second time: the attempts are not used up yet.
      local third = peers.ready(side:worker("lua", "work", { slots = 2 }))
      other:kill "KILL"
      assert(process.poll(20, function()
        return #side:journal "start" == 3
      end), "nobody took over: " .. engine:story() .. third:story())
      assert.is_nil(engine:ended())
    end)

    it("a task of one attempt is not repeated", function()
      local engine = running("lua", { attempts = 1 })
      peers.ready(side:worker("lua", "work", { slots = 2 }))
      worker:kill "KILL"
      local run = peers.result(engine, 30)
      assert.equal("REVERTED", run.state)
      assert.matches("attempts used up: 1 of 1", run.failures.victim.exception_str)
      assert.equal(1, #side:journal "start")
    end)

    it("a killed engine leaves a worker that serves the next one", function()
      local engine = running "lua"
      engine:kill "KILL"
      engine:wait(5)
      local run = side:engine("lua", { "work" }, { flow = flows.linear("one", flows.task("Nothing", "next")) })
      assert.equal("SUCCESS", run.state)
      assert.is_nil(worker:ended())
    end)

    it("TERM lets what runs finish, takes no more, and exits 0", function()
      local engine = side:start_engine("lua", { "work" }, {
        flow = flows.linear("draining", flows.task("Slow", "last", { inject = { seconds = 2 } })),
      })
      assert(process.poll(20, function()
        return side:journal("start")[1]
      end))
      worker:kill "TERM"
      assert.equal("SUCCESS", peers.result(engine, 20).state)
      assert.same({ code = 0 }, worker:wait(10))
    end)

    it("what runs longer than the drain timeout goes to another worker", function()
      local short = peers.ready(side:worker("lua", "short", { slots = 1, words = { "--drain-timeout", "0.5" } }))
      local engine = side:start_engine("lua", { "short" }, {
        flow = flows.linear("handover", flows.task("Slow", "one", { inject = { seconds = 4 } })),
      })
      assert(process.poll(20, function()
        return side:journal("start")[1]
      end))
      local other = peers.ready(side:worker("lua", "short", { slots = 1 }))
      short:kill "TERM"
      assert.same({ code = 3 }, short:wait(3), short:story())
      assert.equal("SUCCESS", peers.result(engine, 30).state, other:story())
      local starts = side:journal "start"
      assert.same({ short.pid, other.pid }, { starts[1].host, starts[2] and starts[2].host })
      assert.equal(2, #starts)
      assert.equal(1, #side:journal "end")
    end)

    it("a second TERM gives up at once", function()
      local _, slot = running "lua"
      worker:kill "TERM"
      process.sleep(0.5)
      assert.is_nil(worker:ended())
      worker:kill "TERM"
      local how = worker:wait(5)
      assert.is_not.same({ code = 0 }, how)
      assert.is_truthy(process.poll(5, function()
        return not process.is_running(slot)
      end))
    end)
  end)
end
