-- Reloads under full load. TFHOST_RELOADS says how many (100); `make reload-soak` does 1,000 on each transport.
local peers = require "peers"
local process = require "process"
local soak = require "reload_soak"

local COUNT = tonumber(os.getenv "TFHOST_RELOADS" or 100)
-- Kilobytes that the supervisor may have grown by between the twentieth reload and the last.
local GROWTH = 3000

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
      assert.is_true(run.grown < GROWTH, "grew by " .. run.grown .. " KB")
      for _, kind in ipairs { "syntax", "load", "drop" } do
        assert.is_true(run.kinds[kind] >= COUNT / 10 - 1)
      end
      assert.is_true(run.measured > COUNT / 2)
    end)
  end)
end
