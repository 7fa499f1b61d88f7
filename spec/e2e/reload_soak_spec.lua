-- Reloads under full load. TFHOST_RELOADS says how many (100); `make reload-soak` does 1,000 on each transport.
local peers = require "peers"
local process = require "process"
local soak = require "reload_soak"

local COUNT = tonumber(os.getenv "TFHOST_RELOADS" or 100)
-- Kilobytes that the supervisor may grow by between the twentieth reload and the last: for what waits, and for what it
-- has to remember of the outcomes of the last 10,000 requests.
local GROWTH, OUTCOME, OUTCOMES = 4000, 0.5, 10000

for _, transport in ipairs { "amqp", "filesystem" } do
  describe("reloads under load over " .. transport .. ":", function()
    after_each(process.cleanup)

    it("nothing is dropped, nothing runs in old code, nothing is left", function()
      local run = soak.run(peers.environment(transport), COUNT)
      print(("# %s: %d reloads, %d requests; on new code after"):format(transport, COUNT, run.requests or -1))
      print(("#   p50 %.0f, p99 %.0f, max %.0f ms (%d)"):format(
        run.delay(0.5), run.delay(0.99), run.delay(1), run.measured))
      print(("# %s: Extra %d, gone %d; supervisor grew by %d KB"):format(transport, run.extra, run.gone, run.grown))
      assert.same({}, run.bad, run.story)
      assert.equal(run.requests, run.outcomes, run.story)
      assert.equal(0, run.older, run.story)
      assert.equal(run.expected_processes, run.processes, run.story)
      assert.equal(2, run.generations)
      local allowed = GROWTH + OUTCOME * math.min(run.requests, OUTCOMES)
      assert.is_true(run.grown < allowed, ("grew by %d of %d KB"):format(run.grown, allowed))
      for _, kind in ipairs { "syntax", "load", "drop" } do
        assert.is_true(run.kinds[kind] >= COUNT / 10 - 1)
      end
      assert.is_true(run.measured >= COUNT * 8 / 10 - 1) -- good ones, and those that drop a class
    end)
  end)
end
