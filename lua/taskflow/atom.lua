-- Atoms: what tasks and retries have in common. An atom has a name, inputs (requires, rebind, inject)
-- and outputs (provides); the rules by which parameter names become inputs are ENGINE.md 2.2.
local exceptions = require "taskflow.exceptions"
local text = require "taskflow.utils.text"

---One parameter of execute or revert and the symbol it takes its value from.
---@class taskflow.Binding
---@field param string
---@field symbol string
---@field optional boolean

---One symbol the atom provides: the whole result, result[index + 1], or result[symbol].
---@class taskflow.Provide
---@field symbol string
---@field how "whole"|"index"|"key"
---@field index integer? 0-based

---What tasks and retry controllers have in common.
---@class taskflow.Atom
---@field name string?
---@field version integer[]
---@field priority integer
---@field inject table<string, any>?
---@field provides string[] symbols, in order
---@field requires string[] required symbols of execute and revert, injected ones left out
---@field optional string[] optional symbols of execute
---@field rebind table<string, string> execute: parameter -> symbol
---@field revert_rebind table<string, string>

local M = {}

-- Mark of a set of names, see M.set.
local set_meta = { __name = "taskflow.set" }

---A set of names, for `provides`: the result is a map and name n is result[n].
---@param names string[]
---@return table
function M.set(names)
  return setmetatable({ names = names }, set_meta)
end

local function check_names(list, what, unique)
  local seen = {}
  for i, name in ipairs(list) do
    if type(name) ~= "string" or name == "" then
      exceptions.raise(exceptions.TypeError, ("%s: entry %d must be a non-empty string"):format(what, i))
    end
    local fault = text.name_fault(name)
    if fault then
      exceptions.raise(exceptions.ValueError, ("%s: %s"):format(what, fault))
    end
    if unique and seen[name] then
      exceptions.raise(exceptions.ValueError, ("%s: '%s' is named twice"):format(what, name))
    end
    seen[name] = true
  end
end

-- Whether every key of the table is part of 1..#t.
local function is_list(t)
  local n = 0
  for _ in pairs(t) do
    n = n + 1
  end
  return n == #t
end

---A string or a list of strings as a list of names.
---@param value string|string[]|nil
---@param what string for messages
---@return string[]
function M.names(value, what)
  if value == nil then
    return {}
  end
  if type(value) == "string" then
    value = { value }
  elseif type(value) == "table" and getmetatable(value) == set_meta then
    value = value.names
  end
  if type(value) ~= "table" or not is_list(value) then
    exceptions.raise(exceptions.TypeError, ("%s must be a name or a list of names"):format(what))
  end
  check_names(value, what)
  return value
end

