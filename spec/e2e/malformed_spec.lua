-- Ten thousand malformed messages to a worker and to an engine, on both transports, while real work goes on:
-- all are rejected and counted, memory stays flat, the work ends right.
local cjson = require "cjson"
local flows = require "flows"
local peers = require "peers"
local process = require "process"

local COUNT = 10000
local WARM_UP = 2000 -- of the same kinds, before memory is looked at
local SEED = tonumber(os.getenv "TFHOST_TEST_SEED") or os.time()
-- Room for the allocator and for pages of code first used; a leak of 1 KB a message would be 8 MB.
local GROWTH = 4096 -- KB

local function feed(side, role, topic, count, seed)
  local config = side:file(
    "feed.json",
    cjson.encode {
      exchange = side.exchange,
      url = side.url,
      spool = side.spool,
      role = role,
      topic = topic,
      count = count,
      seed = seed,
    }
  )
  local done = process.run {
    "/usr/bin/python3",
    peers.support .. "/python/feed.py",
    config,
    env = side:env(),
    timeout = 200,
  }
  assert(done.code == 0, done.story)
  return done
end

local function total(process_of, pattern)
  local last = 0
  for number in process_of:stderr():gmatch(pattern) do
    last = tonumber(number)
  end
  return last
end

for _, transport in ipairs { "amqp", "filesystem" } do
  describe(("%d malformed messages over %s (seed %d)"):format(COUNT, transport, SEED), function()
    local side, worker

    before_each(function()
      side = peers.environment(transport)
      worker = peers.ready(side:worker("lua", "work", { slots = 2 }))
    end)

    after_each(process.cleanup)

    -- A flow of which one branch works and the other waits until the file appears.
    local function start_work()
      local path = side.dir .. "/fed"
      local steps = flows.linear "steps"
      for i = 1, 20 do
        steps.children[i] = flows.task("Undo", "step-" .. i, { rebind = { value = "n" } })
      end
      local engine = side:start_engine("lua", { "work", "nobody" }, {
        flow = flows.unordered("work", steps, flows.task("WaitFor", "fed", { inject = { path = path } })),
        store = { n = 1 },
      })
      assert(process.poll(20, function()
        return side:journal("start")[1]
      end), engine:story())
      return engine, path
    end

    local function attack(role, topic, victim)
      local engine, path = start_work()
      victim = victim or engine
      feed(side, role, topic, WARM_UP, SEED)
      process.sleep(1)
      local before = process.rss(victim.pid)
      local sanitized = process.read(("/proc/%d/maps"):format(victim.pid)):find("libasan", 1, true)
      feed(side, role, topic, COUNT - WARM_UP, SEED + 1)
      process.sleep(3) -- torn files get two seconds to become whole
      local after = process.rss(victim.pid)
      process.write(path, "")
      local run = peers.result(engine, 60)
      assert.equal("SUCCESS", run.state)
      assert.equal(20, #side:journal "execute")
      -- AddressSanitizer keeps what was freed, to catch who uses it; it looks for leaks itself.
      if not sanitized then
        assert(after - before < GROWTH, ("memory grew from %d to %d KB"):format(before, after))
      end
      return run
    end

    it("to the worker", function()
      attack("worker", "work", worker)
      assert.is_nil(worker:ended())
      assert.same({ code = 0 }, worker:stop(10))
      assert.equal(COUNT, total(worker, "malformed=(%d+)"))
    end)

    it("to the engine", function()
      local run = attack("engine", "nobody")
      assert.equal(COUNT, run.statistics.malformed)
    end)
  end)
end
