-- usage: spec/support/rabbitmq run build/tfhost lua spec/chaos/run.lua [SECONDS [SEED]]
--
-- Flows on two workers, and SIGKILLs drawn from a seed: of slots, and of whole workers, each started again a moment
-- later. First with tfhost on both sides, then with a Python engine on tfhost workers, then with Python alone, on one
-- broker. Each task writes a line when it ends. Exit code 1: with tfhost on both sides a task was lost or a flow hung.
-- A killed slot fails its task, so that flow reverts: it counts as failed. Engines and broker are not killed yet.
local root = arg[0]:match "^(.*)/spec/[^/]*/[^/]*$" or "."
package.path = root .. "/spec/support/?.lua;" .. package.path

local flows = require "flows"
local peers = require "peers"
local process = require "process"

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
  local random = SEED
  local function draw(n) -- a generator of our own: the same numbers for every contestant
    random = (random * 1103515245 + 12345) % 2147483648
    return math.floor(random / 65536) % n + 1
  end
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

local function quantile(list, q)
  return #list == 0 and "-" or ("%.2f"):format(list[math.max(1, math.ceil(#list * q))])
end

local ROW = "%-24s %6s %6s %6s %8s %6s %6s %6s %6s  %s"
local bad
print(("seed %d, %d s each, %d tasks a flow of %.1f s, two workers of %d slots"):format(
  SEED, SECONDS / 3, TASKS, TASK_SECONDS, SLOTS))
print(ROW:format("engine on workers", "flows", "tasks", "slots-", "workers-", "failed", "hung", "lost", "twice",
  "next end after a kill, s: p50/p99/max"))
for _, pair in ipairs { { "lua", "lua" }, { "python", "lua" }, { "python", "python" } } do
  local names = { lua = "tfhost", python = "Python" }
  local c = contest(pair[1], pair[2], SECONDS / 3)
  print(ROW:format(("%s on %s"):format(names[pair[1]], names[pair[2]]), c.flows, c.tasks, c.slot_kills, c.worker_kills,
    c.failed, c.hung, c.lost, c.twice, ("%s / %s / %s"):format(quantile(c.recoveries, 0.5),
    quantile(c.recoveries, 0.99), quantile(c.recoveries, 1))))
  io.stdout:flush()
  bad = bad or pair[1] == "lua" and (c.lost > 0 or c.hung > 0)
end
os.exit(bad and 1 or 0)
