local exceptions = require "taskflow.exceptions"
local lf = require "taskflow.patterns.linear_flow"
local retry = require "taskflow.retry"
local task = require "taskflow.task"
local testing = require "taskflow.testing"

local Reserve = task.Task {
  default_provides = "seat",
  execute = function(self, show)
    self:update_progress(0.5)
    return show .. "/7"
  end,
  revert = function(self, result)
    self:notify("given_back", { seat = tostring(result) })
  end,
}
local Charge = task.Task {
  default_provides = "receipt",
  execute = function(self, seat, amount) -- luacheck: ignore 212
    return amount
  end,
}

local function booking()
  return lf.Flow("booking"):add(Reserve { name = "reserve" }, Charge { name = "charge" })
end

local STORE = { show = "Hamlet", amount = 40 }

describe("taskflow.testing", function()
  it("runs a task", function()
    local run = testing.task(Reserve { name = "r" }, { show = "Hamlet" })
    assert.same({ "SUCCESS", "Hamlet/7" }, { run.state, run.result })
    assert.same({ { task = "r", type = "update_progress", details = { progress = 0.5 } } }, run.events)
    run = testing.task(Reserve, { show = {} })
    assert.same("REVERTED", run.state)
    assert.matches("attempt to concatenate", run.failure.exception_str)
    assert.is_nil(run.result)
    assert.error_matches(function()
      testing.task(Reserve)
    end, "requires %['show'%]")
  end)

  it("runs a flow with fakes", function()
    local run = testing.flow(booking(), { store = STORE, fakes = { charge = testing.returns "ok" } })
    assert.same({ "SUCCESS", "ok" }, { run.state, run.results.receipt })
    assert.same({ { seat = "Hamlet/7", amount = 40 } }, run.inputs.charge)
    run = testing.flow(booking(), {
      store = STORE,
      fakes = { charge = testing.fails(exceptions.ValueError "card refused") },
    })
    assert.same({ "REVERTED", { "reserve", "charge" } }, { run.state, run.executed })
    assert.same({ "charge", "reserve" }, run.reverted)
    assert.is_truthy(run.failure:check(exceptions.ValueError))
    assert.same({ reserve = "REVERTED", charge = "REVERTED" }, run.states)
  end)

  it("needs no code of tasks that are faked", function()
    local flow = lf.Flow("f"):add { "nowhere:Class", name = "far", provides = "x" }
    assert.same(5, testing.flow(flow, { fakes = { far = testing.returns(5) } }).results.x)
  end)

  it("reverts a task", function()
    local run = testing.revert(Reserve { name = "r" }, { show = "Hamlet" }, testing.returns "row 1")
    assert.same("REVERTED", run.states.r)
    assert.same({ seat = "row 1" }, run.events[1].details)
  end)

  it("passes no time for what waits", function()
    local flow = lf.Flow("patient", { retry = retry.Times { name = "times", attempts = 3, delay = 3600, backoff = 2 } })
    flow:add(Charge { name = "charge" })
    local seen = {}
    local began = os.time()
    local run = testing.flow(flow, {
      store = { seat = "s", amount = 1 },
      fakes = {
        charge = testing.in_turn(testing.fails "a", function()
          testing.clock(60)
          error("b", 0)
        end, function()
          seen[1] = testing.clock()
          return "done"
        end),
      },
    })
    assert.same({ "SUCCESS", "done" }, { run.state, run.results.receipt })
    assert.same({ 3600 + 60 + 7200, 3600 + 60 + 7200 }, { run.seconds, seen[1] })
    assert.is_true(os.time() - began < 60)
  end)

  it("refuses what is wrong, at the caller's line", function()
    assert.error_matches(function()
      testing.flow(booking(), { store = STORE, fakes = { chrage = testing.returns(1) } })
    end, "testing_spec.lua:%d+: .*unknown task 'chrage', did you mean 'charge'")
    assert.error_matches(function()
      testing.flow(booking(), { fake = {} })
    end, "unknown option 'fake'")
    assert.error_matches(function()
      testing.clock()
    end, "no run of taskflow.testing is under way")
    assert.error_matches(function()
      testing.task "x"
    end, "'module:Class'")
  end)
end)
