-- Engines stepped by one loop: each turn goes one phase further, and says which.
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local taskflow = require "taskflow"

local EchoTask = task.Task {
  execute = function(_self, value)
    print(value)
    return string.char(value:byte() + 1)
  end,
}

local function make_alphabet_flow(i)
  local flow = lf.Flow("alphabet_" .. i)
  for code = ("A"):byte(), ("Z"):byte() do
    local letter, after = string.char(code), string.char(code + 1)
    flow:add(EchoTask {
      name = "echoer_" .. letter,
      rebind = { value = letter },
      provides = letter ~= "Z" and after or nil,
    })
  end
  return flow
end

-- How many engines run at once.
local FLOW_COUNT = 1

local running = {}
for i = 1, FLOW_COUNT do
  local engine = taskflow.engines.load(make_alphabet_flow(i))
  engine.storage:inject { A = "A" }
  running[i] = engine:run_iter()
end
while running[1] do
  for i = #running, 1, -1 do
    local state = running[i]()
    if state then
      print(state)
    else
      table.remove(running, i)
    end
  end
end
