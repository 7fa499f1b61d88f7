-- The flow of resume_many_flows.lua, made by a function that can be found by its name.
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"

local M = {}

local UnfortunateTask = task.Task {
  execute = function(self)
    print("executing " .. tostring(self))
    local boom = os.getenv "BOOM"
    if boom then
      print("> Critical error: boom = " .. boom)
      os.exit(0)
    end
    print "> this time not exiting"
  end,
}

local TestTask = task.Task {
  execute = function(self)
    print("executing " .. tostring(self))
  end,
}

function M.flow_factory()
  return lf.Flow("example"):add(
    TestTask { name = "first" },
    UnfortunateTask { name = "boom" },
    TestTask { name = "second" }
  )
end

return M
