-- Maps on workers: each item is a request of its own, which a worker of either language serves.
local engines = require "taskflow.engines"
local lf = require "taskflow.patterns.linear_flow"
local peers = require "peers"
local process = require "process"
local task = require "taskflow.task"

for _, case in ipairs {
  { language = "lua", transport = "filesystem" },
  { language = "python", transport = "filesystem" },
  { language = "python", transport = "amqp" },
} do
  describe(("a map served by a worker in %s, %s"):format(case.language, case.transport), function()
    after_each(process.cleanup)

    it("gives results in order, and reverts its items when one fails", function()
      local side = peers.environment(case.transport)
      side:worker(case.language, "work")
      local flow = lf.Flow("f"):add(task.Map {
        task = "peer_tasks:Undo",
        name = "m",
        over = "xs",
        as = "value",
        limit = 2,
        provides = "ys",
      })
      local options = side:options { engine = "worker-based", topics = { "work" } }
      options.store = { xs = { 1, 2, 3, 4, 5 } }
      local results = engines.run(flow, options)
      assert.same({ 2, 4, 6, 8, 10 }, results.ys)
      assert.equal(5, #side:journal "execute")

      side:clear_journal()
      options.store = { xs = { 1, 2, { 3 }, 4, 5 } }
      options.store.xs[3] = { no = "number" }
      local engine = engines.load(flow, options)
      local ok, err = pcall(engine.run, engine)
      assert.is_false(ok)
      assert.truthy(tostring(err):find "WrappedFailure")
      assert.equal("REVERTED", engine.storage:get_flow_state())
      assert.truthy(engine.storage:get_execute_failures()["m[3]"])
      local reverted = {}
      for _, entry in ipairs(side:journal "revert") do
        reverted[entry.task] = entry
      end
      assert.same({ "n1", "n2" }, { reverted["m[1]"].value, reverted["m[1]"].result })
      assert.same({ "n2", "n4" }, { reverted["m[2]"].value, reverted["m[2]"].result })
      assert.truthy(reverted["m[3]"].result:find "^failure ")
      assert.truthy(reverted["m[1]"].failures[1]:find("m[3]=", 1, true))
      -- Whether the last ones had begun is a matter of time; none that had is left.
      assert.equal(#side:journal "execute", #side:journal "revert")
      engine:close()
    end)
  end)
end

-- The engine's process dies inside an item; another one goes on from the logbook.
local SCRIPT = [[
local backends = require "taskflow.persistence.backends"
local engines = require "taskflow.engines"
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local how, database, journal = unpack(arg)

local function say(text)
  local file = assert(io.open(journal, "a"))
  file:write(text, "\n")
  file:close()
end

local flow = lf.Flow("f"):add(
  task.FunctorTask(function()
    return { 1, 2, 3, 4 }
  end, { name = "list", provides = "xs" }),
  task.Map {
    task = function(x)
      say("execute " .. x)
      if how == "die" and x == 3 then
        os.exit(9)
      end
      return x * 2
    end,
    revert = function(x, result)
      say(("revert %s %s"):format(x, tostring(result)))
    end,
    name = "m", over = "xs", as = "x", provides = "ys", limit = 1,
  },
  task.FunctorTask(function(ys)
    if how == "fail" then
      error("no", 0)
    end
    return #ys
  end, { name = "count", provides = "n" })
)
local backend = backends.fetch { connection = "sqlite:///" .. database }
local detail
for book in backend:get_connection():get_logbooks() do
  for flow_detail in book:iter() do
    detail = flow_detail
  end
end
local engine = engines.load(flow, { backend = backend, flow_detail = detail })
print((pcall(engine.run, engine)))
print(engine.storage:get_flow_state(), engine.storage:fetch_all_text())
]]

describe("a map in a logbook", function()
  after_each(process.cleanup)

  local function play(second)
    local dir = process.directory()
    local script = process.write(dir .. "/flow.lua", SCRIPT)
    local function run(how)
      return process.run { peers.tfhost, "lua", script, how, dir .. "/flows.db", dir .. "/journal" }
    end
    assert.equal(9, run("die").code)
    local went_on = run(second)
    local lines = {}
    for line in process.read(dir .. "/journal"):gmatch "[^\n]+" do
      lines[#lines + 1] = line
    end
    return lines, went_on.stdout
  end

  it("goes on with the items that were not done", function()
    local lines, out = play "go"
    assert.same({ "execute 1", "execute 2", "execute 3", "execute 3", "execute 4" }, lines)
    assert.truthy(out:find('SUCCESS\t{"xs": [1, 2, 3, 4], "ys": [2, 4, 6, 8], "n": 4}', 1, true), out)
  end)

  it("reverts items that an earlier process executed", function()
    local lines, out = play "fail"
    assert.same({ "revert 4 8", "revert 3 6", "revert 2 4", "revert 1 2" }, { unpack(lines, 6) })
    assert.truthy(out:find("REVERTED", 1, true), out)
  end)
end)
