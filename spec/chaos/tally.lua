-- What a storm (storm.lua) came to, from the effects, the logs, the engines' journal and the logbook that it left.
local cjson = require "cjson"
local ffi = require "ffi"
local peers = require "peers"
local process = require "process"

local M = {}

---Milliseconds of the wall clock, within the hour: as logs have it.
---@return number
function M.wall()
  local t = ffi.new "struct tfspec_timespec"
  ffi.C.clock_gettime(0, t)
  return tonumber(t.sec) % 3600 * 1000 + tonumber(t.nsec) / 1e6
end

-- The times of lines in a log that have this text, as M.wall tells time.
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

-- Between an effect and its acknowledgement, and for the news of it, at most.
local MOMENT = 1
-- Between an effect and a silence of another worker that has to do with it, at most.
local NEAR = 10

-- Whether it happened, or lasted, while that effect was on its way from the task to the engine.
local function cut(cause, effect)
  return cause.at < effect.at + MOMENT and cause.at + (cause.lasts or 0) > effect.began - MOMENT / 2
end

-- Whether the worker that had the effect died or slept before the other effect: the ledger of any other knows the
-- outcome.
local function is_forgotten(causes, first, again)
  for _, cause in ipairs(causes) do
    if cause.worker == first.worker and cause.at > first.at and cause.at < again.at then
      return true
    end
  end
  return false
end

-- By precedence. `flow.presumed`: when its engine gave up a silent worker.
local REASONS = {
  { "slot or worker killed before the acknowledgement", function(_, cause, first)
    return (cause.kind == "slot" and cause.slots[first.slot] or cause.kind == "worker" and cause.worker == first.worker)
      and cut(cause, first)
  end },
  { "silent worker presumed lost", function(_, cause, first)
    return cause.kind == "silence" and cause.worker == first.worker and cut(cause, first)
  end },
  { "broker, then worker killed before the acknowledgement", function(_, cause, first, again, causes)
    return cause.kind == "broker" and cut(cause, first) and is_forgotten(causes, first, again)
  end },
  { "silent worker presumed lost", function(flow, _, first, again)
    for _, at in ipairs(flow.presumed) do
      if at < again.at and at > first.at - NEAR then
        return true
      end
    end
    return false
  end },
  -- Its copy waited in the window of a worker that stood still, and came back when that was killed or woke up.
  { "held by a silent worker", function(flow, cause, first)
    return cause.kind == "silence" and cause.at + cause.lasts > flow.at and cause.at < first.at
      and cause.at + cause.lasts > first.at - NEAR
  end },
  { "engine, then worker killed before the acknowledgement", function(flow, cause, first, again, causes)
    return cause.flow == flow.name and cut(cause, first) and is_forgotten(causes, first, again)
  end },
}

---In the order of a table.
M.reasons = {
  "slot or worker killed before the acknowledgement", "broker, then worker killed before the acknowledgement",
  "engine, then worker killed before the acknowledgement", "silent worker presumed lost", "held by a silent worker",
  "unexplained",
}

-- Why an effect came again: what happened to who had it before, or to who had to hear of it.
local function reason_of(storm, name, first, again)
  local flow = storm.flows[name:match "^(f%d+)%-"]
  for _, reason in ipairs(REASONS) do
    for _, cause in ipairs(storm.causes) do
      if reason[2](flow, cause, first, again, storm.causes) then
        return reason[1]
      end
    end
  end
  return "unexplained"
end

-- When an engine of the flow gave up a silent worker.
local function find_presumed(storm)
  local one = storm.causes[1]
  for _, flow in pairs(storm.flows) do
    flow.presumed = {}
    for _, engine in ipairs(flow.engines) do
      for _, at in ipairs(logged(engine:stderr(), "is silent")) do
        table.insert(flow.presumed, one.at + (at - one.wall) / 1000)
      end
    end
    table.sort(flow.presumed)
  end
end

