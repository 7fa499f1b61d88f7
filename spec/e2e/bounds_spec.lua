-- What bounds the slots of a worker, with real processes: how long one lives, how many of a class run at a time, who is
-- next, and how large values may be.
local cjson = require "cjson"
local flows = require "flows"
local peers = require "peers"
local process = require "process"

-- Each tells when it ran, and where: BEGIN and END of a name, with the pid.
local TASKS = [[
local task = require "taskflow.task"
local ffi = require "ffi"
ffi.cdef "int getpid(void); int poll(void *, unsigned long, int);"
local kept = {}
local function note(word, name)
  local handle = io.open(os.getenv "PEER_JOURNAL" .. ".bounds", "a")
  handle:write(("%s %s %d\n"):format(word, name, ffi.C.getpid()))
  handle:close()
end
local function sleep(name, ms)
  note("begin", name)
  ffi.C.poll(nil, 0, ms)
  note("end", name)
end
return {
  Few = task.Task { concurrency = 2, execute = function(self, ms) sleep(self.name, ms) end },
  Many = task.Task { execute = function(self, ms) sleep(self.name, ms) end },
  Pid = task.Task { execute = function() return ffi.C.getpid() end },
  Leak = task.Task { execute = function()
    local block = ffi.new("char[?]", 4 * 1024 * 1024)
    ffi.fill(block, 4 * 1024 * 1024, 1)
    kept[#kept + 1] = block
    ffi.C.poll(nil, 0, 60)
    return ffi.C.getpid()
  end },
  Large = task.Task { argument_limit = "2K", result_limit = "4K", execute = function(self, n, text)
    return ("x"):rep(n) .. (text and "" or "")
  end },
}
]]

local function names(prefix, count)
  local out = {}
  for i = 1, count do
    out[i] = prefix .. i
  end
  return out
end

-- What was noted, as { { word, name, pid } }.
local function notes(side)
  local out = {}
  for word, name, pid in process.read(side.journal_path .. ".bounds"):gmatch "(%S+) (%S+) (%d+)\n" do
    out[#out + 1] = { word = word, name = name, pid = tonumber(pid) }
  end
  return out
end

-- The most tasks whose name begins with `prefix` that ran at a time.
local function most_at_once(all, prefix)
  local now, most = 0, 0
  for _, n in ipairs(all) do
    if n.name:sub(1, #prefix) == prefix then
      now = now + (n.word == "begin" and 1 or -1)
      most = math.max(most, now)
    end
  end
  return most
end

local function order_of(all)
  local out = {}
  for _, n in ipairs(all) do
    if n.word == "begin" then
      out[#out + 1] = n.name
    end
  end
  return table.concat(out, " ")
end

-- Flows of these tasks for a parallel engine, in a process of its own: it prints their results.
local PARALLEL = [[
local taskflow, uf = require "taskflow", require "taskflow.patterns.unordered_flow"
local tasks = require "tasks"
local cjson = require "cjson"
local flow = uf.Flow "f"
for _, o in ipairs(cjson.decode(arg[1])) do
  local class = tasks[o.class]
  o.class = nil
  flow:add(class(o))
end
local eng = taskflow.engines.load(flow, { engine = "parallel", max_workers = tonumber(arg[2]) })
local ok = pcall(eng.run, eng)
local f = eng:failures()[1]
print(cjson.encode { ok = ok, failure = f and { f.exc_type_names[1], f.exception_str } })
]]

describe("bounds of slots:", function()
  local side, worker
  after_each(process.cleanup)

  local function start(words)
    side = peers.environment "filesystem"
    process.write(side.dir .. "/tasks.lua", TASKS)
    worker = peers.ready(side:worker("lua", "work", {
      tasks = { side.dir .. "/tasks.lua", peers.support .. "/peer_tasks.lua" }, words = words, slots = 4,
      env = { TFHOST_CONTROL_DIR = side.dir .. "/control" },
    }))
  end

  local function run(flow, language)
    local result = side:engine(language or "lua", { "work" }, { flow = flow })
    return result, result.story .. worker:story()
  end

  local function task(class, name, inject, more)
    local t = { task = "tasks." .. class, name = name, inject = inject, provides = name }
    for key, value in pairs(more or {}) do
      t[key] = value
    end
    return t
  end

  local function status()
    local done = process.run { peers.tfhost, "status", "--json", env = { TFHOST_CONTROL_DIR = side.dir .. "/control" } }
    return cjson.decode(done.stdout)
  end

  local function pids(class, count)
    local flow = flows.unordered "pids"
    for i, name in ipairs(names("p", count)) do
      flow.children[i] = task(class, name)
    end
    local result, story = run(flow)
    assert.equal("SUCCESS", result.state, story)
    local seen, most = {}, 0
    for _, name in ipairs(names("p", count)) do
      local pid = result.results[name].value
      seen[pid] = (seen[pid] or 0) + 1
      most = math.max(most, seen[pid])
    end
    return most
  end

  it("a slot ends after its number of tasks, or grown, and nobody notices", function()
    start { "--max-tasks-per-slot", "10", "--max-memory-growth", "20M" }
    assert.is_true(pids("Pid", 200) <= 10)
    local recycled = status().scripts.recycled
    assert.is_true(recycled.tasks >= 16, cjson.encode(recycled))
    assert.is_true(pids("Leak", 60) <= 6) -- 4 MB each
    recycled = status().scripts.recycled
    assert.is_true(recycled.memory >= 6, cjson.encode(recycled))
    local text = process.run { peers.tfhost, "status", env = { TFHOST_CONTROL_DIR = side.dir .. "/control" } }
    assert.matches("slots replaced: %d+ after their number of tasks, %d+ that had grown", text.stdout)
    assert.not_matches("WARN", worker:stderr())
    assert.same({ code = 0 }, worker:stop())
  end)

  it("no more of a class run than it or the worker says, and others go past", function()
    start { "--concurrency", "tasks.Many=3" }
    local flow = flows.unordered "classes"
    for _, name in ipairs(names("few", 12)) do
      table.insert(flow.children, task("Few", name, { ms = 60 }))
    end
    for _, name in ipairs(names("many", 12)) do
      table.insert(flow.children, task("Many", name, { ms = 60 }))
    end
    local result, story = run(flow)
    assert.equal("SUCCESS", result.state, story)
    local all = notes(side)
    assert.equal(2, most_at_once(all, "few"))
    assert.is_true(most_at_once(all, "many") >= 2) -- beside them
    assert.is_true(most_at_once(all, "many") <= 3)
  end)

  it("sizes of arguments and results, told to engines of both languages", function()
    start { "--argument-limit", "1K" }
    local fits = run(flows.linear("f", task("Large", "t", { n = 4000, text = ("y"):rep(1500) })))
    assert.equal("SUCCESS", fits.state, fits.story) -- the class's limit is not the worker's
    local undo = flows.task("Undo", "u", { inject = { value = ("y"):rep(1100) } })
    for _, case in ipairs {
      { task("Large", "t", { n = 1, text = ("y"):rep(2100) }), "task 't': its arguments of 21%d%d bytes .*2048 bytes" },
      { task("Many", "m", { ms = ("y"):rep(1100) }), "task 'm': its arguments of 11%d%d bytes .*limit of 1024 bytes" },
      { task("Large", "t", { n = 4095, text = "" }), "task 't': its result of 4097 bytes .*limit of 4096 bytes" },
      { undo, "task 'u': its arguments of 11%d%d bytes .*limit of 1024 bytes", "python" },
    } do
      local result, story = run(flows.linear("f", case[1]), case[3])
      local failure = result.failures[case[1].name]
      assert.equal("REVERTED", result.state, story)
      assert.equal("tfhost.SizeLimitExceeded", failure.exc_type_names[1])
      assert.equal("tfhost.LimitExceeded", failure.exc_type_names[2])
      assert.matches(case[2], failure.exception_str)
    end
    assert.equal(0, #side:journal "execute")
    assert.equal("", order_of(notes(side))) -- Many never ran
  end)

  it("the highest priority is next", function()
    side = peers.environment "filesystem"
    process.write(side.dir .. "/tasks.lua", TASKS)
    process.write(side.dir .. "/flow.lua", [[
      local tasks = require "tasks"
      local uf, gf = require "taskflow.patterns.unordered_flow", require "taskflow.patterns.graph_flow"
      local flow = uf.Flow "f"
      -- All wait behind the first, in the order of the flow; the last have the priority.
      flow:add(tasks.Many { name = "first", inject = { ms = 400 }, priority = 100 })
      for _, t in ipairs { { "low", -1 }, { "none", 0 }, { "high", 7 } } do
        flow:add(tasks.Many { name = t[1], inject = { ms = 30 }, priority = t[2] })
      end
      return flow
    ]])
    worker = peers.ready(side:worker("lua", "work", { tasks = { side.dir .. "/tasks.lua" }, slots = 1 }))
    local words = { peers.tfhost, "run", "--plain", side.dir .. "/flow.lua", "--backend", "none",
      "--engine", "worker-based", "--topics", "work", env = side:env() }
    for _, word in ipairs(side:words()) do
      words[#words + 1] = word
    end
    local done = process.run(words)
    assert.equal(0, done.code, done.story)
    assert.equal("first high none low", order_of(notes(side)))
  end)

  it("in a parallel engine", function()
    side = peers.environment "filesystem"
    process.write(side.dir .. "/tasks.lua", TASKS)
    process.write(side.dir .. "/parallel.lua", PARALLEL)
    local function parallel(tasks, workers)
      local done = process.run { peers.tfhost, "lua", side.dir .. "/parallel.lua", cjson.encode(tasks),
        tostring(workers), env = side:env() }
      assert.equal(0, done.code, done.story)
      return cjson.decode(done.stdout)
    end
    local many = {}
    for _, name in ipairs(names("few", 8)) do
      many[#many + 1] = { class = "Few", name = name, inject = { ms = 30 } }
    end
    many[#many + 1] = { class = "Many", name = "many1", inject = { ms = 30 } }
    assert.is_true(parallel(many, 4).ok)
    local all = notes(side)
    assert.equal(2, most_at_once(all, "few"))
    assert.is_true(order_of(all):find("many1", 1, true) <= #"few1 few2 " + 1, order_of(all)) -- before the third of few
    local large = parallel({ { class = "Large", name = "l", inject = { n = 5000, text = "" } } }, 1)
    assert.equal("tfhost.SizeLimitExceeded", large.failure[1])
    assert.matches("task 'l': its result of 5002 bytes", large.failure[2])
    large = parallel({ { class = "Large", name = "l", inject = { n = 1, text = ("y"):rep(3000) } } }, 1)
    assert.equal("tfhost.SizeLimitExceeded", large.failure[1])
    assert.matches("task 'l': its arguments of 30%d%d bytes", large.failure[2])
  end)
end)
