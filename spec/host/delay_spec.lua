-- Retries that wait, on the real clock: what waits, and what does not. The rules are in host/test/test_delays.c.
local engines = require "taskflow.engines"
local host = require "tfhost.host"
local lf = require "taskflow.patterns.linear_flow"
local retry = require "taskflow.retry"
local task = require "taskflow.task"
local uf = require "taskflow.patterns.unordered_flow"

-- Fails in the first rounds; the round is what the retry provides.
local Flaky = task.Task {
  execute = function(_self, attempt)
    if attempt < 3 then
      error("not yet", 0)
    end
    return attempt
  end,
}
local Quick = task.Task { execute = function() end }

-- Moments at which the retry began anew, and when each task ended.
local function play(controller, kind)
  local flow = uf.Flow("f"):add(
    lf.Flow("g", { retry = controller }):add(Flaky { name = "flaky" }),
    lf.Flow("h"):add(Quick { name = "q1" }, Quick { name = "q2" })
  )
  local engine = engines.load(flow, { engine = kind })
  local began, seen = host.now(), { rounds = {} }
  engine.atom_notifier:register("RETRYING", function()
    seen.rounds[#seen.rounds + 1] = host.now() - began
  end)
  engine.atom_notifier:register("SUCCESS", function(_, details)
    seen[details.task_name or "retry"] = #seen.rounds
  end)
  engine:run()
  seen.total = host.now() - began
  return seen
end

for _, kind in ipairs { "serial", "parallel" } do
  describe("a retry with a delay on the " .. kind .. " engine", function()
    it("waits longer each time, while others go on", function()
      local times = retry.Times { attempts = 3, name = "r", provides = "attempt", delay = 0.1, backoff = 2 }
      local seen = play(times, kind)
      assert.equal(2, #seen.rounds)
      assert.is_true(seen.rounds[1] > 0.095, seen.rounds[1])
      assert.is_true(seen.rounds[2] - seen.rounds[1] > 0.195, seen.rounds[2])
      assert.equal(0, seen.q2) -- before the first delay was over
    end)

    it("may decide for itself", function()
      local Own = retry.Retry {
        default_provides = "attempt",
        execute = function(_self, history)
          return history:len() + 1
        end,
        on_failure = function(_self, history)
          return retry.RETRY, history:len() == 1 and 0.15 or 0
        end,
      }
      local seen = play(Own { name = "own" }, kind)
      assert.is_true(seen.rounds[1] > 0.145)
      assert.equal(2, #seen.rounds)
    end)
  end)
end

describe("a retry with a delay", function()
  it("can be suspended while it waits, which takes no time", function()
    local flow = lf.Flow("f", { retry = retry.Times { attempts = 3, provides = "attempt", delay = 30 } })
    local engine = engines.load(flow:add(Flaky { name = "flaky" }))
    local began = host.now()
    for state in engine:run_iter { timeout = 0.01 } do
      if state == "WAITING" and engine.storage:get_atom_state "flaky" == "REVERTED" then
        engine:suspend()
      end
    end
    assert.equal("SUSPENDED", engine.storage:get_flow_state())
    assert.is_true(host.now() - began < 15)
  end)

  it("must be told seconds, and only with RETRY", function()
    for _, case in ipairs {
      { retry.RETRY, "soon", "not 'soon'" },
      { retry.RETRY, -1, "not a number" },
      { retry.RETRY, 1 / 0, "not a number" },
      { retry.REVERT, 1, "not REVERT with a delay" },
    } do
      local Own = retry.Retry {
        default_provides = "attempt",
        execute = function()
          return 1
        end,
        on_failure = function()
          return case[1], case[2]
        end,
      }
      local engine = engines.load(lf.Flow("f", { retry = Own { name = "own" } }):add(Flaky { name = "flaky" }))
      local ok, err = pcall(engine.run, engine)
      assert.is_false(ok)
      local message = case[3] .. " (from on_failure of retry 'own', flow 'f')"
      assert.truthy(tostring(err):find(message, 1, true), tostring(err))
      assert.truthy(tostring(err):find "delay_spec.lua:%d+")
    end
  end)
end)
