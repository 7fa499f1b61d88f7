-- Two sums at once, then their sum.
local example = require "example"
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local taskflow = require "taskflow"
local uf = require "taskflow.patterns.unordered_flow"

local Adder = task.Task {
  execute = function(_self, x, y)
    return x + y
  end,
}

local flow = lf.Flow("root"):add(
  task.FunctorTask(function()
    return { 2, 3, 5, 8 }
  end, { name = "provide-adder", provides = { "x1", "y1", "x2", "y2" } }),
  uf.Flow("adders"):add(
    Adder { name = "add", provides = "z1", rebind = { "x1", "y1" } }, -- 5
    Adder { name = "add-2", provides = "z2", rebind = { "x2", "y2" } } -- 13
  ),
  Adder { name = "sum-1", provides = "r", rebind = { "z1", "z2" } } -- 18
)
local results = taskflow.engines.run(flow, { engine = "parallel" })
print(example.dict(results, { "x1", "y1", "x2", "y2", "z1", "z2", "r" }))