local function count_effects(storm, out)
  local effects, order = {}, {}
  find_presumed(storm)
  for line in process.read(storm.effects_path):gmatch "[^\n]+" do
    local effect = cjson.decode(line)
    effects[effect.task] = effects[effect.task] or {}
    table.insert(effects[effect.task], effect)
    order[#order + 1] = effect.at
  end
  for name, ok in pairs(storm.ended) do
    for i = 1, storm.tasks do
      local title = ("%s-%d%s"):format(name, math.ceil(i / 2), i % 2 == 1 and "a" or "b")
      out.lost = out.lost + (ok and not effects[title] and 1 or 0)
    end
  end
  for name, list in pairs(effects) do
    table.sort(list, function(a, b)
      return a.at < b.at
    end)
    for i = 2, #list do
      local why = reason_of(storm, name, list[i - 1], list[i])
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
local function count_recoveries(storm, out, order)
  for _, cause in ipairs(storm.causes) do
    for _, at in ipairs(order) do
      if at > (cause.back or cause.at) then
        out.recovery[cause.kind] = out.recovery[cause.kind] or {}
        table.insert(out.recovery[cause.kind], at - (cause.back or cause.at))
        break
      end
    end
  end
end

-- The moment at which each engine gave up a silent worker, of those that were silent.
local function count_silences(storm, out)
  local silences = {}
  for _, engine in ipairs(storm.engines) do
    for _, at in ipairs(logged(engine:stderr(), "is silent")) do
      silences[#silences + 1] = at
    end
  end
  table.sort(silences)
  for _, cause in ipairs(storm.causes) do
    for _, at in ipairs(cause.kind == "silence" and silences or {}) do
      if at > cause.wall and at < cause.wall + cause.lasts * 1000 then
        table.insert(out.silence_noticed, (at - cause.wall) / 1000)
        break
      end
    end
  end
end

-- Whether something else stood between the death of a slot and who is to hear of it until then: its worker slept or
-- died, the broker was away, the engine of that flow (if it matters) died.
local function is_disturbed(storm, death, at, flow)
  for _, cause in ipairs(storm.causes) do
    local bad = (cause.kind == "silence" or cause.kind == "worker") and cause.slots[death.pid] or cause.kind == "broker"
      or flow and cause.flow == flow
    if bad and cause.at < at and cause.at + (cause.lasts or 0) > death.at then
      return true
    end
  end
  return false
end

-- From the death of a slot that ran a task until its worker says so, and until the engine has the failure.
local function count_deaths(storm, out)
  local said, failures = {}, storm.side:journal "failure"
  for i, worker in ipairs(storm.all_workers) do
    said[i] = worker:stderr()
  end
  said = table.concat(said)
  for _, cause in ipairs(storm.causes) do
    local text = cause.kind == "slot" and ("slot (pid %d) running"):format(cause.pid)
    local logged_at = text and logged(said, text)[1]
    local seconds = logged_at and (logged_at - cause.wall) / 1000
    if seconds and not is_disturbed(storm, cause, cause.at + seconds) then
      table.insert(out.slot_noticed, seconds)
    end
    for _, heard in ipairs(logged_at and failures or {}) do
      if heard.at > cause.at and heard.why:find(text, 1, true) then
        if not is_disturbed(storm, cause, heard.at, heard.task:match "^f%d+") then
          table.insert(out.slot_heard, heard.at - cause.at)
        end
        break
      end
    end
  end
end

local function count_outcomes(storm, out)
  if storm.language == "python" then
    return
  end
  for name, entry in pairs(storm:list()) do
    if storm.ended[name] then
      local shown = process.run { peers.tfhost, "flow", "show", entry.uuid, "--json", "--backend", storm.book }
      local seen, good = {}, 0
      for _, atom in ipairs(cjson.decode(shown.stdout).atoms) do
        local is_task = atom.kind == "TASK_DETAIL" and atom.name:find "^f"
        good = good + (is_task and atom.state == "SUCCESS" and not seen[atom.name] and 1 or 0)
        seen[atom.name] = true
      end
      out.outcomes = out.outcomes + math.abs(storm.tasks - good)
    end
  end
end

-- For who looks for the reason of a fault: CHAOS_KEEP=DIR keeps, for each pair of languages, what happened, what tasks
-- did, and what all said.
local function keep(storm)
  local dir = os.getenv "CHAOS_KEEP"
  if not dir then
    return
  end
  dir = ("%s/%s-on-%s"):format(dir, storm.language, storm.worker)
  assert(os.execute(("mkdir -p '%s'"):format(dir)) == 0)
  local lines = {}
  for i, cause in ipairs(storm.causes) do
    local slots = {}
    for slot in pairs(cause.slots or {}) do
      slots[#slots + 1] = slot
    end
    cause.slots = slots
    lines[i] = cjson.encode(cause)
  end
  process.write(dir .. "/causes", table.concat(lines, "\n") .. "\n")
  process.write(dir .. "/effects", process.read(storm.effects_path))
  process.write(dir .. "/failures", process.read(storm.side.journal_path))
  for kind, list in pairs { worker = storm.all_workers, engine = storm.engines } do
    for i, child in ipairs(list) do
      process.write(("%s/%s-%d"):format(dir, kind, i), ("pid %d\n%s"):format(child.pid, child:story()))
    end
  end
end

---@param storm table that is over: flows, running, ended, causes, kills, workers, engines and where they wrote
---@return table counts: flows, tasks, kills, hung, failed, lost, twice, outcomes, recovery, *_noticed, stories
function M.of(storm)
  local out = {
    flows = 0, tasks = 0, failed = 0, hung = 0, lost = 0, twice = {}, outcomes = 0, recovery = {}, slot_noticed = {},
    slot_heard = {}, silence_noticed = {}, kills = storm.kills, stories = storm.stories,
  }
  for name, flow in pairs(storm.running) do
    out.hung = out.hung + 1
    out.stories[#out.stories + 1] = name .. " hangs: " .. flow.engine:story()
  end
  for _, ok in pairs(storm.ended) do
    out.flows, out.tasks, out.failed = out.flows + 1, out.tasks + storm.tasks, out.failed + (ok and 0 or 1)
  end
  count_recoveries(storm, out, count_effects(storm, out))
  count_deaths(storm, out)
  count_silences(storm, out)
  count_outcomes(storm, out)
  for _, list in ipairs { out.slot_noticed, out.slot_heard, out.silence_noticed } do
    table.sort(list)
  end
  for _, list in pairs(out.recovery) do
    table.sort(list)
  end
  keep(storm)
  return out
end

---@param list number[] sorted
---@return number
function M.quantile(list, part)
  return list[math.max(1, math.ceil(part * #list))] or 0 / 0
end

return M
