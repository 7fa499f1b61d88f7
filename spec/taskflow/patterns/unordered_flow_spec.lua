local retry = require "taskflow.retry"
local task = require "taskflow.task"
local uf = require "taskflow.patterns.unordered_flow"

local function ref(name, requires, provides)
  return task.Reference("m:" .. name, { name = name, requires = requires, provides = provides })
end

describe("taskflow.patterns.unordered_flow", function()
  it("does not let siblings use each other's results", function()
    local f = uf.Flow("f"):add(ref("a", nil, "x"), ref("b", { "x", "n" }))
    assert.same({ "n", "x" }, f.requires)
    assert.same({ "x" }, f.provides)
    assert.equal('"unordered_flow.Flow: f(len=2)"', tostring(f))
  end)

  it("lets them use what the retry provides", function()
    local f = uf.Flow("f", { retry = retry.Times(2, { provides = "n" }) }):add(ref("b", { "x", "n" }))
    assert.same({ "x" }, f.requires)
  end)
end)
