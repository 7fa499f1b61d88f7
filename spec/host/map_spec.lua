-- Maps on the local engines: what tasks see of an item, what listeners and storage tell, large and odd lists.
local engines = require "taskflow.engines"
local gf = require "taskflow.patterns.graph_flow"
local lf = require "taskflow.patterns.linear_flow"
local retry = require "taskflow.retry"
local task = require "taskflow.task"
local values = require "taskflow.values"

local Double = task.Task {
  execute = function(self, x, factor)
    self:update_progress(0.5)
    if x == 13 then
      error("unlucky " .. self.name, 0)
    end
    return x * (factor or 2)
  end,
  optional = { "factor" },
  revert = function(self, x, result) -- luacheck: ignore
    self:notify("reverting", { x = x })
    if x == 7 then
      error("stuck " .. self.name, 0)
    end
    return "undone " .. x
  end,
}

local Range = task.Task {
  default_provides = "xs",
  execute = function(_self, n)
    local out = values.list {}
    for i = 1, n do
      out[i] = i
    end
    return out
  end,
}

local function double(more)
  local options = { task = Double, name = "m", over = "xs", as = "x", provides = "ys" }
  for key, value in pairs(more or {}) do
    options[key] = value
  end
  return task.Map(options)
end

local function watched(flow, options)
  local engine = engines.load(flow, options)
  local seen = {}
  engine.atom_notifier:register("*", function(state, details)
    seen[#seen + 1] = details.task_name and details.task_name .. " " .. state
  end)
  return engine, seen
end

for _, kind in ipairs { "serial", "parallel" } do
  describe("a map on the " .. kind .. " engine", function()
    local function load(flow, store, more)
      local options = { engine = kind, store = store }
      for key, value in pairs(more or {}) do
        options[key] = value
      end
      return watched(flow, options)
    end

    it("gives the results in order, of a list that another task made", function()
      local engine = load(lf.Flow("f"):add(Range { name = "range" }, double { limit = 3 }), { n = 12, factor = 10 })
      assert.equal("SUCCESS", (engine:run()))
      local ys = engine.storage:fetch "ys"
      assert.equal(12, #ys)
      for i, y in ipairs(ys) do
        assert.equal(i * 10, y)
      end
      assert.equal(30, engine.storage:get "m[3]")
      assert.equal("SUCCESS", engine.storage:get_atom_state "m[12]")
      local ok, err = pcall(engine.storage.get_atom_state, engine.storage, "m[13]")
      assert.is_false(ok)
      assert.truthy(tostring(err):find("NotFound: Unknown atom name 'm[13]' in flow 'f'", 1, true))
    end)

    it("is linked in a graph by what it needs and gives", function()
      local Sum = task.Task {
        default_provides = "sum",
        execute = function(_self, ys)
          local sum = 0
          for _, y in ipairs(ys) do
            sum = sum + y
          end
          return sum
        end,
      }
      local flow = gf.Flow("f"):add(Sum { name = "sum" }, double(), Range { name = "range" })
      local engine = load(flow, { n = 4 })
      engine:run()
      assert.equal(20, engine.storage:fetch "sum")
    end)

    it("of an empty list gives an empty list", function()
      for _, empty in ipairs { {}, values.list {} } do
        local engine, seen = load(double(), { xs = empty })
        engine:run()
        assert.equal("[]", values.encode(engine.storage:fetch "ys"))
        assert.same({ "m RUNNING", "m SUCCESS" }, seen)
      end
    end)

    it("tells listeners of each item, and of the map's progress", function()
      local map = double { limit = 1 }
      local events = {}
      map.notifier:register("update_progress", function(_, details)
        events[#events + 1] = ("%s %.2f"):format(details.map_index or "map", details.progress)
      end)
      local engine = engines.load(lf.Flow("f"):add(map), { engine = kind, store = { xs = { 1, 2 } } })
      local items = {}
      engine.atom_notifier:register("SUCCESS", function(_, details)
        items[#items + 1] = ("%s %s %s %s"):format(
          details.task_name,
          tostring(details.map),
          tostring(details.index),
          values.encode(details.result)
        )
        assert.equal(36, #details.task_uuid)
      end)
      engine:run()
      assert.same({ "m[1] m 1 2", "m[2] m 2 4", "m nil nil [2, 4]" }, items)
      assert.same({
        "map 0.00", "1 0.00", "1 0.50", "1 1.00", "map 0.50", "2 0.00", "2 0.50", "2 1.00", "map 1.00",
      }, events)
    end)

    it("fails with its item, and reverts what was done, the last first", function()
      local engine, seen = load(double { limit = 1 }, { xs = { 1, 2, 13, 4 } })
      local ok, err = pcall(engine.run, engine)
      assert.is_false(ok)
      assert.truthy(tostring(err):find("unlucky m[3]", 1, true))
      assert.same({
        "m RUNNING", "m[1] RUNNING", "m[1] SUCCESS", "m[2] RUNNING", "m[2] SUCCESS", "m[3] RUNNING", "m[3] FAILURE",
        "m FAILURE", "m REVERTING", "m[3] REVERTING", "m[3] REVERTED", "m[2] REVERTING", "m[2] REVERTED",
        "m[1] REVERTING", "m[1] REVERTED", "m REVERTED",
      }, seen)
      assert.equal("undone 2", engine.storage:get_revert_result "m[2]")
      assert.equal("REVERTED", engine.storage:get_flow_state())
      assert.equal("unlucky m[3]", engine:failures()[1].exception_str)
    end)

    it("ends the run in FAILURE when an item cannot be reverted", function()
      local engine = load(double { limit = 1 }, { xs = { 1, 7, 13 } })
      local ok, err = pcall(engine.run, engine)
      assert.is_false(ok)
      assert.truthy(tostring(err):find("stuck m[2]", 1, true))
      assert.equal("FAILURE", engine.storage:get_flow_state())
      assert.equal("REVERT_FAILURE", engine.storage:get_atom_state "m")
      assert.equal("SUCCESS", engine.storage:get_atom_state "m[1]")
    end)

    it("is retried as a whole, with a new list each time", function()
      local Lists = task.Task {
        default_provides = "xs",
        execute = function(_self, attempt)
          return attempt == 1 and { 1, 13 } or { 5, 6, 8 }
        end,
      }
      local seen
      local Times = retry.Retry {
        default_provides = "attempt",
        execute = function(_self, history)
          return history:len() + 1
        end,
        on_failure = function(_self, history)
          seen = {}
          for name, f in pairs(history:outcomes()) do
            seen[name] = f.exception_str
          end
          return retry.RETRY
        end,
      }
      local flow = lf.Flow("f", { retry = Times { name = "r" } }):add(Lists { name = "lists" }, double())
      local engine = load(flow, {})
      engine:run()
      assert.same({ 10, 12, 16 }, engine.storage:fetch "ys")
      assert.same({ ["m[2]"] = "unlucky m[2]" }, seen)
    end)

    it("says what it wants instead of a list", function()
      for _, case in ipairs {
        { "text", "a value of type string" },
        { 3, "a value of type integer" },
        { { a = 1 }, "a value of type object" },
        { values.null, "a value of type null" },
      } do
        local engine = load(lf.Flow("f"):add(double()), { xs = case[1] })
        local ok, err = pcall(engine.run, engine)
        assert.is_false(ok)
        assert.truthy(tostring(err):find("TypeError: map 'm': 'xs' is " .. case[2] .. ", not a list", 1, true))
        assert.equal("REVERTED", engine.storage:get_flow_state())
      end
    end)

    it("an element that Lua has no value for fails its item alone", function()
      local Name = task.Task {
        execute = function(_self, x)
          return x
        end,
      }
      local engine = load(lf.Flow("f"):add(task.Map { task = Name, name = "m", over = "xs" }))
      engine.storage:inject_text("xs", '[1, {"deep": [123456789012345678901234567890]}]')
      local ok, err = pcall(engine.run, engine)
      assert.is_false(ok)
      assert.truthy(tostring(err):find("arguments.x.deep[1]: integer of 30 digits", 1, true))
      assert.truthy(engine.storage:get_execute_failures()["m[2]"])
    end)

    it("can be suspended between items, and goes on", function()
      local engine, seen = load(double { limit = 1 }, { xs = { 1, 2, 3 } })
      engine.atom_notifier:register("SUCCESS", function(_, details)
        if details.task_name == "m[1]" then
          engine:suspend()
        end
      end)
      assert.equal("SUSPENDED", (engine:run()))
      assert.equal("PENDING", engine.storage:get_atom_state "m[3]")
      assert.equal("SUCCESS", (engine:run()))
      assert.same({ 2, 4, 6 }, engine.storage:fetch "ys")
      local begun = 0
      for _, event in ipairs(seen) do
        begun = begun + (event:find "%] RUNNING" and 1 or 0)
      end
      assert.equal(3, begun)
    end)
  end)
end

describe("a map", function()
  it("has the names of its items for itself", function()
    local function load(name)
      return pcall(engines.load, lf.Flow("f"):add(double(), Double { name = name, inject = { x = 1 } }))
    end
    local ok, err = load "m[3]"
    assert.is_false(ok)
    local message = "Duplicate: 'm[3]' is the name of an item of a map: no atom can have it"
    assert.truthy(tostring(err):find(message, 1, true))
    assert.truthy(tostring(err):find "'m%[3%]' of flow 'f' is made at %S*map_spec.lua:%d+")
    for _, name in ipairs { "m[x]", "m[]", "n[3]", "m[3", "[3]" } do
      assert.is_true((load(name)))
    end
  end)

  it("runs as many items at once as its limit", function()
    local running, most = 0, 0
    local map = double { limit = 3 }
    local store = { xs = { 1, 2, 3, 4, 5, 6, 8, 9 } }
    local engine = engines.load(map, { engine = "parallel", max_workers = 8, store = store })
    engine.atom_notifier:register("*", function(state, details)
      if details.map then
        running = running + (state == "RUNNING" and 1 or -1)
        most = math.max(most, running)
      end
    end)
    engine:run()
    assert.equal(3, most)
  end)

  -- In one run, so that the machine's load is the same for both.
  it("costs as much an item for many as for few", function()
    local function cost(n)
      collectgarbage()
      local began = os.clock()
      local flow = lf.Flow("f"):add(Range { name = "range" }, task.Map {
        task = function(x)
          return x
        end,
        name = "m",
        over = "xs",
        provides = "ys",
      })
      local results = engines.run(flow, { store = { n = n } })
      assert.equal(n, #results.ys)
      return (os.clock() - began) / n
    end
    cost(2000)
    local few, many = cost(2000), cost(100000)
    assert.is_true(many < few * 3, ("%g s an item, of few %g s"):format(many, few))
  end)
end)
