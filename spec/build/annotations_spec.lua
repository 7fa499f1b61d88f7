-- .ci/annotations must find what it is for.
local process = require "process"

local GOOD = [[
local M = {}
---What it does.
---@param a integer
---@return integer
function M.good(a)
  return a
end
---@package
function M.own(a)
  return a
end
function M._hidden(a)
  return a
end
---Says nothing more.
function M.inner(_unused)
  local f = function()
    return 1
  end
  f()
end
return M
]]

describe(".ci/annotations", function()
  after_each(process.cleanup)

  local function check(text)
    local dir = process.directory() -- as in the tree: in lua/taskflow all that is public is checked
    assert(os.execute(("mkdir -p '%s/lua/taskflow'"):format(dir)) == 0)
    process.write(dir .. "/lua/taskflow/module.lua", text)
    local script = ('root=$PWD; cd "%s" && exec "$root/.ci/annotations" lua/taskflow/module.lua'):format(dir)
    local p = process.spawn { "sh", "-c", script }
    return p:wait(30).code, p:stderr()
  end

  it("passes what says all", function()
    assert.same({ 0, "" }, { check(GOOD) })
  end)

  for what, change in pairs {
    ["no @param for 'a'"] = { "%-%-%-@param a integer\n", "" },
    ["no @return"] = { "%-%-%-@return integer\n", "" },
    ["M.hidden has no annotations"] = { "M%._hidden", "M.hidden" },
  } do
    it("tells: " .. what, function()
      local code, message = check((GOOD:gsub(change[1], change[2], 1)))
      assert.same(1, code)
      assert.matches("module.lua:%d+: .*" .. what, message)
    end)
  end
end)
