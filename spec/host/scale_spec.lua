-- Large flows end right, and cost not much more an atom than small ones; test_engine_scale.c is the same below Lua.
local engines = require "taskflow.engines"
local gf = require "taskflow.patterns.graph_flow"
local lf = require "taskflow.patterns.linear_flow"
local retry = require "taskflow.retry"
local task = require "taskflow.task"
local uf = require "taskflow.patterns.unordered_flow"

local ran, reverted

local Step = task.Task {
  execute = function()
    ran = ran + 1
  end,
  revert = function()
    reverted = reverted + 1
  end,
}
local Third = task.Task {
  execute = function(_self, attempt)
    if attempt < 3 then
      error("again", 0)
    end
    return attempt
  end,
}

local function build(n)
  local part = lf.Flow("part", { retry = retry.Times(5, { name = "r", provides = "attempt" }) })
  for i = 1, n / 10 - 2 do
    part:add(Step { name = "p" .. i })
  end
  part:add(Third { name = "third", provides = "result" })
  local before, after = lf.Flow "before", lf.Flow "after"
  for i = 1, n * 0.45 do
    before:add(Step { name = "b" .. i })
    after:add(Step { name = "a" .. i })
  end
  return lf.Flow("all"):add(before, part, after)
end

-- CPU time of an atom: building, loading, running, closing.
local function cost(n)
  ran, reverted = 0, 0
  local began = os.clock()
  local engine = engines.load(build(n))
  assert.equal("SUCCESS", (engine:run()))
  assert.equal(3, engine.storage:fetch "result")
  local states = engine.storage:get_atoms_states()
  engine:close()
  local spent = os.clock() - began
  for name, state in pairs(states) do
    if state[1] ~= "SUCCESS" then
      error(name .. " is " .. state[1])
    end
  end
  assert.equal(2 * (n / 10 - 2), reverted)
  assert.equal(n * 0.9 + 3 * (n / 10 - 2), ran)
  return spent / n
end

describe("a flow of 100,000 atoms with a retry over 10,000", function()
  it("ends right, at no more than twice the cost an atom of one of 1,000", function()
    local few, many = math.huge, math.huge
    for _ = 1, 4 do -- the least of some tries is what the machine's load leaves
      local sum = 0
      for _ = 1, 20 do
        sum = sum + cost(1000)
      end
      few = math.min(few, sum / 20)
      collectgarbage()
      many = math.min(many, cost(100000))
      collectgarbage()
      if many < 2 * few then
        break
      end
    end
    assert.is_true(many < 2 * few, ("%.1f us an atom of many, %.1f of few"):format(many * 1e6, few * 1e6))
  end)
end)

-- Each subflow fails once, and all of them before the first is retried.
local function retried(n)
  local failed = {}
  local Once = task.Task {
    execute = function(self)
      if not failed[self.name] then
        failed[self.name] = true
        error("once", 0)
      end
    end,
  }
  local all = uf.Flow "all"
  for i = 1, n do
    all:add(lf.Flow("f" .. i, retry.Times { name = "r" .. i, attempts = 2 }):add(Once { name = "t" .. i }))
  end
  return all
end

local function linked(n)
  local all, before = gf.Flow "all", nil
  for i = 1, n do
    local step = Step { name = "s" .. i }
    all:add(step)
    if before then
      all:link(before, step)
    end
    before = step
  end
  return all
end

describe("a flow costs as much an atom for many as for few", function()
  local shapes = { ["retried subflows"] = { retried, 200, 4000 }, ["a graph linked by hand"] = { linked, 1000, 20000 } }
  for name, shape in pairs(shapes) do
    it("with " .. name, function()
      local make, few, many = unpack(shape)
      local function least(n, times)
        local best = math.huge
        for _ = 1, times do
          collectgarbage()
          local began = os.clock()
          local engine = engines.load(make(n))
          assert.equal("SUCCESS", (engine:run()))
          engine:close()
          best = math.min(best, (os.clock() - began) / n)
        end
        return best * 1e6
      end
      local cheap, dear = least(few, 5), least(many, 2)
      assert.is_true(dear < 3 * cheap, ("%.1f us an atom of many, %.1f of few"):format(dear, cheap))
    end)
  end

  -- What tasks share with the first of their class is read once: it is most of what loading a flow costs.
  it("and loads tasks that say no more than their names at a fraction of what others cost", function()
    local function load(options)
      local flow = uf.Flow "many"
      for i = 1, 8000 do
        flow:add(Step { name = "t" .. i, priority = options.priority })
      end
      collectgarbage()
      local began = os.clock()
      engines.load(flow):close()
      return os.clock() - began
    end
    load {}
    local plain, other = math.huge, math.huge
    for _ = 1, 3 do
      plain, other = math.min(plain, load {}), math.min(other, load { priority = 1 })
    end
    assert.is_true(plain < 0.7 * other, ("%.3f s, others %.3f s"):format(plain, other))
  end)
end)
