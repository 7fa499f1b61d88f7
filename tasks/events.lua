-- Tasks that speak while they run: progress, and events of their own.
local task = require "taskflow.task"

local M = {}

---Copies a list in steps and says how far it is.
M.Copy = task.Task {
  default_provides = "copy",
  execute = function(self, items)
    local copy = {}
    for i, item in ipairs(items) do
      copy[i] = item
      self:update_progress(i / #items, { last = item })
    end
    return copy
  end,
}

---Sends one event a letter, with what is left of the alphabet.
M.Letters = task.Task {
  execute = function(self)
    for code = ("A"):byte(), ("Z"):byte() do
      local leftover = {}
      for later = code + 1, ("Z"):byte() do
        leftover[#leftover + 1] = string.char(later)
      end
      self:notify(string.char(code), { leftover = require("taskflow.values").list(leftover) })
    end
  end,
}

---Sends one event a letter, with the letters from it on, as TaskFlow's example does.
M.Alphabet = task.Task {
  execute = function(self)
    for code = ("A"):byte(), ("Z"):byte() do
      local leftover = {}
      for later = code, ("Z"):byte() do
        leftover[#leftover + 1] = string.char(later)
      end
      self:notify(string.char(code), { leftover = leftover })
    end
  end,
}

return M
