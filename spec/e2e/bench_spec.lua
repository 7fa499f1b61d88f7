-- The benchmark on a few tasks: it works, and says all it should. How fast anything is, is not judged here.
local cjson = require "cjson"
local peers = require "peers"
local process = require "process"

describe("the benchmark", function()
  after_each(process.cleanup)

  it("runs every contestant on both transports", function()
    local build = peers.tfhost:match "^(.*)/"
    local done = process.run { peers.tfhost, "lua", "host/bench/run.lua", build, "short", timeout = 200 }
    assert(done.code == 0, done.story)
    local seen = {}
    for _, result in ipairs(cjson.decode(process.read(build .. "/bench-short.json")).results) do
      seen[#seen + 1] = result.transport .. " " .. result.name
      assert.is_true(result.seconds_per_chained_task > 0)
      assert.is_true(result.tasks_per_second_fanned_out > 0)
    end
    assert.same({
      "amqp rabbitmq-c",
      "amqp Python TaskFlow",
      "amqp tfhost",
      "filesystem Python TaskFlow",
      "filesystem tfhost",
    }, seen)
    for _, name in ipairs { "rabbitmq%-c", "Python TaskFlow", "tfhost" } do
      assert.matches(name .. "%s+%d+%.%d+ ms", done.stdout)
    end
  end)
end)
