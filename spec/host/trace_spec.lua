-- `tfhost trace`: when atoms ran and where, out of the logbook, on each engine.
local cjson = require "cjson"
local process = require "process"

local tfhost = os.getenv "TFHOST"

local TASKS = [[
local task = require "taskflow.task"
local M = {}
local function sleep(seconds)
  os.execute("sleep " .. seconds)
end
M.Nap = task.Task { execute = function() sleep(0.2) end, revert = function() sleep(0.1) end }
M.Flaky = task.Task { execute = function(_, marker)
  local file = io.open(marker)
  if not file then
    io.open(marker, "w"):close()
    error "not yet"
  end
  file:close()
end }
M.Broken = task.Task { execute = function() error "beyond repair" end }
return M
]]

local FLOW = [[
local linear = require "taskflow.patterns.linear_flow"
local retry = require "taskflow.retry"
local unordered = require "taskflow.patterns.unordered_flow"
local T = require "tasks"
return {
  good = function()
    return linear.Flow "good"
      :add(unordered.Flow "naps":add(T.Nap { name = "nap-1" }, T.Nap { name = "nap-2" }, T.Nap { name = "nap-3" }))
      :add(linear.Flow("again", { retry = retry.Times { attempts = 2 } }):add(T.Flaky { name = "flaky" }))
  end,
  bad = function()
    return linear.Flow "bad":add(T.Nap { name = "nap" }, T.Broken { name = "broken" })
  end,
}
]]

