-- Tasks that take longer than the broker waits for an acknowledgement (RabbitMQ: 30 minutes; here one minute, looked at
-- every 5 seconds): one that blocks in C, one whose process is stopped for a minute and goes on.
local broker = require "broker"
local flows = require "flows"
local peers = require "peers"
local process = require "process"

local TIMEOUT, TICK = 60, 5 -- seconds
local LONG = TIMEOUT + 2 * TICK + 2

describe("tasks that outlast the broker's consumer timeout", function()
  local node

  setup(function()
    node = broker.start()
    for name, seconds in pairs { consumer_timeout = TIMEOUT, channel_tick_interval = TICK } do
      node:ctl("eval", ("application:set_env(rabbit, %s, %d)."):format(name, seconds * 1000))
    end
  end)

  teardown(function()
    process.cleanup()
    node:remove()
  end)

  local function start(language)
    local side = peers.environment("amqp", node.url)
    local worker = peers.ready(side:worker("lua", "work", { slots = 4 }))
    local engine = side:start_engine(language, { "work" }, {
      flow = flows.unordered(
        "long",
        flows.task("Slow", "blocks", { inject = { seconds = LONG } }),
        flows.task("Slow", "stopped", { inject = { seconds = 3 } })
      ),
    })
    assert(process.poll(20, function()
      return #side:journal "start" == 2
    end), engine:story() .. worker:story())
    for _, entry in ipairs(side:journal "start") do
      if entry.task == "stopped" then
        process.signal(entry.pid, "STOP")
        side.stopped = entry.pid
      end
    end
    return { side = side, worker = worker, engine = engine }
  end

  local function assert_done(run)
    local result = peers.result(run.engine, 60)
    assert.equal("SUCCESS", result.state, result.story)
    assert.equal(2, #run.side:journal "start", run.worker:story())
    assert.equal(2, #run.side:journal "end")
    assert.is_nil(run.worker:ended())
  end

  it("run once, and a tfhost engine's channel stays open; a Python engine sees nothing of a closed one", function()
    local ours, python = start "lua", start "python"
    process.sleep(LONG - 2)
    process.signal(ours.side.stopped, "CONT")
    process.signal(python.side.stopped, "CONT")
    assert_done(ours)
    assert_done(python)
    -- Between tfhost peers requests are acknowledged once they are supervised: no 406 to recover from.
    local told = ours.worker:stderr() .. ours.engine:stderr()
    assert.is_nil(told:find("PRECONDITION_FAILED", 1, true), told)
    -- The broker did enforce its limit, on requests that nobody supervises: TaskFlow's own engine sends them. The
    -- worker runs them on, and takes what the broker delivers again for what it is.
    assert.matches("a task runs longer than the broker's consumer_timeout", python.worker:stderr())
  end)
end)
