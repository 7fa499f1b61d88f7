-- The broker goes away for 20 seconds while a flow runs. tfhost's worker and engine carry on without a restart;
-- Python peers go deaf on this (PROTOCOL.md 10), so both sides here are ours.
local flows = require "flows"
local peers = require "peers"
local process = require "process"

local DOWN = 20 -- seconds

local function rabbitmq(command, dir)
  local done = process.run { peers.support .. "/rabbitmq", command, dir, timeout = 90 }
  assert(done.code == 0, done.story)
end

describe("a broker restart", function()
  local dir

  before_each(function()
    dir = process.directory()
    rabbitmq("start", dir)
  end)

  after_each(function()
    rabbitmq("kill9", dir)
    process.cleanup()
  end)

  for _, way in ipairs { "stop", "kill9" } do
    it(("(%s) of %d seconds does not end a flow"):format(way, DOWN), function()
      local side = peers.environment("amqp", process.read(dir .. "/url"):match "%S+")
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
      rabbitmq(way, dir)
      process.sleep(DOWN)
      rabbitmq("start", dir)
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
end)
