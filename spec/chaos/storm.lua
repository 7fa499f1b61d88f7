-- Flows while everything dies, drawn from a seed: slots, workers, engines (which are resumed from their logbook), the
-- broker, and workers that are stopped and wake up again. What is killed when is the same for a seed, whoever takes
-- part: tfhost on both sides, a Python engine on tfhost workers, Python TaskFlow on both. A Python engine keeps no flow
-- here, and hears nothing any more once its broker has died, so neither is done to it. What is counted afterwards:
--   lost        tasks of flows that ended with SUCCESS and had no effect
--   twice       effects beyond the first of a task, by why delivery forced them (M.reasons); "unexplained" is a fault
--   outcomes    tasks of ended flows whose logbook does not have exactly one outcome, SUCCESS
local cjson = require "cjson"
local ffi = require "ffi"
local flows = require "flows"
local peers = require "peers"
local process = require "process"

local M = {}

local AT_ONCE, WORKERS, SLOTS, TASKS = 3, 2, 2, 20
local SILENCE = 6 -- seconds that a stopped worker sleeps
local OLD = 75 -- seconds after which a flow does not count among those at once: it may hang
local PATIENCE = 150 -- seconds that flows may take after the last kill: what takes longer hangs
-- How often each thing happens, of the sum.
local KINDS = { "slot", "slot", "slot", "slot", "worker", "worker", "engine", "engine", "broker", "silence" }

local HERE = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"

-- Milliseconds of the wall clock, within the hour: as logs have it.
local function wall()
  local t = ffi.new "struct tfspec_timespec"
  ffi.C.clock_gettime(0, t)
  return tonumber(t.sec) % 3600 * 1000 + tonumber(t.nsec) / 1e6
end

