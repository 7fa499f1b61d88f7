-- A bad network between peers and broker, half-way through a flow: whatever it does, nothing is lost, nothing runs
-- twice, nobody needs a restart, and a connection that only looks alive is given up within two heartbeats.
local fault_proxy = require "fault_proxy"
local flows = require "flows"
local peers = require "peers"
local process = require "process"

local HEARTBEAT = 2 -- seconds
local STEPS = 6
local SLACK = 3 -- seconds: this machine may be busy

-- What goes wrong, and when it is over; `reconnects`: whether connections have to be given up.
local FAULTS = {
  { "latency of 200 to 300 ms each way", { "delay 200 100" }, { "delay 0 0" }, after = 4, reconnects = false },
  { "slices of 20 bytes, 20 kB/s", { "slice 20" }, { "slice 0" }, after = 3, reconnects = false },
  { "a stall shorter than a heartbeat", { "stall" }, { "flow" }, after = 1, reconnects = false },
  { "a stall longer than two heartbeats", { "stall" }, { "flow" }, after = 7, reconnects = true },
  { "half-open connections", { "lose" }, {}, after = 0, reconnects = true },
  { "a reset", { "cut" }, {}, after = 0, reconnects = true },
  { "refused connections for 5 s", { "refuse", "cut" }, { "accept" }, after = 5, reconnects = true },
}

local function tell(proxy, orders)
  for _, order in ipairs(orders) do
    proxy:tell(order)
  end
end

describe("a bad network:", function()
  local side, proxy, worker, engine

  -- Both peers, or one, behind the proxy.
  local function start(who)
    side = peers.environment "amqp"
    local broker = side.url
    proxy = fault_proxy.start(broker)
    side.url = who == "engine" and broker or proxy.url
    local option = "heartbeat=" .. HEARTBEAT
    worker = peers.ready(side:worker("lua", "work", { slots = 2, words = { "--transport-option", option } }))
    local flow = flows.linear "steps"
    for i = 1, STEPS do
      flow.children[i] = flows.task("Slow", "step-" .. i, { inject = { seconds = 0.3 } })
    end
    side.url = who == "worker" and broker or proxy.url
    engine =
      side:start_engine("lua", { "work" }, { flow = flow }, { transport_options = { heartbeat = HEARTBEAT } })
    assert(process.poll(20, function()
      return #side:journal "end" >= 2
    end), "the flow does not run: " .. engine:story() .. worker:story())
  end

  local function assert_done()
    local run = peers.result(engine, 40)
    assert.equal("SUCCESS", run.state, run.story)
    assert.equal(STEPS, #side:journal "start", worker:story())
    assert.equal(STEPS, #side:journal "end")
    assert.is_nil(worker:ended())
  end

  after_each(process.cleanup)

  for _, fault in ipairs(FAULTS) do
    it(fault[1], function()
      start "both"
      tell(proxy, fault[2])
      process.sleep(fault.after)
      tell(proxy, fault[3])
      assert_done()
      assert.equal(fault.reconnects, worker:stderr():find("trying again", 1, true) ~= nil, worker:story())
      assert.equal(fault.reconnects, engine:stderr():find("trying again", 1, true) ~= nil, engine:story())
    end)
  end

  for _, who in ipairs { "engine", "worker" } do
    it(("half-open connections of the %s alone are noticed in two heartbeats"):format(who), function()
      start(who)
      local victim = who == "engine" and engine or worker
      proxy:tell "lose"
      local lost = process.now()
      victim:wait_for("trying again", 20)
      assert.is_true(process.now() - lost < 2 * HEARTBEAT + SLACK, victim:story())
      assert_done()
    end)
  end

  it("twenty resets, one each 150 ms", function()
    start "both"
    for _ = 1, 20 do
      process.sleep(0.15)
      proxy:tell "cut"
    end
    assert_done()
  end)
end)
