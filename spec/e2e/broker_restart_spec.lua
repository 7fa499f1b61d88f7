-- The broker goes away for 20 seconds while a flow runs. tfhost's worker and engine carry on without a restart;
-- Python peers go deaf on this (PROTOCOL.md 10), so both sides here are ours.
local broker = require "broker"
local flows = require "flows"
local peers = require "peers"
local process = require "process"

local DOWN = 20 -- seconds
-- Times that the broker goes down under one flow; `make broker-kills` does 500.
local KILLS = tonumber(os.getenv "TFHOST_BROKER_KILLS" or 1)
-- Of these, as a list separated by spaces.
local TOPOLOGIES = os.getenv "TFHOST_TOPOLOGY" or "compat durable quorum"
local RESUME = 3 -- seconds from the broker's return to the next task that ends: 99 of 100 times
local EACH = 20 -- tasks that end before each kill

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

  -- How the i-th time is: mostly by SIGKILL and back at once, now and then in peace, now and then away for long.
  local function way_of(i)
    if i % 100 == 0 then
      return "kill9", 30
    end
    return i % 10 == 0 and "stop" or "kill9", 1 -- what was on its way ends meanwhile
  end

  -- Have the broker go and come; seconds until a task ends after that.
  local function interrupt(side, i, done, story)
    assert(process.poll(60, function()
      return #side:journal "end" >= done + EACH
    end), story())
    local way, away = way_of(i)
    node[way](node)
    process.sleep(away)
    local ended = #side:journal "end"
    node:again()
    local back = process.now()
    assert(process.poll(30, function()
      return #side:journal "end" > ended
    end), ("interruption %d: no task ends any more\n%s"):format(i, story()))
    return process.now() - back, ended
  end

  for topology in TOPOLOGIES:gmatch "%S+" do
    local options = assert(topologies[topology], topology)
    it(("again and again, topology %s: nothing is lost, nothing runs twice"):format(topology), function()
      local side = peers.environment("amqp", node.url)
      local worker = peers.ready(side:worker("lua", "work", { slots = 2, words = words(options) }))
      local flow = flows.linear "steps"
      -- While the broker starts, and once more, those go on that were sent.
      local steps = (EACH + 10) * (KILLS + 1)
      for i = 1, steps do
        flow.children[i] = flows.task("Slow", "step-" .. i, { inject = { seconds = 0.1 } })
      end
      local engine =
        side:start_engine("lua", { "work" }, { flow = flow }, { transport_options = next(options) and options })
      local took, ended = {}, 0
      for i = 1, KILLS do
        took[i], ended = interrupt(side, i, ended, function()
          return engine:story() .. worker:story()
        end)
      end
      assert.equal("SUCCESS", peers.result(engine, 60 + steps / 2).state)
      local times = {}
      for _, entry in ipairs(side:journal "end") do
        times[entry.task] = (times[entry.task] or 0) + 1
      end
      for i = 1, steps do
        assert.equal(1, times["step-" .. i], "step-" .. i)
      end
      assert.is_nil(worker:ended())
      table.sort(took)
      local function part(p)
        return took[math.max(1, math.ceil(p * #took))]
      end
      print(("# %s: the broker went down %d times; a task ended after its return within p50 %.2f, p99 %.2f, max %.2f s")
        :format(topology, KILLS, part(0.5), part(0.99), part(1)))
      assert.is_true(part(0.99) < RESUME)
    end)
  end
end)