describe("tfhost trace", function()
  local dir, worker

  local function env()
    return { XDG_STATE_HOME = dir .. "/state", TFHOST_CONTROL_DIR = dir .. "/ctl" }
  end

  local function run(...)
    return process.run { tfhost, timeout = 60, env = env(), ... }
  end

  local function trace(...)
    local said = run("trace", "last", "--json", ...)
    assert.equal(0, said.code, said.story)
    local lines = {}
    for line in said.stdout:gmatch "[^\n]+" do
      lines[#lines + 1] = cjson.decode(line)
    end
    local flow = table.remove(lines, 1)
    return flow, lines
  end

  setup(function()
    dir = process.directory()
    assert(os.execute(("mkdir -m 700 '%s/ctl' '%s/state'"):format(dir, dir)) == 0)
    process.write(dir .. "/tasks.lua", TASKS)
    process.write(dir .. "/flow.lua", FLOW)
    worker = process.spawn { tfhost, "worker", dir .. "/tasks.lua", "--topic", "work", "--slots", "2", "--no-watch",
      "--url", "filesystem://" .. dir .. "/spool", env = env() }
    worker:wait_for("serving", 20)
  end)
  teardown(process.cleanup)

  local function run_flow(name, engine)
    local words = { "run", dir .. "/flow.lua:" .. name, "--plain", "--engine", engine, "--store",
      "marker=" .. dir .. "/marker-" .. engine }
    if engine == "worker-based" then
      for _, word in ipairs { "--topics", "work", "--url", "filesystem://" .. dir .. "/spool" } do
        words[#words + 1] = word
      end
    end
    return run(unpack(words))
  end

  for _, engine in ipairs { "serial", "parallel", "worker-based" } do
    it("shows waiting, running and retries of the " .. engine .. " engine", function()
      local said = run_flow("good", engine)
      assert.equal(0, said.code, said.story)
      local flow, runs = trace()
      assert.same({ "good", "SUCCESS", #runs }, { flow.flow, flow.state, flow.runs })
      local by_atom, order, waited = {}, {}, 0
      for _, one in ipairs(runs) do
        by_atom[one.atom] = by_atom[one.atom] or {}
        table.insert(by_atom[one.atom], one)
        order[#order + 1] = one.sent
        if one.atom:find "^nap" then
          assert.is_true(one.ran >= 0.19 and one.ran < 5, ("%s ran %g s"):format(one.atom, one.ran))
          waited = math.max(waited, one.waited)
        end
        assert.equal(engine == "worker-based", one.worker ~= nil)
        assert.is_true(one.sent >= flow.begun and one.sent <= flow.begun + flow.seconds)
      end
      assert.same({ 1, 1, 1 }, { #by_atom["nap-1"], #by_atom["nap-2"], #by_atom["nap-3"] })
      -- The first try failed, was reverted, and the second one went well.
      local tries = {}
      for i, one in ipairs(by_atom.flaky) do
        tries[i] = one.action .. " " .. one.state
      end
      assert.equal("execute SUCCESS", tries[#tries])
      assert.equal("execute FAILURE", tries[1])
      for i = 2, #order do
        assert.is_true(order[i - 1] <= order[i])
      end
      if engine == "worker-based" then -- three tasks, two slots
        assert.is_true(waited >= 0.15, "the third waited " .. waited .. " s")
        assert.equal(worker.pid, tonumber(runs[1].worker:match ":(%d+)$"))
        assert.same({ 1, #runs, 1 }, { #flow.workers, flow.workers[1].runs, flow.workers[1].failed })
      end
    end)
  end

  it("shows what was reverted and why, for people", function()
    assert.equal(3, run_flow("bad", "worker-based").code)
    local flow, runs = trace()
    assert.equal("REVERTED", flow.state)
    local said = {}
    for i, one in ipairs(runs) do
      said[i] = ("%s %s %s"):format(one.atom, one.action, one.state)
    end
    assert.same({ "nap execute SUCCESS", "broken execute FAILURE" }, { said[1], said[2] })
    assert.is_true(table.concat(said, "\n"):find("nap revert REVERTED", 1, true) ~= nil)
    assert.matches("beyond repair", runs[2].failure)
    local shown = run("trace", flow.uuid:sub(1, 8)).stdout
    assert.matches("^flow 'bad' [%x-]+: REVERTED, ", shown)
    assert.matches("nap +REVERTED +%+%d.* ▓▓", (shown:gsub("░", " "))) -- it may have waited for a moment
    assert.matches("broken +FAILURE .*\n +%S.*beyond repair\n", shown)
    assert.matches("WORKER +RUNS +FAILED", shown)
    for line in shown:gmatch "[^\n]+" do
      assert.is_true(#line:gsub("[\128-\191]", "") <= 100, line)
    end
  end)

  it("shows a flow that runs", function()
    local engine = process.spawn { tfhost, "run", dir .. "/flow.lua:good", "--plain", "--engine", "serial", "--store",
      "marker=" .. dir .. "/tasks.lua", env = env() }
    engine:wait_for("nap%-1", 20)
    local flow, runs = trace()
    assert.equal("RUNNING", flow.state)
    assert.is_true(#runs >= 1)
    assert.equal(0, engine:wait(20).code)
    assert.equal(0, run("trace", "last").code)
  end)

  it("is followed while it runs", function()
    local engine = process.spawn { tfhost, "run", dir .. "/flow.lua:bad", "--plain", "--engine", "serial", env = env() }
    engine:wait_for("nap", 20)
    local said = run("events", "--run", "last", "--json")
    assert.equal(0, said.code, said.story)
    assert.equal(3, engine:wait(20).code)
    local last, flow = {}, nil
    for text in said.stdout:gmatch "[^\n]+" do
      local event = cjson.decode(text)
      last[event.atom or "?"] = event
      flow = event.event == "flow" and event or flow
    end
    assert.same({ "REVERTED", "bad" }, { flow.state, flow.flow })
    assert.same({ "REVERTED", "revert", "REVERTED" }, { last.nap.state, last.nap.action, last.broken.state })
    said = run("events", "--run", "last", "-n", "1")
    assert.matches("^%d%d:%d%d:%d%d  atom +%S+  REVERTED", said.stdout)
    assert.equal(1, select(2, said.stdout:gsub("\n", "")))
    assert.equal(2, run("events", "--run", "ffff").code)
  end)

  it("says that there is no such flow", function()
    for _, words in ipairs { { "trace", "ffff" }, { "trace", "xyz" }, { "trace", "last", "--backend", "none" },
      { "trace", "last", "--backend", dir .. "/empty.db" } } do
      local said = run(unpack(words))
      assert.equal(2, said.code, said.story)
      assert.matches("^tfhost trace: ", said.stderr)
    end
    assert.equal(64, run("trace").code)
    assert.equal(64, run("trace", "a", "b").code)
  end)
end)