-- The times of lines in a log that have this text, as `wall` tells time.
local function logged(text, what)
  local out = {}
  for line in text:gmatch "[^\n]+" do
    local minute, second = line:match "^%d+%-%d+%-%d+T%d+:(%d+):([%d.]+)Z"
    if minute and line:find(what, 1, true) then
      out[#out + 1] = (tonumber(minute) * 60 + tonumber(second)) * 1000
    end
  end
  return out
end

local Storm = {}
Storm.__index = Storm

---A generator of our own, so that a seed means the same everywhere. draw(n): an integer from 1 to n.
---@param seed integer
---@return fun(n: integer): integer
function M.generator(seed)
  return function(n)
    seed = (seed * 1103515245 + 12345) % 2147483648
    return math.floor(seed / 65536) % n + 1
  end
end

function Storm:later(seconds, what)
  self.todo[#self.todo + 1] = { at = process.now() + seconds, what = what }
end

function Storm:do_what_is_due()
  local now, todo = process.now(), self.todo
  self.todo = {}
  for _, entry in ipairs(todo) do
    if entry.at <= now then
      entry.what()
    else
      self.todo[#self.todo + 1] = entry
    end
  end
end

function Storm:start_worker(i)
  local worker = self.side:worker(self.worker, "work", {
    tasks = { self.worker == "lua" and HERE .. "/effects.lua" or "effects:Effect" }, slots = SLOTS,
    env = { CHAOS_EFFECTS = self.effects_path, LUA_PATH = peers.support .. "/?.lua;;" },
  })
  self.workers[i] = worker
  self.all_workers[#self.all_workers + 1] = worker
end

function Storm:engine(flow, words)
  words.env = self.side:env { CHAOS_FLOW = flow.name }
  flow.engine = process.spawn(words)
  self.engines[#self.engines + 1] = flow.engine
  flow.engines[#flow.engines + 1] = flow.engine
end

-- The flow of flow.lua, for an engine of Python TaskFlow.
local function scenario(name)
  local flow = flows.unordered(name)
  for i = 1, TASKS / 2 do
    local chain = flows.linear(("%s-%d"):format(name, i))
    for _, step in ipairs { "a", "b" } do
      local title = ("%s-%d%s"):format(name, i, step)
      local again = flows.linear(title .. "-again", flows.task("effects.Effect", title, { inject = { seconds = 0.2 } }))
      again.attempts = 50
      table.insert(chain.children, again)
    end
    table.insert(flow.children, chain)
  end
  return { flow = flow }
end

function Storm:start_flow(flow)
  flow.at, flow.engines = flow.at or process.now(), flow.engines or {}
  self.flows[flow.name], self.running[flow.name] = flow, flow
  if self.language == "python" then
    flow.engine = self.side:start_engine("python", { "work" }, scenario(flow.name))
    self.engines[#self.engines + 1] = flow.engine
    return
  end
  local words = {
    peers.tfhost, "run", HERE .. "/flow.lua", "--json", "--engine", "worker-based", "--topics", "work", "--backend",
    self.book, "--timeout", "-1",
  }
  for _, word in ipairs(self.side:words()) do
    words[#words + 1] = word
  end
  self:engine(flow, words)
end

function Storm:list()
  local by_name = {}
  for line in process.run({ peers.tfhost, "flow", "list", "--json", "--backend", self.book }).stdout:gmatch "[^\n]+" do
    local entry = cjson.decode(line)
    by_name[entry.name] = entry
  end
  return by_name
end

-- The engine of that flow was killed: another process goes on with what was kept, or begins if nothing was.
function Storm:resume(flow)
  local kept = self:list()[flow.name]
  if kept and not kept.unfinished then -- its end was kept, and not told
    self.running[flow.name] = nil
    self.ended[flow.name] = kept.state == "SUCCESS"
  elseif kept then
    self:engine(flow, { peers.tfhost, "flow", "resume", kept.uuid, "--json", "--backend", self.book })
  else
    self:start_flow(flow)
  end
end

-- The processes that run a worker's tasks.
local function slots_of(worker, language)
  local out = {}
  if language == "python" then
    return { worker.pid }
  end
  for _, pid in ipairs(process.children(worker.pid)) do
    if process.read(("/proc/%d/comm"):format(pid)):find("slot", 1, true) then
      out[#out + 1] = pid
    end
  end
  return out
end

local happen = {}

function happen.slot(self)
  local slots = slots_of(self.workers[self.draw(WORKERS)], self.worker)
  if #slots == 0 or self.worker == "python" then
    return nil
  end
  local slot = slots[self.draw(#slots)]
  process.signal(slot, "KILL")
  return { slots = { [slot] = true }, pid = slot }
end

local function as_set(list)
  local out = {}
  for _, value in ipairs(list) do
    out[value] = true
  end
  return out
end

function happen.worker(self)
  local i = self.draw(WORKERS)
  local slots = as_set(slots_of(self.workers[i], self.worker))
  self.workers[i]:kill "KILL"
  self.workers[i]:wait(5)
  self:later(0.5, function()
    self:start_worker(i)
  end)
  return { slots = slots }
end

function happen.silence(self)
  local worker = self.workers[self.draw(WORKERS)]
  local slots = as_set(slots_of(worker, self.worker))
  if self.asleep or self.broker_is_down or not next(slots) then
    return nil
  end
  self.asleep = worker
  process.signal(worker.pid, "STOP")
  self:later(SILENCE, function()
    process.signal(worker.pid, "CONT")
    self.asleep = nil
  end)
  return { slots = slots, lasts = SILENCE }
end

function happen.engine(self)
  local names = {}
  for name in pairs(self.running) do
    names[#names + 1] = name
  end
  table.sort(names)
  local flow = self.running[names[self.draw(math.max(1, #names))]]
  if not flow or flow.killed or self.language == "python" then
    return nil
  end
  flow.killed = true
  flow.engine:kill "KILL"
  flow.engine:wait(5)
  self:later(0.3, function()
    flow.killed = nil
    self:resume(flow)
  end)
  return { flow = flow.name }
end

function happen.broker(self)
  if self.broker_is_down or self.asleep or self.language == "python" then
    return nil
  end
  self.broker_is_down = true
  local killed = process.run { peers.support .. "/rabbitmq", "kill9", self.broker }
  assert(killed.code == 0, killed.story)
  local cause = { lasts = 60 }
  self:later(1, function()
    local start = process.spawn { peers.support .. "/rabbitmq", "start", self.broker }
    local function look()
      if start:ended() then
        self.broker_is_down = false
        cause.lasts = process.now() - cause.at + 5 -- until everybody is back
        cause.back = process.now()
      else
        self:later(0.1, look)
      end
    end
    look()
  end)
  return cause
end

---What happens when, and a seed for each: to whom.
---@return table[]
function M.schedule(seed, seconds)
  local draw, out, at = M.generator(seed), {}, 2
  while at < seconds do
    out[#out + 1] = { at = at, kind = KINDS[draw(#KINDS)], seed = draw(32000) }
    at = at + draw(15) / 10 + 0.3
  end
  return out
end

function Storm:something_happens(entry)
  local kind = entry.kind
  self.draw = M.generator(entry.seed)
  if self.kinds and not self.kinds[kind] then
    return
  end
  local at, wall_at = process.now(), wall()
  local cause = happen[kind](self)
  if cause then
    cause.kind, cause.at, cause.wall = kind, at, wall_at
    self.causes[#self.causes + 1] = cause
    self.kills[kind] = (self.kills[kind] or 0) + 1
  end
end

function Storm:reap()
  for name, flow in pairs(self.running) do
    local how = not flow.killed and flow.engine:ended()
    if how then
      self.running[name] = nil
      self.ended[name] = how.code == 0
      if self.language == "python" then
        local ok, run = pcall(peers.result, flow.engine, 1)
        self.ended[name] = ok and run.state == "SUCCESS"
      end
      if not self.ended[name] then
        self.stories[#self.stories + 1] = name .. ": " .. flow.engine:story()
      end
    end
  end
end

-- Between an effect and its acknowledgement, and for the news of it, at most.
local MOMENT = 1

-- Whether it happened, or lasted, while that effect was on its way from the task to the engine.
local function cut(cause, effect)
  return cause.at < effect.at + MOMENT and cause.at + (cause.lasts or 0) > effect.began - MOMENT / 2
end

-- By precedence. `flow.presumed`: when its engine gave up a silent worker.
local REASONS = {
  { "slot or worker killed before the acknowledgement", function(_, cause, first)
    return (cause.kind == "slot" or cause.kind == "worker") and cause.slots[first.slot] and cut(cause, first)
  end },
  { "silent worker presumed lost", function(_, cause, first)
    return cause.kind == "silence" and cause.slots[first.slot] and cut(cause, first)
  end },
  { "broker killed before the acknowledgement", function(_, cause, first)
    return cause.kind == "broker" and cut(cause, first)
  end },
  { "silent worker presumed lost", function(flow, _, _, again)
    return flow.presumed[1] and flow.presumed[1] < again.at
  end },
  -- Its copy waited in the window of a worker that stood still, and came back when that was killed or woke up.
  { "held by a silent worker", function(flow, cause, first, again)
    return cause.kind == "silence" and cause.at + cause.lasts > flow.at and cause.at < first.at and cause.at < again.at
  end },
  { "engine killed", function(flow, cause, first)
    return cause.flow == flow.name and cut(cause, first)
  end },
}

---In the order of a table.
M.reasons = {
  "slot or worker killed before the acknowledgement", "broker killed before the acknowledgement", "engine killed",
  "silent worker presumed lost", "held by a silent worker", "unexplained",
}

-- Why an effect came again: what happened to who had it before, or to who had to hear of it.
function Storm:reason(name, first, again)
  local flow = self.flows[name:match "^(f%d+)%-"]
  for _, reason in ipairs(REASONS) do
    for _, cause in ipairs(self.causes) do
      if reason[2](flow, cause, first, again) then
        return reason[1]
      end
    end
  end
  return "unexplained"
end

-- When an engine of the flow gave up a silent worker.
function Storm:find_presumed()
  local one = self.causes[1]
  for _, flow in pairs(self.flows) do
    flow.presumed = {}
    for _, engine in ipairs(flow.engines) do
      for _, at in ipairs(logged(engine:stderr(), "is silent")) do
        table.insert(flow.presumed, one.at + (at - one.wall) / 1000)
      end
    end
    table.sort(flow.presumed)
  end
end

function Storm:count_effects(out)
  local effects, order = {}, {}
  self:find_presumed()
  for line in process.read(self.effects_path):gmatch "[^\n]+" do
    local effect = cjson.decode(line)
    effects[effect.task] = effects[effect.task] or {}
    table.insert(effects[effect.task], effect)
    order[#order + 1] = effect.at
  end
  for name, ok in pairs(self.ended) do
    for i = 1, TASKS do
      local title = ("%s-%d%s"):format(name, math.ceil(i / 2), i % 2 == 1 and "a" or "b")
      out.lost = out.lost + (ok and not effects[title] and 1 or 0)
    end
  end
  for name, list in pairs(effects) do
    table.sort(list, function(a, b)
      return a.at < b.at
    end)
    for i = 2, #list do
      local why = self:reason(name, list[i - 1], list[i])
      out.twice[why] = (out.twice[why] or 0) + 1
      if why == "unexplained" then
        out.stories[#out.stories + 1] = ("%s: %s"):format(name, cjson.encode(list))
      end
    end
  end
  table.sort(order)
  return order
end

-- How long no task had an effect after a kill, by kind.
function Storm:count_recoveries(out, order)
  for _, cause in ipairs(self.causes) do
    for _, at in ipairs(order) do
      if at > (cause.back or cause.at) then
        out.recovery[cause.kind] = out.recovery[cause.kind] or {}
        table.insert(out.recovery[cause.kind], at - (cause.back or cause.at))
        break
      end
    end
  end
end

function Storm:count_notices(out)
  local deaths, silences = "", {}
  for _, worker in ipairs(self.all_workers) do
    deaths = deaths .. worker:stderr()
  end
  for _, engine in ipairs(self.engines) do
    for _, at in ipairs(logged(engine:stderr(), "is silent")) do
      silences[#silences + 1] = at
    end
  end
  table.sort(silences)
  for _, cause in ipairs(self.causes) do
    if cause.kind == "slot" then
      local seen = logged(deaths, ("slot (pid %d)"):format(cause.pid))[1]
      table.insert(out.slot_noticed, seen and (seen - cause.wall) / 1000 or nil)
    elseif cause.kind == "silence" then
      for _, at in ipairs(silences) do
        if at > cause.wall and at < cause.wall + SILENCE * 1000 then
          table.insert(out.silence_noticed, (at - cause.wall) / 1000)
          break
        end
      end
    end
  end
end

function Storm:count_outcomes(out)
  if self.language == "python" then
    return
  end
  for name, entry in pairs(self:list()) do
    if self.ended[name] then
      local shown = process.run { peers.tfhost, "flow", "show", entry.uuid, "--json", "--backend", self.book }
      local seen, good = {}, 0
      for _, atom in ipairs(cjson.decode(shown.stdout).atoms) do
        local is_task = atom.kind == "TASK_DETAIL" and atom.name:find "^f"
        good = good + (is_task and atom.state == "SUCCESS" and not seen[atom.name] and 1 or 0)
        seen[atom.name] = true
      end
      out.outcomes = out.outcomes + math.abs(TASKS - good)
    end
  end
end

-- For who looks for the reason of a fault: CHAOS_KEEP=DIR keeps what happened, what tasks did, and what all said.
function Storm:keep()
  local dir = os.getenv "CHAOS_KEEP"
  if not dir then
    return
  end
  assert(os.execute(("mkdir -p '%s'"):format(dir)) == 0)
  local lines = {}
  for i, cause in ipairs(self.causes) do
    local slots = {}
    for slot in pairs(cause.slots or {}) do
      slots[#slots + 1] = slot
    end
    cause.slots = slots
    lines[i] = cjson.encode(cause)
  end
  process.write(dir .. "/causes", table.concat(lines, "\n") .. "\n")
  process.write(dir .. "/effects", process.read(self.effects_path))
  for kind, list in pairs { worker = self.all_workers, engine = self.engines } do
    for i, child in ipairs(list) do
      process.write(("%s/%s-%d"):format(dir, kind, i), ("pid %d\n%s"):format(child.pid, child:story()))
    end
  end
end

---@param options table seconds, seed; kinds: set of those that may happen (all); engine, worker: "lua" or "python"
---@return table counts: flows, tasks, kills, hung, failed, lost, twice, outcomes, recovery, *_noticed, stories
function M.run(options)
  local self = setmetatable({
    kinds = options.kinds, language = options.engine or "lua", worker = options.worker or "lua",
    flows = {}, todo = {}, workers = {}, all_workers = {}, engines = {},
    running = {}, ended = {}, causes = {}, kills = {}, stories = {}, flows_begun = 0, broker = process.directory(),
  }, Storm)
  local started = process.run { peers.support .. "/rabbitmq", "start", self.broker, timeout = 90 }
  assert(started.code == 0, started.story)
  self.side = peers.environment("amqp", process.read(self.broker .. "/url"):match "%S+")
  self.effects_path, self.book = self.side.dir .. "/effects", self.side.dir .. "/flows.db"
  for i = 1, WORKERS do
    self:start_worker(i)
    peers.ready(self.workers[i])
  end
  local started_at, plan, at = process.now(), M.schedule(options.seed, options.seconds), 1
  local stop = started_at + options.seconds
  local last
  repeat
    local storming = process.now() < stop
    local count = 0
    for _, flow in pairs(self.running) do
      count = count + (process.now() - flow.at < OLD and 1 or 0)
    end
    for _ = count + 1, storming and AT_ONCE or 0 do
      self.flows_begun = self.flows_begun + 1
      self:start_flow { name = "f" .. self.flows_begun }
    end
    if plan[at] and process.now() - started_at >= plan[at].at then
      at = at + 1
      self:something_happens(plan[at - 1])
    end
    self:do_what_is_due()
    self:reap()
    process.sleep(0.02)
    last = not storming and (next(self.running) == nil and #self.todo == 0)
  until last or process.now() > stop + PATIENCE
  local out = {
    flows = 0, tasks = 0, failed = 0, hung = 0, lost = 0, twice = {}, outcomes = 0, recovery = {}, slot_noticed = {},
    silence_noticed = {}, kills = self.kills, stories = self.stories,
  }
  for name, flow in pairs(self.running) do
    out.hung = out.hung + 1
    out.stories[#out.stories + 1] = name .. " hangs: " .. flow.engine:story()
  end
  for _, ok in pairs(self.ended) do
    out.flows, out.tasks, out.failed = out.flows + 1, out.tasks + TASKS, out.failed + (ok and 0 or 1)
  end
  self:count_recoveries(out, self:count_effects(out))
  self:count_notices(out)
  self:count_outcomes(out)
  for _, list in ipairs { out.slot_noticed, out.silence_noticed } do
    table.sort(list)
  end
  for _, list in pairs(out.recovery) do
    table.sort(list)
  end
  self:keep()
  process.run { peers.support .. "/rabbitmq", "kill9", self.broker }
  process.cleanup()
  return out
end

---@param list number[] sorted
---@return number
function M.quantile(list, part)
  return list[math.max(1, math.ceil(part * #list))] or 0 / 0
end

return M
