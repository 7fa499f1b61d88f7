-- More work than slots: nothing expires because it stands in line, memory does not grow with the line, a worker that
-- comes later gets its share; a worker that is told to end under load ends, and loses nothing.
local flows = require "flows"
local peers = require "peers"
local process = require "process"

local REQUESTS = 10000
local GROWTH_KB = 8 * 1024

local function fan_out(name, count, class, inject)
  local flow = flows.unordered(name)
  for i = 1, count do
    flow.children[i] = flows.task(class, ("%s-%d"):format(name, i), { inject = inject })
  end
  return flow
end

-- What is there twice, by the name of its task.
local function twice(entries)
  local seen, out = {}, {}
  for _, entry in ipairs(entries) do
    if seen[entry.task] then
      out[#out + 1] = entry.task
    end
    seen[entry.task] = true
  end
  return out
end

for _, transport in ipairs { "amqp", "filesystem" } do
  describe("overload over " .. transport .. ":", function()
    local side, worker

    before_each(function()
      side = peers.environment(transport)
    end)

    after_each(process.cleanup)

    it("ten thousand requests for one slot run once each, in flat memory, though none may wait for long", function()
      worker = peers.ready(side:worker("lua", "work", { slots = 1 }))
      -- A longer timeout than a task takes, a shorter one than the line.
      local many, slow = fan_out("many", REQUESTS, "Nothing"), fan_out("slow", 4, "Slow", { seconds = 1 })
      local scenario = { flow = flows.linear("long", many, slow) }
      local engine = side:start_engine("lua", { "work" }, scenario, { transition_timeout = 2 })
      assert(process.poll(60, function()
        return #process.read(side.journal_path) > 0
      end), engine:story())
      process.sleep(1)
      local before, most = process.rss(worker.pid), 0
      while not engine:ended() do
        most = math.max(most, process.rss(worker.pid) or 0)
        process.sleep(0.1)
      end
      local run = peers.result(engine, 120)
      assert.equal("SUCCESS", run.state, run.story)
      assert.equal(REQUESTS, #side:journal "execute")
      assert.same({}, twice(side:journal "execute"))
      assert.equal(4, #side:journal "start")
      assert.is_true(most < before + GROWTH_KB, ("%d kB grew to %d"):format(before, most))
    end)

    it("a worker that comes later gets its share", function()
      worker = peers.ready(side:worker("lua", "work", { slots = 1 }))
      local engine = side:start_engine("lua", { "work" }, { flow = fan_out("shared", 24, "Slow", { seconds = 0.25 }) })
      assert(process.poll(20, function()
        return #side:journal "end" >= 2
      end), engine:story())
      local other = peers.ready(side:worker("lua", "work", { slots = 1 }))
      assert.equal("SUCCESS", peers.result(engine, 40).state)
      local ran = {}
      for _, entry in ipairs(side:journal "end") do
        ran[entry.host] = (ran[entry.host] or 0) + 1
      end
      assert.equal(24, ran[worker.pid] + ran[other.pid])
      assert.is_true(ran[other.pid] >= 6, ("of 24 the second one ran %d"):format(ran[other.pid]))
    end)

    it("TERM with a hundred running: they end, what waits goes to another worker, nothing runs twice", function()
      worker = peers.ready(side:worker("lua", "work", { slots = 100 }))
      local engine = side:start_engine("lua", { "work" }, { flow = fan_out("busy", 250, "Slow", { seconds = 2 }) })
      assert(process.poll(30, function()
        return #side:journal "start" >= 100
      end), engine:story())
      local other = peers.ready(side:worker("lua", "work", { slots = 100 }))
      worker:kill "TERM"
      assert.same({ code = 0 }, worker:wait(20))
      local run = peers.result(engine, 60)
      assert.equal("SUCCESS", run.state, run.story)
      assert.equal(250, #side:journal "end")
      assert.same({}, twice(side:journal "start"))
      assert.is_nil(other:ended())
    end)
  end)
end
