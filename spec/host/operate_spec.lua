-- ps, status, slots, events, drain, shutdown: what they say of workers while every slot is busy, and what they change.
local cjson = require "cjson"
local flows = require "flows"
local peers = require "peers"
local process = require "process"

local SLOTS, TASKS = 2, 5

describe("tfhost", function()
  local side, worker, engine

  local function operate(...)
    return process.run { peers.tfhost, timeout = 30, env = { TFHOST_CONTROL_DIR = side.dir .. "/ctl" }, ... }
  end

  local function start(topic)
    return peers.ready(side:worker("lua", topic or "work", {
      slots = SLOTS,
      env = { TFHOST_CONTROL_DIR = side.dir .. "/ctl" },
    }))
  end

  local function decoded(said)
    assert.equal(0, said.code, said.story)
    return cjson.decode(said.stdout)
  end

  -- Tasks that run until the spec ends them.
  local function fill(seconds)
    local flow = { pattern = "unordered", name = "full", children = {} }
    for i = 1, TASKS do
      flow.children[i] = flows.task("Slow", "slow-" .. i, { inject = { seconds = seconds or 60 } })
    end
    engine = side:start_engine("lua", { "work" }, { flow = flow })
    assert(process.poll(20, function()
      return #side:journal "start" >= SLOTS
    end), "the slots are not busy: " .. worker:story())
  end

  local function tasks_of(said)
    local by_state = { running = {}, waiting = {}, starting = {}, delivering = {} }
    assert.equal(0, said.code, said.story)
    for text in said.stdout:gmatch "[^\n]+" do
      local task = cjson.decode(text)
      table.insert(by_state[task.state], task)
    end
    return by_state
  end

  before_each(function()
    side = peers.environment "filesystem"
    assert(os.execute("mkdir -m 700 " .. side.dir .. "/ctl") == 0)
    worker = start()
  end)
  after_each(process.cleanup)

  it("answers within 50 ms while every slot is busy", function()
    local function quickest(f)
      local best = math.huge
      for _ = 1, 10 do
        local began = process.now()
        local said = f()
        best = math.min(best, process.now() - began)
        assert.equal(0, said.code, said.story)
      end
      return best
    end
    fill()
    -- Beside what this build takes to start: under sanitizers that is much.
    local alone = quickest(function()
      return process.run { peers.tfhost, "--version" }
    end)
    for _, command in ipairs { { "ps" }, { "status" }, { "slots", "+0" } } do
      local best = quickest(function()
        return operate(unpack(command))
      end)
      assert.is_true(best < 0.05 + alone, ("the quickest answer of %s took %.3f s"):format(command[1], best))
    end
    assert.equal(SLOTS, #side:journal "start")
  end)

  it("lists what runs and what waits, with its age and what it uses", function()
    fill()
    process.poll(5, function()
      return #tasks_of(operate("ps", "--json")).waiting > 0
    end)
    process.sleep(0.3)
    local by_state = tasks_of(operate("ps", "--json"))
    assert.equal(SLOTS, #by_state.running)
    assert.is_true(#by_state.waiting >= 1)
    for _, task in ipairs(by_state.running) do
      assert.same({ "execute", worker.pid, "work" }, { task.action, task.worker_pid, task.topic })
      assert.matches("^slow%-%d$", task.task)
      assert.matches("%.Slow$", task.class)
      assert.is_true(task.ran >= 0.25 and task.ran < 60, "ran " .. task.ran)
      assert.is_true(task.memory > 0 and task.pid ~= worker.pid)
      assert.is_true(task.cpu < task.ran + 0.5)
      process.signal(task.pid, "CONT") -- it lives
    end
    local said = operate "ps"
    assert.matches("^%s*WORKER%s+PID%s+STATE", said.stdout)
    assert.matches("running", said.stdout)
    local status = decoded(operate("status", "--json"))
    assert.same({ SLOTS, SLOTS, true, false }, { status.slots, status.busy, status.connected, status.draining })
    assert.equal(#by_state.waiting, status.queues.waiting)
    assert.equal(2 * SLOTS, status.queues.window)
    assert.equal(0, status.ledger.outcomes)
    assert.matches("slots, " .. SLOTS .. " busy.*queues: .*ledger: .*generation 1 .*running", operate("status").stdout)
  end)

  it("has a worker serve with more slots, and with fewer", function()
    fill()
    assert.same({ pid = worker.pid, slots = 4, before = 2 }, decoded(operate("slots", "+2", "--json")))
    assert(process.poll(20, function()
      return #tasks_of(operate("ps", "--json")).running == 4
    end), operate("ps").stdout)
    assert.matches("1 slot, it had 4", operate("slots", "-3").stdout)
    local status = decoded(operate("status", "--json"))
    assert.same({ 1, 4 }, { status.slots, status.busy }) -- what runs is finished
    local said = operate("slots", "0")
    assert.equal(1, said.code, said.story)
    assert.matches("at least one is left", said.stderr)
    assert.equal(1, operate("slots", "9999").code)
    for _, words in ipairs { { "slots" }, { "slots", "many" }, { "slots", "1", "2" } } do
      assert.equal(64, operate(unpack(words)).code)
    end
  end)

  it("ends slots that are too many when they have finished", function()
    fill(0.4)
    operate("slots", "1")
    assert.equal(0, engine:wait(30).code, engine:story())
    local status = decoded(operate("status", "--json"))
    assert.same({ 1, 0, 1 }, { status.slots, status.busy, #status.processes })
    assert.equal(TASKS, status.counters.succeeded)
    assert.equal(TASKS, status.ledger.outcomes)
    assert.matches("nothing runs: 1 slot, 0 busy", operate("ps").stdout)
  end)

  it("tells what happens from now on, of all or of one atom", function()
    local env = { TFHOST_CONTROL_DIR = side.dir .. "/ctl" }
    local events = process.spawn { peers.tfhost, "events", "--json", env = env }
    local people = process.spawn { peers.tfhost, "events", "-n", "3", env = env }
    process.sleep(0.3)
    fill(0.2)
    assert.equal(0, engine:wait(30).code, engine:story())
    events:wait_for('"event": "succeeded".*"event": "succeeded"', 10)
    assert.equal(0, people:wait(10).code)
    assert.matches("^%d%d:%d%d:%d%d  taken%s+slow%-%d\n", people:stdout())
    operate("drain")
    assert.equal(0, events:wait(10).code)
    local seen, order = {}, {}
    for text in events:stdout():gmatch "[^\n]+" do
      local event = cjson.decode(text)
      seen[event.event] = (seen[event.event] or 0) + 1
      assert.equal(worker.pid, event.pid)
      assert.is_true(math.abs(event.at - os.time()) < 60)
      if event.task == "slow-1" then
        order[#order + 1] = event.event
      end
    end
    assert.same({ TASKS, TASKS, 1 }, { seen.started, seen.succeeded, seen.draining })
    assert.equal("taken started", table.concat(order, " ", 1, 2))
    assert.equal("succeeded", order[#order])
  end)

  it("drains a worker, and waits for its end", function()
    fill(1)
    local said = operate("drain", "--json")
    assert.equal(0, decoded(said).given_back)
    assert.equal(0, worker:wait(5).code, worker:story())
    assert.equal(SLOTS, #side:journal "end")
  end)

  it("shuts a worker down, and gives back what it runs", function()
    fill()
    local began = process.now()
    local said = operate("shutdown", "--grace", "0.1")
    assert.equal(0, said.code, said.story)
    assert.matches("has ended; given back: " .. SLOTS, said.stdout)
    assert.is_true(process.now() - began < 20)
    assert.equal(3, worker:wait(5).code, worker:story())
    said = operate "drain"
    assert.equal(1, said.code)
    assert.matches("no worker of this user runs here", said.stderr)
  end)

  it("addresses one of several workers", function()
    local other = start "other"
    local said = operate("slots", "+1")
    assert.equal(1, said.code, said.story)
    assert.matches("2 workers run here: choose", said.stderr)
    assert.matches("%-%-pid " .. other.pid .. "  topic other  /", said.stderr)
    assert.equal(other.pid, decoded(operate("slots", "+1", "--json", "--topic", "other")).pid)
    assert.equal(worker.pid, decoded(operate("slots", "+1", "--json", "--pid", tostring(worker.pid))).pid)
    local socket = ("%s/ctl/worker-%d.sock"):format(side.dir, other.pid)
    assert.equal(4, decoded(operate("slots", "+1", "--json", "--control", socket)).slots)
    assert.equal(2, select(2, operate("status").stdout:gsub("worker %d+:", "")))
    said = operate("ps", "--topic", "third")
    assert.equal(1, said.code)
    assert.matches('no worker of this user serves topic "third"', said.stderr)
    said = operate("ps", "--control", side.dir .. "/none")
    assert.equal(1, said.code)
    assert.matches("nobody listens at", said.stderr)
    process.signal(other.pid, "STOP")
    said = operate("status", "--json", "--timeout", "0.2")
    process.signal(other.pid, "CONT")
    assert.equal(1, said.code, said.story)
    assert.matches("no answer within 0.2 s", said.stderr)
    assert.equal(worker.pid, cjson.decode(said.stdout).pid)
    assert.same({ 0, 0 }, { operate("shutdown", "--all").code, worker:wait(10).code })
  end)
end)
