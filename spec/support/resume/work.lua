-- Tasks of the flows that resume_spec kills: each writes down what it does, as it begins.
local host = require "tfhost.host"
local task = require "taskflow.task"

local function note(path, what, name)
  local f = assert(io.open(path, "a"))
  f:write(what, " ", name, "\n")
  f:close()
end

local function step(definition)
  return task.Task {
    execute = function(self, log)
      note(log, "execute", self.name)
      host.sleep(0.004)
      return definition(self)
    end,
    revert = function(self, log, result, flow_failures) -- luacheck: ignore
      note(log, "revert", self.name)
      host.sleep(0.002)
      return "undone"
    end,
  }
end

return {
  Step = step(function(self)
    return self.name .. "!"
  end),
  Boom = step(function(self)
    error(self.name .. " failed", 0)
  end),
  Long = task.Task {
    execute = function(self, log)
      note(log, "execute", self.name)
      host.sleep(1.5)
      return self.name .. "!"
    end,
  },
  -- Fails in every round but the third.
  Third = task.Task {
    execute = function(self, log, round)
      note(log, "execute", self.name)
      host.sleep(0.004)
      if round < 3 then
        error(("%s failed in round %d"):format(self.name, round), 0)
      end
      return round
    end,
    revert = function(self, log, result, flow_failures) -- luacheck: ignore
      note(log, "revert", self.name)
    end,
  },
}
