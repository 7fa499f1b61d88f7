-- `tfhost top`: workers as they are, looked at again and again: a picture on a terminal, text or JSON lines elsewhere.
local control = require "tfhost.control"
local host = require "tfhost.host"
local json = require "tfhost.json"
local operate = require "tfhost.operate"
local terminal = require "tfhost.terminal"
local text = require "tfhost.text"
local values = require "taskflow.values"

local M = {}

M.EXIT = { OK = 0, ERROR = 1, INTERRUPTED = 130 }

-- One that stands still must not hold up the picture of the others for longer.
local ASK_SECONDS, INTERVAL, COLUMNS = 1, 1, 100

-- ---- looking ----

local function sum_cpu(status)
  local cpu = { [status.pid] = status.cpu }
  for _, process in ipairs(status.processes) do
    cpu[process.pid] = process.cpu
  end
  return cpu
end

-- Per second since `before`, an earlier status of the same worker.
local function rates(status, before, seconds)
  if not before or before.worker ~= status.worker or seconds <= 0 then
    return { done = 0, failed = 0, cpu = 0 }
  end
  local now, cpu, was = status.counters, 0, sum_cpu(before)
  for pid, used in pairs(sum_cpu(status)) do
    cpu = cpu + math.max(0, used - (was[pid] or 0))
  end
  return {
    done = (now.succeeded + now.failed - before.counters.succeeded - before.counters.failed) / seconds,
    failed = (now.failed - before.counters.failed) / seconds,
    cpu = cpu / seconds,
  }
end

local function memory_of(status)
  local bytes = status.memory
  for _, process in ipairs(status.processes) do
    bytes = bytes + process.memory
  end
  return bytes
end

