-- usage: spec/support/rabbitmq run BUILD/tfhost lua host/bench/run.lua BUILD [short]
--
-- The time of a task that does nothing, chained and fanned out, over RabbitMQ and over a directory: bare
-- rabbitmq-c, Python TaskFlow and tfhost, in turn, in rounds, on one machine and one broker. What counts are the
-- ratios; the absolute figures are those of this machine at this hour. Prints a table and writes
-- BUILD/bench.json. `short` checks that everything works, on a few tasks.
package.path = "spec/support/?.lua;" .. package.path
local cjson = require "cjson"
local process = require "process"

local build = assert(arg[1], "usage: run.lua BUILD [short]")
local short = arg[2] == "short"
local ROUNDS = short and 1 or 3
local SLOTS = 2
-- Tasks a run: enough for a steady state, few enough for Python, whose cost a task rises with the flow.
local TASKS = short
    and { raw = 50, python = 10, tfhost = 30, python_spool = 5 }
  or { raw = 5000, python = 200, tfhost = 2000, python_spool = 100 }
local PYTHON = "/usr/bin/python3"

local env = { PYTHONPATH = "host/bench:spec/support/python" }
local dir = process.directory()
local url = assert(os.getenv "TFHOST_TEST_AMQP_URL", "run me inside: spec/support/rabbitmq run ...")

local function options(name, more)
  return process.write(("%s/%s.json"):format(dir, name), cjson.encode(more))
end

local function spool(name)
  local path = dir .. "/" .. name
  assert(os.execute(("mkdir '%s'"):format(path)) == 0)
  return path
end

-- What each side of a language says to the other, by transport.
local function amqp(language)
  return { url = url, exchange = "bench-" .. language }
end

local function filesystem(language)
  local path = spool(language)
  -- A hundredth of a second is the best that Python does without spinning; tfhost is woken by inotify.
  return {
    exchange = "bench-" .. language,
    transport = "filesystem",
    transport_options = { data_folder_in = path, data_folder_out = path, polling_interval = 0.01 },
    patched = language == "python" or nil,
  }
end

local function with(base, key, value)
  local out = {}
  for name, member in pairs(base) do
    out[name] = member
  end
  out[key] = value
  return out
end

local function start_python_worker(name, base)
  local config = with(with(base, "topic", "work"), "tasks", { "bench_tasks:Nothing" })
  config.threads_count = SLOTS
  return process.spawn { PYTHON, "spec/support/python/peer_worker.py", options(name, config), env = env }
end

local function start_tfhost_worker(name, base)
  local words = { build .. "/tfhost", "worker", "host/bench/bench_tasks.lua", "--topic", "work" }
  for _, word in ipairs { "--exchange", base.exchange, "--slots", tostring(SLOTS) } do
    words[#words + 1] = word
  end
  if base.url then
    words[#words + 1] = "--url"
    words[#words + 1] = base.url
  else
    words[#words + 1] = "--transport"
    words[#words + 1] = "filesystem"
    for _, key in ipairs { "data_folder_in", "data_folder_out" } do
      words[#words + 1] = "--transport-option"
      words[#words + 1] = key .. "=" .. base.transport_options[key]
    end
  end
  return process.spawn(words), name
end

local function engine_command(language, config, shape, count)
  if language == "python" then
    return { PYTHON, "host/bench/bench_engine.py", config, shape, tostring(count), env = env }
  end
  return { build .. "/tfhost", "lua", "host/bench/bench_engine.lua", config, shape, tostring(count), env = env }
end

local function measure(command)
  command.timeout = 300
  local done = process.run(command)
  local seconds = done.code == 0 and tonumber(done.stdout:match "([%d.]+)%s*$")
  if not seconds then
    error(done.story, 0)
  end
  return seconds
end

local function median(list)
  table.sort(list)
  return list[math.ceil(#list / 2)]
end

-- Each contestant: name -> shape -> seconds a task.
local contestants = {}
local function contestant(transport, name, run)
  contestants[#contestants + 1] =
    { transport = transport, name = name, run = run, seconds = { chain = {}, fan = {} } }
end

contestant("amqp", "rabbitmq-c", function(shape)
  return measure { build .. "/bench/raw_amqp", url, shape, tostring(TASKS.raw) }
end)
for _, transport in ipairs { "amqp", "filesystem" } do
  for _, language in ipairs { "python", "tfhost" } do
    local base = (transport == "amqp" and amqp or filesystem)(language)
    local name = transport .. "-" .. language
    local start = language == "python" and start_python_worker or start_tfhost_worker
    start(name .. "-worker", base):wait_for("serving", 20)
    local config = options(name, with(base, "topics", { "work" }))
    local count = TASKS[transport == "filesystem" and language == "python" and "python_spool" or language]
    contestant(transport, language == "python" and "Python TaskFlow" or "tfhost", function(shape)
      return measure(engine_command(language, config, shape, count))
    end)
  end
end

local function play()
  for round = 1, ROUNDS do
    for _, shape in ipairs { "chain", "fan" } do
      for _, c in ipairs(contestants) do
        table.insert(c.seconds[shape], c.run(shape))
      end
    end
    io.stderr:write(("round %d of %d\n"):format(round, ROUNDS))
  end
end

local function report()
  local baseline, out = {}, { rounds = ROUNDS, date = os.date "!%Y-%m-%d", results = {} }
  local head = { "transport", "", "chained task", "of Python's", "fan, tasks/s", "of Python's" }
  print(("%-11s %-16s %14s %14s %12s %12s"):format(unpack(head)))
  for _, c in ipairs(contestants) do
    if c.name == "Python TaskFlow" then
      baseline[c.transport] = { chain = median(c.seconds.chain), fan = median(c.seconds.fan) }
    end
  end
  for _, c in ipairs(contestants) do
    local chain, fan, python = median(c.seconds.chain), median(c.seconds.fan), baseline[c.transport]
    print(("%-11s %-16s %11.3f ms %14s %12.0f %12s"):format(
      c.transport,
      c.name,
      chain * 1000,
      ("1/%.1f"):format(python.chain / chain),
      1 / fan,
      ("%.1f x"):format(python.fan / fan)
    ))
    out.results[#out.results + 1] = {
      transport = c.transport,
      name = c.name,
      seconds_per_chained_task = chain,
      tasks_per_second_fanned_out = 1 / fan,
      chain_ratio_to_python = python.chain / chain,
      fan_ratio_to_python = python.fan / fan,
      all = c.seconds,
    }
  end
  process.write(build .. (short and "/bench-short.json" or "/bench.json"), cjson.encode(out) .. "\n")
end

local ok, err = pcall(function()
  play()
  report()
end)
process.cleanup()
if not ok then
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end
