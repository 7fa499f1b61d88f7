-- Commands about running workers, over their control sockets: ps, status, events, slots, drain, shutdown; top is in
-- tfhost.top. Each takes the command line (paths of the sockets, timeout, json, ...) and returns an exit code.
local control = require "tfhost.control"
local json = require "tfhost.json"
local text = require "tfhost.text"
local values = require "taskflow.values"

local M = {}

M.EXIT = { OK = 0, ERROR = 1 }

local function complain(given, message)
  io.stdout:flush()
  io.stderr:write(given.command, ": ", message, "\n")
  return M.EXIT.ERROR
end

---Ask each worker; `show` gets the text of each answer and what it says. Who does not answer is told on stderr.
---@param given table paths, timeout, command
---@param request table
---@param show fun(answer: table, answer_text: string)
---@return integer exit code
local function ask_each(given, request, show)
  local code, request_text = M.EXIT.OK, json.encode(request)
  for _, path in ipairs(given.paths) do
    local answer, message = control.ask(path, request_text, given.timeout)
    if answer then
      show(assert(values.decode(answer)), answer)
    else
      code = complain(given, message)
    end
  end
  return code
end

local function print_json(_, answer)
  io.write(answer, "\n")
end

local function line(format, ...)
  io.write(format:format(...), "\n")
end

-- ---- ps ----

---The tasks of a worker, each with the process that has it: what `tfhost ps --json` prints.
---@param status table
---@return table[]
function M.tasks(status)
  local by_job, out = {}, {}
  for _, slot in ipairs(status.processes) do
    if slot.job then
      by_job[slot.job] = slot
    end
  end
  for i, task in ipairs(status.tasks) do
    local slot = by_job[task.job] or {}
    local running = task.state == "running"
    task.job = nil
    task.worker, task.worker_pid, task.topic = status.worker, status.pid, status.topic
    task.pid, task.class = slot.pid, slot.class or task.class
    task.cpu, task.memory = running and slot.job_cpu or nil, running and slot.memory or nil
    out[i] = task
  end
  return out
end

local PS_COLUMNS = {
  { "WORKER", right = true }, { "PID", right = true }, { "STATE" }, { "WAITED", right = true }, { "RAN", right = true },
  { "CPU", right = true }, { "MEMORY", right = true }, { "TASK" }, { "CLASS" },
}

local function ps_row(task)
  return {
    ("%d"):format(task.worker_pid),
    task.pid and ("%d"):format(task.pid) or "-",
    task.action == "execute" and task.state or ("%s (%s)"):format(task.state, task.action),
    text.seconds(task.waited),
    text.seconds(task.ran ~= values.null and task.ran or nil),
    text.seconds(task.cpu),
    text.bytes(task.memory),
    text.shorten(task.task, 40),
    text.shorten(task.class or "-", 40),
  }
end