---One look at workers. `last` is what the look before gave.
---@param paths string[]
---@param seconds number to wait for each
---@param last table?
---@return table look at: host.now(); workers: statuses with `rates` and `memory_all`; silent: paths that do not answer
function M.look(paths, seconds, last)
  local look = { at = host.now(), workers = {}, silent = {}, by_path = {} }
  for _, path in ipairs(paths) do
    local answer = control.ask(path, '{"command": "status"}', seconds)
    if answer then
      local status = assert(values.decode(answer))
      local at = host.now()
      local before = last and last.by_path[path]
      status.rates = rates(status, before and before.status, before and at - before.at or 0)
      status.memory_all = memory_of(status)
      look.by_path[path] = { status = status, at = at }
      look.workers[#look.workers + 1] = status
    else
      look.silent[#look.silent + 1] = path
    end
  end
  table.sort(look.workers, function(a, b)
    return a.topic < b.topic or a.topic == b.topic and a.pid < b.pid
  end)
  return look
end

-- ---- drawing ----

local WORKERS = {
  { "WORKER", right = true }, { "TOPIC" }, { "UP", right = true }, { "SLOTS" }, { "WAIT", right = true },
  { "DONE/S", right = true }, { "FAILED", right = true }, { "CPU", right = true }, { "MEMORY", right = true },
  { "GEN" },
}
local TASKS = {
  { "WORKER", right = true }, { "PID", right = true }, { "STATE" }, { "WAITED", right = true }, { "RAN", right = true },
  { "CPU", right = true }, { "MEMORY", right = true }, { "TASK" },
}
local SLOT_BAR = 4 -- its characters have three bytes

local function slots_text(w)
  local full = math.min(SLOT_BAR, math.floor(SLOT_BAR * math.min(w.busy, w.slots) / w.slots + 0.5))
  full = (w.busy > 0 and full == 0) and 1 or full
  return ("%s%s %d/%d"):format(("█"):rep(full), ("░"):rep(SLOT_BAR - full), w.busy, w.slots)
end

local function worker_note(w)
  local notes = {}
  if w.draining then
    notes[#notes + 1] = "draining"
  end
  if not w.connected then
    notes[#notes + 1] = "not connected"
  end
  if w.scripts.load_error ~= values.null then
    notes[#notes + 1] = "its scripts do not load: " .. w.scripts.load_error.message
  end
  return #notes > 0 and "        " .. table.concat(notes, "; "):gsub("%c+", " ") or nil
end

local function workers_table(look)
  local rows = {}
  for i, w in ipairs(look.workers) do
    rows[i] = {
      ("%d"):format(w.pid),
      text.shorten(w.topic, 16),
      (text.seconds(w.seconds):gsub(" ", "")),
      slots_text(w),
      text.thousands(w.queues.waiting),
      ("%.1f"):format(w.rates.done),
      text.thousands(w.counters.failed),
      ("%.0f%%"):format(100 * w.rates.cpu),
      text.bytes(w.memory_all),
      ("%d%s"):format(w.scripts.current, w.scripts.canary and "+" or ""),
    }
  end
  local lines = text.table(WORKERS, rows)
  for i = #look.workers, 1, -1 do
    local note = worker_note(look.workers[i])
    if note then
      table.insert(lines, i + 2, note)
    end
  end
  return lines
end

local function tasks_of(look)
  local tasks = {}
  for _, w in ipairs(look.workers) do
    for _, task in ipairs(operate.tasks(w)) do
      tasks[#tasks + 1] = task
      task.ran = task.ran ~= values.null and task.ran or nil
    end
  end
  table.sort(tasks, function(a, b)
    local x, y = a.ran or -1 / (1 + a.waited), b.ran or -1 / (1 + b.waited)
    return x > y or x == y and a.task < b.task
  end)
  return tasks
end

local function tasks_table(tasks, count)
  local rows = {}
  for i = 1, math.min(count, #tasks) do
    local t = tasks[i]
    rows[i] = {
      ("%d"):format(t.worker_pid),
      t.pid and ("%d"):format(t.pid) or "-",
      t.action == "execute" and t.state or ("%s (%s)"):format(t.state, t.action),
      text.seconds(t.waited),
      text.seconds(t.ran),
      text.seconds(t.cpu),
      text.bytes(t.memory),
      ("%s  (%s)"):format(t.task, t.class or "?"),
    }
  end
  return text.table(TASKS, rows)
end

local function head(look)
  local slots, busy, done, failed = 0, 0, 0, 0
  for _, w in ipairs(look.workers) do
    slots, busy, done, failed = slots + w.slots, busy + w.busy, done + w.rates.done, failed + w.rates.failed
  end
  local parts = {
    ("tfhost top %s"):format(os.date "%H:%M:%S"),
    ("%d worker%s"):format(#look.workers, #look.workers == 1 and "" or "s"),
    ("%d/%d slots busy"):format(busy, slots),
    ("%.1f tasks/s"):format(done),
    ("%.1f failed/s"):format(failed),
  }
  if #look.silent > 0 then
    parts[#parts + 1] = ("%d DO NOT ANSWER"):format(#look.silent)
  end
  return table.concat(parts, "  ")
end

-- A line of at most so many columns.
local function cut(line, columns)
  if text.width(line) <= columns then
    return line
  end
  return line:match("^" .. ("[%z\1-\127\192-\255][\128-\191]*"):rep(columns)) or line
end

-- Headings are bold, bars green, and those of workers without a free slot yellow.
local function coloured(line, is_heading)
  if is_heading then
    return ("\27[1m%s\27[0m"):format(line)
  end
  local full = ("█"):rep(SLOT_BAR)
  local at = line:find("█", 1, true)
  if not at then
    return line
  end
  local bar = line:sub(at, at + #full - 1)
  return ("%s\27[%sm%s\27[0m%s"):format(line:sub(1, at - 1), bar == full and "33" or "32", bar, line:sub(at + #full))
end

---The picture as lines.
---@param look table
---@param height integer? lines, at most; nil: as many as it takes
---@param width integer
---@param colours boolean
---@return string[]
function M.picture(look, height, width, colours)
  local lines, bold = {}, {}
  local function add(line, is_heading)
    lines[#lines + 1] = cut(line, width)
    bold[#lines] = is_heading
  end
  add(head(look), true)
  add ""
  local workers = workers_table(look)
  -- Tasks get a third of the screen at least.
  local room = height and math.max(2, math.floor((height - 3) * 2 / 3)) or math.huge
  local left_out = #workers > room and #workers - room + 1 or 0
  for i = 1, #workers - left_out do
    add(workers[i], i == 1)
  end
  if left_out > 0 then
    add(("  ... %d more workers"):format(left_out))
  end
  if #look.workers == 0 then
    add "no worker answers"
  end
  local tasks = tasks_of(look)
  if #tasks > 0 and (not height or height - #lines >= 3) then
    add ""
    local rows = height and height - #lines - 1 or #tasks
    local more = #tasks > rows and #tasks - rows + 1 or 0
    for i, line in ipairs(tasks_table(tasks, #tasks - more)) do
      add(line, i == 1)
    end
    if more > 0 then
      add(("  ... %s more tasks"):format(text.thousands(more)))
    end
  end
  for i, line in ipairs(lines) do
    lines[i] = colours and coloured(line, bold[i]) or line
  end
  return lines
end

-- ---- showing ----

local function paths_now(given)
  if not given.finds then
    return given.paths
  end
  return control.sockets "worker" or {}
end

local function print_json(look)
  local workers = {}
  for i, w in ipairs(look.workers) do
    workers[i] = w
  end
  io.write(json.encode { at = host.time(), workers = values.list(workers), silent = values.list(look.silent) }, "\n")
end

-- Draw over what is there: nothing flickers.
local function draw(look)
  local rows, columns = host.terminal()
  local lines = M.picture(look, rows - 2, columns - 1, (os.getenv "NO_COLOR" or "") == "")
  io.write("\27[H", table.concat(lines, "\27[K\n"), "\27[K\n\27[J", ("\27[%d;1H"):format(rows), "q: quit")
end

-- Wait for the next look. True: it is to end; then the exit code.
local function wait(seconds, has_screen)
  if not has_screen then
    host.sleep(seconds)
    return false
  end
  local deadline = host.now() + seconds
  while true do
    local left = deadline - host.now()
    local key = left > 0 and terminal.key(left)
    if left <= 0 or key == nil then
      return false
    elseif key == false or key:find "[qQ]" then
      return true, M.EXIT.OK
    elseif key:find "\3" then
      return true, M.EXIT.INTERRUPTED
    end
  end
end

---@param given table paths, finds (look for workers again), timeout, interval, times, json
---@return integer exit code
function M.main(given)
  local interval, ask = given.interval or INTERVAL, math.min(given.timeout, ASK_SECONDS)
  local has_screen = not given.json and given.times ~= 1 and terminal.open()
  local look = M.look(given.paths, ask)
  local code, count = #look.workers > 0 and M.EXIT.OK or M.EXIT.ERROR, 0
  if given.times == 1 and #look.workers > 0 then -- rates need a second look
    host.sleep(math.min(interval, 0.2))
    look = M.look(given.paths, ask, look)
  end
  while true do
    count = count + 1
    if given.json then
      print_json(look)
    elseif has_screen then
      draw(look)
    elseif #look.workers > 0 or given.times ~= 1 then
      local _, columns = host.terminal()
      io.write(table.concat(M.picture(look, nil, columns or COLUMNS, false), "\n"), "\n")
    end
    io.stdout:flush()
    if count == given.times then
      break
    end
    local ends, ended = wait(interval, has_screen)
    if ends then
      code = ended
      break
    end
    look = M.look(paths_now(given), ask, look)
    code = #look.workers > 0 and M.EXIT.OK or M.EXIT.ERROR
  end
  terminal.close()
  if code == M.EXIT.ERROR then
    io.stderr:write(given.command, ": no worker answers\n")
  end
  return code
end

return M
