-- tfhost run --watch: a flow runs again on each save, and what came out differently is shown.
local peers = require "peers"
local process = require "process"
local reload = require "reload"

local FLOW = [[
local task = require "taskflow.task"
local helper = require "helper"
local A = task.Task { default_provides = "a", execute = function() return helper end }
local B = task.Task { default_provides = "b", execute = function(self, a) %s return a .. "!" end }
return require("taskflow.patterns.linear_flow").Flow("watched"):add(A { name = "first" }, B { name = "second" })
]]

describe("run --watch:", function()
  local dir, run

  before_each(function()
    dir = process.directory()
    process.write(dir .. "/helper.lua", "return 'one'")
    process.write(dir .. "/flow.lua", FLOW:format "")
    run = process.spawn { peers.tfhost, "run", "--watch", dir .. "/flow.lua" }
    run:wait_for("exit code 0", 20)
  end)

  after_each(process.cleanup)

  -- What is printed from now on, until it matches.
  local function after(change, pattern)
    local at = #run:stdout()
    change()
    local text
    assert(process.poll(20, function()
      text = run:stdout():sub(at + 1)
      return text:find(pattern)
    end), pattern .. " is not in " .. run:story())
    return text
  end

  it("shows the first run whole, then what differs", function()
    assert.is_truthy(run:stdout():find('b = "one!"', 1, true), run:story())
    local text = after(function()
      reload.save(dir .. "/helper.lua", "return 'two'")
    end, "%-%- exit code")
    assert.is_truthy(text:find('\n- a = "one"\n', 1, true), text)
    assert.is_truthy(text:find('\n+ b = "two!"\n', 1, true), text)
    assert.is_nil(text:find("first  RUNNING", 1, true), text)
    text = after(function()
      reload.save(dir .. "/flow.lua", FLOW:format "" .. "-- a comment\n")
    end, "%-%- exit code 0")
    assert.is_truthy(text:find("nothing differs", 1, true), text)
  end)

  it("goes on after mistakes, and tells them", function()
    after(function()
      reload.save(dir .. "/flow.lua", "x = = 1")
    end, "exit code 2")
    assert.matches("flow.lua:1: unexpected symbol", run:stderr())
    local text = after(function()
      reload.save(dir .. "/flow.lua", FLOW:format "error('no', 0)")
    end, "exit code 3")
    assert.is_truthy(text:find "%+ +[%d.]+s  second  FAILURE  tfhost.LuaError: no", text)
    after(function()
      reload.save(dir .. "/flow.lua", FLOW:format "")
    end, "exit code 0")
  end)

  it("a change ends the run that is under way, even one that hangs; INT ends all", function()
    after(function()
      reload.save(dir .. "/flow.lua", FLOW:format "print 'hangs' while true do end")
      process.sleep(0.5)
      reload.save(dir .. "/flow.lua", FLOW:format "")
    end, "exit code 0")
    assert.is_nil(run:stdout():find("hangs", 1, true))
    run:kill "INT"
    assert.same({ code = 130 }, run:wait(10))
  end)
end)
