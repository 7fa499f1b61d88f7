-- The command line: help, errors, exit codes, signals.
local cjson = require "cjson"
local peers = require "peers"
local process = require "process"

local dir

local function tfhost(...)
  return process.run { peers.tfhost, timeout = 30, ... }
end

local function script(name, text)
  return process.write(dir .. "/" .. name, text)
end

local TASKS = [[
local task = require "taskflow.task"
local M = {}
M.Sleep = task.Task { execute = function(_, seconds)
  os.execute("sleep " .. seconds)
  return "slept"
end, default_provides = "slept" }
M.Fail = task.Task { execute = function() error("boom", 0) end }
M.Odd = task.Task { execute = function(self)
  for _, details in ipairs { { progress = "half" }, {}, { progress = {} }, { progress = 0.5 } } do
    self:notify("update_progress", details)
  end
end }
M.RevertFails = task.Task {
  execute = function() end,
  revert = function() error("cannot go back", 0) end,
}
return M
]]

local FLOW = [[
local lf = require "taskflow.patterns.linear_flow"
local tasks = require "tasks"
local M = {}
function M.fail() return lf.Flow("f"):add(tasks.Fail { name = "t" }) end
function M.stuck()
  return lf.Flow("f"):add(tasks.RevertFails { name = "r" }, tasks.Fail { name = "t" })
end
function M.sleep()
  return lf.Flow("f"):add(tasks.Sleep { name = "s1", provides = "one" }, tasks.Sleep { name = "s2" }),
    { store = { seconds = 0.01 } }
end
function M.odd() return lf.Flow("f"):add(tasks.Odd { name = "t" }) end
M.plain = lf.Flow("plain")
return M
]]

