-- `tfhost conf`, and the commands whose settings it shows.
local json = require "cjson"
local peers = require "peers"
local process = require "process"

local dir

local function conf(env, ...)
  local binary = peers.tfhost:sub(1, 1) == "/" and peers.tfhost or os.getenv "PWD" .. "/" .. peers.tfhost
  return process.run { "env", "-C", dir, "TFHOST_TOPIC=from-env", env, binary, "conf", ... }
end

describe("tfhost conf", function()
  before_each(function()
    dir = process.directory()
    process.write(dir .. "/w.lua", [[return {
      topic = "from-file", exchange = "x",
      tasks = { "tasks" },
      slots = 3,
    }]])
  end)
  after_each(process.cleanup)

  it("has help with an example", function()
    local done = conf("A=b", "--help")
    assert.equal(0, done.code)
    assert.matches("Example: TFHOST_SLOTS=4 tfhost conf", done.stdout)
    assert.matches("Exit codes: 0 shown;", done.stdout)
  end)

  it("says for each value where it comes from", function()
    local done = conf(
      "TFHOST_SLOTS=4", "--origin", "worker", "--config", "w.lua", "--topic", "t", "--url", "amqp://u:pw@h//"
    )
    assert.equal(0, done.code, done.story)
    assert.matches("\ntopic +t +%-%-topic\n", done.stdout)
    assert.matches("\nslots +4 +TFHOST_SLOTS\n", done.stdout)
    assert.matches("\nexchange +x +w.lua:2\n", done.stdout)
    assert.matches("\ncontrol .* default\n", done.stdout)
    assert.matches("\nurl +amqp://u:%*%*@h//", done.stdout)
    assert.is_nil((done.stdout .. done.stderr):find("pw", 1, true))
  end)

  it("writes JSON lines", function()
    local done = conf("TFHOST_SLOST=4", "--json", "run", "--engine", "parallel", "-o", "max_workers=2")
    local by_key = {}
    for line in done.stdout:gmatch "[^\n]+" do
      local row = json.decode(line)
      by_key[row.key] = row
    end
    assert.same({ "flag", "parallel" }, { by_key.engine.origin, by_key.engine.value })
    assert.same({ "--option max_workers", 2 }, { by_key.max_workers.where, by_key.max_workers.value })
    assert.equal("default", by_key.attempts.origin)
    assert.matches("unknown variable 'TFHOST_SLOST', did you mean 'TFHOST_SLOTS'", done.stderr)
  end)

  it("tells mistakes by its exit code", function()
    assert.equal(64, conf("TFHOST_SLOTS=x").code)
    assert.equal(64, conf("A=b", "wroker").code)
    assert.equal(1, conf("A=b", "--config", "none.lua").code)
    local done = conf("A=b", "worker", "--slost", "4")
    assert.equal(64, done.code)
    assert.matches("tfhost conf worker: unknown option '%-%-slost', did you mean '%-%-slots'%?", done.stderr)
    done = process.run { peers.tfhost, "wroker" }
    assert.equal(64, done.code)
    assert.matches("unknown command 'wroker', did you mean 'worker'%?", done.stderr)
  end)

  it("shows what a worker and a run then have", function()
    local side = peers.environment "filesystem"
    process.write(dir .. "/tasks.lua", "return { T = require('taskflow.task').Task { execute = function() end } }")
    local flow = "return require('taskflow.patterns.linear_flow').Flow('f'):add(require('tasks').T())"
    process.write(dir .. "/flow.lua", flow)
    local worker = peers.ready(process.spawn {
      "env", "TFHOST_SLOTS=4", "TFHOST_TOPIC=from-env", peers.tfhost, "worker", "--config", dir .. "/w.lua",
      "--log-format", "json", unpack(side:words()),
    })
    assert.matches('topic "from%-env"', worker:stdout())
    assert.matches("4 slots", worker:stdout())
    local run = process.run {
      "env", "TFHOST_ENGINE=worker-based", "TFHOST_TOPICS=from-env", "TFHOST_BACKEND=none", peers.tfhost, "run",
      "--plain", dir .. "/flow.lua", unpack(side:words()),
    }
    assert.equal(0, run.code, run.story)
    -- What does not suit the flow's engine is no mistake, unless it is said on the command line.
    run = process.run {
      "env", "TFHOST_URL=amqp://nowhere", "TFHOST_BACKEND=none", peers.tfhost, "run", "--plain", dir .. "/flow.lua",
    }
    assert.equal(0, run.code, run.story)
    worker:kill "TERM"
    assert.equal(0, worker:wait(10).code)
    for line in worker:stderr():gmatch "[^\n]+" do
      assert.truthy(json.decode(line).message, line)
    end
  end)
end)
