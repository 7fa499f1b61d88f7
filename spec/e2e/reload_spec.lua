-- Scripts that change while a worker serves them (doc/reload.md).
local cjson = require "cjson"
local flows = require "flows"
local peers = require "peers"
local process = require "process"
local reload = require "reload"

local function sh(command, ...)
  assert(os.execute(command:format(...)) == 0, command)
end

-- What the class work.Version of the worker says now.
local function version(side)
  local run = side:engine("lua", { "work" }, {
    flow = flows.linear("ask", {
      task = "work.Version", name = "v", provides = "v", requires = { "n" }, by_reference = true,
    }),
    store = { n = 1 },
  })
  assert.equal("SUCCESS", run.state, run.story)
  return tonumber(run.results.v.value.version.text)
end

describe("reload:", function()
  local side, worker

  before_each(function()
    side = peers.environment "filesystem"
  end)

  after_each(process.cleanup)

  -- Exactly one reload: the generation that serves afterwards is the next one, and stays.
  local function one_reload(change, expected)
    local before = worker:generation()
    change()
    worker:serves(before + 1)
    process.sleep(0.3)
    assert.equal(before + 1, worker:generation(), worker.process:story())
    assert.equal(expected, version(side))
  end

  it("each way to change a script starts one new generation", function()
    worker = reload.worker(side)
    assert.equal(1, version(side))
    one_reload(function() -- write in place, in two steps
      local handle = assert(io.open(worker.path, "w"))
      local text = reload.version(2)
      handle:write(text:sub(1, 50))
      handle:flush()
      process.sleep(0.15)
      handle:write(text:sub(51))
      handle:close()
    end, 2)
    one_reload(function() -- rename over
      reload.save(worker.path, reload.version(3))
    end, 3)
    one_reload(function() -- delete, and create
      os.remove(worker.path)
      process.sleep(0.15)
      process.write(worker.path, reload.version(4))
    end, 4)
    one_reload(function() -- as vim saves: the old file becomes a backup
      assert(os.rename(worker.path, worker.path .. "~"))
      process.write(worker.path, reload.version(5))
      os.remove(worker.path .. "~")
    end, 5)
    -- What says the same, and what is not a script of this worker, is none.
    sh("touch '%s'", worker.path)
    process.write(worker.dir .. "/other.lua", "return {}")
    process.sleep(0.3)
    assert.equal(5, worker:generation())
  end)

  it("a symbolic link on the way to a script may lead elsewhere", function()
    local dir = process.directory()
    sh("cd '%s' && mkdir -p releases/1 releases/2 && ln -s releases/1 current", dir)
    process.write(dir .. "/releases/1/work.lua", reload.version(1))
    process.write(dir .. "/releases/2/work.lua", reload.version(2))
    worker = reload.worker(side, { dir = dir .. "/current" })
    one_reload(function()
      sh("cd '%s' && ln -s releases/2 next && mv -T next current", dir)
    end, 2)
    one_reload(function() -- the new place is watched
      reload.save(dir .. "/releases/2/work.lua", reload.version(3))
    end, 3)
    one_reload(function() -- removed and made again, and what it leads to through another link
      sh("cd '%s' && rm current && ln -s releases/1 now && ln -s now current", dir)
    end, 1)
    one_reload(function()
      sh("cd '%s' && ln -sfn releases/2 now", dir)
    end, 3)
  end)

  it("a whole tree may be swapped", function()
    local dir = process.directory()
    sh("cd '%s' && mkdir -p app/lib new/lib", dir)
    local script = [[
      local work = require "lib.version"
      return { Version = work }
    ]]
    local library = [[
      return require("taskflow.task").Task { execute = function(self, n) return { version = %d } end }
    ]]
    process.write(dir .. "/app/work.lua", script)
    process.write(dir .. "/app/lib/version.lua", library:format(1))
    process.write(dir .. "/new/work.lua", script)
    process.write(dir .. "/new/lib/version.lua", library:format(2))
    worker = reload.worker(side, { dir = dir .. "/app" })
    one_reload(function()
      sh("cd '%s' && mv app old && sleep 0.1 && mv new app", dir)
    end, 2)
    one_reload(function()
      reload.save(dir .. "/app/lib/version.lua", library:format(3))
    end, 3)
  end)

  it("a script two requires deep counts, and one that appears before another on the path", function()
    local dir = process.directory()
    sh("mkdir -p '%s/lib' '%s/more'", dir, dir)
    process.write(dir .. "/work.lua", 'return { Version = require "middle" }')
    process.write(dir .. "/middle.lua", [[
      package.path = package.path .. ";]] .. dir .. [[/more/?.lua"
      local number = require "deep"
      return require("taskflow.task").Task { execute = function(self, n) return { version = number } end }
    ]])
    process.write(dir .. "/more/deep.lua", "return 1")
    worker = reload.worker(side, { dir = dir })
    one_reload(function()
      reload.save(dir .. "/more/deep.lua", "return 2")
    end, 2)
    one_reload(function() -- found first from now on
      process.write(dir .. "/deep.lua", "return 3")
    end, 3)
    one_reload(function()
      os.remove(dir .. "/deep.lua")
    end, 2)
  end)

  it("scripts that do not load leave the old ones serving, and the next good save recovers", function()
    worker = reload.worker(side)
    reload.save(worker.path, "local x = 1\nreturn = 2\n")
    assert.matches("work.lua:2: unexpected symbol", worker:refuses())
    assert.equal(1, version(side))
    local _, count = worker.process:stderr():gsub("cannot be used", "")
    assert.equal(1, count)
    reload.save(worker.path, "error('not today')\n")
    process.poll(10, function()
      return worker:refuses():match "not today"
    end)
    assert.matches("work.lua:1: not today", worker:refuses())
    local check = worker:command("reload", "--check")
    assert.equal(1, check.code)
    assert.matches("work.lua:1: not today", check.stderr)
    one_reload(function()
      reload.save(worker.path, reload.version(2))
    end, 2)
    assert.equal(cjson.null, worker:status().scripts.load_error)
  end)

  it("a broken library is named, and mended by itself alone", function()
    local dir = process.directory()
    process.write(dir .. "/work.lua", 'return { Version = require "part" }')
    local part = 'return require("taskflow.task").Task { execute = function(self, n) return { version = %d } end }'
    process.write(dir .. "/part.lua", part:format(1))
    worker = reload.worker(side, { dir = dir })
    reload.save(dir .. "/part.lua", "retrun 1")
    assert.matches("part.lua:1:", worker:refuses())
    one_reload(function()
      reload.save(dir .. "/part.lua", part:format(2))
    end, 2)
  end)

  it("scripts that hang, crash or cannot set up are given up", function()
    -- AddressSanitizer makes an exit of the signal, and all of it slow.
    local sanitized = os.getenv "TFHOST_TEST_SANITIZED"
    local crash = sanitized and "exited with code 1" or "signal 11"
    local limit = sanitized and "4" or "1"
    worker = reload.worker(side, { words = { "--load-timeout", limit } })
    for _, case in ipairs {
      { "while true do end", "not loaded after " .. limit .. " s" },
      { "os.exit(3)", "exited with code 3" },
      { 'require("ffi").cast("int *", 0)[0] = 1', crash },
      { reload.version(9, "setup = function() error('no database', 0) end"), "no database" },
      { reload.version(9, "setup = function() while true do end end"), "setup has not returned" },
      { reload.version(9, "setup = 5"), "must be a function" },
      { "return {}", "no Task class" },
    } do
      reload.save(worker.path, case[1])
      assert.is_truthy(process.poll(15, function()
        return worker:refuses():find(case[2], 1, true)
      end), case[2] .. " is not in " .. worker:refuses())
    end
    assert.equal(1, version(side))
    one_reload(function()
      reload.save(worker.path, reload.version(2))
    end, 2)
  end)

  it("a class that the worker is told to serve must be there", function()
    worker = reload.worker(side, { tasks = nil, words = {} })
    worker.process:stop()
    local dir = worker.dir
    worker = reload.worker(side, { dir = dir, tasks = { dir .. "/work.lua:Version" } })
    reload.save(worker.path, 'return { Other = require("taskflow.task").Task { execute = function() end } }')
    assert.matches('no field "Version"', worker:refuses())
    assert.equal(1, version(side))
  end)

  it("HUP and reload do it on demand; --no-watch leaves it at that", function()
    worker = reload.worker(side, { words = { "--no-watch" } })
    reload.save(worker.path, reload.version(2))
    process.sleep(0.3)
    assert.equal(1, worker:generation())
    assert.is_false(worker:status().watching)
    local done = worker:command "reload"
    assert.equal(0, done.code, done.story)
    assert.matches("^generation 2 %(%x+%) serves", done.stdout)
    assert.equal(2, version(side))
    reload.save(worker.path, reload.version(3))
    done = worker:command("reload", "--check")
    assert.equal(0, done.code, done.story)
    assert.equal(2, worker:generation())
    worker.process:kill "HUP"
    worker:serves(3)
    assert.equal(3, version(side))
  end)

  it("rollback returns to the scripts before, without the files", function()
    worker = reload.worker(side)
    local none = worker:command "rollback"
    assert.equal(1, none.code)
    assert.matches("no generation before", none.stderr)
    reload.save(worker.path, reload.version(2))
    worker:serves(2)
    sh("rm -r '%s'", worker.dir)
    local done = worker:command "rollback"
    assert.equal(0, done.code, done.story)
    assert.equal(1, worker:generation())
    assert.equal(1, version(side))
    -- and forward again
    assert.equal(0, worker:command("rollback").code)
    assert.equal(2, version(side))
  end)

  it("setup and teardown are called once in each slot", function()
    local dir = process.directory()
    local script = ([[
      local task = require "taskflow.task"
      local function note(what)
        local handle = io.open("%s/notes", "a")
        handle:write(what, "\n")
        handle:close()
      end
      local M = { resource = nil }
      function M.setup() M.resource = "opened %%d"; note "setup" end
      function M.teardown() note("teardown " .. M.resource) end
      M.Version = task.Task { execute = function(self, n) return { version = %%d, resource = M.resource } end }
      return M
    ]]):format(dir)
    process.write(dir .. "/work.lua", script:format(1, 1))
    worker = reload.worker(side, { dir = dir, slots = 3 })
    for _ = 1, 3 do
      assert.equal(1, version(side))
    end
    local function count(what)
      local _, n = process.read(dir .. "/notes"):gsub(what, "")
      return n
    end
    assert.equal(3, count "setup\n")
    reload.save(worker.path, script:format(2, 2))
    worker:serves(2)
    assert.is_truthy(process.poll(5, function()
      return count "teardown opened 1\n" == 3 and count "setup\n" == 6
    end))
    assert.equal(2, version(side))
    assert.same({ code = 0 }, worker.process:stop())
    assert.equal(3, count "teardown opened 2\n")
    assert.equal(6, count "setup\n")
  end)

  it("a Python engine's flow ends right when its worker reloads in the middle", function()
    local script = [[
      local task = require "taskflow.task"
      local function wait(path)
        for _ = 1, 1000 do
          local handle = io.open(path)
          if handle then handle:close() return end
          os.execute "sleep 0.02"
        end
      end
      local function note(text)
        local handle = io.open("%s/notes", "a")
        handle:write(text, "\n")
        handle:close()
      end
      return {
        First = task.Task { execute = function(self, n) note "began"; wait "%s/go"; return %d end,
          revert = function(self, n, result) note("first reverted by %d, ran in " .. tostring(result)) end },
        Second = task.Task { execute = function(self, a) if a == 1 then return %d * 10 end end,
          revert = function(self, a, result) note("second reverted by %d") end },
        Last = task.Task { execute = function(self, b) %s end },
      }
    ]]
    local dir = process.directory()
    local function text(n, last)
      return script:format(dir, dir, n, n, n, n, last)
    end
    process.write(dir .. "/reload_work.lua", text(1, "return b + 1"))
    worker = reload.worker(side, { dir = dir, script = "reload_work.lua" })
    local function scenario()
      return {
        flow = flows.linear("mixed",
          { task = "reload_work.First", name = "first", provides = "a", requires = { "n" } },
          { task = "reload_work.Second", name = "second", provides = "b", requires = { "a" } },
          { task = "reload_work.Last", name = "last", provides = "c", requires = { "b" } }),
        store = { n = 1 },
      }
    end
    local function began(n)
      return process.poll(20, function()
        local _, count = process.read(dir .. "/notes"):gsub("began", "")
        return count == n
      end)
    end
    -- The first task runs in the old code, what follows in the new.
    local engine = side:start_engine("python", { "work" }, scenario())
    assert.is_truthy(began(1), engine:story())
    reload.save(worker.path, text(2, "return b + 1"))
    worker:serves(2)
    process.write(dir .. "/go", "")
    local run = peers.result(engine)
    assert.equal("SUCCESS", run.state, run.story)
    assert.equal("1", run.results.a.text)
    assert.equal("20", run.results.b.text)
    assert.equal("21", run.results.c.text)
    -- Reverts run with the newest code.
    os.remove(dir .. "/go")
    reload.save(worker.path, text(1, "return b + 1"))
    worker:serves(3)
    engine = side:start_engine("python", { "work" }, scenario())
    assert.is_truthy(began(2), engine:story())
    reload.save(worker.path, text(4, 'error "no"'))
    worker:serves(4)
    process.write(dir .. "/go", "")
    run = peers.result(engine)
    assert.equal("REVERTED", run.state, run.story)
    assert.matches("first reverted by 4, ran in 1", process.read(dir .. "/notes"))
    assert.matches("second reverted by 4", process.read(dir .. "/notes"))
  end)

  it("a canary gets its share, and is promoted or taken back by what comes of it", function()
    local base = 'Work = task.Task { execute = function(self, n) %s return n end },'
    worker = reload.worker(side, { words = { "--no-watch" } })
    local function run_many(count)
      return side:engine("lua", { "work" }, {
        flow = flows.unordered("many", unpack((function()
          local tasks = {}
          for i = 1, count do
            local name = "v" .. i
            tasks[i] = { task = "work.Version", name = name, provides = name, requires = { "n" }, by_reference = true }
          end
          return tasks
        end)())),
        store = { n = 1 },
      })
    end
    reload.save(worker.path, reload.version(2, base:format ""))
    local done = worker:command("reload", "--canary", "25%", "--requests", "20")
    assert.equal(0, done.code, done.story)
    assert.matches("generation 2 .* is on trial", done.stdout)
    assert.equal(1, worker:generation())
    local run = run_many(40)
    assert.equal("SUCCESS", run.state)
    local new = 0
    for i = 1, 40 do
      new = new + (run.results["v" .. i].value.version.text == "2" and 1 or 0)
    end
    assert.is_true(new >= 5 and new <= 15, "new: " .. new)
    run_many(60)
    worker:serves(2)
    -- One that fails where the other does not goes, and its failures are few.
    local broken = reload.version(3):gsub("return { version = VERSION", "error 'broken' return { version = VERSION")
    reload.save(worker.path, broken)
    assert.equal(0, worker:command("reload", "--canary", "25%").code)
    run_many(40)
    assert.is_truthy(process.poll(5, function()
      return worker:refuses():match "taken back"
    end))
    assert.equal(2, worker:generation())
    assert.equal(2, version(side))
    assert.equal(1, #process.children(worker.process.pid) - 2 - 1)
  end)

  -- That they are told at once, whenever they would ask, is shown in host/test/test_wbe_server.c.
  it("an engine that waits for a class goes on once that is served", function()
    local two = 'Other = task.Task { execute = function(self, n) return 7 end },'
    worker = reload.worker(side)
    local engine = side:start_engine("lua", { "work" }, {
      flow = flows.linear("wait",
        { task = "work.Version", name = "v", provides = "v", requires = { "n" }, by_reference = true },
        { task = "work.Other", name = "o", provides = "o", requires = { "n" }, by_reference = true }),
      store = { n = 1 },
    })
    assert.is_truthy(process.poll(20, function()
      return worker:status().counters.succeeded == 1
    end), engine:story())
    reload.save(worker.path, reload.version(2, two))
    local run = peers.result(engine, 20)
    assert.equal("SUCCESS", run.state)
    assert.equal("7", run.results.o.text)
  end)

  it("its control socket is for its owner, and refuses what it does not know", function()
    worker = reload.worker(side)
    local pipe = io.popen(("stat -c %%a '%s'"):format(worker.control))
    assert.equal("600", pipe:read "*l")
    pipe:close()
    local talk = process.run {
      "/usr/bin/python3", "-c", [[
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
f = s.makefile("rw")
for line in ['nonsense', '{"command": "fly"}', '{"command": "help"}', '[]', '{"command": "reload", "canary": 7}', '']:
    s.sendall(line.encode() + b"\n")
    if line: print(f.readline().strip())
try:
    s.sendall(b"x" * 100000)
    print("closed" if s.recv(10) == b"" else "open")
except ConnectionError:
    print("closed")
]], worker.control }
    assert.equal(0, talk.code, talk.story)
    local expected = { "no JSON", "unknown command", '"rollback"', "expected an object", "share between", "closed" }
    for _, what in ipairs(expected) do
      assert.is_truthy(talk.stdout:find(what, 1, true), what .. talk.story)
    end
    assert.equal(1, worker:generation())
    assert.same({ code = 0 }, worker.process:stop())
    assert.equal("", process.read(worker.control))
  end)
end)
