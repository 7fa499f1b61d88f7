-- Flows while everything dies, drawn from a seed: slots, workers, engines (which are resumed from their logbook), the
-- broker, and workers that are stopped and wake up again. What is killed when is the same for a seed, whoever takes
-- part: tfhost on both sides, a Python engine on tfhost workers, Python TaskFlow on both. A Python engine keeps no flow
-- here, and hears nothing any more once its broker has died, so neither is done to it. What is counted afterwards:
--   lost        tasks of flows that ended with SUCCESS and had no effect
--   twice       effects beyond the first of a task, by why delivery forced them (tally.reasons): all must have a reason
--   outcomes    tasks of ended flows whose logbook does not have exactly one outcome, SUCCESS
local cjson = require "cjson"
local flows = require "flows"
local peers = require "peers"
local process = require "process"
local tally = require "tally"

local M = {}

local AT_ONCE, WORKERS, SLOTS, TASKS = 3, 2, 2, 20
local SILENCE = 6 -- seconds that a stopped worker sleeps
local OLD = 75 -- seconds after which a flow does not count among those at once: it may hang
local PATIENCE = 150 -- seconds that flows may take after the last kill: what takes longer hangs
-- How often each thing happens, of the sum.
local KINDS = { "slot", "slot", "slot", "slot", "worker", "worker", "engine", "engine", "broker", "silence" }

local HERE = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"

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
  words.env = self.side:env { CHAOS_FLOW = flow.name, LUA_PATH = peers.support .. "/?.lua;;" }
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
      again.attempts, again.retry = 50, "effects.Again"
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
  local at, wall = process.now(), tally.wall()
  process.signal(slot, "KILL")
  return { slots = { [slot] = true }, pid = slot, at = at, wall = wall }
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
  local worker = self.workers[i].pid
  if self.workers[i]:ended() then -- another one is about to be started
    return nil
  end
  local slots = as_set(slots_of(self.workers[i], self.worker))
  self.workers[i]:kill "KILL"
  self.workers[i]:wait(5)
  self:later(0.5, function()
    self:start_worker(i)
  end)
  return { slots = slots, worker = worker }
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
  return { slots = slots, worker = worker.pid, lasts = SILENCE }
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
  local at, wall = process.now(), tally.wall()
  local cause = happen[kind](self)
  if cause then
    cause.kind, cause.at, cause.wall = kind, cause.at or at, cause.wall or wall
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

---@param options table seconds, seed; kinds: set of those that may happen (all); engine, worker: "lua" or "python"
---@return table counts as tally.of says
function M.run(options)
  local self = setmetatable({
    kinds = options.kinds, language = options.engine or "lua", worker = options.worker or "lua",
    flows = {}, todo = {}, workers = {}, all_workers = {}, engines = {}, running = {}, ended = {}, causes = {},
    kills = {}, stories = {}, flows_begun = 0, tasks = TASKS, broker = process.directory(),
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
  local out = tally.of(self)
  process.run { peers.support .. "/rabbitmq", "kill9", self.broker }
  process.cleanup()
  return out
end

return M
