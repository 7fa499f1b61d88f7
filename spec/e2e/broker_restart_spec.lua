-- The broker goes away for 20 seconds while a flow runs. tfhost's worker and engine carry on without a restart;
-- Python peers go deaf on this (PROTOCOL.md 10), so both sides here are ours.
local broker = require "broker"
local flows = require "flows"
local peers = require "peers"
local process = require "process"

local DOWN = 20 -- seconds
-- Times that the broker goes down under flows; `make broker-kills` does 500.
local KILLS = tonumber(os.getenv "TFHOST_BROKER_KILLS" or 1)
-- Of these, as a list separated by spaces.
local TOPOLOGIES = os.getenv "TFHOST_TOPOLOGY" or "compat durable quorum"
local RESUME = 3 -- seconds from the broker's return to the next task that ends: 99 of 100 times
local ENGINES = 3 -- with a flow each, for one worker of two slots
local EACH = 8 -- tasks that end before each kill, at least
-- Tasks before the first kill. A broker that is killed half a second after quorum queues were made does not answer who
-- reads them when it is back (doc/reliability.md).
local FIRST = 20
local SPARE = 14 -- tasks that may end besides: until the kill, and until we know that the broker is back

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
    return i % 10 == 0 and "stop" or "kill9", 0
  end

  -- A function that counts the tasks that have ended, reading what is new only: there are thousands.
  local function counter(side)
    local handle, count = assert(io.open(side.journal_path, "ab+")), 0
    return function()
      local _, more = handle:read("*a"):gsub('"end"', "")
      count = count + more
      return count
    end
  end

  -- Have the broker go and come; seconds until a task ends after that, and how many had ended until then.
  local function interrupt(ends, i, done, story)
    assert(process.poll(60, function()
      return ends() >= done + EACH + i % 5 -- any moment of a request's life
    end), story())
    local way, away = way_of(i)
    node[way](node)
    process.sleep(away)
    node:again()
    local back, ended = process.now(), ends()
    assert(process.poll(30, function()
      return ends() > ended
    end), ("interruption %d: no task ends any more\n%s"):format(i, story()))
    return process.now() - back, ended
  end

  -- Flows of one chain each, for an engine each: whenever the broker goes, tasks run, wait, and are told of.
  local function start_engines(side, options)
    local engines, steps = {}, math.ceil((EACH + SPARE) * (KILLS + 1) / ENGINES)
    for e = 1, ENGINES do
      local flow = flows.linear("flow-" .. e)
      for i = 1, steps do
        flow.children[i] = flows.task("Slow", ("step-%d-%d"):format(e, i), { inject = { seconds = 0.1 } })
      end
      engines[e] =
        side:start_engine("lua", { "work" }, { flow = flow }, { transport_options = next(options) and options })
    end
    return engines, steps
  end

  local function part(sorted, p)
    return sorted[math.max(1, math.ceil(p * #sorted))]
  end

  for topology in TOPOLOGIES:gmatch "%S+" do
    local options = assert(topologies[topology], topology)
    it(("again and again, topology %s: nothing is lost, nothing runs twice"):format(topology), function()
      local side = peers.environment("amqp", node.url)
      local worker = peers.ready(side:worker("lua", "work", { slots = 2, words = words(options) }))
      local engines, steps = start_engines(side, options)
      local took, began, ends = {}, process.now(), counter(side)
      local ended = FIRST - EACH
      for i = 1, KILLS do
        took[i], ended = interrupt(ends, i, ended, function()
          local story = worker:story()
          for _, engine in ipairs(engines) do
            story = story .. engine:story()
          end
          return story
        end)
      end
      local seconds = process.now() - began
      for _, engine in ipairs(engines) do
        assert.equal("SUCCESS", peers.result(engine, 60 + steps / 2).state)
      end
      local times = {}
      for _, entry in ipairs(side:journal "end") do
        times[entry.task] = (times[entry.task] or 0) + 1
      end
      for e = 1, ENGINES do
        for i = 1, steps do
          local name = ("step-%d-%d"):format(e, i)
          assert.equal(1, times[name], name)
        end
      end
      assert.is_nil(worker:ended())
      table.sort(took)
      print(("# %s: the broker went down %d times in %.0f s, under %d tasks"):format(
        topology, KILLS, seconds, ENGINES * steps))
      print(("# seconds from its return to the end of the next task: p50 %.2f, p99 %.2f, max %.2f"):format(
        part(took, 0.5), part(took, 0.99), part(took, 1)))
      assert.is_true(part(took, 0.99) < RESUME)
    end)
  end
end)
