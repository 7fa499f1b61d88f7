-- A Python engine watches over nobody, and the queue of a topic goes with its last worker. A tfhost worker that is
-- killed and started again goes on with what it had begun, so that the flow ends.
local flows = require "flows"
local peers = require "peers"
local process = require "process"

describe("a Python engine on a tfhost worker that is killed", function()
  local side

  before_each(function()
    side = peers.environment "amqp"
  end)

  after_each(process.cleanup)

  local function worker(more)
    more = more or {}
    return peers.ready(side:worker("lua", "work", {
      slots = 4,
      words = { "--journal", side.dir .. "/journal.d", unpack(more) },
    }))
  end

  local function flow(...)
    local children = {}
    for i, seconds in ipairs { ... } do
      children[i] = flows.task("Slow", "t" .. i, { provides = "r" .. i, inject = { seconds = seconds } })
    end
    return { flow = flows.unordered("killed", unpack(children)) }
  end

  local function begun(n)
    assert(process.poll(20, function()
      return #side:journal "start" >= n
    end))
  end

  local function kept()
    local count = 0
    for _ in process.run({ "find", side.dir .. "/journal.d", "-type", "f" }).stdout:gmatch "[^\n]+" do
      count = count + 1
    end
    return count
  end

  local function counts()
    local n = {}
    for _, entry in ipairs(side:journal "end") do
      n[entry.task] = (n[entry.task] or 0) + 1
    end
    return n
  end

  it("ends when the worker is back: the last one of its topic takes the queue along", function()
    local first = worker()
    local engine = side:start_engine("python", { "work" }, flow(1.5, 1.5, 0.2))
    begun(3)
    process.poll(5, function()
      return #side:journal "end" > 0
    end)
    process.sleep(0.3) -- the task has said so itself: its worker has to hear of it yet
    first:kill "KILL"
    first:wait(5)
    local second = worker()
    local run = peers.result(engine, 30)
    assert.equal("SUCCESS", run.state, run.story .. second:story())
    assert.same({ t1 = 1, t2 = 1, t3 = 1 }, counts())
    second:stop()
    assert.equal(0, kept())
  end)

  it("runs nothing twice while another worker keeps the queue, and gets what was not acknowledged", function()
    local first = worker()
    local engine = side:start_engine("python", { "work" }, flow(2.5, 2.5))
    begun(2)
    local other = worker()
    process.sleep(0.5) -- that it serves does not say that the broker knows
    first:kill "KILL"
    first:wait(5)
    local again = worker() -- finds the diary, and that the queue is still there
    local run = peers.result(engine, 30)
    assert.equal("SUCCESS", run.state, run.story .. other:story() .. again:story())
    assert.same({ t1 = 1, t2 = 1 }, counts())
    assert.equal(4, #side:journal "start")
    assert(process.poll(20, function()
      return again:stderr():find("0 of them are gone on with here", 1, true)
        or other:stderr():find("0 of them are gone on with here", 1, true)
    end), again:story() .. other:story())
  end)

  it("ends though the broker has long been told that the task is done with", function()
    local first = worker { "--journal-after", "0.5" }
    local engine = side:start_engine("python", { "work" }, flow(4))
    begun(1)
    local other = worker() -- keeps the queue
    process.sleep(1.5)
    first:kill "KILL"
    first:wait(5)
    local second = worker()
    local run = peers.result(engine, 40)
    assert.equal("SUCCESS", run.state, run.story .. second:story() .. other:story())
    assert.same({ t1 = 1 }, counts())
    assert.matches("1 of them are gone on with here", second:stderr() .. other:stderr())
  end)
end)
