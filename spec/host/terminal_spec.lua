-- `tfhost run` on a terminal: the tree, and what tasks print meanwhile, on each engine that runs tasks on this machine.
local process = require "process"

local LINES = 20000

describe("run on a terminal", function()
  local dir

  setup(function()
    dir = process.directory()
    process.write(dir .. "/flow.lua", [[
local linear = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local Loud = task.Task { execute = function(self)
  for i = 1, ]] .. LINES .. [[ do
    print("line " .. i)
  end
  io.write "half a line"
  io.stdout:flush()
  io.stderr:write "to stderr\n"
  os.execute "echo from a program"
end }
local Last = task.Task { execute = function(self) io.write "no end" end }
return linear.Flow "loud":add(Loud { name = "loud" }, Last { name = "last" })
]])
  end)
  teardown(process.cleanup)

  for _, engine in ipairs { "serial", "parallel" } do
    it("shows a tree, and loses nothing that tasks print, with the " .. engine .. " engine", function()
      local line = ("stty rows 24 cols 80 && exec %s run %s/flow.lua --backend none --engine %s"):format(
        os.getenv "TFHOST", dir, engine
      )
      local said = process.run { "script", "-qfec", line, "/dev/null", env = { TERM = "xterm" }, timeout = 60 }
      assert.equal(0, said.code, said.story)
      local out = said.stdout:gsub("\r", "")
      assert.is_truthy(out:find("✔ loud  SUCCESS", 1, true), said.story)
      assert.matches("flow 'loud': SUCCESS", out)
      -- Without what moves the cursor and erases, each line is there once, whole and in its place.
      local n = 0
      for shown in out:gsub("\27%[[%d;]*%a", "\n"):gmatch "[^\n]+" do
        local i = shown:match "^line (%d+)$"
        n = i and n + 1 or n
        assert.equal(i and n, i and tonumber(i))
      end
      assert.equal(LINES, n)
      for _, words in ipairs { "half a line", "no end", "from a program", "to stderr" } do
        assert.is_truthy(out:find(words, 1, true), words)
      end
    end)
  end
end)
