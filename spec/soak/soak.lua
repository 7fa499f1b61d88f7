-- The soak: for a while engines and workers do all that they can, over RabbitMQ and over a directory, while scripts are
-- written anew and slots replaced. Then: is memory flat, are descriptors, is anything left?
--
--   local report = soak.run { seconds = 1800, seed = 1 }      report.text, report.wrong (a list; empty: all is well)
local cjson = require "cjson"
local peers = require "peers"
local process = require "process"

local M = {}

local SLOTS = 3
local SAMPLE = 0.5 -- seconds between two looks
local RELOAD = 3 -- seconds between two versions of the scripts; one in ten cannot be loaded
-- What is measured begins after this part of the time: by then ledgers, buffers and heaps have their size.
local WARM = 1 / 3
-- Megabytes that a process may have grown by according to its slope: beside noise, and in a short run, which
-- sees the warming up, too.
local ALLOWED, ALLOWED_SHORT, SHORT = 3, 24, 300
local ALLOWED_PART = 0.05 -- or this part of what it has
local DESCRIPTORS_SHORT = 16 -- in a short run, whose few looks may all have met a flow at work

local function megabytes(pid)
  return (process.rss(pid) or 0) / 1024
end

local function descriptors(pid)
  local pipe = assert(io.popen(("ls /proc/%d/fd 2>/dev/null | wc -l"):format(pid)))
  local n = tonumber(pipe:read "*l")
  pipe:close()
  return n
end

