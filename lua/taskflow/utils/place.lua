-- Where in the user's script something happened. Every error a caller can make names this place, so
-- frames of the library itself are skipped.
local host = require "tfhost.host"

local M = {}

-- Chunk names of the library all begin with this and one of its two folders, embedded or from a source tree.
local root = debug.getinfo(1, "S").source:match "^(.*)taskflow[/\\]utils[/\\]place%.lua$"
local FOLDERS = { taskflow = true, tfhost = true }

---Whether a function's source belongs to the library.
---@param source string the `source` of debug.getinfo
---@return boolean
function M.is_library(source)
  return root ~= nil and source:sub(1, #root) == root and FOLDERS[source:match("^%w+", #root + 1)] ~= nil
end

-- By function: false if it is none of the user's, else its places by line. Flows of a million tasks ask for few.
local known = setmetatable({}, { __mode = "k" })

local function places_of(f)
  local info = debug.getinfo(f, "S")
  local users = info.what ~= "C" and not M.is_library(info.source)
  known[f] = users and { file = info.short_src } or false
  return known[f]
end

---"flow.lua:12" of the nearest frame outside the library, or nil if there is none.
---@return string?
function M.caller()
  local places, line = host.caller(known, places_of)
  if not places then
    return nil
  end
  places[line] = places[line] or places.file .. ":" .. line
  return places[line]
end

---The Lua frames above `level`, oldest first, as Python writes a traceback.
---Frames of the library are left out: they say nothing about the user's mistake.
---@param level integer level of the youngest frame wanted, 1 is the caller
---@return string
function M.traceback(level)
  local frames = {}
  level = level + 1
  while #frames < 64 do
    local info = debug.getinfo(level, "Sln")
    if not info then
      break
    end
    if info.what ~= "C" and info.currentline > 0 and not M.is_library(info.source) then
      local name = info.name or (info.what == "main" and "<module>") or "?"
      table.insert(frames, 1, ('  File "%s", line %d, in %s\n'):format(info.short_src, info.currentline, name))
    end
    level = level + 1
  end
  return table.concat(frames)
end

---"flow.lua:12", where a function was defined.
---@param f function
---@return string
function M.of_function(f)
  local info = debug.getinfo(f, "S")
  return info.short_src .. ":" .. info.linedefined
end

return M
