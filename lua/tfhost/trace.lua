-- `tfhost trace UUID`: when the atoms of a flow ran and where, as its logbook has it (host/engine/trace.h).
local host = require "tfhost.host"
local json = require "tfhost.json"
local logbook = require "tfhost.logbook"
local text = require "tfhost.text"
local values = require "taskflow.values"

local M = {}

M.EXIT = { OK = 0, INVALID = 2 }

---Of a flow with more runs than these only the longest are shown, unless all are wanted.
M.SHOWN = 100

local BAR_LEAST, BAR_MOST, COLUMNS = 10, 60, 100
local FAILED = { FAILURE = true, REVERT_FAILURE = true }
local UNDER_WAY = { RUNNING = "execute", REVERTING = "revert" }

-- Unix time of "2026-11-24 16:11:54.156809", which is UTC; nil if it is none.
local function unix_time(stamp)
  local year, month, day, hour, minute, second = (stamp or ""):match "^(%d+)-(%d+)-(%d+)[ T](%d+):(%d+):([%d.]+)"
  if not year then
    return nil
  end
  -- Days since 1970 of a calendar that begins in March.
  local y, m = tonumber(year), tonumber(month)
  if m < 3 then
    y, m = y - 1, m + 12
  end
  local days = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400) + math.floor((153 * m - 457) / 5)
    + tonumber(day) - 719469
  return days * 86400 + tonumber(hour) * 3600 + tonumber(minute) * 60 + tonumber(second)
end

---@class tfhost.TraceRun
---@field atom string
---@field action string "execute", "revert"
---@field state string how it ended, or RUNNING or REVERTING
---@field sent number Unix time at which it was handed to the executor
---@field waited number? seconds until it began; nil: not known yet
---@field ran number? seconds
---@field worker string? nil: the engine itself
---@field failure string? of the last one that failed

-- A failure is kept of an atom's last execution and of its last revert.
local function add_failures(runs, first, atom)
  local wanted = { execute = json.failure(atom.failure), revert = json.failure(atom.revert_failure) }
  for i = #runs, first, -1 do
    local run = runs[i]
    if FAILED[run.state] and wanted[run.action] then
      run.failure, wanted[run.action] = wanted[run.action], nil
    end
  end
end

