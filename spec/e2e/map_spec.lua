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
