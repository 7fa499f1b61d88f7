-- Log lines for machines, of a worker, of the process of a task, and of an engine: what each is about.
local json = require "cjson"
local peers = require "peers"
local process = require "process"

local TASKS = [[
local log, task = require "taskflow.utils.log", require "taskflow.task"
return {
  Speaks = task.Task { execute = function() log.warn("mine", "said \"so\"\nand more") end },
  Dies = task.Task { execute = function() os.execute("kill -9 $PPID") end },
}]]

local FLOW = [[
local tasks = require "tasks"
return require("taskflow.patterns.linear_flow").Flow("f")
  :add(tasks.Speaks { name = "speaks" }, tasks.Dies { name = "dies", attempts = 1 })]]

local UUID = "^%x+%-%x+%-%x+%-%x+%-%x+$"

-- Lines as tables: all of them must be that.
local function lines(peer)
  local out = {}
  for line in peer:stderr():gmatch "[^\n]+" do
    local ok, row = pcall(json.decode, line)
    assert(ok and row.time and row.level and row.area and row.message, line)
    out[#out + 1] = row
  end
  return out
end

local function find(rows, area, what)
  for _, row in ipairs(rows) do
    if row.area == area and row.message:find(what, 1, true) then
      return row
    end
  end
  error(("no line of %s with '%s' in %s"):format(area, what, json.encode(rows)))
end

describe("log lines in JSON", function()
  local side, worker, engine

  after_each(process.cleanup)

  it("name flow, atom, request and worker", function()
    side = peers.environment "filesystem"
    process.write(side.dir .. "/tasks.lua", TASKS)
    process.write(side.dir .. "/flow.lua", FLOW)
    worker = peers.ready(side:worker("lua", "default", {
      tasks = { side.dir .. "/tasks.lua" }, slots = 1, words = { "--log-format", "json", "-v" },
    }))
    engine = process.spawn {
      peers.tfhost, "run", "--json", "--log-format", "json", "--log-level", "debug", "--backend", "none",
      "-e", "workers", side.dir .. "/flow.lua", unpack(side:words()),
    }
    assert.equal(3, engine:wait(20).code)
    worker:kill "TERM"
    assert.equal(0, worker:wait(10).code)

    local rows = lines(worker)
    local said = find(rows, "mine", 'said "so"\nand more')
    local died = find(rows, "pool", "killed by signal 9")
    local ended = find(rows, "worker", "task 'dies': failure")
    assert.matches(UUID, said.worker)
    assert.matches(UUID, said.flow)
    assert.matches(UUID, said.request)
    assert.same({ "speaks", "warn" }, { said.atom, said.level })
    assert.same({ "dies", "warn" }, { died.atom, died.level })
    assert.not_equal(said.request, died.request)
    for _, row in ipairs { died, ended } do
      assert.same({ said.flow, died.request, said.worker }, { row.flow, row.request, row.worker })
    end
    for _, row in ipairs(rows) do
      assert.equal(said.worker, row.worker, row.message)
    end

    rows = lines(engine)
    for _, row in ipairs(rows) do
      assert.equal(said.flow, row.flow, row.message)
    end
    find(rows, "engine", "offers 2 tasks")
  end)
end)