function M.ps(given)
  local rows, slots, busy, answered = {}, 0, 0, 0
  local code = ask_each(given, { command = "status" }, function(status)
    slots, busy, answered = slots + status.slots, busy + status.busy, answered + 1
    for _, task in ipairs(M.tasks(status)) do
      if given.json then
        io.write(json.encode(task), "\n")
      else
        rows[#rows + 1] = ps_row(task)
      end
    end
  end)
  if not given.json and #rows > 0 then
    io.write(table.concat(text.table(PS_COLUMNS, rows), "\n"), "\n")
  elseif not given.json and answered > 0 then
    line("nothing runs: %d slot%s, %d busy", slots, slots == 1 and "" or "s", busy)
  end
  return code
end

-- ---- status ----

local COUNTERS = {
  { "requests", "requests" }, { "succeeded", "succeeded" }, { "failed", "failed" }, { "malformed", "malformed" },
  { "joined", "joined" }, { "from_ledger", "from ledger" }, { "given_back", "given back" }, { "dropped", "dropped" },
  { "probes", "probes" }, { "reconnects", "reconnects" },
}

local function print_scripts(scripts)
  for _, g in ipairs(scripts.generations) do
    line("  generation %-4d %-9s %s  classes %d  slots %d (%d busy)  succeeded %d  failed %d", g.generation, g.state,
      g.hash, g.classes, g.slots, g.busy, g.succeeded, g.failed)
  end
  local canary = scripts.canary
  if canary then
    line("  canary: %g %% of the requests; %d of %d ended, %d failed", 100 * canary.share, canary.ended, canary.wanted,
      canary.failed)
  end
  local recycled = scripts.recycled
  if recycled.tasks + recycled.memory > 0 then
    line("  slots replaced: %d after their number of tasks, %d that had grown", recycled.tasks, recycled.memory)
  end
  if scripts.load_error ~= values.null then
    line("  last load error (%s): %s", os.date("%F %T", scripts.load_error.at), scripts.load_error.message)
  end
end

local function print_status(w)
  local state = (w.draining and ", draining" or "") .. (w.connected and "" or ", not connected")
  line('worker %d: topic "%s" of exchange "%s" at %s, up %s, %d slots, %d busy%s', w.pid, w.topic, w.exchange, w.url,
    text.seconds(w.seconds), w.slots, w.busy, state)
  local counters = {}
  for i, pair in ipairs(COUNTERS) do
    counters[i] = ("%s %s"):format(pair[2], text.thousands(w.counters[pair[1]]))
  end
  io.write("  ", table.concat(counters, "  "), "\n")
  line("  queues: %d waiting for a slot, %d of at most %d taken from the topic, %d on their way to the broker",
    w.queues.waiting, w.queues.unsettled, w.queues.window, w.queues.unsent)
  line("  ledger: %s outcomes, %s  supervisor: cpu %s, memory %s", text.thousands(w.ledger.outcomes),
    text.bytes(w.ledger.bytes), text.seconds(w.cpu), text.bytes(w.memory))
  print_scripts(w.scripts)
  local rows = {}
  for _, task in ipairs(M.tasks(w)) do
    if task.state == "running" or task.state == "starting" then
      rows[#rows + 1] = ps_row(task)
    end
  end
  if #rows > 0 then
    io.write("  ", table.concat(text.table(PS_COLUMNS, rows), "\n  "), "\n")
  end
end

function M.status(given)
  return ask_each(given, { command = "status" }, given.json and print_json or print_status)
end

-- ---- changing it ----

function M.slots(given)
  local function show(w)
    line("worker %d: %d slot%s, it had %d", w.pid, w.slots, w.slots == 1 and "" or "s", w.before)
  end
  return ask_each(given, { command = "slots", slots = given.slots, add = given.add }, given.json and print_json or show)
end

local function stop(given, seconds)
  local request = { command = "drain", seconds = seconds, wait = not given.no_wait }
  return ask_each(given, request, given.json and print_json or function(w)
    if given.no_wait then
      line("worker %d drains: %d task%s", w.pid, w.running, w.running == 1 and " runs" or "s run")
    else
      line("worker %d has ended%s", w.pid, w.given_back > 0 and ("; given back: " .. w.given_back) or "")
    end
  end)
end

function M.drain(given)
  return stop(given, given.within)
end

function M.shutdown(given)
  return stop(given, given.grace or 0)
end

-- ---- events ----

local DETAILS = {
  "state", "type", "seconds", "reason", "details", "generation", "hash", "classes", "slots", "worker", "count",
}
local PLAIN = { state = true, type = true, reason = true } -- said without their names

---An event as a line for people.
---@param event table
---@return string
function M.event_text(event)
  local parts = { os.date("%H:%M:%S", event.at or os.time()), ("%-12s"):format(event.event) }
  if event.atom or event.flow then
    parts[#parts + 1] = event.atom or event.flow
  elseif event.task then
    parts[#parts + 1] = event.action == "revert" and event.task .. " (revert)" or event.task
  end
  for _, name in ipairs(DETAILS) do
    local value = event[name]
    if name == "seconds" then
      parts[#parts + 1] = value and text.seconds(value)
    elseif name == "generation" and event.task then
      parts[#parts + 1] = nil -- said once, when it came
    elseif type(value) == "table" then
      parts[#parts + 1] = json.readable(json.encode(value))
    elseif value ~= nil then
      parts[#parts + 1] = PLAIN[name] and tostring(value) or name .. " " .. tostring(value)
    end
  end
  return table.concat(parts, "  "):gsub("%c+", " ")
end

local FOREVER = 86400

function M.events(given)
  if given.run then
    return require("tfhost.follow").main(given)
  end
  local request = json.encode { command = "events", uuid = given.uuid }
  local streams, message = control.follow(given.paths, request, given.timeout)
  if not streams then
    return complain(given, message)
  end
  local pids, seen = {}, 0
  for i, path in ipairs(given.paths) do
    pids[i] = path:match "%-(%d+)%.sock$" or path
  end
  while not given.times or seen < given.times do
    local index, event, why, code = streams:next(FOREVER)
    if index == false then
      return M.EXIT.OK
    elseif index and not event and code ~= "ECLOSED" then
      return complain(given, ("%s: %s"):format(given.paths[index], why))
    elseif event then
      seen = seen + 1
      if given.json then
        io.write('{"pid": ', tonumber(pids[index]) or "null", ", ", event:sub(2), "\n")
      else
        io.write(#given.paths > 1 and pids[index] .. "  " or "", M.event_text(assert(values.decode(event))), "\n")
      end
      io.stdout:flush()
    end
  end
  return M.EXIT.OK
end

function M.top(given)
  return require("tfhost.top").main(given)
end

---@param given table operation, command, paths, timeout, json and what the operation takes
---@return integer exit code
function M.main(given)
  return M[given.operation](given)
end

return M
