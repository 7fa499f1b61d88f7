-- The broker goes away for 20 seconds while a flow runs. tfhost's worker and engine carry on without a restart;
-- Python peers go deaf on this (PROTOCOL.md 10), so both sides here are ours.
local broker = require "broker"
local flows = require "flows"
local peers = require "peers"
local process = require "process"

local DOWN = 20 -- seconds
-- Times that the broker is killed under one flow; TFHOST_BROKER_KILLS=500 for a long run.
local KILLS = tonumber(os.getenv "TFHOST_BROKER_KILLS" or 1)
local RESUME = 3 -- seconds from the broker's return to the next task that ends

describe("a broker restart", function()
  local node

  before_each(function()
    node = broker.start()
  end)

  after_each(function()
    process.cleanup()
    node:remove()
  end)

  for _, way in ipairs { "stop", "kill9" } do
    it(("(%s) of %d seconds does not end a flow"):format(way, DOWN), function()
      local side = peers.environment("amqp", node.url)
      local worker = peers.ready(side:worker("lua", "work", { slots = 2 }))
      local steps = flows.linear "steps"
      for i = 1, 6 do
        steps.children[i] = flows.task("Slow", "step-" .. i, { inject = { seconds = 0.7 } })
      end
      local engine = side:start_engine("lua", { "work" }, {
        -- `long` starts before the broker goes and ends while it is away: its outcome has to wait.
        flow = flows.unordered("outage", steps, flows.task("Slow", "long", { inject = { seconds = 8 } })),
      })
      assert(process.poll(20, function()
        return #side:journal "end" >= 2
      end), engine:story())
      node[way](node)
      process.sleep(DOWN)
      node:again()
      local run = peers.result(engine, 60)
      assert.equal("SUCCESS", run.state)
      assert.is_nil(worker:ended())
      for name, state in pairs(run.atoms) do
        assert.equal("SUCCESS", state, name)
      end
      -- The ledger answers for what had run: nothing runs twice although requests are sent again.
      local ends = {}
      for _, entry in ipairs(side:journal "end") do
        ends[entry.task] = (ends[entry.task] or 0) + 1
      end
      for i = 1, 6 do
        assert.equal(1, ends["step-" .. i])
      end
      assert.equal(1, ends.long)
      -- And the same two processes do more work.
      local after = side:engine("lua", { "work" }, { flow = flows.linear("one", flows.task("Nothing", "after")) })
      assert.equal("SUCCESS", after.state)
    end)
  end

  -- As words of a command line, too.
  local topologies = {
    compat = {},
    durable = { topology = "durable" },
    quorum = { topology = "durable", queue_type = "quorum" },
  }

  local function words(options)
    local out = {}
    for name, value in pairs(options) do
      out[#out + 1] = "--transport-option"
      out[#out + 1] = name .. "=" .. value
    end
    return out
  end

  -- Kill the broker, let it return; seconds until a task ends after that.
  local function kill(side, done, story)
    assert(process.poll(30, function()
      return #side:journal "end" >= done + 20
    end), story())
    node:kill9()
    process.sleep(1) -- what was on its way ends meanwhile
    local ended = #side:journal "end"
    node:again()
    local back = process.now()
    assert(process.poll(30, function()
      return #side:journal "end" > ended
    end), story())
    return process.now() - back, ended
  end

  for topology, options in pairs(topologies) do
    it(("again and again, topology %s: nothing is lost, nothing runs twice"):format(topology), function()
      local side = peers.environment("amqp", node.url)
      local worker = peers.ready(side:worker("lua", "work", { slots = 2, words = words(options) }))
      local flow = flows.linear "steps"
      local steps = 30 * (KILLS + 1)
      for i = 1, steps do
        flow.children[i] = flows.task("Slow", "step-" .. i, { inject = { seconds = 0.1 } })
      end
      local engine =
        side:start_engine("lua", { "work" }, { flow = flow }, { transport_options = next(options) and options })
      local worst, ended = 0, 0
      for _ = 1, KILLS do
        local seconds
        seconds, ended = kill(side, ended, function()
          return engine:story() .. worker:story()
        end)
        worst = math.max(worst, seconds)
      end
      assert.equal("SUCCESS", peers.result(engine, 60 + KILLS * 10).state)
      assert.equal(steps, #side:journal "end")
      assert.is_true(worst < RESUME, ("resumed after %.2f s"):format(worst))
      print(("# %s: %d kills of the broker, resumed after %.2f s at most"):format(topology, KILLS, worst))
    end)
  end
end)
