-- Seven sums that link themselves by what they need; some of them in a flow of their own.
local example = require "example"
local gf = require "taskflow.patterns.graph_flow"
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local taskflow = require "taskflow"

local Adder = task.Task {
  execute = function(_self, x, y)
    return x + y
  end,
}

local function adder(name, provides, rebind)
  return Adder { name = name, provides = provides, rebind = rebind }
end

local function build()
  return gf.Flow("root"):add(
    lf.Flow("nested_linear"):add(
      adder("add2", "x2", { "y3", "y4" }), -- 12
      adder("add1", "x1", { "y1", "y2" }) -- 4
    ),
    adder("add5", "x5", { "x1", "x3" }), -- 20
    adder("add3", "x3", { "x1", "x2" }), -- 16
    adder("add4", "x4", { "x2", "y5" }), -- 21
    adder("add6", "x6", { "x5", "x4" }), -- 41
    adder("add7", "x7", { "x6", "x6" }) -- 82
  )
end

local store = { y1 = 1, y2 = 3, y3 = 5, y4 = 7, y5 = 9 }
for _, run in ipairs { { "serial", "Single" }, { "parallel", "Multi" } } do
  local results = taskflow.engines.run(build(), { engine = run[1], store = store })
  print(("%s threaded engine result %s"):format(run[2], example.dict(results)))
end