describe("tfhost", function()
  before_each(function()
    dir = process.directory()
  end)
  after_each(process.cleanup)

  it("says what there is", function()
    local help = tfhost "--help"
    assert.equal(0, help.code)
    for _, command in ipairs { "run", "worker", "lua" } do
      assert.truthy(help.stdout:find("\n  " .. command, 1, true))
      local own = tfhost(command, "--help")
      assert.equal(0, own.code)
      assert.truthy(own.stdout:find("Usage: tfhost " .. command, 1, true), own.story)
    end
    assert.is_nil(help.stdout:find "loader")
    assert.truthy(tfhost("--version").stdout:find "^tfhost %d+%.%d+%.%d+\n$")
  end)

  it("answers a wrong command line with 64", function()
    for _, words in ipairs {
      {},
      { "bogus" },
      { "run" },
      { "run", "a", "b" },
      { "run", "a", "--store", "novalue" },
      { "run", "a", "--no-such-option" },
      { "run", "a", "--store-file", "/nonexistent" },
      { "run", "a", "--store", "x={bad" },
      { "run", "a", "--store", 'x="cut' },
      { "worker" },
      { "worker", "tasks.lua", "--slots", "0" },
      { "worker", "tasks.lua", "--transport-option", "=x" },
      { "lua" },
      { "loader" },
    } do
      local done = tfhost(unpack(words))
      assert.equal(64, done.code, done.story)
      assert.not_equal("", done.stderr)
    end
  end)

  describe("lua", function()
    it("runs a file with its arguments and modules beside it", function()
      script("beside.lua", "return { word = 'found' }")
      local path = dir .. "/s.lua"
      script("s.lua", ("print(arg[0] == %q, arg[1], arg[2], #arg, ...) print(require 'beside'.word)"):format(path))
      local done = tfhost("lua", path, "-e", "two words")
      assert.equal("true\t-e\ttwo words\t2\t-e\ttwo words\nfound\n", done.stdout)
      assert.equal(0, done.code)
    end)

    it("runs lines, and gives exit codes", function()
      assert.equal("3\n", tfhost("lua", "-e", "x = 1", "-e", "print(x + 2)").stdout)
      assert.equal(7, tfhost("lua", "-e", "io.write('flushed') os.exit(7)").code)
      assert.equal("flushed", tfhost("lua", "-e", "io.write('flushed') os.exit(7)").stdout)
      assert.equal(1, tfhost("lua", "-e", "error()").code)
      assert.equal("", tfhost("lua", "-e", "error()").stderr)
      assert.equal(1, tfhost("lua", "/nonexistent.lua").code)
      assert.equal(1, tfhost("lua", "-e", "syntax error here").code)
    end)

    it("shows where an error was raised", function()
      local path = script("e.lua", "local function inner()\n  error('boom')\nend\ninner()\nreturn 1\n")
      local done = tfhost("lua", path)
      assert.equal(1, done.code)
      assert.truthy(done.stderr:find("tfhost: [^\n]*e.lua:2: boom\n"))
      assert.truthy(done.stderr:find('File "[^"]*e.lua", line 2, in inner'))
      path = script("mistake.lua", "local task = require 'taskflow.task'\ntask.Task { execut = 1 }\n")
      done = tfhost("lua", path)
      assert.truthy(done.stderr:find('line 2, in <module>\n    task.Task { execut = 1 }\n$'), done.story)
      done = tfhost("lua", "-e", "error(require('taskflow.exceptions').KeyError('k'))")
      assert.truthy(done.stderr:find("tfhost: KeyError: k", 1, true))
    end)

    it("takes the library from a source tree when told to", function()
      local tree = dir .. "/tree"
      os.execute(("mkdir -p %s/taskflow"):format(tree))
      process.write(tree .. "/taskflow/states.lua", "return { from = 'tree' }")
      local line = "print(require('taskflow.states').from)"
      assert.equal("tree\n", tfhost("lua", "--lua-dir", tree, "-e", line).stdout)
      local by_env = process.run { peers.tfhost, "lua", "-e", line, env = { TFHOST_LUA_DIR = tree } }
      assert.equal("tree\n", by_env.stdout)
      assert.equal("nil\n", tfhost("lua", "-e", line).stdout)
    end)
  end)

  describe("run", function()
    local flow

    before_each(function()
      script("tasks.lua", TASKS)
      flow = script("flow.lua", FLOW)
    end)

    it("has an exit code for each end", function()
      assert.equal(0, tfhost("run", flow .. ":sleep").code)
      assert.equal(0, tfhost("run", flow .. ":plain").code)
      assert.equal(3, tfhost("run", flow .. ":fail").code)
      local stuck = tfhost("run", flow .. ":stuck")
      assert.equal(4, stuck.code)
      assert.truthy(stuck.stdout:find("cannot go back", 1, true))
    end)

    it("takes a path without its ending", function()
      local done = tfhost("run", (flow:gsub("%.lua$", "")) .. ":sleep")
      assert.equal(0, done.code, done.story)
      assert.truthy(tfhost("run", dir .. "/nobody").stderr:find("cannot open [^\n]*/nobody.lua"))
    end)

    it("passes over progress that is no number", function()
      for _, how in ipairs { "--json", "--plain" } do
        local odd = tfhost("run", flow .. ":odd", how)
        assert.equal(0, odd.code, odd.story)
        assert.equal("", odd.stderr)
      end
    end)

    it("refuses what is no flow with 2, and says why", function()
      for reference, why in pairs {
        [flow] = "name one of its flows, as .*flow.lua:fail %(it has: fail, odd, plain, sleep, stuck%)",
        [flow .. ":nothing"] = 'no field "nothing"',
        [script("syntax.lua", "return {")] = "syntax.lua:1",
        [script("number.lua", "return 7")] = "expected a flow or a function that returns one, got a number",
        [script("empty.lua", "return {}")] = "a table without flows or builders",
        [script("raises.lua", "return function() error('in the builder') end")] = "raises.lua:1: in the builder",
        [script("missing.lua", [[
          local t = require("taskflow.task").Task { execute = function(_, nobody) return nobody end }
          return t { name = "t" }]])] = "requires %['nobody'%]",
        ["no.such.module"] = "module 'no.such.module' not found",
        [script("nothing.lua", "local x = 1")] = "nothing.lua: it returns nothing",
        -- A tail call leaves no line behind; the file is named at least.
        [script("tail.lua", "return require('taskflow.patterns.linear_flow').Flow('f'):add(5)")] =
          "tail.lua: TypeError: flow 'f': cannot add a number",
        [script("line.lua", "local f = require('taskflow.patterns.linear_flow').Flow('f')\nf:add(5)\nreturn f")] =
          "line.lua:2: TypeError: flow 'f': cannot add a number",
        [script("builder.lua", [[return function()
          local f = require('taskflow.patterns.linear_flow').Flow('f', { rtry = 1 })
          return f
        end]])] = "builder.lua:2: TypeError: flow 'f': unknown option 'rtry', did you mean 'retry'%?",
      } do
        local done = tfhost("run", reference)
        assert.equal(2, done.code, done.story)
        assert.truthy(done.stderr:find(why), done.story)
        assert.equal("", done.stdout)
      end
      assert.equal(2, tfhost("run", flow .. ":plain", "--engine", "bogus").code)
      assert.equal(2, tfhost("run", flow .. ":plain", "-o", "max_workers=2").code)
    end)

    it("takes the store from a file, then from the command line", function()
      local store = script("store.json", '{"seconds": 0.02, "big": 12345678901234567890123, "text": "t"}')
      local done = tfhost("run", "--json", flow .. ":sleep", "--store-file", store, "--store", "text=[1, 2]")
      local last = done.stdout:match "([^\n]+)\n$"
      assert.equal(0.02, cjson.decode(last).results.seconds)
      assert.truthy(last:find('"big": 12345678901234567890123', 1, true)) -- digit for digit
      assert.same({ 1, 2 }, cjson.decode(last).results.text)
      script("bad.json", "[1]")
      assert.equal(64, tfhost("run", flow .. ":sleep", "--store-file", dir .. "/bad.json").code)
    end)

    it("says with 5 that there is no worker", function()
      local side = peers.environment "filesystem"
      local words = { "run", flow .. ":sleep", "--engine", "workers", "--timeout", "0.5" }
      for _, word in ipairs(side:words()) do
        words[#words + 1] = word
      end
      local done = tfhost(unpack(words))
      assert.equal(5, done.code, done.story)
      assert.truthy(done.stderr:find 'no worker answered on topic %["default"%]')
    end)

    it("suspends on the first signal, after what runs has finished", function()
      local run = process.spawn { peers.tfhost, "run", "--plain", flow .. ":sleep", "--store", "seconds=0.6" }
      run:wait_for("s1  RUNNING", 10)
      run:kill "TERM" -- os.execute, with which this task sleeps, ignores INT
      assert.equal(143, run:wait(10).code)
      assert.truthy(run:stdout():find "s1  SUCCESS")
      assert.is_nil(run:stdout():find "s2  RUNNING")
      assert.truthy(run:stdout():find "SUSPENDED")
    end)

    it("suspends a serial engine after the task that runs, however many are ready", function()
      script("busy.lua", [[
        local task, uf = require "taskflow.task", require "taskflow.patterns.unordered_flow"
        local Busy = task.Task { execute = function(self)
          local host = require "tfhost.host"
          local ends = host.now() + 0.4
          while host.now() < ends do end
        end }
        local flow = uf.Flow "busy"
        for i = 1, 100 do
          flow:add(Busy { name = "t" .. i })
        end
        return flow]])
      local run = process.spawn { peers.tfhost, "run", "--json", dir .. "/busy.lua" }
      run:wait_for('"RUNNING"[^\n]*\n[^\n]*"t1"', 10)
      run:kill "TERM"
      assert.equal(143, run:wait(10).code)
      local last = cjson.decode(run:stdout():match "([^\n]+)\n$")
      assert.equal("SUSPENDED", last.state)
    end)

    it("suspends at once when no worker has the request", function()
      local side = peers.environment "filesystem"
      local command = { peers.tfhost, "run", "--plain", flow .. ":sleep", "--engine", "worker-based" }
      for _, word in ipairs(side:words()) do
        command[#command + 1] = word
      end
      local run = process.spawn(command)
      run:wait_for("s1  RUNNING", 10)
      run:kill "TERM"
      local done = run:wait(10) -- the request itself may wait for 60 s
      assert.equal(143, done.code)
      assert.truthy(run:stdout():find "SUSPENDED")
    end)

    it("ends at once on the second", function()
      script("asleep.lua", [[
        return require("taskflow.task").Task { execute = function(self)
          os.execute("echo asleep; exec sleep 30")
        end } { name = "t" }]])
      local run = process.spawn { peers.tfhost, "run", "--plain", dir .. "/asleep.lua", "--engine", "parallel" }
      run:wait_for("asleep", 10)
      run:kill "TERM"
      run:wait_for("SUSPENDING", 10)
      run:kill "TERM"
      assert.equal(143, run:wait(10).code)
    end)
  end)

  describe("worker", function()
    local function words(side, ...)
      local out = { peers.tfhost, "worker", ... }
      for _, word in ipairs(side:words()) do
        out[#out + 1] = word
      end
      return out
    end

    before_each(function()
      script("tasks.lua", TASKS)
    end)

    it("says what it serves and where, without secrets", function()
      local side = peers.environment "filesystem"
      local worker = peers.ready(process.spawn(words(side, dir .. "/tasks.lua", "--topic", "t1", "--slots", "3")))
      local out = worker:stdout()
      local banner = ('serving 4 tasks on topic "t1" of exchange "%s" at filesystem://'):format(side.exchange)
      assert.truthy(out:find(banner, 1, true))
      assert.truthy(out:find(("3 slots, pid %d"):format(worker.pid), 1, true))
      assert.truthy(out:find "\n  tasks.Fail\n  tasks.Odd\n  tasks.RevertFails\n  tasks.Sleep\n")
      worker:kill "TERM"
      assert.equal(0, worker:wait(10).code)
      assert.truthy(worker:stderr():find "requests=0 succeeded=0 failed=0")
      local secret = process.spawn {
        peers.tfhost, "worker", dir .. "/tasks.lua", "--url", "amqp://user:s3cret@127.0.0.1:1//",
      }
      peers.ready(secret)
      secret:kill "TERM"
      secret:wait(10)
      assert.is_nil((secret:stdout() .. secret:stderr()):find "s3cret")
      assert.truthy(secret:stdout():find("amqp://user:**@127.0.0.1:1", 1, true))
    end)

    it("of a script finds tasks beside the script, and where its package.path says", function()
      local side = peers.environment "filesystem"
      os.execute(("mkdir -p %s/lib"):format(dir))
      script("beside_tasks.lua", TASKS)
      script("lib/lib_tasks.lua", TASKS)
      local path = script("serve.lua", ([[
        package.path = package.path .. ";%s/lib/?.lua"
        require("taskflow.engines.worker_based.worker").Worker({
          exchange = "%s", tasks = { "beside_tasks:Fail", "lib_tasks:Fail" }, transport = "filesystem",
          transport_options = { data_folder_in = %q, data_folder_out = %q },
        }):run()]]):format(dir, side.exchange, side.spool, side.spool))
      local worker = peers.ready(process.spawn { peers.tfhost, "lua", path })
      assert.truthy(worker:stdout():find "\n  beside_tasks.Fail\n  lib_tasks.Fail\n")
      worker:kill "TERM"
      assert.equal(0, worker:wait(10).code)
    end)

    it("reads a configuration, whose mistakes it names, and lets the command line win", function()
      local function config(text)
        return tfhost("worker", "--config", script("w.lua", text))
      end
      for text, why in pairs {
        ["return { tasks = { 'tasks' }, topik = 'x' }"] = "unknown option 'topik', did you mean 'topic'%?",
        ["return { tasks = {} }"] = "tasks: expected a list",
        ["return { tasks = { 'tasks' }, slots = 0 }"] = "slots: expected an integer",
        ["return 3"] = "a table, not a number",
        ["error('in the file')"] = "w.lua:1: in the file",
        ["return {"] = "w.lua:1",
        ["return {}"] = "no tasks to serve",
        ["return { tasks = { 'tasks' }, transport = 'filesystem', transport_options = { nonsense = 1 } }"] = "nonsense",
        ["return { tasks = { 'tasks:Nobody' }, transport = 'memory' }"] = "has no field \"Nobody\"",
      } do
        local done = config(text)
        assert.equal(1, done.code, done.story)
        assert.truthy(done.stderr:find(why), done.story)
      end
      local side = peers.environment "filesystem"
      local path = script("w.lua", "return { topic = 'from-file', tasks = { 'tasks:Sleep' }, slots = 2 }")
      local worker = peers.ready(process.spawn(words(side, "--config", path, "--topic", "from-flag")))
      assert.truthy(worker:stdout():find('serving 1 task on topic "from-flag"', 1, true))
      assert.truthy(worker:stdout():find("2 slots", 1, true))
    end)

    it("fails when the scripts cannot be loaded", function()
      local done = tfhost("worker", script("broken.lua", "error('at load')"), "--transport", "memory")
      assert.equal(1, done.code)
      assert.truthy(done.stderr:find "broken.lua:1: at load")
      done = tfhost("worker", script("none.lua", "return {}"), "--transport", "memory")
      assert.equal(1, done.code)
      assert.truthy(done.stderr:find "has no Task class")
    end)

    it("finishes what runs when it is told to stop, and gives up at the second signal", function()
      local side = peers.environment "filesystem"
      local flow = script("flow.lua", FLOW)
      for _, case in ipairs { { signals = 1, code = 0 }, { signals = 2, code = 143 } } do
        local worker = peers.ready(process.spawn(words(side, dir .. "/tasks.lua", "--slots", "1")))
        local engine = process.spawn {
          peers.tfhost, "run", "--plain", flow .. ":sleep", "--store", "seconds=1.5", "--engine", "workers",
          unpack(side:words()),
        }
        engine:wait_for("s1  RUNNING", 10)
        process.sleep(0.5)
        worker:kill "TERM"
        worker:wait_for("draining", 5)
        if case.signals == 2 then
          worker:kill "TERM"
        end
        assert.equal(case.code, worker:wait(10).code)
        if case.signals == 1 then
          engine:wait_for("s1  SUCCESS", 5)
        end
        engine:kill "KILL"
        engine:wait(5)
      end
    end)
  end)
end)