---`provides` as given by the user: nil, a name, a list, a set.
---@param value any
---@param owner string the atom's name, for messages
---@return taskflow.Provide[]
function M.parse_provides(value, owner)
  local what = ("atom %s: provides"):format(owner)
  local out = {}
  if value == nil then
    return out
  end
  if type(value) == "string" then
    check_names({ value }, what)
    return { { symbol = value, how = "whole" } }
  end
  if type(value) ~= "table" then
    exceptions.raise(
      exceptions.TypeError,
      ("%s should be a name, a list or a set, not a %s"):format(what, type(value))
    )
  end
  if getmetatable(value) == set_meta then
    check_names(value.names, what, true)
    for _, name in ipairs(value.names) do
      out[#out + 1] = { symbol = name, how = "key" }
    end
    return out
  end
  if is_list(value) then
    check_names(value, what, true)
    for i, name in ipairs(value) do
      out[i] = { symbol = name, how = "index", index = i - 1 }
    end
    return out
  end
  -- Lua's own spelling of a set: { x = true, y = true }
  for _, name in ipairs(text.sorted_keys(value)) do
    if type(name) ~= "string" or value[name] ~= true then
      exceptions.raise(
        exceptions.TypeError,
        what .. " should be a name, a list or a set ({ x = true }), not a map"
      )
    end
    out[#out + 1] = { symbol = name, how = "key" }
  end
  return out
end

---Parameter names of a function. They are what the atom asks for.
---@param f function
---@param what string "execute of task at tasks.lua:3", for messages
---@return string[]
function M.parameters(f, what)
  local info = debug.getinfo(f, "Su")
  if info.what == "C" then
    exceptions.raise(
      exceptions.TypeError,
      what .. ": a C function has no parameter names; wrap it in a Lua function"
    )
  end
  local out = {}
  for i = 1, info.nparams do
    out[i] = debug.getlocal(f, i)
    if not out[i] then
      exceptions.raise(
        exceptions.TypeError,
        what .. ": its parameter names were stripped (compile scripts with debug information)"
      )
    end
  end
  return out
end

---Parameter names of a method, the leading self left out.
---@param f function
---@param what string
---@return string[]
function M.method_parameters(f, what)
  local params = M.parameters(f, what)
  local self = table.remove(params, 1)
  if self and self ~= "self" and self:sub(1, 1) ~= "_" then
    exceptions.raise(exceptions.TypeError, ("%s: the first parameter must be self, not '%s'"):format(what, self))
  end
  return params
end

local function to_set(list)
  local set = {}
  for _, name in ipairs(list) do
    set[name] = true
  end
  return set
end

---An ordered map: assigning an existing key keeps its place.
local function ordered_map()
  local map = { keys = {}, values = {} }
  function map.set(key, value)
    if map.values[key] == nil then
      map.keys[#map.keys + 1] = key
    end
    map.values[key] = value
  end
  return map
end

local function apply_rebind(required, params, rebind, what)
  if rebind == nil then
    return
  end
  if type(rebind) ~= "table" then
    exceptions.raise(exceptions.TypeError, ("%s must be a list or a map of names, not a %s"):format(what, type(rebind)))
  end
  if is_list(rebind) then
    for i, symbol in ipairs(M.names(rebind, what)) do
      required.set(params[i] or symbol, symbol)
    end
    return
  end
  for _, param in ipairs(text.sorted_keys(rebind)) do
    local symbol = rebind[param]
    if type(param) ~= "string" or type(symbol) ~= "string" or symbol == "" then
      exceptions.raise(exceptions.TypeError, what .. " must be a list of names or a map from parameter to name")
    end
    required.set(param, symbol)
  end
end

---@class taskflow.MappingSpec
---@field name string of the atom, for messages
---@field what "execute"|"revert"
---@field params string[] all parameters
---@field optional table<string, boolean> parameters that may be left out
---@field ignore table<string, boolean> parameters that are never inputs
---@field accepts_any boolean takes names beyond its parameters
---@field auto_extract boolean
---@field requires string|string[]|nil
---@field rebind table|nil

---The steps of ENGINE.md 2.2: what each parameter is bound to.
---@param spec taskflow.MappingSpec
---@return taskflow.Binding[]
function M.build_mapping(spec)
  local wanted, all = {}, to_set(spec.params)
  for _, param in ipairs(spec.params) do
    if not spec.ignore[param] and not spec.optional[param] then
      wanted[#wanted + 1] = param
    end
  end
  local prefix = ("atom %s: %s"):format(spec.name, spec.what == "revert" and "revert_" or "")
  local required = ordered_map()
  if spec.auto_extract then
    for _, param in ipairs(wanted) do
      required.set(param, param)
    end
  end
  for _, symbol in ipairs(M.names(spec.requires, prefix .. "requires")) do
    required.set(symbol, symbol)
  end
  apply_rebind(required, wanted, spec.rebind, prefix .. "rebind")

  if not spec.accepts_any then
    local extra = {}
    for _, param in ipairs(required.keys) do
      if not all[param] then
        extra[#extra + 1] = param
      end
    end
    if extra[1] then
      exceptions.raise(
        exceptions.ValueError,
        ("Extra arguments given to atom %s: %s"):format(spec.name, text.pylist(extra))
      )
    end
  end
  local missing = {}
  for _, param in ipairs(wanted) do
    if required.values[param] == nil then
      missing[#missing + 1] = param
    end
  end
  if missing[1] then
    exceptions.raise(
      exceptions.ValueError,
      ("Missing arguments for atom %s: %s"):format(spec.name, text.pylist(missing))
    )
  end

  local mapping = {}
  for _, param in ipairs(required.keys) do
    mapping[#mapping + 1] = { param = param, symbol = required.values[param], optional = false }
  end
  if spec.auto_extract then
    for _, param in ipairs(spec.params) do
      if not spec.ignore[param] and required.values[param] == nil then
        mapping[#mapping + 1] = { param = param, symbol = param, optional = true }
      end
    end
  end
  return mapping
end

-- Symbols of a mapping, in order and once each, without what the atom is given by `inject`.
local function symbols(mappings, optional, inject)
  local out, seen = {}, {}
  for _, mapping in ipairs(mappings) do
    for _, binding in ipairs(mapping) do
      local symbol = binding.symbol
      local injected = inject and inject[symbol] ~= nil
      if binding.optional == optional and not seen[symbol] and not injected then
        seen[symbol] = true
        out[#out + 1] = symbol
      end
    end
  end
  return out
end

local function as_map(mapping)
  local map = {}
  for _, binding in ipairs(mapping) do
    map[binding.param] = binding.symbol
  end
  return map
end

---Fill in what an atom requires and provides from its two mappings.
---@param atom table
---@param execute taskflow.Binding[]
---@param revert taskflow.Binding[]
---@param provides any as given by the user
function M.set_interface(atom, execute, revert, provides)
  atom.execute_mapping, atom.revert_mapping = execute, revert
  atom.rebind, atom.revert_rebind = as_map(execute), as_map(revert)
  atom.requires = symbols({ execute, revert }, false, atom.inject)
  atom.optional = symbols({ execute }, true, atom.inject)
  atom.revert_optional = symbols({ revert }, true, atom.inject)
  atom.save_as = M.parse_provides(provides, atom.name or atom.where)
  atom.provides = {}
  for i, provide in ipairs(atom.save_as) do
    atom.provides[i] = provide.symbol
  end
end

---Text form: "name==1.0", the quotes included.
---@param atom taskflow.Atom
---@return string
function M.describe(atom)
  return ('"%s==%s"'):format(atom.name, table.concat(atom.version, "."))
end

return M
