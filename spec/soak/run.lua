-- usage: spec/support/rabbitmq run build/tfhost lua spec/soak/run.lua [SECONDS [SEED]]
--
-- The soak (soak.lua) for SECONDS (1800); SOAK_SERIES=FILE keeps all that was seen. Exit code 1: memory or descriptors
-- grew, something was left over, a flow did not end as it should.
local root = arg[0]:match "^(.*)/spec/[^/]*/[^/]*$" or "."
package.path = root .. "/spec/support/?.lua;" .. root .. "/spec/soak/?.lua;" .. package.path

local process = require "process"
local soak = require "soak"

local seconds, seed = tonumber(arg[1] or 1800), tonumber(arg[2] or 1)
print(("soak of %d s, seed %d"):format(seconds, seed))
local ok, report = pcall(soak.run, { seconds = seconds, seed = seed, series = os.getenv "SOAK_SERIES" })
process.cleanup()
if not ok then
  io.stderr:write(tostring(report), "\n")
  os.exit(1)
end
print(report.text)
print(#report.wrong == 0 and "flat, and nothing is left" or "NOT WELL")
os.exit(#report.wrong == 0 and 0 or 1)
