-- A decider looks at results and lets a part of the graph be left out.
local calculate = require "tasks.calculate"
local gf = require "taskflow.patterns.graph_flow"

return function()
  local first = calculate.Adder { name = "first", provides = "sum", rebind = { "x", "y" } }
  local double = calculate.Multiplier {
    name = "double",
    provides = "doubled",
    rebind = { x = "sum" },
    inject = { factor = 2 },
  }
  local flow = gf.Flow("switch"):add(first, double)
  flow:link(first, double, function(history)
    return history.first <= 10 -- by name of the task before
  end)
  return flow, { store = { x = 2, y = 3 } }
end
