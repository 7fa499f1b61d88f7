-- usage: tfhost lua spec/soak/load.lua OPTIONS.json STOP SEED
--
-- An engine's process that runs flows of many kinds, one after the other, until the file STOP exists: successes,
-- failures that are reverted, retries, deaths of tasks, limits, large and small values, events. Each flow must end as
-- its kind does. Prints "flows N tasks N", how many there were of each kind, and a line "bad WHAT" for each flow that
-- ended otherwise.
local root = arg[0]:match "^(.*)/spec/[^/]*/[^/]*$" or "."
package.path = root .. "/spec/support/?.lua;" .. package.path

local cjson = require "cjson"
local graph = require "taskflow.patterns.graph_flow"
local linear = require "taskflow.patterns.linear_flow"
local process = require "process"
local retry = require "taskflow.retry"
local task = require "taskflow.task"
local taskflow = require "taskflow"
local unordered = require "taskflow.patterns.unordered_flow"

local options_path, stop, seed = arg[1], arg[2], tonumber(arg[3])
local COLLECT = 50 -- flows
local PAUSE = 0.01 -- seconds between two flows: other processes want to run, too
local options = cjson.decode(process.read(options_path))
options.engine = "worker-based"
math.randomseed(seed)

local function of(class, name, more)
  local o = { "work:" .. class, name = name, provides = name }
  for key, value in pairs(more or {}) do
    o[key] = value
  end
  for key in pairs(o.inject or {}) do
    o.requires = { key }
  end
  return task.from_reference(o)
end

-- Mostly small, one of a thousand a megabyte: what the ledger keeps of them should be much the same at any time.
local function text()
  local draw = math.random()
  local size = draw < 0.9 and math.random(0, 1000) or draw < 0.999 and math.random(1000, 60000) or 1000000
  return ("y"):rep(size)
end

-- Each makes a flow, and tells how many tasks it has and how it ends: a failure's type, or what to check.
local KINDS = {}

function KINDS.quick()
  local flow = unordered.Flow "quick"
  for i = 1, 20 do
    flow:add(of("Quick", "t" .. i, { inject = { n = i } }))
  end
  return flow, 20, function(eng)
    for i = 1, 20 do
      assert(eng.storage:get("t" .. i) == i + 1)
    end
  end
end

function KINDS.chain()
  local flow = graph.Flow "chain"
  flow:add(of("Quick", "t1", { inject = { n = 1 } }))
  for i = 2, 8 do
    flow:add(of("Quick", "t" .. i, { rebind = { n = "t" .. i - 1 } }))
  end
  return flow, 8, function(eng)
    assert(eng.storage:get "t8" == 9)
  end
end

function KINDS.sizes()
  local flow, texts = unordered.Flow "sizes", {}
  for i = 1, 5 do
    texts[i] = text()
    flow:add(of("Echo", "t" .. i, { inject = { text = texts[i] } }))
  end
  return flow, 5, function(eng)
    for i = 1, 5 do
      assert(eng.storage:get("t" .. i) == texts[i])
    end
  end
end

local function failing(class, type_name)
  return function()
    local flow = linear.Flow(class)
    flow:add(of("Undone", "a", { inject = { n = 1 }, revert_requires = { "n" } }))
    flow:add(of("Quick", "b", { inject = { n = 1 } }), of(class, "c"))
    return flow, 3, type_name
  end
end
KINDS.fails = failing("Fails", "ValueError")
KINDS.dies = failing("Dies", "tfhost.WorkerLost")
KINDS.exits = failing("Exits", "tfhost.WorkerLost")
KINDS.loops = failing("Loops", "tfhost.TimeLimitExceeded")

function KINDS.retries()
  local flow = linear.Flow("retries", retry.Times { name = "r", attempts = 3 })
  flow:add(of("Quick", "a", { inject = { n = 1 } }), of("Fails", "b"))
  return flow, 2, "ValueError"
end

function KINDS.leaks()
  local flow = linear.Flow "leaks"
  for i = 1, 3 do
    flow:add(of("Leaks", "t" .. i))
  end
  return flow, 3, function(eng)
    assert(eng.storage:get "t3" >= 1)
  end
end

function KINDS.tells()
  local tells, told = of("Tells", "t"), 0
  tells.notifier:register("update_progress", function()
    told = told + 1
  end)
  return linear.Flow("tells"):add(tells), 1, function()
    assert(told > 0)
  end
end

-- Deaths are dear: of what is alive a hundred times more.
local WEIGHTS = {
  quick = 30, chain = 10, sizes = 20, fails = 10, retries = 5, leaks = 5, tells = 5, dies = 2, exits = 2, loops = 1,
}
local names, total = {}, 0
for name, weight in pairs(WEIGHTS) do
  assert(KINDS[name], name)
  names[#names + 1] = name
  total = total + weight
end
table.sort(names)

local function draw()
  local n = math.random() * total
  for _, name in ipairs(names) do
    n = n - WEIGHTS[name]
    if n < 0 then
      return name
    end
  end
  return names[#names]
end

local function judge(eng, expected, ok)
  if type(expected) == "function" then
    assert(ok, "it failed: " .. tostring(eng:failures()[1]))
    return expected(eng)
  end
  assert(not ok, "it did not fail")
  local names_of = eng:failures()[1].exc_type_names
  assert(names_of[1] == expected, "it failed with " .. tostring(names_of[1]))
end

local count, flows, tasks = {}, 0, 0
while process.read(stop) == "" do
  local name = draw()
  local flow, size, expected = KINDS[name]()
  local eng = taskflow.engines.load(flow, options)
  local ok = pcall(eng.run, eng)
  local fine, why = pcall(judge, eng, expected, ok)
  eng:close()
  if not fine then
    print(("bad %s: %s"):format(name, tostring(why)))
  end
  count[name], flows, tasks = (count[name] or 0) + 1, flows + 1, tasks + size
  if flows % COLLECT == 0 then
    collectgarbage() -- what is measured is what is kept, not how much garbage there was at most so far
  end
  process.sleep(PAUSE)
end
print(("flows %d tasks %d"):format(flows, tasks))
for _, name in ipairs(names) do
  print(("kind %s %d"):format(name, count[name] or 0))
end
