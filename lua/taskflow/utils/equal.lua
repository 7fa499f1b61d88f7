-- Deep equality of values, as a retry compares what it already provided.
local M = {}

---Whether two values are the same, tables by what is in them.
---@param a any
---@param b any
---@return boolean
function M.equal(a, b)
  if a == b then
    return true
  end
  if type(a) ~= "table" or type(b) ~= "table" then
    return false
  end
  for key, value in pairs(a) do
    if not M.equal(value, b[key]) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

return M
