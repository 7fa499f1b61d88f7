-- The entry of the library: `local taskflow = require "taskflow"`.
local M = {}

-- Modules are loaded when they are first used: a worker needs no engine.
return setmetatable(M, {
  __index = function(_, name)
    if name == "engines" then
      M.engines = require "taskflow.engines"
      return M.engines
    end
  end,
})
