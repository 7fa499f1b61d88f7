-- The first hour of somebody who writes a flow: new, edit, dev, a mistake and its error, reload, lint, graph, RabbitMQ.
local cjson = require "cjson"
local peers = require "peers"
local process = require "process"

local function run(dir, ...)
  local words = { peers.tfhost, ... }
  words.env = { TFHOST_BACKEND = dir .. "/flows.db" }
  local p = process.spawn(words)
  local how = p:wait(60)
  return p:stdout(), how.code, p:stderr()
end

-- A command line on a terminal of its own: script(1) makes one.
local function on_terminal(dir, command)
  return process.spawn {
    "script", "-qfec", ("cd %s && stty rows 30 cols 100 && exec %s %s"):format(dir, peers.tfhost, command), "/dev/null",
    env = { TFHOST_BACKEND = dir .. "/flows.db", TERM = "xterm" },
  }
end

local function save(path, text)
  process.write(path .. ".new", text)
  assert(os.rename(path .. ".new", path))
end

describe("an author:", function()
  local dir

  before_each(function()
    dir = process.directory() .. "/shop"
    assert.same(0, select(2, run(".", "new", dir)))
  end)

  after_each(process.cleanup)

  -- What the terminal shows from now on, until it matches.
  local function after(dev, change, pattern)
    local at = #dev:stdout()
    change()
    local text
    assert(process.poll(30, function()
      text = dev:stdout():sub(at + 1)
      return text:find(pattern)
    end), pattern .. " is not in " .. dev:story())
    return text
  end

  it("new makes a project that runs, and refuses to write over one", function()
    local out, code = run(dir, "run", dir .. "/flow.lua")
    assert.same(0, code, out)
    assert.is_truthy(out:find('loud = "HELLO, WORLD!"', 1, true), out)
    local specs = process.spawn {
      "sh", "-c", ("cd %s && exec %s lua /usr/bin/busted -o TAP"):format(dir, peers.tfhost),
    }
    assert.same({ code = 0 }, specs:wait(60), specs:story())
    assert.matches("ok 3 ", specs:stdout())
    local worker = process.spawn {
      "sh", "-c", ("cd %s && exec %s worker --config worker.lua"):format(dir, peers.tfhost),
    }
    worker:wait_for("serving 2 tasks", 30)
    out, code = run(
      dir, "run", dir .. "/flow.lua", "--engine", "worker-based", "--topics", "shop", "--url",
      "filesystem://" .. dir .. "/spool"
    )
    assert.same(0, code, out)
    local _, again, message = run(dir, "new", dir)
    assert.same(2, again)
    assert.matches("is not empty", message)
  end)

  it("dev shows a mistake with its lines, and the mended flow on the next save", function()
    local tasks = process.read(dir .. "/tasks.lua")
    local dev = on_terminal(dir, "dev flow.lua")
    dev:wait_for("waiting for a change", 30)
    assert.is_truthy(dev:stdout():find("✔ greet", 1, true), dev:story())
    assert.is_truthy(dev:stdout():find('loud = "HELLO, WORLD!"', 1, true), dev:story())
    -- A task that fails.
    local text = after(dev, function()
      save(dir .. "/tasks.lua", (tasks:gsub('"Hello, " .. name', "nothing.there .. name")))
    end, "waiting for a change")
    assert.is_truthy(text:find("> +9 |       return nothing.there .. name"), text)
    assert.is_truthy(text:find("exit code 3", 1, true), text)
    -- One that does not load.
    text = after(dev, function()
      save(dir .. "/tasks.lua", tasks .. "oops\n")
    end, "waiting for a change")
    assert.is_truthy(text:find("> +%d+ | oops"), text)
    assert.is_truthy(text:find("exit code 2", 1, true), text)
    text = after(dev, function()
      save(dir .. "/tasks.lua", (tasks:gsub("Hello", "Welcome")))
    end, "waiting for a change")
    assert.is_truthy(text:find('loud = "WELCOME, WORLD!"', 1, true), text)
    dev:kill "INT"
  end)

  it("lint tells where, what and what to do, by exit code too", function()
    local out, code = run(dir, "lint", dir .. "/flow.lua", "--worker", dir .. "/tasks.lua")
    assert.same(0, code, out)
    process.write(dir .. "/bad.lua", [[
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local Seat = task.Task { default_provides = "seat", execute = function(self) total = 1 end }
local Pay = task.Task { execute = function(self, saet) end }
local lost = Seat { name = "lost" }
return lf.Flow("bad"):add(
  Seat { name = "seat" },
  Pay { name = "pay" },
  { "nowhere:Thing", name = "thing" }
)
]])
    out, code = run(dir, "lint", "--json", dir .. "/bad.lua", "--worker", dir .. "/tasks.lua")
    assert.same(2, code, out)
    local by_code = {}
    for line in out:gmatch "[^\n]+" do
      local finding = cjson.decode(line)
      by_code[finding.code] = by_code[finding.code] or {}
      by_code[finding.code][finding.atom or finding.symbol] = finding
    end
    local missing = by_code["missing-input"].pay
    assert.same({ "error", "saet", 6 }, { missing.level, missing.symbol, math.min(missing.line, 6) }, out)
    assert.matches("did you mean 'seat'", missing.hint)
    assert.same(5, by_code.unreachable.lost.line)
    assert.same("seat", by_code["unused-value"].seat.symbol)
    assert.same(3, by_code.global.total.line)
    assert.same("nowhere.Thing", by_code["unserved-class"].thing.class)
  end)

  it("lint finds cycles, and what a target leaves out", function()
    process.write(dir .. "/cycle.lua", [[
local gf = require "taskflow.patterns.graph_flow"
local task = require "taskflow.task"
local A = task.Task { execute = function(self) end }
local a, b = A { name = "a" }, A { name = "b" }
local flow = gf.Flow("c"):add(a, b)
flow:link(a, b)
flow:link(b, a)
return flow
]])
    local out, code = run(dir, "lint", dir .. "/cycle.lua")
    assert.same(2, code)
    assert.matches("cycle.lua:7: error: .*closes a cycle.* %[cycle%]", out)
    process.write(dir .. "/target.lua", [[
local gf = require "taskflow.patterns.graph_flow"
local task = require "taskflow.task"
local A = task.Task { execute = function(self) end }
local a, b = A { name = "a" }, A { name = "b" }
local flow = gf.TargetedFlow("t"):add(a, b)
flow:set_target(a)
return flow
]])
    out, code = run(dir, "lint", dir .. "/target.lua")
    assert.same(1, code, out)
    assert.matches("'b' is never reached", out)
  end)

  it("lint reads a program up to where it runs its flow, and runs nothing", function()
    process.write(dir .. "/program.lua", [[
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local taskflow = require "taskflow"
local A = task.Task { execute = function(self, x) io.open(arg[0] .. ".ran", "w"):close() end }
local ok, err = pcall(taskflow.engines.run, lf.Flow("f"):add(A { name = "a" }), { store = { y = 1 } })
local engine = taskflow.engines.load(lf.Flow("g"):add(A { name = "b" }))
engine.storage:inject { x = 1 }
engine:run()
]])
    local out, code = run(dir, "lint", "--json", dir .. "/program.lua")
    assert.same(2, code, out)
    local levels = {}
    for line in out:gmatch "[^\n]+" do
      local finding = cjson.decode(line)
      local name = finding.code .. " " .. (finding.atom or finding.line)
      levels[name] = finding.level
    end
    assert.same({
      ["missing-input a"] = "error", ["missing-input b"] = "warning", ["program 5"] = "note", ["program 6"] = "note",
    }, levels, out)
    assert.same("", process.read(dir .. "/program.lua.ran"))
    assert.is_falsy(io.open(dir .. "/program.lua.ran"))
  end)

  it("dev takes the modules beside the flow, whatever lies where it was started", function()
    local elsewhere = process.directory()
    process.write(elsewhere .. "/tasks.lua", "return {}")
    local done = process.run {
      "sh", "-c", ("cd %s && exec %s dev %s/flow.lua --once"):format(elsewhere, peers.tfhost, dir), timeout = 30,
    }
    assert.same(0, done.code, done.story)
    assert.is_truthy(done.stdout:find('loud = "HELLO, WORLD!"', 1, true), done.story)
  end)

  it("dev clears the directories of those that were killed, and of nobody else", function()
    local tmp = process.directory()
    local function entries()
      return process.run({ "sh", "-c", ("ls '%s' | grep -c ^tfhost-dev-"):format(tmp) }).stdout
    end
    local function dev()
      local p = process.spawn { peers.tfhost, "dev", dir .. "/flow.lua", env = { TMPDIR = tmp } }
      p:wait_for("%-%- exit code 0", 30)
      return p
    end
    local killed = dev()
    killed:kill "KILL"
    killed:wait(10)
    assert.same("1\n", entries())
    local living = dev()
    assert.same("1\n", entries())
    local other = dev()
    assert.same("2\n", entries())
    for _, p in ipairs { living, other } do
      p:kill "INT"
      p:wait(10)
    end
    assert.same("0\n", entries())
  end)

  it("graph draws each form, and colours one of a run that is kept", function()
    local out, code = run(dir, "graph", dir .. "/flow.lua")
    assert.same(0, code)
    assert.is_truthy(out:find("├── greet  takes name  and gives greeting", 1, true), out)
    assert.matches("from outside: name", out)
    assert.is_truthy(run(dir, "graph", dir .. "/flow.lua", "--mermaid"):find('n2 -->|"greeting"| n3', 1, true))
    local dot = process.spawn { "sh", "-c", ("%s graph %s/flow.lua --dot | dot -Tplain"):format(peers.tfhost, dir) }
    if os.execute "command -v dot >/dev/null" == 0 then
      assert.same({ code = 0 }, dot:wait(30), dot:story())
      assert.matches("edge n2 n3", dot:stdout())
    end
    local reverted
    reverted, code = run(dir, "run", dir .. "/flow.lua", "--store", "name=[1]", "--json")
    assert.same(3, code, reverted)
    local uuid = reverted:match '"uuid": "([%x-]+)"'
    assert.same(0, select(2, run(
      dir, "graph", dir .. "/flow.lua", "--svg", "--run", uuid:sub(1, 8), "-o", dir .. "/flow.svg"
    )))
    local svg = process.read(dir .. "/flow.svg")
    assert.matches(">REVERTED</text>", svg)
    assert.matches("^<svg ", svg)
    local nodes = cjson.decode((run(dir, "graph", dir .. "/flow.lua", "--json", "--run", uuid))).nodes
    assert.same({ "PENDING", "flow" }, { nodes[3].state, nodes[1].kind })
    assert.same(2, select(2, run(dir, "graph", dir .. "/flow.lua", "--run", "00000000")))
  end)

  it("the same flow over RabbitMQ", function()
    local url = assert(os.getenv "TFHOST_TEST_AMQP_URL", "run inside: spec/support/rabbitmq run ...")
    local worker = process.spawn {
      "sh", "-c", ("cd %s && exec %s worker --config worker.lua"):format(dir, peers.tfhost),
      env = { TFHOST_URL = url },
    }
    worker:wait_for("serving 2 tasks", 30)
    local term = on_terminal(
      dir, "run flow.lua --engine worker-based --topics shop --url '" .. url .. "' --store name=Ada"
    )
    assert.same({ code = 0 }, term:wait(60), term:story())
    assert.is_truthy(term:stdout():find("✔ shout", 1, true), term:story())
    assert.is_truthy(term:stdout():find('loud = "HELLO, ADA!"', 1, true), term:story())
  end)

  it("a large flow folds, and runs with the display", function()
    process.write(dir .. "/big.lua", [[
local task = require "taskflow.task"
local T = task.Task { execute = function(self) end }
return function()
  local flow = require("taskflow.patterns.unordered_flow").Flow "big"
  for i = 1, 20000 do flow:add(T { name = "t" .. i }) end
  return flow
end
]])
    local term = on_terminal(dir, "run big.lua --backend none")
    assert.same({ code = 0 }, term:wait(60), term:story())
    assert.is_truthy(term:stdout():find("████ 100 %  20,000 of 20,000", 1, true), term:story())
    assert.is_true(#term:stdout() < 100000, "the display writes little")
  end)
end)
