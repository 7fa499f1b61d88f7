-- Globals that a script uses, read from its bytecode: a forgotten `local`, a misspelt name.
local util = require "jit.util"

local M = {}

-- Numbers of the two instructions, taken from chunks that have them in a known place.
local GSET = bit.band(util.funcbc(loadstring "x = 1", 2), 0xff)
local GGET = bit.band(util.funcbc(loadstring "return x", 1), 0xff)

---@class tfhost.GlobalUse
---@field name string
---@field line integer
---@field write boolean

---@param source string path of a script
---@return tfhost.GlobalUse[]? nil if it cannot be compiled
function M.of(source)
  local chunk = loadfile(source)
  if not chunk then
    return nil
  end
  local out, protos = {}, { chunk }
  for _, proto in ipairs(protos) do
    local pc = 0
    local instruction = util.funcbc(proto, pc)
    while instruction do
      local op = bit.band(instruction, 0xff)
      if op == GSET or op == GGET then
        local name = util.funck(proto, -bit.rshift(instruction, 16) - 1)
        out[#out + 1] = { name = name, line = util.funcinfo(proto, pc).currentline, write = op == GSET }
      end
      pc = pc + 1
      instruction = util.funcbc(proto, pc)
    end
    local k = -1
    local constant = util.funck(proto, k)
    while constant ~= nil do
      if type(constant) == "proto" then
        protos[#protos + 1] = constant
      end
      k = k - 1
      constant = util.funck(proto, k)
    end
  end
  table.sort(out, function(a, b)
    return a.line < b.line
  end)
  return out
end

return M
