-- Options of map atoms (taskflow.task.Map): what is the map's own, and what its task is made with.
local check = require "taskflow.utils.check"
local exceptions = require "taskflow.exceptions"
local text = require "taskflow.utils.text"

local M = {}

local OWN = { task = true, over = true, as = true, limit = true }

local function invalid(message, ...)
  exceptions.raise(exceptions.ValueError, "Map: " .. message:format(...))
end

-- The parameter that takes an element: the one that is named, or the only one there is.
local function element_parameter(options, execute)
  if options.as ~= nil then
    check.is(options.as, "string", "Map: as")
    if execute and not execute.accepts_any then
      local known = {}
      for _, name in ipairs(execute.params) do
        known[name] = true
      end
      if not known[options.as] then
        invalid("as: %s", text.unknown("parameter", options.as, known))
      end
    end
    return options.as
  end
  if not execute or execute.accepts_any or #execute.params ~= 1 then
    invalid("name the parameter that takes an element, as in { over = \"photos\", as = \"photo\" }")
  end
  return execute.params[1]
end

-- A method takes the element if it has the parameter; a revert need not.
local function takes(signature, name)
  if not signature or signature.accepts_any then
    return true
  end
  for _, param in ipairs(signature.params) do
    if param == name then
      return true
    end
  end
  return false
end

local function with(rebind, what, param, symbol)
  local out = {}
  for key, value in pairs(rebind or {}) do
    if type(key) ~= "string" then
      check.fail("Map: %s must be a table from parameter to name", what)
    end
    out[key] = value
  end
  if out[param] ~= nil then
    invalid("%s: the parameter '%s' takes an element of '%s'", what, param, symbol)
  end
  out[param] = symbol
  return out
end

---@class taskflow.MapPlan
---@field each string parameter that takes an element
---@field limit integer? items at once
---@field options table for the task

---Split the options of a map.
---@param options table
---@param execute { params: string[], accepts_any: boolean }? signature; nil: not known
---@param revert { params: string[], accepts_any: boolean }?
---@return taskflow.MapPlan
function M.plan(options, execute, revert)
  check.is(options.over, "string", "Map: over, the name of the list,")
  local limit = options.limit
  if limit ~= nil and (type(limit) ~= "number" or limit < 1 or limit % 1 ~= 0 or limit > 2 ^ 31) then
    invalid("limit must be an integer of at least 1, not '%s'", tostring(limit))
  end
  local inner = {}
  for key, value in pairs(options) do
    if not OWN[key] then
      inner[key] = value
    end
  end
  local each = element_parameter(options, execute)
  inner.rebind = with(options.rebind, "rebind", each, options.over)
  if takes(revert, each) then
    inner.revert_rebind = with(options.revert_rebind or options.rebind, "revert_rebind", each, options.over)
  else
    inner.revert_rebind = options.revert_rebind or options.rebind or {}
  end
  return { each = each, limit = limit, options = inner }
end

return M
