-- The examples of the page that the project began with, translated, run as they are written: worker by file and by
-- script, flow with engine options beside the store and in engine_conf; over a directory and, where there is a
-- broker, over AMQP.
local peers = require "peers"
local process = require "process"

local TASKS = [[
local task = require "taskflow.task"
local M = {}
M.TestTask1 = task.Task { default_provides = "a", execute = function(self, x) return x + 1 end }
M.TestTask2 = task.Task {
  default_provides = "b",
  execute = function(self, a) return a * 2 end,
  revert  = function(self, a, result, flow_failures) end,
}
return M
]]

local CONFIG = [[
return {
  %s, exchange = "%s",
  topic = "test-tasks", tasks = { "tasks:TestTask1", "tasks:TestTask2" },
}
]]

local WORKER = [[
local w = require "taskflow.engines.worker_based.worker"

local config = {
  %s,
  exchange = "%s",
  topic = "test-tasks",
  tasks = { "tasks:TestTask1", "tasks:TestTask2" },
}
local worker = w.Worker(config)
worker:run()
print "drained"
]]

local FLOW = [[
local taskflow, lf = require "taskflow", require "taskflow.patterns.linear_flow"
local tasks = require "tasks"
local flow = lf.Flow("simple-linear"):add(tasks.TestTask1 { name = "t1" }, tasks.TestTask2 { name = "t2" })
local eng = taskflow.engines.load(flow, {
  engine = "worker-based", %s,
  exchange = "%s", topics = { "test-tasks" }, store = { x = 1 },
})
eng:run()
print(eng.storage:fetch("b"))
]]

local FLOW_CONF = [[
local taskflow, lf = require "taskflow", require "taskflow.patterns.linear_flow"
local tasks = require "tasks"
local engine_conf = {
  engine = "worker-based",
  %s,
  exchange = "%s",
  topics = { "topic1", "test-tasks" },
}
local flow = lf.Flow("simple-linear"):add(tasks.TestTask1 { name = "t1" }, tasks.TestTask2 { name = "t2" })
local eng = taskflow.engines.load(flow, { engine_conf = engine_conf, store = { x = 20 } })
eng:run()
print(eng.storage:fetch("b"))
]]

describe("the seed's examples", function()
  local transports = { "filesystem" }
  if os.getenv "TFHOST_TEST_AMQP_URL" then
    transports[2] = "amqp"
  end

  after_each(process.cleanup)

  for _, transport in ipairs(transports) do
    it("run over " .. transport, function()
      local side = peers.environment(transport)
      local dir = side.dir
      local where = transport == "amqp" and ("url = %q"):format(side.url)
        or ("transport = 'filesystem', transport_options = { data_folder_in = %q, data_folder_out = %q }"):format(
          side.spool,
          side.spool
        )
      local function write(name, text)
        return process.write(dir .. "/" .. name, text:format(where, side.exchange))
      end
      process.write(dir .. "/tasks.lua", TASKS)
      local config, worker_script = write("worker.lua", CONFIG), write("run_worker.lua", WORKER)
      local flows = { write("flow.lua", FLOW), write("flow_conf.lua", FLOW_CONF) }
      for _, command in ipairs {
        { peers.tfhost, "worker", "--config", config },
        { peers.tfhost, "lua", worker_script },
      } do
        local worker = peers.ready(process.spawn(command))
        local first = process.run { peers.tfhost, "lua", flows[1], timeout = 30 }
        assert.equal("4\n", first.stdout, first.story)
        local second = process.run { peers.tfhost, "lua", flows[2], timeout = 30 }
        assert.equal("42\n", second.stdout, second.story)
        worker:kill "TERM"
        assert.equal(0, worker:wait(10).code)
      end
    end)
  end
end)
