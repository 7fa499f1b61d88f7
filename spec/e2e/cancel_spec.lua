-- Cancelling: engine:cancel() and Ctrl-C end what runs in slots, on workers or of a parallel engine, then the flow
-- is reverted; a second Ctrl-C gives up at once.
local flows = require "flows"
local peers = require "peers"
local process = require "process"

local FLOW = [[
local lf = require "taskflow.patterns.linear_flow"
local retry = require "taskflow.retry"
local tasks = require "peer_tasks"
local flow = lf.Flow("cancelled", { retry = retry.Times(5) })
flow:add(tasks.Undo { name = "before", inject = { value = 1 } })
flow:add(tasks.Slow { name = "victim", inject = { seconds = 60 } })
return flow
]]

local function start(side, engine)
  process.write(side.dir .. "/cancelled.lua", FLOW)
  local flow = side.dir .. "/cancelled.lua"
  local command = { peers.tfhost, "run", "--plain", flow, "--backend", "none", "--engine", engine }
  command.env = side:env { LUA_PATH = peers.support .. "/?.lua;;" }
  if engine == "worker-based" then
    command[#command + 1] = "--topics"
    command[#command + 1] = "work"
    for _, word in ipairs(side:words()) do
      command[#command + 1] = word
    end
  end
  local run = process.spawn(command)
  local entry = process.poll(20, function()
    return side:journal("start")[1]
  end)
  assert(entry, "the task did not start: " .. run:story())
  process.sleep(0.3) -- the engine knows, too
  return run, entry.pid
end

local function assert_cancelled(side, run, slot)
  assert.same({ code = 130 }, run:wait(15), run:story())
  assert.is_false(process.is_running(slot))
  assert.matches("tfhost.Cancelled: task 'victim' was cancelled by its engine; slot %(pid %d+%)", run:story())
  assert.matches("before  REVERTED", run:stdout())
  assert.equal(2, #side:journal "revert")
  assert.equal(1, #side:journal "start") -- retries have no say
  assert.equal(0, #side:journal "end")
end

for _, transport in ipairs { "amqp", "filesystem" } do
  describe("cancelling over " .. transport .. ":", function()
    local side, worker

    before_each(function()
      side = peers.environment(transport)
      worker = peers.ready(side:worker("lua", "work", { slots = 1 }))
    end)
    after_each(process.cleanup)

    it("Ctrl-C ends the task on the worker and reverts", function()
      local run, slot = start(side, "worker-based")
      run:kill "INT"
      assert_cancelled(side, run, slot)
      -- The worker has a new slot.
      local again = side:engine("lua", { "work" }, { flow = flows.linear("one", flows.task("Nothing", "again")) })
      assert.equal("SUCCESS", again.state)
      assert.is_nil(worker:ended())
    end)

    it("a second Ctrl-C gives up at once", function()
      local run = start(side, "worker-based")
      worker:kill "STOP"
      run:kill "INT"
      process.sleep(0.3)
      assert.is_nil(run:ended())
      run:kill "INT"
      assert.same({ code = 130 }, run:wait(2))
      worker:kill "CONT"
    end)
  end)
end

describe("cancelling a parallel engine:", function()
  after_each(process.cleanup)

  it("Ctrl-C ends what runs and reverts", function()
    local side = peers.environment "filesystem"
    local run, slot = start(side, "parallel")
    run:kill "INT"
    assert_cancelled(side, run, slot)
  end)
end)

describe("engine:cancel()", function()
  local taskflow = require "taskflow"
  local lf = require "taskflow.patterns.linear_flow"
  local retry = require "taskflow.retry"
  local task = require "taskflow.task"
  local undone

  local Step = task.Task {
    execute = function() end,
    revert = function(self, result, flow_failures) -- luacheck: no unused args
      undone[#undone + 1] = self.name
    end,
  }

  before_each(function()
    undone = {}
  end)

  it("from a listener: begins nothing more, reverts what has run, raises nothing", function()
    local flow = lf.Flow("x", { retry = retry.Times(3) })
    flow:add(Step { name = "a" }, Step { name = "b" }, Step { name = "c" })
    local engine = taskflow.engines.load(flow, {})
    engine.atom_notifier:register("SUCCESS", function(_, details)
      if details.task_name == "b" then
        engine:cancel()
      end
    end)
    assert.equal("REVERTED", (engine:run()))
    assert.same({ "b", "a" }, undone)
    engine:close()
  end)

  it("does not wait for the delay of a retry", function()
    local Boom = task.Task {
      execute = function()
        error("x", 0)
      end,
    }
    local flow = lf.Flow("x", { retry = retry.Times { attempts = 3, delay = 60 } })
    flow:add(Step { name = "a" }, Boom { name = "boom" })
    local engine, ticks = taskflow.engines.load(flow, {}), 0
    local began = process.now()
    pcall(engine.run, engine, {
      tick = 0.05,
      on_tick = function()
        ticks = ticks + 1
        if ticks == 2 then
          engine:cancel()
        end
      end,
    })
    assert.is_true(process.now() - began < 30)
    assert.equal("REVERTED", engine.storage:get_flow_state())
    assert.same({ "a" }, undone)
    engine:close()
  end)
end)
