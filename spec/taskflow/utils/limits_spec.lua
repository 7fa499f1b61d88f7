local limits = require "taskflow.utils.limits"
local task = require "taskflow.task"

describe("limits", function()
  it("take seconds as they are", function()
    assert.equal(0.5, limits.seconds(0.5, "x"))
    assert.is_nil(limits.seconds(nil, "x"))
  end)

  it("take bytes with units", function()
    assert.equal(67108864, limits.bytes(67108864, "x"))
    assert.equal(1024 ^ 2, limits.bytes("1024K", "x"))
    assert.equal(64 * 1024 ^ 2, limits.bytes("64M", "x"))
    assert.equal(2 * 1024 ^ 3, limits.bytes("2G", "x"))
    assert.is_nil(limits.bytes(nil, "x"))
  end)

  it("refuse what is none, and say whose it was", function()
    local function execute() end
    for _, wrong in ipairs { 0, -1, "5", 0 / 0, math.huge, true } do
      assert.error_matches(function()
        task.Task { name = "t", execute = execute, time_limit = wrong }
      end, "ValueError: task t: time_limit: expected seconds, 0.001 to 100000000, got '")
    end
    for _, wrong in ipairs { 0, 1000, "64", "64MB", "1.5G", "M", "", -1, true } do
      assert.error_matches(function()
        task.Task { name = "t", execute = execute, memory_limit = wrong }
      end, "ValueError: task t: memory_limit: expected bytes, at least 1M, as 67108864 or \"64M\", got '")
    end
  end)
end)
