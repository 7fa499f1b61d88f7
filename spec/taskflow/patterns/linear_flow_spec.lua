local exceptions = require "taskflow.exceptions"
local flow = require "taskflow.flow"
local lf = require "taskflow.patterns.linear_flow"
local retry = require "taskflow.retry"
local task = require "taskflow.task"

local function ref(name, requires, provides)
  return task.Reference("m:" .. name, { name = name, requires = requires, provides = provides })
end

describe("taskflow.patterns.linear_flow", function()
  it("keeps the order of adding and each object once", function()
    local a, b = ref "a", ref "b"
    local f = lf.Flow("f"):add(a, b, a):add(b)
    assert.same({ a, b }, f:nodes())
    assert.equal(2, f:len())
    assert.equal('"linear_flow.Flow: f(len=2)"', tostring(f))
    assert.is_true(flow.is_flow(f))
    assert.is_false(flow.is_flow(a))
  end)

  it("requires what nothing earlier provides, and provides the union", function()
    local f = lf.Flow("f"):add(ref("a", "x", "y"), ref("b", { "y", "z" }, "x"), ref("c", "x"))
    assert.same({ "x", "z" }, f.requires)
    assert.same({ "x", "y" }, f.provides)
    local outer = lf.Flow("outer"):add(ref("p", nil, "z"), f)
    assert.same({ "x" }, outer.requires)
  end)

  it("counts its retry first", function()
    local r = retry.Times(2, { provides = "n" })
    local f = lf.Flow("f", { retry = r }):add(ref("a", { "n", "x" }))
    assert.equal("f_retry", r.name)
    assert.same({ "x" }, f.requires)
    assert.same({ "n" }, f.provides)
  end)

  it("takes references as strings and tables", function()
    local f = lf.Flow("f"):add("tasks:One", { "tasks:Two", name = "two", requires = "x" })
    assert.equal("tasks.One", f:nodes()[1].name)
    assert.equal("two", f:nodes()[2].name)
    assert.same({ "x" }, f.requires)
  end)

  it("says what it cannot take", function()
    local function failing(...)
      local ok, err = pcall(...)
      assert.is_false(ok)
      assert.is_true(exceptions.is_exception(err))
      return err.class.short .. ": " .. err.message
    end
    local f = lf.Flow "f"
    local Class = task.Task { execute = function(_self) end }
    assert.equal("TypeError: flow 'f': cannot add a number", failing(f.add, f, 3))
    assert.equal("TypeError: flow 'f': cannot add a nil", failing(f.add, f, nil))
    assert.equal(
      "TypeError: flow 'f': cannot add a task class, which is made into a task by calling it: Class { name = ... }",
      failing(f.add, f, Class)
    )
    assert.truthy(failing(f.add, f, retry.Times(2)):find "belongs into Flow")
    assert.equal("ValueError: flow 'f': a flow cannot be added to itself", failing(f.add, f, f))
    assert.equal("TypeError: Flow: the name must be a string, not a table", failing(lf.Flow, {}))
    assert.truthy(failing(lf.Flow, "f", { rety = 1 }):find "flow 'f': unknown option 'rety', did you mean 'retry'%?")
    assert.equal("TypeError: flow 'f': retry must be a retry controller", failing(lf.Flow, "f", { retry = 1 }))
  end)
end)
