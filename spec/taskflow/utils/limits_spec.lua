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

  it("take sizes of values, and numbers", function()
    assert.equal(1, limits.size(1, "x"))
    assert.equal(64 * 1024, limits.size("64K", "x"))
    assert.is_nil(limits.size(nil, "x"))
    assert.equal(10000, limits.count(10000, "x"))
    assert.is_nil(limits.count(nil, "x"))
  end)

  it("refuse what is none, and say whose it was", function()
    local function execute() end
    for _, wrong in ipairs { 0, -1, "5", 0 / 0, math.huge, true } do
      assert.error_matches(function()
        task.Task { name = "t", execute = execute, time_limit = wrong }
      end, "ValueError: task t: time_limit: expected seconds, 0.001 to 100000000, got '")
    end
    for _, key in ipairs { "argument_limit", "result_limit" } do
      for _, wrong in ipairs { 0, "64KB", "1.5G", "", -1, true } do
        assert.error_matches(function()
          task.Task { name = "t", execute = execute, [key] = wrong }
        end, ("ValueError: task t: %s: expected bytes, at least 1, as 65536 or \"64K\", got '"):format(key))
      end
    end
    for _, wrong in ipairs { 0, 1.5, 10001, "2", 0 / 0, true } do
      assert.error_matches(function()
        task.Task { name = "t", execute = execute, concurrency = wrong }
      end, "ValueError: task t: concurrency: expected an integer from 1 to 10000, got '")
    end
    assert.error_matches(function() -- it is the class's to say
      task.Task { execute = execute } { concurrency = 2 }
    end, "unknown option 'concurrency'")
    for _, wrong in ipairs { 0, 1000, "64", "64MB", "1.5G", "M", "", -1, true } do
      assert.error_matches(function()
        task.Task { name = "t", execute = execute, memory_limit = wrong }
      end, "ValueError: task t: memory_limit: expected bytes, at least 1M, as 67108864 or \"64M\", got '")
    end
  end)
end)
