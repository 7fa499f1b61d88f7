-- usage: tfhost lua spec/run.lua FILE|DIRECTORY...
--
-- Runs busted inside the host, so that specs meet the real bindings. Prints TAP, which .ci/test counts.
local root = arg[0]:match("^(.*)/spec/[^/]*$") or "."
package.path = root .. "/spec/support/?.lua;" .. package.path

require("busted.runner")({ standalone = false, output = root .. "/spec/support/tap.lua" })
