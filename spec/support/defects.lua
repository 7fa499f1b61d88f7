-- One script, run with Python TaskFlow and with tfhost at the same time: what the specs of defects share.
local assert = require "luassert"
local flows = require "flows"
local peers = require "peers"
local process = require "process"

local M = {}

local LANGUAGES = { "python", "lua" }

---A scenario of so many tasks, side by side, that take so long.
function M.fan_out(count, seconds)
  local flow = flows.unordered "many"
  for i = 1, count do
    flow.children[i] = flows.task("Slow", "slow-" .. i, { inject = { seconds = seconds } })
  end
  return { flow = flow }
end

---Wait until so many tasks have started.
function M.started(run, count)
  assert(process.poll(20, function()
    return #run.side:journal "start" >= count
  end), run.engine:story())
end

---`start` it for both languages, then call `after` for both; what came of it is in each run's `state`: nil while the
---reference's engine still waits `seconds` after tfhost's has ended, `result`.
---@return table python, table lua
function M.both(transport, start, after, seconds)
  local runs = {}
  for _, language in ipairs(LANGUAGES) do
    local run = { side = peers.environment(transport), language = language }
    function run.worker(more)
      return peers.ready(run.side:worker(language, "work", more))
    end
    function run.flow(scenario, more)
      return run.side:start_engine(language, { "work" }, scenario, more)
    end
    start(run)
    runs[language] = run
  end
  for _, language in ipairs(LANGUAGES) do
    after(runs[language])
  end
  -- However busy the machine: the reference has all the time that tfhost took, and `seconds` more.
  process.poll(90, function()
    return runs.lua.engine:ended()
  end)
  process.poll(seconds, function()
    return runs.python.engine:ended()
  end)
  for _, run in pairs(runs) do
    local how = run.engine:ended()
    run.result = how and how.code == 0 and peers.result(run.engine, 1)
    run.state = run.result and run.result.state
  end
  return runs.python, runs.lua
end

---SIGKILL of a worker that has requests of a flow, with another one at hand: the reference loses what the first had
---fetched and waits for ever, tfhost runs all of it.
---@param transport string
---@param patched boolean? the reference without its defects of the directory transport
function M.assert_killed_worker(transport, patched)
  local python, lua = M.both(transport, function(run)
    run.side.patched = patched
    run.first = run.worker { slots = 1 }
    run.engine = run.flow(M.fan_out(4, 2), { transition_timeout = 4 })
    M.started(run, 1)
    run.worker { slots = 1 }
  end, function(run)
    run.first:kill "KILL"
  end, 5)
  assert.is_nil(python.state, "Python noticed")
  assert.is_true(#python.side:journal "end" < 4)
  assert.equal("SUCCESS", lua.state, lua.engine:story())
  assert.equal(4, #lua.side:journal "end")
end

---Tasks that ended, by the worker (its pid) that ran them.
function M.by_host(run)
  local out = {}
  for _, entry in ipairs(run.side:journal "end") do
    out[entry.host or entry.pid] = (out[entry.host or entry.pid] or 0) + 1
  end
  return out
end

return M
