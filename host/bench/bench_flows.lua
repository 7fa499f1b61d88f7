-- The flows of the benchmark, by shape.
local graph_flow = require "taskflow.patterns.graph_flow"
local linear_flow = require "taskflow.patterns.linear_flow"
local retry = require "taskflow.retry"
local unordered_flow = require "taskflow.patterns.unordered_flow"
local bench_tasks = require "bench_tasks"

local M = {}

local LAYER = 10 -- tasks a layer of the DAG; each needs two of the layer before

local function fill(flow, class, count)
  for i = 1, count do
    flow:add(class { name = "t" .. i })
  end
  return flow
end

function M.chain(count, class)
  return fill(linear_flow.Flow "chain", class or bench_tasks.Nothing, count)
end

function M.fan(count, class)
  return fill(unordered_flow.Flow "fan", class or bench_tasks.Nothing, count)
end

function M.dag(count)
  local flow, layer, before, seed = graph_flow.Flow "dag", {}, {}, 1
  local function random(n) -- the same flow each time, and in each program
    seed = (seed * 16807) % 2147483647
    return seed % n + 1
  end
  for i = 1, count do
    local task = bench_tasks.Nothing { name = "t" .. i }
    flow:add(task)
    layer[#layer + 1] = task
    for _ = 1, before[1] and 2 or 0 do
      flow:link(before[random(#before)], task)
    end
    if #layer == LAYER then
      layer, before = {}, layer
    end
  end
  return flow
end

-- Every task needs and gives the same symbol.
function M.same(count)
  return fill(linear_flow.Flow "same", bench_tasks.Same, count)
end

-- Subflows of a task that fails once; all have failed before the first is retried.
function M.retried(count)
  local flow = unordered_flow.Flow "retried"
  for i = 1, count do
    local controller = retry.Times { name = "r" .. i, attempts = 2 }
    flow:add(linear_flow.Flow("f" .. i, controller):add(bench_tasks.Flaky { name = "t" .. i }))
  end
  return flow
end

-- The public shapes that other engines have figures for: tasks that compute fib(33).
function M.fib(count)
  return fill(unordered_flow.Flow "fib", bench_tasks.Fib, count)
end

-- A task that spins for a millisecond of processor time.
function M.spin(count)
  return fill(unordered_flow.Flow "spin", bench_tasks.Spin, count)
end

-- "payload:BYTES": a chain whose tasks each give a text of so many bytes, which the next one gets.
function M.payload(count, bytes)
  local flow = linear_flow.Flow "payload"
  for i = 1, count do
    flow:add(bench_tasks.Pass { name = "t" .. i, inject = { bytes = bytes }, rebind = { text = "text" .. i - 1 },
      provides = "text" .. i })
  end
  return flow
end

---@param shape string "chain", ..., "payload:1024"
function M.make(shape, count)
  local name, bytes = shape:match "^(%a+):?(%d*)$"
  return M[name](count, tonumber(bytes))
end

return M
