-- usage: spec/support/rabbitmq run build/tfhost lua spec/chaos/run.lua [SECONDS [SEED]]
--
-- Half of the time the storm (storm.lua): tfhost on both sides, and SIGKILLs, drawn from a seed, of slots, workers,
-- engines and the broker, and workers that are stopped for a while. Then what Python TaskFlow can take part in, on one
-- broker: a Python engine on tfhost workers, and Python alone, with kills of slots and of whole workers, each started
-- again a moment later. A killed slot fails its task, so that such a flow reverts: it counts as failed. Exit code 1:
-- with tfhost on both sides a task was lost, a flow hung or failed, an effect came twice without a reason, a task has
-- not exactly one outcome.
local root = arg[0]:match "^(.*)/spec/[^/]*/[^/]*$" or "."
package.path = root .. "/spec/support/?.lua;" .. root .. "/spec/chaos/?.lua;" .. package.path

local flows = require "flows"
local peers = require "peers"
local process = require "process"
local storm = require "storm"

local SECONDS, SEED = tonumber(arg[1] or 600), tonumber(arg[2] or 1)
local TASKS, TASK_SECONDS, AT_ONCE, SLOTS = 20, 0.3, 3, 2
local PATIENCE = 45 -- seconds that a flow may take after the last kill; what takes longer hangs

local function size(t)
  local n = 0
  for _ in pairs(t) do
    n = n + 1
  end
  return n
end

---One contestant: what happened in `seconds` of kills.
---@param engine string language
---@param worker string language
local function contest(engine, worker, seconds)
  local side = peers.environment "amqp"
  local draw = storm.generator(SEED) -- the same numbers for every contestant
  local count = { flows = 0, tasks = 0, slot_kills = 0, worker_kills = 0, hung = 0, failed = 0, lost = 0, twice = 0,
    done = {} }
  local recoveries, workers, running = {}, {}, {}
  local function start_worker(i)
    workers[i] = side:worker(worker, "work", { slots = SLOTS })
  end
  for i = 1, 2 do
    start_worker(i)
    peers.ready(workers[i])
  end
  local function start_flow()
    count.flows = count.flows + 1
    local flow = flows.unordered("chaos-" .. count.flows)
    for i = 1, TASKS do
      local name = ("f%d-t%d"):format(count.flows, i)
      flow.children[i] = flows.task("Slow", name, { inject = { seconds = TASK_SECONDS } })
    end
    running[count.flows] = { engine = side:start_engine(engine, { "work" }, { flow = flow }) }
  end
  local killed -- time of the last kill that nothing was heard after
  local ends = 0
  local function reap()
    for id, flow in pairs(running) do
      if flow.engine:ended() then
        running[id] = nil
        local ok, run = pcall(peers.result, flow.engine, 1)
        count.done[id] = ok and run.state == "SUCCESS" or nil
        count.failed = count.failed + (count.done[id] and 0 or 1)
        count.tasks = count.tasks + TASKS
      end
    end
    local now = #side:journal "end"
    if killed and now > ends then
      recoveries[#recoveries + 1] = process.now() - killed
      killed = nil
    end
    ends = now
  end
  local function kill_something()
    local i = draw(2)
    local slots = worker == "lua" and process.children(workers[i].pid) or {}
    if draw(3) == 1 or #slots == 0 then
      workers[i]:kill "KILL"
      workers[i]:wait(5)
      process.sleep(0.5)
      start_worker(i)
      count.worker_kills = count.worker_kills + 1
    else
      process.signal(slots[draw(#slots)], "KILL")
      count.slot_kills = count.slot_kills + 1
    end
    killed = killed or process.now()
  end
  local stop, kill_at = process.now() + seconds, process.now() + 2
  while process.now() < stop do
    for _ = size(running) + 1, AT_ONCE do
      start_flow()
    end
    if process.now() >= kill_at then
      kill_something()
      kill_at = process.now() + draw(20) / 10 + 0.5
    end
    reap()
    process.sleep(0.05)
  end
  process.poll(PATIENCE, function()
    reap()
    return next(running) == nil
  end)
  for _, flow in pairs(running) do
    count.hung = count.hung + 1
    flow.engine:kill "KILL"
  end
  local seen = {}
  for _, entry in ipairs(side:journal "end") do
    seen[entry.task] = (seen[entry.task] or 0) + 1
  end
  for id in pairs(count.done) do
    for i = 1, TASKS do
      local n = seen[("f%d-t%d"):format(id, i)] or 0
      count.lost = count.lost + (n == 0 and 1 or 0)
    end
  end
  for _, n in pairs(seen) do
    count.twice = count.twice + n - 1
  end
  for i = 1, 2 do
    workers[i]:kill "KILL"
  end
  table.sort(recoveries)
  count.recoveries = recoveries -- how long no task ended after a kill
  process.cleanup()
  return count
end

local function quantiles(list)
  if not list or #list == 0 then
    return "-"
  end
  return ("%.3f / %.3f / %.3f (%d)"):format(storm.quantile(list, 0.5), storm.quantile(list, 0.99), list[#list], #list)
end

-- Names and numbers, by name.
local function counted(numbers)
  local out = {}
  for name, n in pairs(numbers) do
    out[#out + 1] = ("%s %d"):format(name, n)
  end
  table.sort(out)
  return #out > 0 and table.concat(out, ", ") or "none"
end

local function show_storm(seconds)
  local s = storm.run { seconds = seconds, seed = SEED }
  print(("tfhost on tfhost, %d s, seed %d: %d flows, %d tasks"):format(seconds, SEED, s.flows, s.tasks))
  print("  killed:                 " .. counted(s.kills))
  print(("  failed %d, hung %d, tasks lost %d, tasks without exactly one outcome %d"):format(
    s.failed, s.hung, s.lost, s.outcomes))
  print("  effects again, because: " .. counted(s.twice))
  print("  seconds: p50 / p99 / max (how many)")
  for _, kind in ipairs { "slot", "worker", "engine", "silence", "broker" } do
    print(("  next effect after %-9s %s"):format(kind, quantiles(s.recovery[kind])))
  end
  print("  slot's death noticed        " .. quantiles(s.slot_noticed))
  print("  silent worker noticed       " .. quantiles(s.silence_noticed))
  for _, story in ipairs(s.stories) do
    print(story)
  end
  io.stdout:flush()
  return s.failed + s.hung + s.lost + s.outcomes + (s.twice.unexplained or 0) == 0
end

local ROW = "%-24s %6s %6s %6s %8s %6s %6s %6s %6s  %s"

local function show_contest(seconds)
  print(("%d s each, %d tasks a flow of %.1f s, two workers of %d slots; kills of slots and workers"):format(
    seconds, TASKS, TASK_SECONDS, SLOTS))
  print(ROW:format("engine on workers", "flows", "tasks", "slots-", "workers-", "failed", "hung", "lost", "twice",
    "next end after a kill, s: p50 / p99 / max"))
  local names = { lua = "tfhost", python = "Python" }
  for _, pair in ipairs { { "lua", "lua" }, { "python", "lua" }, { "python", "python" } } do
    local c = contest(pair[1], pair[2], seconds)
    print(ROW:format(("%s on %s"):format(names[pair[1]], names[pair[2]]), c.flows, c.tasks, c.slot_kills,
      c.worker_kills, c.failed, c.hung, c.lost, c.twice, quantiles(c.recoveries)))
    io.stdout:flush()
  end
end

local good = show_storm(SECONDS / 2)
show_contest(SECONDS / 6)
os.exit(good and 0 or 1)
