-- `tfhost health`: what probes are told in each state of a worker.
local cjson = require "cjson"
local flows = require "flows"
local peers = require "peers"
local process = require "process"

describe("tfhost health", function()
  local side, control

  before_each(function()
    side = peers.environment "filesystem"
    control = side.dir .. "/control"
  end)
  after_each(process.cleanup)

  local function health(...)
    return process.run { peers.tfhost, "health", "--control", control, timeout = 20, ... }
  end

  local function worker(more)
    more = more or {}
    more.slots = 2
    more.words = { "--control", control }
    return side:worker("lua", "work", more)
  end

  -- The answer of a worker that was just started, once it matches.
  local function answer(pattern)
    local said
    process.poll(20, function()
      said = health()
      return said.stdout:find(pattern)
    end)
    return said
  end

  local function fill(started)
    local flow = { pattern = "unordered", name = "full", children = {} }
    for i = 1, 2 do
      flow.children[i] = flows.task("Slow", "slow-" .. i, { inject = { seconds = 3 } })
    end
    side:start_engine("lua", { "work" }, { flow = flow })
    assert(process.poll(20, function()
      return #side:journal "start" == 2
    end), "the slots are not busy: " .. started:story())
  end

  it("is quick while every slot is busy", function()
    fill(peers.ready(worker()))
    local best = math.huge
    for _ = 1, 10 do
      local began = process.now()
      local said = health()
      best = math.min(best, process.now() - began)
      assert.equal(0, said.code, said.story)
      assert.matches("^worker %d+: ready\n$", said.stdout)
    end
    assert.equal(0, #side:journal "end")
    assert.is_true(best < 0.05, "the quickest answer took " .. best .. " s")
  end)

  it("tells a worker that drains from one that is dead", function()
    local w = peers.ready(worker())
    fill(w)
    process.signal(w.pid, "TERM")
    w:wait_for("draining", 10)
    local said = health "--ready"
    assert.equal(2, said.code, said.story)
    assert.matches("^worker %d+: not ready: it drains", said.stdout)
    assert.equal(0, health("--live").code)
    local json = health("--json")
    assert.equal(2, json.code)
    local told = cjson.decode(json.stdout)
    assert.same({ "worker", w.pid, true, false, "work" },
      { told.kind, told.pid, told.live, told.ready, told.topic })
    assert.equal(0, w:wait(20).code)
    said = health()
    assert.equal(1, said.code, said.story)
    assert.equal("", said.stdout)
  end)

  it("gives up on a worker that stands still, however often it is asked", function()
    local w = peers.ready(worker())
    process.signal(w.pid, "STOP")
    for _ = 1, 20 do -- more than connections wait in the socket's line
      local began = process.now()
      local said = health("--live", "--timeout", "0.1")
      assert.equal(1, said.code, said.story)
      assert.matches("no answer within 0.1 s", said.stderr)
      assert.is_true(process.now() - began < 5)
    end
    process.signal(w.pid, "CONT")
    assert.equal(0, health("--live").code)
  end)

  it("says that scripts have not loaded", function()
    worker { tasks = { process.write(side.dir .. "/slow.lua", "os.execute 'sleep 60'") } }
    local said = answer "not loaded"
    assert.equal(2, said.code, said.story)
    assert.matches("not ready: its scripts have not loaded yet", said.stdout)
  end)

  it("says that there is no connection, and no password", function()
    local w = process.spawn { peers.tfhost, "worker", peers.support .. "/peer_tasks.lua", "--topic", "work",
      "--url", "amqp://guest:secret@127.0.0.1:1//", "--control", control, env = side:env() }
    local said = answer "not connected"
    assert.equal(2, said.code, said.story .. w:story())
    assert.matches("not ready: it is not connected", said.stdout)
    assert.is_nil((said.stdout .. said.stderr .. w:stdout() .. w:stderr()):find("secret", 1, true))
  end)

  it("needs a worker, and a command line that can be read", function()
    local said = process.run { peers.tfhost, "health", env = { TFHOST_CONTROL_DIR = side.dir } }
    assert.equal(1, said.code, said.story)
    assert.matches("no worker of this user runs here", said.stderr)
    assert.equal(64, health("--live", "--ready").code)
    assert.equal(64, health("--timeout", "never").code)
    local help = health "--help"
    assert.equal(0, help.code)
    assert.matches("Example: tfhost health", help.stdout)
    assert.matches("Exit code:", help.stdout)
  end)
end)
