-- Texts for people: Python's spelling of lists (messages match TaskFlow's), suggestions for typos.
local values = require "taskflow.values"

local M = {}

---['a', 'b'] as Python prints a list of strings.
---@param names string[]
---@return string
function M.pylist(names)
  local out = {}
  for i, name in ipairs(names) do
    out[i] = ("'%s'"):format(tostring(name):gsub("\\", "\\\\"):gsub("'", "\\'"))
  end
  return "[" .. table.concat(out, ", ") .. "]"
end

-- Edit distance where a swap of neighbours counts one; both words are short names of options.
local function distance(a, b)
  local before, previous = nil, {}
  for j = 0, #b do
    previous[j] = j
  end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      row[j] = math.min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (same and 0 or 1))
      if before and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
    before, previous = previous, row
  end
  return previous[#b]
end

---The known name nearest to `word`, if it is near enough to be a typo of it.
---@param word string
---@param known table<string, any> keys are the known names
---@param limit integer? most edits; default: a third of the word
---@return string?
function M.nearest(word, known, limit)
  limit = limit or math.max(1, math.floor(#word / 3))
  local best, best_distance
  for name in pairs(known) do
    local d = distance(word, name)
    if d <= limit and (not best or d < best_distance or (d == best_distance and name < best)) then
      best, best_distance = name, d
    end
  end
  return best
end

---What is wrong with a name as one that goes over the wire: names are text.
---@param name string
---@return string? nil if nothing is
function M.name_fault(name)
  if not name:find "[%z\128-\255]" then
    return nil
  elseif name:find "%z" then
    return ("the name '%s' has a NUL character"):format(name:gsub("%z", "\\0"))
  elseif not values.encode(name) then
    return ("the name '%s' is not valid UTF-8"):format(name:gsub("[\128-\255]", "?"))
  end
end

---Sorted keys of a table of names.
---@param t table<string, any>
---@return string[]
function M.sorted_keys(t)
  local keys = {}
  for key in pairs(t) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b)
    return tostring(a) < tostring(b)
  end)
  return keys
end

---"unknown option 'nmae', did you mean 'name'?" or the list of what there is.
---@param what string "option", "engine option", ...
---@param word any
---@param known table<string, any>
---@return string
function M.unknown(what, word, known)
  local near = type(word) == "string" and M.nearest(word, known)
  if near then
    return ("unknown %s '%s', did you mean '%s'?"):format(what, word, near)
  end
  return ("unknown %s '%s' (known: %s)"):format(what, tostring(word), table.concat(M.sorted_keys(known), ", "))
end

return M
