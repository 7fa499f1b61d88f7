-- Split, then two counts side by side, then their sum and a sentence about it.
local linear_flow = require "taskflow.patterns.linear_flow"
local unordered_flow = require "taskflow.patterns.unordered_flow"
local primes = require "primes"

return linear_flow.Flow("primes"):add(
  primes.Split { name = "split" },
  unordered_flow.Flow("count"):add(
    primes.Count { name = "count-low", rebind = { range = "low" }, provides = "below" },
    primes.Count { name = "count-high", rebind = { range = "high" }, provides = "above" }
  ),
  primes.Add { name = "add" },
  primes.Report { name = "report" }
)
