-- The benchmark on a few tasks: it works, and says all it should. How fast anything is, is not judged here.
local cjson = require "cjson"
local peers = require "peers"
local process = require "process"

describe("the benchmark", function()
  after_each(process.cleanup)

  it("measures every contestant of a section, and says how they compare", function()
    local build = peers.tfhost:match "^(.*)/"
    local done = process.run {
      peers.tfhost,
      "lua",
      "host/bench/run.lua",
      build,
      "short",
      "calibration",
      "chain",
      "filesystem",
      "local",
      "persist",
      "start",
      "memory",
      timeout = 200,
    }
    assert(done.code == 0, done.story)
    local ratios = {}
    for _, result in ipairs(cjson.decode(process.read(build .. "/bench-short.json")).results) do
      assert.is_true(result.median > 0)
      assert.is_true(result.low <= result.median and result.median <= result.high)
      ratios[result.section .. ", " .. result.name] = result.ratios
    end
    assert.is_true(ratios["amqp chain, tfhost"]["rabbitmq-c"] > 0)
    for _, case in ipairs {
      "amqp chain, tfhost",
      "filesystem fan, tfhost",
      "serial dag, tfhost, 100",
      "start of one local task, tfhost",
      "memory of an idle worker, tfhost, one slot",
    } do
      assert.is_true(ratios[case]["Python TaskFlow"] > 0, case)
    end
    assert.is_not_nil(ratios["filesystem backlog, tfhost, 20 files"])
    assert.is_true(ratios["serial chain, persisted, SQLite, full"]["not at all"] > 0)
    assert.matches("amqp chain%s+tfhost%s+[%d.]+ us/task", done.stdout)
  end)

  it("measures logbooks: atoms by tenths, commits beside bare SQLite", function()
    local build = peers.tfhost:match "^(.*)/"
    local done = process.run { build .. "/bench/persist", process.directory(), "short" }
    assert(done.code == 0, done.story)
    assert.matches("2000 atoms.*added, 1000 a commit:.*finished, 100 a commit:", done.stdout)
    for _, level in ipairs { "normal", "full" } do
      assert.matches(level .. " +1 atoms a commit: +%d+ commits/s.*bare SQLite +%d+ commits/s", done.stdout)
    end
  end)
end)
