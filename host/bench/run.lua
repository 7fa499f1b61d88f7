-- usage: spec/support/rabbitmq run BUILD/tfhost lua host/bench/run.lua BUILD [short] [SECTION...]
--
-- What tfhost costs beside bare rabbitmq-c and Python TaskFlow, on one machine and one broker, in rounds. What counts
-- are the ratios; absolute figures are those of this machine at this hour, for which `calibration` gives a measure.
-- Prints a table and writes BUILD/bench.json. `short` checks that everything works, on a few tasks.
package.path = "spec/support/?.lua;host/bench/?.lua;" .. package.path
local cjson = require "cjson"
local contest = require "contest"
local process = require "process"

local build = assert(arg[1], "usage: run.lua BUILD [short] [SECTION...]")
local short, wanted = false, {}
for i = 2, #arg do
  if arg[i] == "short" then
    short = true
  else
    wanted[arg[i]] = true
  end
end
local ROUNDS = short and 1 or 5
local SLOTS = 2
local PYTHON = "/usr/bin/python3"
local RAW = "rabbitmq-c"
local TFHOST, TASKFLOW = "tfhost", "Python TaskFlow"

local env = { PYTHONPATH = "host/bench:spec/support/python", LUA_PATH = "host/bench/?.lua;;" }
local dir = process.directory()
local url = assert(os.getenv "TFHOST_TEST_AMQP_URL", "run me inside: spec/support/rabbitmq run ...")
local game = contest.new()

-- Few tasks where `short` says so.
local function size(full, few)
  return short and (few or 20) or full
end

local function with(base, more)
  local out = {}
  for _, part in ipairs { base, more } do
    for name, member in pairs(part) do
      out[name] = member
    end
  end
  return out
end

local files = 0
local function config(options)
  files = files + 1
  return process.write(("%s/options-%d.json"):format(dir, files), cjson.encode(options))
end

local function folder()
  files = files + 1
  local path = ("%s/folder-%d"):format(dir, files)
  assert(os.execute(("mkdir '%s'"):format(path)) == 0)
  return path
end

local function run(command)
  command.timeout, command.env = 300, env
  local done = process.run(command)
  if done.code ~= 0 then
    error(done.story, 0)
  end
  return done.stdout
end

-- ---- peers: a transport of each language's own, with a worker on it ----

local transports = {}

function transports.amqp(name)
  return { url = url, exchange = "bench-" .. name }
end

function transports.filesystem(name)
  local path = folder()
  -- A hundredth of a second is the best that Python does without spinning; tfhost is woken by inotify.
  return {
    exchange = "bench-" .. name,
    transport = "filesystem",
    transport_options = { data_folder_in = path, data_folder_out = path, polling_interval = 0.01 },
  }
end

local function start_python_worker(base)
  local options = with(base, { topic = "work", tasks = { "bench_tasks:Nothing", "bench_tasks:Fib" } })
  options.threads_count = SLOTS
  return process.spawn { PYTHON, "spec/support/python/peer_worker.py", config(options), env = env }
end

