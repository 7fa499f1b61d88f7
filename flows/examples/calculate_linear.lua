-- One class of tasks used twice, under other names: z = x + y, a = z + d, r = a * 3.
local example = require "example"
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local taskflow = require "taskflow"

local Adder = task.Task {
  execute = function(_self, x, y)
    return x + y
  end,
}

local function provider(name, constants, provides)
  return task.FunctorTask(function()
    return constants
  end, { name = name, provides = provides })
end

local function multiplier(name, factor, options)
  options.name = name
  return task.FunctorTask(function(z)
    return z * factor
  end, options)
end

local flow = lf.Flow("root"):add(
  provider("provide-adder", { 2, 3, 5 }, { "x", "y", "d" }),
  Adder { name = "add-1", provides = "z" }, -- 5
  Adder { name = "add-2", provides = "a", rebind = { "z", "d" } }, -- 10
  multiplier("multi", 3, { provides = "r", rebind = { z = "a" } }) -- 30
)
print(example.dict(taskflow.engines.run(flow), { "x", "y", "d", "z", "a", "r" }))
