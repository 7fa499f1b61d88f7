local place = require "taskflow.utils.place"
local task = require "taskflow.task"

describe("taskflow.utils.place", function()
  it("is the nearest line outside the library", function()
    local line = debug.getinfo(1, "l").currentline + 1
    assert.equal("spec/taskflow/utils/place_spec.lua:" .. line, (place.caller():gsub("^.*spec/", "spec/", 1)))
    local made = task.Task { name = "t", execute = function(_self) end } ()
    assert.truthy(made.where:find("place_spec.lua:" .. line + 1, 1, true))
  end)

  it("knows the library's own chunks", function()
    assert.is_true(place.is_library(debug.getinfo(task.Task, "S").source))
    assert.is_false(place.is_library "@flow.lua")
    assert.is_false(place.is_library "=(command line)")
  end)

  it("bounds the traceback of a deep stack", function()
    local function deep(n)
      if n == 0 then
        return place.traceback(1)
      end
      local text = deep(n - 1)
      return text
    end
    local _, lines = deep(500):gsub("\n", "")
    assert.equal(64, lines)
  end)

  it("says where a function was defined", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local function f() end
    assert.truthy(place.of_function(f):find("place_spec.lua:" .. line, 1, true))
  end)
end)