local function start_tfhost_worker(base, slots)
  local words = { build .. "/tfhost", "worker", "host/bench/bench_tasks.lua", "--topic", "work" }
  local function add(...)
    for _, word in ipairs { ... } do
      words[#words + 1] = word
    end
  end
  add("--exchange", base.exchange, "--slots", tostring(slots or SLOTS))
  if base.url then
    add("--url", base.url)
  else
    add("--transport", "filesystem")
    for _, key in ipairs { "data_folder_in", "data_folder_out" } do
      add("--transport-option", key .. "=" .. base.transport_options[key])
    end
  end
  return process.spawn(words)
end

-- A peer of one language: { config for its engines, its worker }.
local made = {}
local function peer(transport, language)
  local name = transport .. "-" .. language
  if not made[name] then
    local base = transports[transport](name)
    if transport == "filesystem" and language == TASKFLOW then
      base.patched = true -- the publisher writes before it renames; two originals do not survive each other
    end
    local worker = (language == TASKFLOW and start_python_worker or start_tfhost_worker)(base)
    worker:wait_for("serving", 20)
    made[name] = { config = config(with(base, { topics = { "work" } })), base = base, worker = worker }
  end
  return made[name]
end

local function engine(language, options, shape, count)
  if language == TASKFLOW then
    return cjson.decode(run { PYTHON, "host/bench/bench_engine.py", options, shape, tostring(count) })
  end
  local words = { build .. "/tfhost", "lua", "host/bench/bench_engine.lua", options, shape, tostring(count) }
  return cjson.decode(run(words))
end

-- ---- sections ----

local sections = {}

-- A logbook in SQLite, new each time, or none.
local function logbook(durability)
  if durability then
    return { connection = "sqlite:///" .. folder() .. "/flows.db", durability = durability }
  end
end

local function wire_case(transport, language, shape, count, durability)
  game:add {
    section = transport .. " " .. shape,
    name = language .. (durability and (", SQLite " .. durability) or ""),
    unit = "us/task",
    run = function()
      local made_peer = peer(transport, language)
      local options = made_peer.config
      if durability then
        options = config(with(made_peer.base, { topics = { "work" }, persistence = logbook(durability) }))
      end
      local result = engine(language, options, shape, count)
      return result.seconds * 1e6, { tasks_per_second = 1 / result.seconds, tasks = count }
    end,
  }
end

local function raw_case(shape, count)
  game:add {
    section = "amqp " .. shape,
    name = RAW,
    unit = "us/task",
    run = function()
      local seconds = tonumber(run { build .. "/bench/raw_amqp", url, shape, tostring(count) })
      return seconds * 1e6, { tasks_per_second = 1 / seconds, tasks = count }
    end,
  }
end

-- Python's cost a task rises with the flow: few enough for it, enough for a steady state of the others.
function sections.chain()
  raw_case("chain", size(5000))
  wire_case("amqp", TASKFLOW, "chain", size(200, 5))
  wire_case("amqp", TFHOST, "chain", size(3000))
  wire_case("amqp", TFHOST, "chain", size(3000), "normal")
  wire_case("amqp", TFHOST, "chain", size(1000), "full")
end

function sections.fanout()
  raw_case("fan", size(20000))
  wire_case("amqp", TASKFLOW, "fan", size(200, 5))
  wire_case("amqp", TFHOST, "fan", size(20000))
  wire_case("amqp", TFHOST, "fan", size(20000), "normal")
  wire_case("amqp", TFHOST, "fan", size(20000), "full")
end

-- TaskFlow walks every path of a graph: its cost doubles with each layer of ten, and 200 tasks would not end.
local TASKFLOW_DAG = 80

function sections.dag()
  wire_case("amqp", TASKFLOW, "dag", size(TASKFLOW_DAG, 20))
  wire_case("amqp", TFHOST, "dag", size(10000))
end

function sections.filesystem()
  for _, shape in ipairs { "chain", "fan" } do
    wire_case("filesystem", TASKFLOW, shape, size(100, 5))
    wire_case("filesystem", TFHOST, shape, size(shape == "chain" and 2000 or 5000))
  end
  -- Requests that were there before their worker: the cost a file, of few and of many.
  for _, count in ipairs(short and { 20 } or { 5000, 50000 }) do
    game:add {
      section = "filesystem backlog",
      name = ("tfhost, %d files"):format(count),
      unit = "us/file",
      rounds = 2,
      run = function()
        local base = transports.filesystem "backlog"
        local path = base.transport_options.data_folder_in
        local mark = ("%s/mark-%d"):format(dir, files)
        local command = { build .. "/tfhost", "lua", "host/bench/bench_backlog.lua", path, base.exchange }
        command[6], command[7] = tostring(count), mark
        run(command)
        local start = process.now()
        local worker = start_tfhost_worker(base)
        local done = process.poll(200, function()
          return os.rename(mark, mark)
        end)
        local seconds = process.now() - start
        worker:stop()
        assert(done, "the backlog was not worked off")
        return seconds / count * 1e6
      end,
    }
  end
end

-- Engines of one process: all that a task costs, of making the flow (`make`), compiling it (`load`) and running it, and
-- the ratio to what it costs in a flow of a thousand. Retried subflows are two atoms each, which run twice.
-- Shapes of local flows and their largest sizes; Python's part in it.
local LOCAL = { { "chain", 1e6 }, { "fan", 1e6 }, { "dag", 1e6 }, { "same", 1e5 }, { "retried", 1e4 } }
local WITH_PYTHON = { chain = true, fan = true, dag = true }

function sections.localhost()
  for _, row in ipairs(LOCAL) do
    local shape = row[1]
    for _, count in ipairs(short and { 100 } or { 1000, 10000, 100000, 1000000 }) do
      if count > row[2] then
        break
      end
      game:add {
        section = "serial " .. shape,
        name = ("tfhost, %d"):format(count),
        unit = "us/task",
        rounds = count > 100000 and 3 or nil,
        parts = { "make", "load", "run" },
        run = function()
          local result = engine(TFHOST, config { engine = "serial" }, shape, count)
          return (result.seconds + result.load) * 1e6,
            {
              make = result.make * 1e6,
              load = (result.load - result.make) * 1e6,
              run = result.seconds * 1e6,
              engine_bytes_per_task = result.bytes,
            }
        end,
      }
    end
    if WITH_PYTHON[shape] then
      game:add {
        section = "serial " .. shape,
        name = TASKFLOW,
        unit = "us/task",
        rounds = 2,
        run = function()
          local count = shape == "dag" and TASKFLOW_DAG or 1000
          local result = engine(TASKFLOW, config { engine = "serial" }, shape, size(count))
          return (result.seconds + result.load) * 1e6
        end,
      }
    end
  end
  for _, kind in ipairs { "serial", "parallel" } do
    game:add {
      section = "1 ms of CPU",
      name = kind == "parallel" and "parallel, 2 slots" or kind,
      unit = "us/task",
      run = function()
        local options = { engine = kind, max_workers = kind == "parallel" and 2 or nil }
        return engine(TFHOST, config(options), "spin", size(1000)).seconds * 1e6
      end,
    }
  end
end

function sections.persist()
  for _, durability in ipairs { "none", "normal", "full" } do
    game:add {
      section = "serial chain, persisted",
      name = durability == "none" and "not at all" or ("SQLite, " .. durability),
      unit = "us/task",
      run = function()
        local options = { engine = "serial", persistence = durability ~= "none" and logbook(durability) or nil }
        return engine(TFHOST, config(options), "chain", size(2000)).seconds * 1e6
      end,
    }
  end
end

function sections.start()
  local one = process.write(
    dir .. "/one.lua",
    'local flow = require("taskflow.patterns.linear_flow").Flow "one"\n'
      .. 'return flow:add(require("bench_tasks").Nothing { name = "a" })\n'
  )
  -- By a shell, which waits for each without a pause: for tfhost as often as Python once.
  local times = { [TFHOST] = size(50, 2), [TASKFLOW] = 1 }
  local words = {
    [TFHOST] = ("%s/tfhost run %s"):format(build, one),
    [TASKFLOW] = ("%s host/bench/bench_engine.py %s chain 1"):format(PYTHON, config { engine = "serial" }),
  }
  for _, name in ipairs { TASKFLOW, TFHOST } do
    game:add {
      section = "start of one local task",
      name = name,
      unit = "ms",
      run = function()
        local script = "i=0; while [ $i -lt %d ]; do %s >/dev/null 2>&1 || exit 1; i=$((i + 1)); done"
        local start = process.now()
        run { "sh", "-c", script:format(times[name], words[name]) }
        return (process.now() - start) * 1000 / times[name]
      end,
    }
  end
end

-- Private memory of each, and what they share counted once, in kilobytes.
local function resident(pids)
  local private, shared = 0, 0
  for _, pid in ipairs(pids) do
    local text = process.read(("/proc/%d/smaps_rollup"):format(pid))
    local function field(name)
      return tonumber(text:match(name .. ":%s*(%d+)"))
    end
    private = private + field "Private_Clean" + field "Private_Dirty"
    shared = math.max(shared, field "Shared_Clean" + field "Shared_Dirty")
  end
  return private + shared
end

function sections.memory()
  game:add {
    section = "memory of an idle worker",
    name = "tfhost, one slot",
    unit = "MB",
    rounds = 1,
    run = function()
      local worker = start_tfhost_worker(transports.amqp "memory", 1)
      worker:wait_for("serving", 20)
      process.sleep(0.5)
      local pids = process.children(worker.pid)
      assert(#pids == 2, "a loader and a slot")
      local all = { worker.pid, unpack(pids) }
      local kilobytes, each = resident(all), {}
      for i, pid in ipairs(all) do
        each[i] = process.rss(pid)
      end
      worker:stop()
      return kilobytes / 1024, { resident_kilobytes_of_each = each }
    end,
  }
  game:add {
    section = "memory of an idle worker",
    name = TASKFLOW,
    unit = "MB",
    rounds = 1,
    run = function()
      return resident { peer("amqp", TASKFLOW).worker.pid } / 1024
    end,
  }
  for _, count in ipairs(short and { 100 } or { 100000 }) do
    game:add {
      section = "memory of an engine",
      name = ("tfhost, %d tasks"):format(count),
      unit = "B/task",
      rounds = 1,
      run = function()
        return engine(TFHOST, config { engine = "serial" }, "chain", count).bytes
      end,
    }
  end
end

function sections.payload()
  for _, bytes in ipairs { 1024, 65536, 1048576, 4194304 } do
    wire_case("amqp", TFHOST, "payload:" .. bytes, size(bytes < 100000 and 500 or 20, 3))
  end
end

-- Shapes that other engines have published: 40 and 400 small tasks, 10 that compute fib(33); seconds for all.
function sections.shapes()
  for _, row in ipairs { { "chain", 40 }, { "chain", 400 }, { "fib", 10 } } do
    local shape, count = row[1], short and 2 or row[2]
    for _, language in ipairs { TASKFLOW, TFHOST } do
      game:add {
        section = ("%d tasks: %s"):format(row[2], shape == "fib" and "fib(33)" or "small"),
        name = language,
        unit = "s",
        rounds = 2,
        run = function()
          return engine(language, peer("amqp", language).config, shape, count).seconds * count
        end,
      }
    end
  end
end

-- A loop of this program, to judge absolute figures by.
function sections.calibration()
  game:add {
    section = "calibration",
    name = "10^8 rounds of a loop",
    unit = "ms",
    run = function()
      local start, x = process.now(), 1
      for i = 1, short and 1e6 or 1e8 do
        x = bit.bxor(x * 3, i)
      end
      return (process.now() - start) * 1000, { x = x }
    end,
  }
end

local ORDER = {
  "calibration",
  "chain",
  "fanout",
  "dag",
  "filesystem",
  "localhost",
  "persist",
  "start",
  "memory",
  "payload",
  "shapes",
}

local ok, err = pcall(function()
  for _, name in ipairs(ORDER) do
    if next(wanted) == nil or wanted[name] or (name == "localhost" and wanted["local"]) then
      sections[name]()
    end
  end
  game:play(ROUNDS)
  contest.write(build .. (short and "/bench-short.json" or "/bench.json"), {
    rounds = ROUNDS,
    date = os.date "!%Y-%m-%d",
    results = game:report { RAW, TASKFLOW, "serial", "not at all", "tfhost, 1000" },
  })
end)
process.cleanup()
if not ok then
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end
