-- Reloads under full load: some scripts have a syntax error, some fail at load, some drop a class. Returns what was
-- measured; the caller judges.
local cjson = require "cjson"
local peers = require "peers"
local process = require "process"
local reload = require "reload"

local M = {}

local EXTRA = 'Extra = task.Task { execute = function(self, n) return n end },'
-- Requests in one flow, and engines that run one flow after the other: so many that some always wait, also while one of
-- the engines is between two flows.
local WIDTH, ENGINES = 400, 2
-- Reloads after which memory has found its level.
local WARM = 20

-- One in ten each.
local function kind_of(i)
  return ({ [3] = "syntax", [6] = "load", [9] = "drop" })[i % 10] or "good"
end

local function script_of(i)
  local kind = kind_of(i)
  if kind == "syntax" then
    return "return = " .. i
  elseif kind == "load" then
    return ("error('version %d fails')"):format(i)
  end
  return reload.version(i, kind == "good" and EXTRA or "")
end

-- Reads what a file has got since the last call.
local function follower(path)
  local at = 0
  return function()
    local handle = io.open(path)
    if not handle then
      return ""
    end
    handle:seek("set", at)
    local text = handle:read "*a" or ""
    local whole = text:match "^.*\n" or ""
    at = at + #whole
    handle:close()
    return whole
  end
end

local function processes(worker)
  return #process.children(worker.process.pid)
end

---@param side table an environment of peers
---@param count integer of reloads
function M.run(side, count)
  local dir = process.directory()
  process.write(dir .. "/work.lua", reload.version(0, EXTRA))
  local worker = reload.worker(side, { dir = dir })
  local stop = dir .. "/stop"
  local options = side:options { topics = { "work" }, transition_timeout = 60 }
  local function start_load(class, width)
    return process.spawn {
      peers.tfhost, "lua", peers.support .. "/soak_load.lua", side:file("soak.json", cjson.encode(options)), stop,
      class, tostring(width),
      env = side:env(),
    }
  end
  local loads = {}
  for i = 1, ENGINES do
    loads[i] = start_load("Version", WIDTH)
  end
  for _, load in ipairs(loads) do
    assert(process.poll(20, function()
      return load:stdout():find "Version 0"
    end), load:story())
  end
  loads[ENGINES + 1] = start_load("Extra", 1)

  local log = follower(worker.process.err)
  log()
  local saved, current_from, kinds, rss = {}, {}, {}, {}
  for i = 1, count do
    local kind = kind_of(i)
    kinds[kind] = (kinds[kind] or 0) + 1
    saved[i] = reload.save(worker.path, script_of(i))
    local wanted = (kind == "good" or kind == "drop") and " serves instead of " or "cannot be used"
    local text = ""
    local seen = process.poll(20, function()
      text = text .. log()
      return text:find(wanted, 1, true)
    end)
    assert(seen, ("reload %d (%s) is not in the log: %s"):format(i, kind, worker.process:story()))
    if kind == "good" or kind == "drop" then
      current_from[i] = process.now()
    end
    if i == WARM then
      rss.warm = process.rss(worker.process.pid)
    end
    process.sleep(0.02) -- let some work be done by each
  end
  rss["end"] = process.rss(worker.process.pid)
  process.write(stop, "")
  local printed, story = "", {}
  for i, load in ipairs(loads) do
    load:wait(120)
    printed = printed .. load:stdout()
    story[i] = load:story()
  end
  local status = worker:status()
  process.poll(10, function()
    return processes(worker) == 2 + status.slots
  end)
  local out = {
    kinds = kinds, requests = 0, outcomes = 0, older = 0, bad = {}, gone = 0, extra = 0,
    grown = rss["end"] - (rss.warm or rss["end"]), -- kilobytes
    processes = processes(worker),
    expected_processes = 2 + status.slots, -- the slots and loader that serve, and the loader for a rollback
    generations = #status.scripts.generations,
    served = status.counters,
    story = worker.process:story() .. table.concat(story),
  }
  -- The newest version known to serve at that time.
  local switches = {}
  for i, at in pairs(current_from) do
    switches[#switches + 1] = { version = i, at = at }
  end
  table.sort(switches, function(a, b)
    return a.at < b.at
  end)
  local function current_at(time)
    local version, low, high = 0, 1, #switches
    while low <= high do
      local middle = math.floor((low + high) / 2)
      if switches[middle].at <= time then
        version, low = switches[middle].version, middle + 1
      else
        high = middle - 1
      end
    end
    return version
  end
  local first = {}
  for line in printed:gmatch "[^\n]+" do
    local version, dispatched, began = line:match "^Version (%d+) (%S+) (%S+)$"
    if version then
      out.outcomes = out.outcomes + 1
      version, dispatched, began = tonumber(version), tonumber(dispatched), tonumber(began)
      first[version] = math.min(first[version] or began, began)
      if version < current_at(dispatched) then
        out.older = out.older + 1
      end
    elseif line:match "^Extra" then
      out.outcomes, out.extra = out.outcomes + 1, out.extra + 1
      out.gone = out.gone + (line == "Extra gone" and 1 or 0)
    elseif line:match "^end" then
      out.requests = out.requests + tonumber(line:match "%d+")
    else
      out.bad[#out.bad + 1] = line
    end
  end
  -- Until the first request on that code or, if the next came before there was one, on that.
  local delays, began = {}, math.huge
  for i = count, 1, -1 do
    began = math.min(began, first[i] or began)
    if current_from[i] and began < math.huge then
      delays[#delays + 1] = 1000 * (began - saved[i])
    end
  end
  table.sort(delays)
  out.measured = #delays
  function out.delay(part)
    return delays[math.max(1, math.ceil(part * #delays))] or 0 / 0
  end
  worker.process:stop()
  return out
end

return M
