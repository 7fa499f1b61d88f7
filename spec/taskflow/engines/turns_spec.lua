-- run_iter, the calls around a run, and what statistics tell. The sequences are those of TaskFlow 5.0.0.
local engines = require "taskflow.engines"
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local uf = require "taskflow.patterns.unordered_flow"

local Fine = task.Task { execute = function() end }
local Boom = task.Task {
  execute = function()
    error("boom", 0)
  end,
}
local Stuck = task.Task {
  execute = function() end,
  revert = function()
    error("stuck", 0)
  end,
}

local ROUND = "SCHEDULING WAITING ANALYZING"
local ROUNDS2, ROUNDS4 = ROUND .. " " .. ROUND, ROUND .. " " .. ROUND .. " " .. ROUND .. " " .. ROUND

local function linear(...)
  local flow = lf.Flow "f"
  for i, class in ipairs { ... } do
    flow:add(class { name = "t" .. i })
  end
  return flow
end

-- States that were yielded, with the flow's own where it changed, and how it ended. sends: by number of the state,
-- from 0.
local function play(flow, options, sends, close_at)
  local engine = engines.load(flow, options)
  local iter, out = engine:run_iter(), {}
  engine.notifier:register("*", function(state)
    if state ~= "RUNNING" then
      out[#out + 1] = "<" .. state .. ">"
    end
  end)
  local ok, err = pcall(function()
    local state, i = iter(), 0
    while state do
      out[#out + 1] = state
      if i == close_at then
        return iter:close()
      end
      state = iter(sends and sends[i])
      i = i + 1
    end
  end)
  if not ok then
    out[#out + 1] = tostring(err):match "boom" or tostring(err):match "stuck"
  end
  assert.is_nil(iter())
  iter:close() -- once more does no harm
  return table.concat(out, " "), engine
end

for _, kind in ipairs { "serial", "parallel" } do
  describe("run_iter of the " .. kind .. " engine", function()
    local options = { engine = kind }

    it("yields the states of the machine", function()
      assert.equal("RESUMING " .. ROUNDS2 .. " SUCCESS <SUCCESS>", (play(linear(Fine, Fine), options)))
      assert.equal("RESUMING " .. ROUND .. " SUCCESS <SUCCESS>", (play(lf.Flow "f", options)))
    end)

    it("yields REVERTED and raises then, but raises FAILURE at once", function()
      local never = { engine = kind, never_resolve = true }
      assert.equal("RESUMING " .. ROUNDS4 .. " REVERTED <REVERTED> boom", (play(linear(Fine, Boom), options)))
      assert.equal("RESUMING " .. ROUNDS4 .. " <FAILURE> stuck", (play(linear(Stuck, Boom), options)))
      assert.equal("RESUMING " .. ROUNDS2 .. " <FAILURE> boom", (play(linear(Fine, Boom), never)))
    end)

    it("suspends when it is sent a true value", function()
      local flow = function()
        return linear(Fine, Fine)
      end
      assert.equal(
        "RESUMING <SUSPENDING> " .. ROUND .. " SUSPENDED <SUSPENDED>",
        (play(flow(), options, { [0] = true }))
      )
      assert.equal(
        "RESUMING SCHEDULING WAITING <SUSPENDING> ANALYZING SUSPENDED <SUSPENDED>",
        (play(flow(), options, { [2] = true }))
      )
      assert.equal(
        "RESUMING " .. ROUNDS2 .. " <SUSPENDING> SUCCESS <SUCCESS>",
        (play(flow(), options, { [6] = true }))
      )
    end)

    it("suspends and ends the run when it is closed", function()
      assert.equal("RESUMING SCHEDULING <SUSPENDING> <SUSPENDED>", (play(linear(Fine, Fine), options, nil, 1)))
      local seen, engine = play(linear(Fine, Boom), options, nil, 4)
      assert.equal("RESUMING " .. ROUND .. " SCHEDULING <SUSPENDING> <SUSPENDED>", seen)
      assert.is_false(pcall(engine.run, engine))
      assert.equal("REVERTED", engine.storage:get_flow_state())
    end)
  end)
end

describe("run_iter", function()
  it("does not wait longer than its timeout", function()
    local Slow = task.Task {
      execute = function()
        local host = require "tfhost.host"
        local till = host.now() + 0.3
        while host.now() < till do end -- luacheck: ignore
      end,
    }
    local waits = 0
    for state in engines.load(Slow { name = "slow" }, { engine = "parallel" }):run_iter { timeout = 0.01 } do
      waits = waits + (state == "WAITING" and 1 or 0)
    end
    assert.is_true(waits >= 3, waits)
  end)

  it("steps several engines in one loop", function()
    local iters, last, left = {}, {}, 2
    for i, kind in ipairs { "serial", "parallel" } do
      iters[i] = engines.load(linear(Fine, Fine), { engine = kind }):run_iter { timeout = 0 }
    end
    while left > 0 do
      left = 0
      for i, iter in ipairs(iters) do
        local state = iter()
        last[i] = state or last[i]
        left = left + (state and 1 or 0)
      end
    end
    assert.same({ "SUCCESS", "SUCCESS" }, last)
  end)

  it("refuses a timeout that is none", function()
    local engine = engines.load(linear(Fine))
    assert.has_error(function()
      engine:run_iter { timeout = -1 }
    end)
    assert.has_error(function()
      engine:run_iter { wait = false }
    end)
  end)
end)

describe("an engine", function()
  local function failing(f, ...)
    local ok, err = pcall(f, ...)
    assert.is_false(ok)
    return (tostring(err):gsub("^[^:]+:%d+: ", ""))
  end

  it("asks for the right order of calls", function()
    local engine = engines.load(linear(Fine))
    for _, call in ipairs { "suspend", "prepare", "validate", "reset" } do
      assert.equal(
        ("InvalidState: Can not %s an engine which has not been compiled"):format(call),
        failing(engine[call], engine)
      )
    end
    engine:compile()
    engine:suspend()
    for _, call in ipairs { "validate", "reset" } do
      assert.equal(
        ("InvalidState: Can not %s an engine which has not had its storage populated"):format(call),
        failing(engine[call], engine)
      )
    end
    engine:prepare()
    engine:validate()
    engine:reset()
    assert.equal("SUCCESS", (engine:run()))
    engine:suspend() -- nothing to suspend
    assert.equal("SUCCESS", engine.storage:get_flow_state())
  end)

  it("is reset by prepare after it was REVERTED", function()
    local engine = engines.load(linear(Fine, Boom))
    assert.is_false(pcall(engine.run, engine))
    engine:prepare()
    assert.equal("PENDING", engine.storage:get_flow_state())
    assert.equal("PENDING", engine.storage:get_atom_state "t1")
  end)

  it("counts what a run did", function()
    local engine = engines.load(linear(Fine, Boom))
    assert.same({}, engine.statistics)
    assert.is_false(pcall(engine.run, engine))
    local statistics = engine.statistics
    assert.equal(4, statistics.completed) -- reverts, too
    assert.equal(1, statistics.discarded_failures)
    assert.equal(0, statistics.awaiting)
    assert.equal(0, statistics.incomplete)
    assert.is_true(statistics.active_for > 0)
    local sum = 0
    for _, phase in ipairs { "resuming", "scheduling", "waiting", "analyzing" } do
      assert.is_true(statistics.seconds_per_state[phase] >= 0)
      sum = sum + statistics.seconds_per_state[phase]
    end
    assert.is_true(sum > 0 and sum <= statistics.active_for)
  end)

  it("counts nothing when it shall not", function()
    for _, no in ipairs { "no", false, "FALSE", 0 } do
      local engine = engines.load(linear(Fine), { gather_statistics = no })
      engine:run()
      assert.same({}, engine.statistics)
    end
  end)

  it("is told by a URI, too, whose options are text", function()
    local engine = engines.load(uf.Flow("f"):add(Boom { name = "b" }), { engine = "serial://?never_resolve=yes" })
    assert.is_false(pcall(engine.run, engine))
    assert.equal("FAILURE", engine.storage:get_flow_state())
    engine = engines.load(linear(Fine), { engine = "parallel://?max_workers=3", executor = "Threads" })
    assert.equal(3, engine.options.max_workers)
    assert.equal("NotFound: Could not find engine 'bogus'", failing(engines.load, linear(Fine), { engine = "bogus" }))
    assert.truthy(
      failing(engines.load, linear(Fine), { engine = "serial://?nevr_resolve=1" }):find(
        "unknown option 'nevr_resolve', did you mean 'never_resolve'?", 1, true
      )
    )
  end)
end)
