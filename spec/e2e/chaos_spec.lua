-- A minute of the storm (make chaos runs longer): slots, workers, engines and the broker are killed, workers stopped.
local SECONDS = 60
local SEED = 369 -- draws each kind in a minute; TF_SEED for another one

describe("a minute in which everything dies", function()
  it("loses nothing, hangs nowhere, and has a reason for each effect that comes again", function()
    package.path = "spec/chaos/?.lua;" .. package.path
    local storm = require "storm"
    local seed = tonumber(os.getenv "TF_SEED") or SEED
    print(("# TF_SEED=%d"):format(seed))
    local s = storm.run { seconds = SECONDS, seed = seed }
    local story = table.concat(s.stories, "\n")
    print(("# %d flows, %d tasks; killed: %d slots, %d workers, %d engines, %d brokers; %d silent workers"):format(
      s.flows, s.tasks, s.kills.slot or 0, s.kills.worker or 0, s.kills.engine or 0, s.kills.broker or 0,
      s.kills.silence or 0))
    assert.is_true(s.flows > 3, story)
    for _, kind in ipairs(seed == SEED and { "slot", "worker", "engine", "broker", "silence" } or {}) do
      assert.is_true((s.kills[kind] or 0) > 0, kind)
    end
    assert.equal(0, s.failed, story)
    assert.equal(0, s.hung, story)
    assert.equal(0, s.lost, story)
    assert.equal(0, s.outcomes, story)
    assert.is_nil(s.twice.unexplained, story)
  end)
end)
