-- run_iter, and retries that wait, on workers: while one part of a flow waits, messages go on.
local engines = require "taskflow.engines"
local host = require "tfhost.host"
local lf = require "taskflow.patterns.linear_flow"
local peers = require "peers"
local process = require "process"
local retry = require "taskflow.retry"
local task = require "taskflow.task"
local uf = require "taskflow.patterns.unordered_flow"

describe("the worker-based engine", function()
  after_each(process.cleanup)

  local function load(side, flow, store)
    local options = side:options { engine = "worker-based", topics = { "work" } }
    options.store = store
    return engines.load(flow, options)
  end

  local function undo(name, rebind)
    return task.Reference("peer_tasks:Undo", { name = name, rebind = rebind, requires = not rebind and "value" or nil })
  end

  it("is run phase by phase, and suspended when told so", function()
    local side = peers.environment "filesystem"
    side:worker("lua", "work")
    local engine = load(side, lf.Flow("f"):add(undo "a", undo "b"), { value = 1 })
    local seen, iter = {}, engine:run_iter { timeout = 0.05 }
    local state = iter()
    while state do
      if seen[#seen] ~= state and not (state == "WAITING" and seen[#seen] == "ANALYZING") then
        seen[#seen + 1] = state
      end
      state = iter(engine.storage:get_atom_state "a" == "SUCCESS")
    end
    -- b was about to be scheduled.
    local round = "SCHEDULING WAITING ANALYZING "
    assert.equal("RESUMING " .. round .. round .. "SUSPENDED", table.concat(seen, " "))
    assert.equal(1, #side:journal "execute")
    local last
    for more in engine:run_iter() do
      last = more
    end
    assert.equal("SUCCESS", last)
    assert.equal(2, #side:journal "execute")
    assert.equal(1, engine.statistics.completed)
  end)

  it("waits between attempts without keeping other tasks waiting", function()
    local side = peers.environment "filesystem"
    side:worker("lua", "work")
    local flow = uf.Flow("f"):add(
      lf.Flow("g", { retry = retry.Times { attempts = 2, name = "r", delay = 1.5 } })
        :add(task.Reference("peer_tasks:Boom", { name = "boom" })),
      lf.Flow("h"):add(undo "a", undo "b", undo "c")
    )
    local engine = load(side, flow, { value = 1 })
    local began, ended, retried = nil, 0, nil
    engine.atom_notifier:register("*", function(state, details)
      if details.task_name == "boom" and state == "FAILURE" then
        began = began or host.now()
      elseif details.task_name == "c" and state == "SUCCESS" then
        ended = host.now()
      elseif state == "RETRYING" then
        retried = host.now()
      end
    end)
    assert.is_false(pcall(engine.run, engine))
    assert.is_true(retried - began > 1.45, retried - began)
    assert.is_true(ended < retried)
  end)
end)
