-- usage: tfhost lua bench_engine.lua OPTIONS.json chain|fan N
--
-- Runs one task and then N on tfhost, and prints seconds a task of the N, from the outcome of the first to the last.
local ffi = require "ffi"
local linear_flow = require "taskflow.patterns.linear_flow"
local taskflow = require "taskflow"
local unordered_flow = require "taskflow.patterns.unordered_flow"
local values = require "taskflow.values"
local bench_tasks = require "bench_tasks"

ffi.cdef [[
struct bench_timespec { long sec, nsec; };
int clock_gettime(int, struct bench_timespec *);
]]

local MONOTONIC = 1

local function now()
  local t = ffi.new "struct bench_timespec"
  ffi.C.clock_gettime(MONOTONIC, t)
  return tonumber(t.sec) + tonumber(t.nsec) / 1e9
end

local handle = assert(io.open(arg[1]))
local options = assert(values.decode(handle:read "*a"))
handle:close()
local count = assert(tonumber(arg[3]))
options.engine = "worker-based"

local measured = (arg[2] == "chain" and linear_flow or unordered_flow).Flow "measured"
for i = 1, count do
  measured:add(bench_tasks.Nothing { name = "t" .. i })
end
local flow = linear_flow.Flow("bench"):add(bench_tasks.Nothing { name = "first" }, measured)
local engine = taskflow.engines.load(flow, options)
local first, last, done = nil, nil, 0
engine.atom_notifier:register("SUCCESS", function()
  last, done = now(), done + 1
  first = first or last
end)
engine:run()
assert(done == count + 1)
print(("%.9f"):format((last - first) / count))