---Runs of a flow's atoms, in the order in which they were handed out.
---@param atoms table[] rows of the logbook
---@return tfhost.TraceRun[]
function M.runs(atoms)
  local runs = {}
  for _, atom in ipairs(atoms) do
    local meta = atom.meta and values.decode(atom.meta) or {}
    local own = type(meta.tfhost) == "table" and meta.tfhost or {}
    local first = #runs + 1
    for _, run in ipairs(type(own.runs) == "table" and own.runs or {}) do
      runs[#runs + 1] = {
        atom = atom.name,
        action = run[1],
        state = run[2],
        sent = run[3],
        waited = run[4],
        ran = run[5],
        worker = run[6] ~= values.null and run[6] or nil,
      }
    end
    local action = UNDER_WAY[atom.state]
    if action then
      local sent = unix_time(atom.updated_at or atom.created_at)
      runs[#runs + 1] = { atom = atom.name, action = action, state = atom.state, sent = sent or host.time() }
    end
    add_failures(runs, first, atom)
  end
  local place = {}
  for i, run in ipairs(runs) do
    place[run] = i
  end
  table.sort(runs, function(a, b)
    if a.sent ~= b.sent then
      return a.sent < b.sent
    end
    return place[a] < place[b]
  end)
  return runs
end

local function end_of(run, now)
  return run.ran and run.sent + run.waited + run.ran or now
end

-- ---- for people ----

-- The longest, in their order; and how many are left out.
local function choose(runs, now, all)
  if all or #runs <= M.SHOWN then
    return runs, 0
  end
  local by_length = {}
  for i, run in ipairs(runs) do
    by_length[i] = { i = i, length = end_of(run, now) - run.sent }
  end
  table.sort(by_length, function(a, b)
    if a.length ~= b.length then
      return a.length > b.length
    end
    return a.i < b.i
  end)
  local wanted, out = {}, {}
  for i = 1, M.SHOWN do
    wanted[by_length[i].i] = true
  end
  for i, run in ipairs(runs) do
    if wanted[i] then
      out[#out + 1] = run
    end
  end
  return out, #runs - #out
end

local COLOURS = {
  SUCCESS = "32", FAILURE = "31", REVERTED = "33", REVERT_FAILURE = "31", RUNNING = "36", REVERTING = "33",
}

local function bar(run, began, length, width, now, colours)
  local function column(time)
    return math.max(0, math.min(width, math.floor((time - began) / length * width + 0.5)))
  end
  local from, to = column(run.sent), column(end_of(run, now))
  local middle = run.waited and math.min(column(run.sent + run.waited), to) or from
  if to == middle then -- it can be seen
    to = math.min(width, middle + 1)
    middle = to - 1
    from = math.min(from, middle)
  end
  local ran = (run.action == "revert" and "▓" or "█"):rep(to - middle)
  if colours then
    ran = ("\27[%sm%s\27[0m"):format(COLOURS[run.state] or "0", ran)
  end
  return (" "):rep(from) .. ("░"):rep(middle - from) .. ran
end

local function print_runs(runs, began, ended, terminal_columns, colours)
  local rows = {}
  for i, run in ipairs(runs) do
    rows[i] = {
      text.shorten(run.atom, 40),
      run.state,
      "+" .. text.seconds(math.max(0, run.sent - began)),
      text.seconds(run.waited),
      text.seconds(run.ran),
      text.shorten(run.worker or "engine", 32),
    }
  end
  local lines = text.table({
    { "ATOM" }, { "STATE" }, { "BEGUN", right = true }, { "WAITED", right = true }, { "RAN", right = true },
    { "WORKER" },
  }, rows)
  local widest = 0
  for _, line in ipairs(lines) do
    widest = math.max(widest, text.width(line))
  end
  local width = math.max(BAR_LEAST, math.min(BAR_MOST, terminal_columns - widest - 5))
  io.write("  ", lines[1], "\n")
  for i, run in ipairs(runs) do
    local line = lines[i + 1]
    local gap = (" "):rep(widest - text.width(line))
    local picture = bar(run, began, math.max(ended - began, 1e-6), width, ended, colours):gsub("%s+$", "")
    io.write("  ", line, gap, "  ", picture, "\n")
    if run.failure then
      io.write("    ", text.shorten(run.failure, math.max(20, terminal_columns - 5)), "\n")
    end
  end
end

---What each worker did.
---@param runs tfhost.TraceRun[]
---@return { worker: string, runs: integer, failed: integer, ran: number, waited: number }[]
function M.workers(runs)
  local by_name, out = {}, {}
  for _, run in ipairs(runs) do
    local name = run.worker or "engine"
    local w = by_name[name]
    if not w then
      w = { worker = name, runs = 0, failed = 0, ran = 0, waited = 0 }
      by_name[name], out[#out + 1] = w, w
    end
    w.runs, w.failed = w.runs + 1, w.failed + (FAILED[run.state] and 1 or 0)
    w.ran, w.waited = w.ran + (run.ran or 0), w.waited + (run.waited or 0)
  end
  table.sort(out, function(a, b)
    return a.worker < b.worker
  end)
  return out
end

local function print_workers(runs)
  local rows = {}
  for i, w in ipairs(M.workers(runs)) do
    rows[i] = {
      text.shorten(w.worker, 40), text.thousands(w.runs), text.thousands(w.failed), text.seconds(w.ran),
      text.seconds(w.ran / w.runs), text.seconds(w.waited / w.runs),
    }
  end
  local lines = text.table({
    { "WORKER" }, { "RUNS", right = true }, { "FAILED", right = true }, { "RAN", right = true },
    { "EACH", right = true }, { "WAITED EACH", right = true },
  }, rows)
  io.write("\n  ", table.concat(lines, "\n  "), "\n")
end

-- When the flow began and ended: as its runs have it, which is nearer than its row.
local function span(row, runs)
  local now = host.time()
  local began, ended = unix_time(row.created_at) or now, nil
  for _, run in ipairs(runs) do
    began = math.min(began, run.sent)
    ended = math.max(ended or 0, end_of(run, now))
  end
  if logbook.unfinished(row.state) then
    ended = row.state == "RUNNING" and now or ended
  else
    ended = math.max(ended or 0, unix_time(row.updated_at) or 0)
  end
  return began, math.max(began, ended or began)
end

local function print_all(given, row, runs)
  local began, ended = span(row, runs)
  local _, columns = host.terminal()
  local shown, left_out = choose(runs, ended, given.all)
  io.write(("flow '%s' %s: %s, %s, %s run%s\n"):format(row.name or "", row.uuid, row.state or "PENDING",
    text.seconds(ended - began), text.thousands(#runs), #runs == 1 and "" or "s"))
  if #runs == 0 then
    io.write "  nothing has run, or its engine was one that keeps no times (of Python, or an older tfhost)\n"
    return
  end
  print_runs(shown, began, ended, columns or COLUMNS, columns ~= nil and (os.getenv "NO_COLOR" or "") == "")
  if left_out > 0 then
    io.write(("  ... the longest of all: %s shorter ones are left out (--all)\n"):format(text.thousands(left_out)))
  end
  print_workers(runs)
end

local function print_json(row, runs)
  local began, ended = span(row, runs)
  io.write(json.encode {
    flow = row.name,
    uuid = row.uuid,
    state = row.state or "PENDING",
    begun = began,
    seconds = ended - began,
    runs = #runs,
    workers = values.list(M.workers(runs)),
  }, "\n")
  for _, run in ipairs(runs) do
    io.write(json.encode(run), "\n")
  end
end

---@param given table uuid, backend, json, all, command
---@return integer exit code
function M.main(given)
  local backend, row = logbook.flow(given, given.uuid)
  if not backend then
    io.stderr:write(given.command, ": ", row, "\n")
    return M.EXIT.INVALID
  end
  local runs = M.runs(assert(backend._handle:atoms(row.uuid)))
  if given.json then
    print_json(row, runs)
  else
    print_all(given, row, runs)
  end
  return M.EXIT.OK
end

return M
