-- The name of a class on the wire, "module.Class": the loaded module that returned it and its field there.
-- A class does not know its name when it is made, so modules are searched once it is asked for.
local M = {}

local cache = setmetatable({}, { __mode = "k" })

local function search(class)
  local best
  for module, content in pairs(package.loaded) do
    if type(module) == "string" and type(content) == "table" and module ~= "_G" then
      for field, value in next, content do
        if value == class and type(field) == "string" then
          local name = module .. "." .. field
          -- A module may export another's class: the shortest name, then the first, is the same everywhere.
          if not best or #name < #best or (#name == #best and name < best) then
            best = name
          end
        end
      end
    end
  end
  return best
end

---The name of a class on the wire: module.field.
---@param class table
---@return string? nil while no loaded module has it
function M.of(class)
  local name = cache[class]
  if not name then
    name = search(class)
    cache[class] = name
  end
  return name
end

return M
