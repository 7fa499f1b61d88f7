-- A few seconds of the soak: all kinds of flows end as they should, nothing is left. Whether memory is flat takes
-- longer to tell: make soak.
local SECONDS = tonumber(os.getenv "SOAK_SECONDS" or 12)

describe("a few seconds of everything", function()
  it("leave nothing, and no flow ends otherwise than it should", function()
    package.path = "spec/soak/?.lua;" .. package.path
    local process = require "process"
    finally(process.cleanup)
    local report = require("soak").run { seconds = SECONDS, seed = tonumber(os.getenv "TF_SEED" or 1) }
    for line in report.text:gmatch "[^\n]+" do
      print("# " .. line)
    end
    assert.same({}, report.wrong)
    assert.is_true(report.flows > 20)
  end)
end)
