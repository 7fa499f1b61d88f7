-- usage: tfhost lua soak_load.lua OPTIONS.json STOP CLASS WIDTH > outcomes
--
-- An engine that runs flows of short tasks, one after the other, until the file STOP exists. A line for each outcome:
--   Version VERSION DISPATCHED BEGAN      the version of the script that ran it; seconds on the monotonic clock
--   Extra ok | gone                       of a class that comes and goes; gone: KeyError, as the protocol has it
--   bad WHAT                              anything else
-- and "end REQUESTS" as the last one.
local cjson = require "cjson"
local host = require "tfhost.host"
local map = require "taskflow.task"
local taskflow = require "taskflow"
local unordered = require "taskflow.patterns.unordered_flow"

local options_path, stop, class, width = arg[1], arg[2], arg[3], tonumber(arg[4])
local options
do
  local handle = assert(io.open(options_path))
  options = cjson.decode(handle:read "*a")
  handle:close()
end
options.engine = "worker-based"
options.store = { n = 1 }

local requests = 0

local function flow_of(count)
  local flow = unordered.Flow "soak"
  for i = 1, count do
    flow:add(map.Reference("work:" .. class, { name = class .. i, provides = class .. i, requires = { "n" } }))
  end
  return flow
end

local function run(count)
  local eng = taskflow.engines.load(flow_of(count), options)
  local began = host.now()
  local dispatched = setmetatable({}, {
    __index = function()
      return began -- no later than that
    end,
  })
  eng.atom_notifier:register("RUNNING", function(_, details)
    if details.task_name then
      dispatched[details.task_name] = host.now()
    end
  end)
  requests = requests + count
  pcall(eng.run, eng)
  local failures = {}
  for _, f in ipairs(eng:failures()) do
    failures[#failures + 1] = f
  end
  for i = 1, count do
    local name = class .. i
    local ok, result = pcall(eng.storage.get, eng.storage, name)
    if class == "Version" and ok and type(result) == "table" and result.version then
      print(("Version %d %.6f %.6f"):format(result.version, dispatched[name], result.began))
    elseif class == "Extra" then
      local first = failures[1]
      print(#failures == 0 and "Extra ok" or first.exc_type_names[1] == "KeyError" and "Extra gone"
        or "bad " .. tostring(first))
    else
      print("bad " .. name .. " " .. tostring(failures[1] or result))
    end
  end
end

local function stopped()
  local handle = io.open(stop)
  return handle and handle:close()
end

repeat
  run(width)
until stopped()
print("end " .. requests)
