-- usage: tfhost lua bench_engine.lua OPTIONS.json SHAPE N
--
-- Runs one task and then a flow of N, and prints JSON: `seconds` a task of the N, from the outcome of the first to the
-- last; for an engine of this process `load`, seconds a task of building and compiling besides, and `make`, those of
-- building alone; `bytes`, resident
-- memory a task that the engine took; `rss`, kilobytes at the end.
local cjson = require "cjson"
local ffi = require "ffi"
local linear_flow = require "taskflow.patterns.linear_flow"
local taskflow = require "taskflow"
local values = require "taskflow.values"
local bench_flows = require "bench_flows"
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

local function rss() -- kilobytes
  local handle = assert(io.open "/proc/self/status")
  local text = handle:read "*a"
  handle:close()
  return tonumber(text:match "VmRSS:%s*(%d+)")
end

local handle = assert(io.open(arg[1]))
local options = assert(values.decode(handle:read "*a"))
handle:close()
local shape, count = arg[2], assert(tonumber(arg[3]))
local on_workers = options.engine == nil
options.engine = options.engine or "worker-based"
options.store = { text0 = "" }
if options.persistence then
  options.backend = require("taskflow.persistence.backends").fetch(options.persistence)
  options.persistence = nil
end

local begun = now()
local measured = bench_flows.make(shape, count)
local flow = on_workers and linear_flow.Flow("bench"):add(bench_tasks.Nothing { name = "first" }, measured) or measured
local made, before = now(), rss()
local engine = taskflow.engines.load(flow, options)
engine:compile()
local loaded = now()
local first, last, done = not on_workers and loaded or nil, nil, 0
if on_workers then
  engine.atom_notifier:register("SUCCESS", function()
    last, done = now(), done + 1
    first = first or last
  end)
end
engine:run()
if on_workers then
  assert(done == count + 1)
else
  last = now()
end
local after = rss()
print(cjson.encode {
  seconds = (last - first) / count,
  load = (loaded - begun) / count,
  make = (made - begun) / count,
  bytes = (after - before) * 1024 / count,
  rss = after,
})
