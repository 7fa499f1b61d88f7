-- What an operator, or a broker in need, does to a flow that runs: it goes on by itself once the reason is gone, the
-- log says what the reason is, and what needs no broker works meanwhile.
local broker = require "broker"
local flows = require "flows"
local peers = require "peers"
local process = require "process"

local STEPS = 10
local VHOST = "spec"

describe("an operator", function()
  local node, side, worker, engine, sockets

  setup(function()
    node = broker.start()
  end)

  teardown(function()
    node:remove()
  end)

  before_each(function()
    node:ctl("add_vhost", VHOST)
    node:ctl("set_permissions", "-p", VHOST, "guest", ".*", ".*", ".*")
    side = peers.environment("amqp", (node.url:gsub("//$", "/" .. VHOST)))
    sockets = { TFHOST_CONTROL_DIR = side.dir }
    worker = peers.ready(side:worker("lua", "work", { slots = 2, env = sockets }))
    local flow = flows.linear "steps"
    for i = 1, STEPS do
      flow.children[i] = flows.task("Slow", "step-" .. i, { inject = { seconds = 0.3 } })
    end
    -- It does not end before the operator has: rabbitmqctl takes its time.
    flow.children[STEPS + 1] = flows.task("WaitFor", "last", { inject = { path = side.dir .. "/end" } })
    -- Whatever is done lasts longer than this engine is willing to wait for a worker.
    engine = side:start_engine("lua", { "work" }, { flow = flow }, { transition_timeout = 4 })
    assert(process.poll(20, function()
      return #side:journal "end" >= 2
    end), "the flow does not run: " .. engine:story() .. worker:story())
  end)

  after_each(function()
    process.cleanup()
    node:ctl("delete_vhost", VHOST)
  end)

  -- Nothing ran twice, nobody had to be started again.
  local function assert_done()
    process.write(side.dir .. "/end", "")
    local run = peers.result(engine, 40)
    assert.equal("SUCCESS", run.state, run.story .. worker:story())
    assert.equal(STEPS + 1, #side:journal "end", worker:story())
    assert.is_nil(worker:ended())
    return run
  end

  -- The flow does not go on, whatever waits is not given up, and the worker answers all the same.
  local function assert_waits(seconds)
    process.sleep(1)
    local before = #side:journal "start"
    local asked = process.now()
    local status = process.run { peers.tfhost, "status", env = sockets }
    assert.equal(0, status.code, status.story)
    assert.is_true(process.now() - asked < 2)
    process.sleep(seconds)
    assert.equal(before, #side:journal "start")
    assert.is_nil(engine:ended(), engine:story())
  end

  local function queue(topic)
    return side.exchange .. "_" .. topic
  end

  -- Name of the queue of somebody's own, by how many there are: the engine's and the worker's.
  local function private_queues()
    local out = {}
    for name in node:ctl("list_queues", "-p", VHOST, "--silent", "name"):gmatch "%S+" do
      if #name == #queue "" + 36 then
        out[#out + 1] = name
      end
    end
    return out
  end

  it("deletes the queue that the worker consumes", function()
    node:ctl("delete_queue", "-p", VHOST, queue "work")
    assert_done()
    assert.matches("a queue of ours was deleted", worker:stderr())
  end)

  it("deletes the queues of the engine's replies and of the worker's own", function()
    local names = private_queues()
    assert.equal(2, #names)
    for _, name in ipairs(names) do
      node:ctl("delete_queue", "-p", VHOST, name)
    end
    assert_done()
    assert.matches("a queue of ours was deleted", engine:stderr())
  end)

  it("closes all connections", function()
    node:ctl("close_all_connections", "--vhost", VHOST, "maintenance today")
    assert_done()
    assert.matches("maintenance today", worker:stderr())
  end)

  it("has a broker short of memory", function()
    node:ctl("set_vm_memory_high_watermark", "0.00001")
    assert_waits(6)
    assert.matches("takes no messages for now: low on memory", worker:stderr() .. engine:stderr())
    node:ctl("set_vm_memory_high_watermark", "0.4")
    assert_done()
    assert.is_nil(worker:stderr():find("trying again", 1, true), worker:story())
  end)

  it("takes the user's permissions away, and gives them back", function()
    node:ctl("clear_permissions", "-p", VHOST, "guest")
    node:ctl("close_all_connections", "--vhost", VHOST, "permissions changed")
    assert_waits(4)
    assert.matches("access to vhost '" .. VHOST .. "' refused for user 'guest'", worker:stderr())
    assert.matches("the user must have access to it", worker:stderr())
    -- And only some of them.
    node:ctl("set_permissions", "-p", VHOST, "guest", ".*", "^$", ".*")
    assert(process.poll(10, function()
      return worker:stderr():find("rabbitmqctl set_permissions", 1, true)
    end), worker:story())
    node:ctl("set_permissions", "-p", VHOST, "guest", ".*", ".*", ".*")
    assert_done()
  end)

  it("deletes the vhost, and makes it again", function()
    node:ctl("delete_vhost", VHOST)
    assert_waits(4)
    assert.matches("check the vhost of the URL", worker:stderr())
    assert.matches("check the vhost of the URL", engine:stderr())
    node:ctl("add_vhost", VHOST)
    node:ctl("set_permissions", "-p", VHOST, "guest", ".*", ".*", ".*")
    assert_done()
  end)
end)
