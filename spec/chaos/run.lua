-- usage: build/tfhost lua spec/chaos/run.lua [SECONDS [SEED]]
--
-- Flows under kills drawn from a seed (storm.lua says which): with tfhost on both sides, with a Python engine on tfhost
-- workers, and with Python TaskFlow alone, each for a third of the time, on a broker of its own, by the same schedule.
-- Exit code 1: with tfhost on both sides a task was lost, a flow hung or failed, an effect came twice without a reason,
-- a task has not exactly one outcome, a death was noticed too late; or a flow of the Python engine on tfhost workers
-- hung.
local root = arg[0]:match "^(.*)/spec/[^/]*/[^/]*$" or "."
package.path = root .. "/spec/support/?.lua;" .. root .. "/spec/chaos/?.lua;" .. package.path

local storm = require "storm"
local tally = require "tally"

local SECONDS, SEED = tonumber(arg[1] or 600), tonumber(arg[2] or 1)
local SLOT_LIMIT, SILENCE_LIMIT = 0.05, 2.5 -- seconds until a death is noticed, p99

local CONTESTANTS = {
  { name = "tfhost on tfhost", engine = "lua", worker = "lua" },
  { name = "Python on tfhost", engine = "python", worker = "lua" },
  { name = "Python on Python", engine = "python", worker = "python" },
}

local function quantiles(list)
  if not list or #list == 0 then
    return "-"
  end
  return ("%.2f / %.2f / %.2f"):format(tally.quantile(list, 0.5), tally.quantile(list, 0.99), list[#list])
end

-- How fast deaths were noticed, and of how many.
local function notices(list)
  if #list == 0 then
    return "-"
  end
  local p99 = tally.quantile(list, 0.99)
  return ("%.3f / %.3f / %.3f (%d)"):format(tally.quantile(list, 0.5), p99, list[#list], #list)
end

local function sum(numbers)
  local n = 0
  for _, value in pairs(numbers) do
    n = n + value
  end
  return n
end

local function kills(kind)
  return function(s)
    return s.kills[kind] or 0
  end
end

local function recovery(kind)
  return function(s)
    return quantiles(s.recovery[kind])
  end
end

local ROWS = {
  { "flows ended", function(s) return s.flows end },
  { "tasks of them", function(s) return s.tasks end },
  { "slots killed", kills "slot" },
  { "workers killed", kills "worker" },
  { "engines killed", kills "engine" },
  { "broker killed", kills "broker" },
  { "workers silent for 6 s", kills "silence" },
  { "tasks lost", function(s) return s.lost end },
  { "flows hung", function(s) return s.hung end },
  { "flows failed", function(s) return s.failed end },
  { "not exactly one outcome", function(s, c) return c.engine == "lua" and s.outcomes or "-" end },
  { "effects twice", function(s) return sum(s.twice) end },
}
for _, reason in ipairs(tally.reasons) do
  ROWS[#ROWS + 1] = { "  " .. reason, function(s) return s.twice[reason] or 0 end }
end
ROWS[#ROWS + 1] = { "next effect, s: p50 / p99 / max" }
for _, kind in ipairs { "slot", "worker", "engine", "broker", "silence" } do
  ROWS[#ROWS + 1] = { "  after " .. kind, recovery(kind) }
end
ROWS[#ROWS + 1] = { "until noticed, s: p50 / p99 / max (of how many)" }
ROWS[#ROWS + 1] = { "  slot's death, by its worker", function(s) return notices(s.slot_noticed) end }
ROWS[#ROWS + 1] = { "  slot's death, as a failure in the engine", function(s) return notices(s.slot_heard) end }
ROWS[#ROWS + 1] = { "  silent worker, by an engine", function(s) return notices(s.silence_noticed) end }

local function is_late(list, limit)
  return #list > 0 and tally.quantile(list, 0.99) >= limit
end

local function faults(s, contestant)
  local out = {}
  local function fault(bad, text)
    out[#out + 1] = bad and text or nil
  end
  if contestant.worker == "lua" then
    fault(s.hung > 0, s.hung .. " flows hung")
    fault(is_late(s.slot_noticed, SLOT_LIMIT), "the death of a slot was noticed too late")
  end
  if contestant.engine == "lua" then
    fault(s.failed > 0, s.failed .. " flows failed")
    fault(s.lost > 0, s.lost .. " tasks were lost")
    fault(s.outcomes > 0, s.outcomes .. " tasks have not exactly one outcome")
    fault(s.twice.unexplained, ("%d effects came twice without a reason"):format(s.twice.unexplained or 0))
    fault(is_late(s.slot_heard, SLOT_LIMIT), "the death of a slot was a failure in the engine too late")
    fault(is_late(s.silence_noticed, SILENCE_LIMIT), "a silent worker was noticed too late")
  end
  return out
end

local ROW = "| %-56s | %-22s | %-22s | %-22s |"
local results, bad = {}, false
for i, c in ipairs(CONTESTANTS) do
  io.stderr:write(("%s, %d s\n"):format(c.name, SECONDS / 3))
  results[i] = storm.run { seconds = SECONDS / 3, seed = SEED, engine = c.engine, worker = c.worker }
end
print(("engine on workers, %d s each, seed %d; flows of 20 tasks of 0.2 s, 3 at once, 2 workers of 2 slots"):format(
  SECONDS / 3, SEED))
print(ROW:format("", CONTESTANTS[1].name, CONTESTANTS[2].name, CONTESTANTS[3].name))
print("|---|---|---|---|")
for _, row in ipairs(ROWS) do
  local cells = {}
  for i, c in ipairs(CONTESTANTS) do
    cells[i] = row[2] and row[2](results[i], c) or ""
  end
  print(ROW:format(row[1], unpack(cells)))
end
for i, c in ipairs(CONTESTANTS) do
  for _, fault in ipairs(faults(results[i], c)) do
    bad = true
    print(("FAILED: %s: %s"):format(c.name, fault))
  end
  for _, story in ipairs(c.worker == "lua" and results[i].stories or {}) do
    print(story)
  end
end
os.exit(bad and 1 or 0)
