-- A decider sees the results before it and lets a part of the graph be left out.
local example = require "example"
local gf = require "taskflow.patterns.graph_flow"
local task = require "taskflow.task"
local taskflow = require "taskflow"

local DummyTask = task.Task {
  execute = function(self)
    print("Running " .. self.name)
  end,
}

local function allow(history)
  print(example.dict(history))
  return false
end

local flow = gf.Flow "root"
local r_a, r_b = DummyTask { name = "r-a" }, DummyTask { name = "r-b" }
flow:add(r_a, r_b)
flow:link(r_a, r_b, allow)

local engine = taskflow.engines.load(flow)
engine:run()

example.heading "After run"
for _, name in ipairs { "r-a", "r-b" } do
  local state, intention = unpack(engine.storage:get_atoms_states()[name])
  print(("%s: %s, intention %s"):format(name, state, intention))
end