local function lines_of(command)
  local out = {}
  local pipe = assert(io.popen(command))
  for line in pipe:lines() do
    out[#out + 1] = line
  end
  pipe:close()
  return out
end

-- ---- series of numbers ------------------------------------------------------------------------

-- Least squares: what it grows by in a second, and where it is on average.
local function slope(series, from)
  local n, sx, sy, sxx, sxy = 0, 0, 0, 0, 0
  for _, point in ipairs(series) do
    local x, y = point[1], point[2]
    if x >= from then
      n, sx, sy, sxx, sxy = n + 1, sx + x, sy + y, sxx + x * x, sxy + x * y
    end
  end
  local spread = n * sxx - sx * sx
  if n < 3 or spread == 0 then
    return 0, n > 0 and sy / n or 0
  end
  return (n * sxy - sx * sy) / spread, sy / n
end

-- Nearly the least of a span of time: what is there when nothing special goes on. One look of a hundred may meet
-- less, as a slot that is just being replaced.
local function floor_of(series, from, till)
  local all = {}
  for _, point in ipairs(series) do
    if point[1] >= from and point[1] <= till then
      all[#all + 1] = point[2]
    end
  end
  table.sort(all)
  return all[math.ceil(#all / 100)] or 0
end

-- ---- one transport ----------------------------------------------------------------------------

local Side = {}
Side.__index = Side

local function write_scripts(self)
  self.version = self.version + 1
  local broken = self.version % 10 == 0
  local new = self.path .. ".new"
  process.write(new, broken and "return =" or ("-- version %d\n%s"):format(self.version, self.scripts))
  assert(os.rename(new, self.path))
  self.broken = self.broken + (broken and 1 or 0)
end

local function start(transport, seed)
  local self = setmetatable({ transport = transport, version = 0, broken = 0, series = {} }, Side)
  self.env = peers.environment(transport)
  self.dir = self.env.dir
  self.scripts = process.read "spec/soak/tasks.lua"
  self.path = self.dir .. "/work.lua"
  write_scripts(self)
  self.control = self.dir .. "/control"
  self.worker = peers.ready(self.env:worker("lua", "work", {
    tasks = { self.path }, slots = SLOTS,
    words = { "--max-tasks-per-slot", "200", "--max-memory-growth", "16M" },
    env = { TFHOST_CONTROL_DIR = self.control },
  }))
  self.stop_path = self.dir .. "/stop"
  local options = self.env:file("options.json", cjson.encode(self.env:options { topics = { "work" } }))
  self.engine = process.spawn { peers.tfhost, "lua", "spec/soak/load.lua", options, self.stop_path, tostring(seed) }
  return self
end

local function add(self, name, at, value)
  self.series[name] = self.series[name] or {}
  table.insert(self.series[name], { at, value })
end

-- The processes of slots, without loaders; by what they call themselves.
local function slots_of(pid)
  local out = {}
  for _, child in ipairs(process.children(pid)) do
    if process.read(("/proc/%d/comm"):format(child)):match "^tfhost%-slot" then
      out[#out + 1] = child
    end
  end
  return out
end

function Side:look(at)
  for _, name in ipairs { "engine", "worker" } do
    assert(not self[name]:ended(), ("the %s ended: %s"):format(name, self[name]:story()))
    add(self, name, at, megabytes(self[name].pid))
    add(self, name .. " descriptors", at, descriptors(self[name].pid))
  end
  local all, sum = slots_of(self.worker.pid), 0
  for _, pid in ipairs(all) do
    sum = sum + megabytes(pid)
  end
  if #all > 0 then
    add(self, "slot", at, sum / #all)
  end
end

function Side:status()
  local done = process.run { peers.tfhost, "status", "--json", env = { TFHOST_CONTROL_DIR = self.control } }
  return cjson.decode(done.stdout)
end

-- End all of it; what is left of it, as lines.
function Side:finish()
  local left = {}
  process.write(self.stop_path, "now")
  local how = self.engine:wait(120)
  if how.code ~= 0 then
    left[#left + 1] = "the engine ended with " .. cjson.encode(how) .. ": " .. self.engine:story()
  end
  self.numbers = self:status()
  how = self.worker:stop(30)
  if how.code ~= 0 then
    left[#left + 1] = "the worker ended with " .. cjson.encode(how) .. ": " .. self.worker:story()
  end
  for _, line in ipairs(lines_of(("pgrep -f '^tfhost loader .*%s' || true"):format(self.dir:gsub("%.", "%%.")))) do
    left[#left + 1] = "process " .. line
  end
  for _, line in ipairs(lines_of(("ls '%s'"):format(self.control))) do
    left[#left + 1] = "control socket " .. line
  end
  if self.transport == "amqp" then
    local node = assert(os.getenv "TFHOST_TEST_AMQP_DIR", "run inside: spec/support/rabbitmq run ...")
    local command = "spec/support/rabbitmq ctl '%s' -q list_bindings source_name destination_name"
    for _, line in ipairs(lines_of(command:format(node))) do
      local source, queue = line:match "^(%S+)%s+(%S+)$"
      if source == self.env.exchange then
        left[#left + 1] = "queue " .. queue
      end
    end
  else
    for _, line in ipairs(lines_of(("find '%s' -type f ! -name '*.exchange'"):format(self.env.spool))) do
      left[#left + 1] = "file " .. line
    end
  end
  return left
end

-- All that was looked at, as lines "transport what seconds value", to see when it was that something grew.
local function keep(path, sides)
  local file = assert(io.open(path, "w"))
  for _, side in ipairs(sides) do
    for name, series in pairs(side.series) do
      for _, point in ipairs(series) do
        file:write(("%s %s %.1f %.2f\n"):format(side.transport, name:gsub(" ", "-"), point[1], point[2]))
      end
    end
  end
  file:close()
end

-- ---- the whole --------------------------------------------------------------------------------

local Report = {}
Report.__index = Report

function Report:line(format, ...)
  self.lines[#self.lines + 1] = format:format(...)
end

function Report:blame(format, ...)
  self.wrong[#self.wrong + 1] = format:format(...)
end

local function report_work(report, side)
  local said = side.engine:stdout()
  local flows, tasks = said:match "flows (%d+) tasks (%d+)"
  local kinds = {}
  for name, count in said:gmatch "kind (%S+) (%d+)" do
    kinds[#kinds + 1] = ("%s %s"):format(name, count)
  end
  local recycled = side.numbers.scripts.recycled
  report:line(
    "%-10s %6s flows, %7s tasks (%s)", side.transport, flows, tasks, table.concat(kinds, ", ")
  )
  report:line(
    "           scripts written %d times, %d of them broken; slots replaced: %d after 200 tasks, %d had grown",
    side.version, side.broken, recycled.tasks, recycled.memory
  )
  local bad, first = 0, nil
  for story in said:gmatch "bad ([^\n]+)" do
    bad, first = bad + 1, first or story
  end
  if bad > 0 then
    report:blame("%s: %d flows ended otherwise than they should, such as: %s", side.transport, bad, first)
  end
  if not tonumber(flows) or tonumber(flows) < 5 then
    report:blame("%s: hardly any flow was run: %s", side.transport, side.engine:story())
  end
  side.flows = tonumber(flows)
end

local function report_memory(report, side, seconds)
  local from = seconds * WARM
  for _, name in ipairs { "engine", "worker", "slot" } do
    local per_second, mean = slope(side.series[name] or {}, from)
    local grown = per_second * (seconds - from)
    local allowed = math.max(seconds < SHORT and ALLOWED_SHORT or ALLOWED, ALLOWED_PART * mean)
    report:line("%-10s %-18s %7.1f MB  %+8.2f MB/h  %+6.2f MB in the last %.0f s", side.transport,
      name == "slot" and "slots (each)" or name == "worker" and "supervisor" or name, mean, per_second * 3600, grown,
      seconds - from)
    if grown > allowed then
      report:blame("%s: the %s grows: %.1f MB, beyond %.1f", side.transport, name, grown, allowed)
    end
  end
  local half = from + (seconds - from) / 2
  for _, name in ipairs { "engine descriptors", "worker descriptors" } do
    local series = side.series[name]
    local before, after = floor_of(series, from, half), floor_of(series, half, seconds)
    report:line("%-10s %-18s %4d, then %d", side.transport, name:gsub("worker", "supervisor"), before, after)
    if after > before + (seconds < SHORT and DESCRIPTORS_SHORT or 0) then
      report:blame("%s: %s: %d, then %d", side.transport, name, before, after)
    end
  end
end

---@param o { seconds: number, seed: integer, transports: string[]?, series: string? } series: a file for what was seen
---@return { text: string, wrong: string[], flows: integer }
function M.run(o)
  local report = setmetatable({ lines = {}, wrong = {}, flows = 0 }, Report)
  local sides = {}
  for i, transport in ipairs(o.transports or { "amqp", "filesystem" }) do
    sides[i] = start(transport, o.seed + i)
  end
  local began = process.now()
  local reload_at = RELOAD
  repeat
    process.sleep(SAMPLE)
    local at = process.now() - began
    for _, side in ipairs(sides) do
      side:look(at)
      if at >= reload_at then
        write_scripts(side)
      end
    end
    if at >= reload_at then
      reload_at = at + RELOAD
    end
  until at >= o.seconds
  if o.series then
    keep(o.series, sides)
  end
  for _, side in ipairs(sides) do
    local left = side:finish()
    if #left > 0 then
      report:blame("%s: left over: %d, such as %s", side.transport, #left, left[1])
    end
  end
  for _, side in ipairs(sides) do
    report_work(report, side)
    report.flows = report.flows + (side.flows or 0)
  end
  for _, side in ipairs(sides) do
    report_memory(report, side, o.seconds)
  end
  for _, what in ipairs(report.wrong) do
    report:line("WRONG: %s", what)
  end
  report.text = table.concat(report.lines, "\n")
  return report
end

return M
