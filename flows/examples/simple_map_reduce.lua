-- Sums of parts of the numbers, at once, and the sum of these.
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local taskflow = require "taskflow"
local uf = require "taskflow.patterns.unordered_flow"

local UPPER_BOUND, SPLIT = 10000, 10
local CHUNK_SIZE = UPPER_BOUND / SPLIT

local SumMapper = task.Task {
  execute = function(_self, inputs)
    local sum = 0
    for _, value in ipairs(inputs) do
      sum = sum + value
    end
    return sum
  end,
}

local TotalReducer = task.Task {
  kwargs = true,
  execute = function(_self, kwargs)
    local total = 0
    for _, value in pairs(kwargs) do
      total = total + value
    end
    return total
  end,
}

local mappers, store, provided = uf.Flow "map", {}, {}
for i = 0, SPLIT - 1 do
  local name, chunk = "mapper_" .. i, {}
  for value = i * CHUNK_SIZE, (i + 1) * CHUNK_SIZE - 1 do
    chunk[#chunk + 1] = value
  end
  store[name] = chunk
  provided[i + 1] = "reduction_" .. i
  mappers:add(SumMapper { name = name, rebind = { inputs = name }, provides = provided[i + 1] })
end
local flow = lf.Flow("root"):add(mappers, TotalReducer { name = "reducer", requires = provided })

local engine = taskflow.engines.load(flow, { engine = "parallel", store = store, max_workers = 4 })
print "Running a parallel engine with options: {'max_workers': 4}"
engine:run()
local total = engine.storage:get "reducer"
print(("Calculated result = %d"):format(total))
if total ~= UPPER_BOUND * (UPPER_BOUND - 1) / 2 then
  os.exit(1)
end
