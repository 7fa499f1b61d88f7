-- Calls that can be taken back: what a flow does when something fails.
local exceptions = require "taskflow.exceptions"
local task = require "taskflow.task"

local M = {}

M.Call = task.Task {
  execute = function(_self, who, number)
    print(("Calling %s %s."):format(who, number))
  end,
  revert = function(_self, number)
    print(("Calling %s and apologizing."):format(number))
  end,
}

M.NotHome = exceptions.class("tasks.phone.NotHome", exceptions.OSError)

M.CallNobody = task.Task {
  execute = function(_self, who)
    error(M.NotHome(("%s is not home right now."):format(who)))
  end,
}

---Only one of the numbers is right.
M.TryNumber = task.Task {
  execute = function(_self, who, number, right)
    print(("Calling %s %s."):format(who, number))
    if number ~= right then
      error(M.NotHome "Wrong number")
    end
    print(("Hello %s!"):format(who))
  end,
  revert = function(_self)
    print "Wrong number, apologizing."
  end,
}

return M
