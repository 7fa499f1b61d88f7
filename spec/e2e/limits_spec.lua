-- Limits of tasks, each broken by a real process: the engine learns which limit, whose, and by how much.
local peers = require "peers"
local process = require "process"

local TASKS = [[
local task = require "taskflow.task"
local ffi = require "ffi"
ffi.cdef "int poll(void *, unsigned long, int); void *malloc(unsigned long); void *memset(void *, int, unsigned long);"
local M = {}
M.Loop = task.Task { time_limit = 0.5, execute = function() while true do end end }
M.Sleeps = task.Task { time_limit = 60, time_warning = 0.3, execute = function(self)
  local left, late = self:time_left()
  assert(left > 59 and not late)
  repeat
    ffi.C.poll(nil, 0, 20)
    left, late = self:time_left()
  until late
  ffi.C.poll(nil, 0, 300) -- the supervisor has a clock of its own, and tells the engine a moment later, perhaps
  return left
end }
M.Plain = task.Task { execute = function() ffi.C.poll(nil, 0, 5000) end }
M.Swallows = task.Task { memory_limit = "64M", execute = function()
  local t = {}
  while true do
    pcall(function()
      t[#t + 1] = ("x"):rep(1024 * 1024) .. #t
    end)
  end
end }
M.Foreign = task.Task { memory_limit = "64M", execute = function()
  while true do
    ffi.C.memset(ffi.C.malloc(1048576), 1, 1048576)
    ffi.C.poll(nil, 0, 1)
  end
end }
M.Garbage = task.Task { memory_limit = "64M", execute = function()
  for i = 1, 2000 do
    local s = ("x"):rep(1024 * 1024) .. i
    assert(#s > 0)
  end
  return "done"
end }
return M
]]

-- Runs each class as a flow of its own; the last is on purpose a reference, known to the worker alone.
local ENGINE = [[
local taskflow, lf = require "taskflow", require "taskflow.patterns.linear_flow"
local values, host = require "taskflow.values", require "tfhost.host"
local task = require "taskflow.task"
local tasks = require "tasks"
local options = assert(values.decode(arg[1]))
local made = {}
for _, name in ipairs { "Loop", "Sleeps", "Swallows", "Foreign", "Garbage" } do
  made[#made + 1] = tasks[name] { name = name }
end
made[#made + 1] = tasks.Plain { name = "Plain", time_limit = 0.4 }
made[#made + 1] = task.Reference("tasks:Loop", { name = "Reference" })
for _, t in ipairs(made) do
  local events = {}
  t.notifier:register("time_warning", function(_, details)
    events[#events + 1] = details
  end)
  local engine = taskflow.engines.load(lf.Flow("one"):add(t), options)
  local began = host.now()
  local ok, err = pcall(engine.run, engine)
  local f = engine:failures()[1]
  print(values.encode {
    name = t.name, ok = ok, seconds = host.now() - began, events = values.list(events),
    types = f and values.list(f.exc_type_names), text = f and f.exception_str,
    result = ok and engine.storage:get(t.name) or nil,
    limited = f and f:check(require "taskflow.exceptions".LimitExceeded) ~= nil,
    err = not f and tostring(err) or nil,
  })
  engine:close()
end
]]

local cjson = require "cjson"

local function outcomes(run)
  assert.same({ code = 0 }, run:wait(60), run:story())
  local out = {}
  for line in run:stdout():gmatch "[^\n]+" do
    local entry = cjson.decode(line)
    out[entry.name] = entry
  end
  return out
end

local function assert_limits(all, where)
  local loop = all.Loop
  assert.equal("tfhost.TimeLimitExceeded", loop.types[1], where)
  assert.is_true(loop.limited)
  assert.matches("task 'Loop' ran for [%d.]+ s, its time limit is 0.5 s; ", loop.text)
  assert.matches("SIGKILL.*cpu [%d.]+ s, peak memory", loop.text)
  assert.is_true(loop.seconds >= 0.5)
  assert.equal("tfhost.TimeLimitExceeded", all.Plain.types[1]) -- the instance's limit, the class has none
  assert.matches("its time limit is 0.4 s", all.Plain.text)
  assert.is_true(all.Sleeps.ok, all.Sleeps.err)
  assert.equal(1, #all.Sleeps.events)
  assert.equal(60, all.Sleeps.events[1].time_limit)
  for _, name in ipairs { "Swallows", "Foreign" } do
    assert.equal("tfhost.MemoryLimitExceeded", all[name].types[1], name)
    assert.matches(("task '%s' .*its limit is 64.0 MB"):format(name), all[name].text)
  end
  assert.is_true(all.Garbage.ok, all.Garbage.text)
end

describe("limits of tasks:", function()
  local dir
  after_each(process.cleanup)

  local function engine(options)
    process.write(dir .. "/tasks.lua", TASKS)
    process.write(dir .. "/engine.lua", ENGINE)
    return process.spawn { peers.tfhost, "lua", dir .. "/engine.lua", cjson.encode(options) }
  end

  it("on a worker", function()
    local side = peers.environment "filesystem"
    dir = side.dir
    process.write(dir .. "/tasks.lua", TASKS)
    local worker = side:worker("lua", "work", { slots = 1, tasks = { dir .. "/tasks.lua" } })
    peers.ready(worker)
    local options = side:options { engine = "worker-based", topics = { "work" } }
    local all = outcomes(engine(options))
    assert_limits(all)
    assert.matches("its time limit is 0.5 s", all.Reference.text) -- the class's limit, which the engine does not know
    assert.is_nil(worker:ended())
  end)

  -- A task `late` that waits for a worker on `work` for a second at most.
  local function run_late(side)
    process.write(dir .. "/short.lua", [[
      local tasks = require "peer_tasks"
      return require("taskflow.patterns.linear_flow").Flow("f"):add(tasks.Nothing { name = "late", queue_limit = 1 })
    ]])
    local command = {
      peers.tfhost, "run", "--plain", dir .. "/short.lua", "--backend", "none", "--engine", "worker-based",
      "--topics", "work", env = side:env { LUA_PATH = peers.support .. "/?.lua;;" },
    }
    for _, word in ipairs(side:words()) do
      command[#command + 1] = word
    end
    local run = process.spawn(command)
    return run
  end

  local function assert_late_expired(run)
    assert.same({ code = 3 }, run:wait(15), run:story())
    assert.matches("RequestTimeout: Request 'late' .* has expired after waiting for 1%.0", run:story())
  end

  -- A worker of the topic has done something else, and never `late`.
  local function assert_late_never_runs(side, worker)
    local flows = require "flows"
    assert.equal("SUCCESS", side:engine("lua", { "work" }, { flow = flows.linear("one", flows.task("Undo", "next", {
      inject = { value = 1 } })) }).state)
    assert.equal("next", side:journal("execute")[1].task)
    assert.equal(1, #side:journal "execute", worker:story())
  end

  -- An engine whose task keeps the only slot busy.
  local function occupy(side, seconds)
    local flows = require "flows"
    local busy = side:start_engine("lua", { "work" }, {
      flow = flows.linear("busy", flows.task("Slow", "long", { inject = { seconds = seconds } })),
    })
    assert(process.poll(20, function()
      return side:journal("start")[1]
    end))
    return busy
  end

  it("a request that waited too long in the queue is never run", function()
    local side = peers.environment "filesystem"
    dir = side.dir
    local worker = peers.ready(side:worker("lua", "work", { slots = 1 }))
    local busy = occupy(side, 3)
    assert_late_expired(run_late(side))
    assert.equal("SUCCESS", peers.result(busy, 20).state)
    assert_late_never_runs(side, worker)
  end)

  it("nor when its worker died, and another one finds it after the engine has ended", function()
    local side = peers.environment "filesystem"
    dir = side.dir
    local worker = peers.ready(side:worker("lua", "work", { slots = 1 }))
    local busy = occupy(side, 60)
    local late = run_late(side)
    local function files()
      local pipe = assert(io.popen(("grep -l '\"late\"' -r '%s' 2>/dev/null | wc -l"):format(side.spool)))
      local n = tonumber(pipe:read "*l")
      pipe:close()
      return n
    end
    process.poll(1, function()
      return files() > 0
    end)
    worker:kill "KILL"
    busy:kill "KILL"
    late:wait_for("RequestTimeout", 15)
    late:kill "KILL"
    assert_late_never_runs(side, peers.ready(side:worker("lua", "work", { slots = 2 }))) -- one takes up `long`
  end)

  it("in processes of a parallel engine", function()
    dir = process.directory()
    assert_limits(outcomes(engine { engine = "parallel", max_workers = 1 }))
  end)

  it("a worker has limits for the tasks that have none", function()
    local side = peers.environment "filesystem"
    dir = side.dir
    local worker = side:worker("lua", "work", { slots = 1, words = { "--time-limit", "0.5", "--memory-limit", "1G" } })
    peers.ready(worker)
    for _, language in ipairs { "lua", "python" } do
      local run = side:engine(language, { "work" }, {
        flow = require("flows").linear("one", require("flows").task("Slow", "victim", { inject = { seconds = 60 } })),
      })
      assert.equal("REVERTED", run.state)
      assert.equal("tfhost.TimeLimitExceeded", run.failures.victim.exc_type_names[1])
      assert.matches("task 'victim' ran for 0.5 s, its time limit is 0.5 s", run.failures.victim.exception_str)
    end
  end)
end)
