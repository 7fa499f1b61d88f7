-- What an engine keeps of a flow: values by name, results and failures by atom (ENGINE.md 6, 7).
local check = require "taskflow.utils.check"
local failure = require "taskflow.failure"
local sorted_keys = require("taskflow.utils.text").sorted_keys

---@class taskflow.Storage
---@field private _engine table
local Storage = {}
local meta = {}

local M = {}

---@param engine table
---@return taskflow.Storage
function M.new(engine)
  return setmetatable({ _engine = engine, _metadata = {}, _flow_metadata = {} }, meta)
end

-- The output of a failed atom is its failure, which is stored as a dict.
local function as_failure(value)
  if type(value) == "table" and value.exc_type_names and value.exception_str and value.version then
    local ok, f = pcall(failure.from_dict, value)
    return ok and f or value
  end
  return value
end

---The value of a symbol. Raises NotFound while nothing provides it.
---@param name string
---@return any
function Storage:fetch(name)
  check.is(name, "string", "fetch: the name")
  return as_failure(self._engine:_check(self._engine._handle:fetch(name)))
end

---All values by name; a list of values where several atoms provide the same name.
---@return table<string, any>
function Storage:fetch_all()
  local all = self._engine:_check(self._engine._handle:fetch_all())
  for name, value in pairs(all) do
    all[name] = as_failure(value)
  end
  return all
end

---The same as JSON text, numbers as they came.
---@return string
function Storage:fetch_all_text()
  return self._engine._handle:fetch_all_text()
end

---Iterate over all values by name, in order, as JSON text: for name, text in storage:iter_texts() do ... end
---@return fun(): string?, string?
function Storage:iter_texts()
  local texts = self._engine._handle:fetch_texts()
  local names, i = sorted_keys(texts), 0
  return function()
    i = i + 1
    return names[i], texts[names[i]]
  end
end

local function result_of(self, name, revert)
  check.is(name, "string", "the name of an atom")
  local value, failed, code = self._engine._handle:result(name, revert)
  if value == nil then
    self._engine:_check(nil, failed, code)
  end
  if failed then
    return self._engine:_live(name, failure.from_dict(value))
  end
  return value
end

---What an atom's execute gave: its result, or the Failure. Raises NotFound if there is none.
---@param name string of the atom
---@return any
function Storage:get(name)
  return result_of(self, name, false)
end

Storage.get_execute_result = Storage.get

---What an atom's revert gave: its result, or the Failure.
---@param name string of the atom
---@return any
function Storage:get_revert_result(name)
  return result_of(self, name, true)
end

local function failures(self, state, revert)
  local out = {}
  for _, name in ipairs(self._engine._names) do
    if self:get_atom_state(name) == state then
      out[name] = result_of(self, name, revert)
    end
  end
  return out
end

-- A result that is a failure stays readable until the atom runs anew.
local function kept_failures(self, revert)
  local out = {}
  for _, name in ipairs(self._engine._names) do
    local value, failed = self._engine._handle:result(name, revert)
    if value ~= nil and failed == true then
      out[name] = self._engine:_live(name, failure.from_dict(value))
    end
  end
  return out
end

---Failures of execute by atom name, as far as they are kept.
---@return table<string, taskflow.Failure>
function Storage:get_execute_failures()
  return kept_failures(self, false)
end

---Failures of revert by atom name.
---@return table<string, taskflow.Failure>
function Storage:get_revert_failures()
  return failures(self, "REVERT_FAILURE", true)
end

---Failures of execute and revert by atom name; those of revert win.
---@return table<string, taskflow.Failure>
function Storage:get_failures()
  local out = self:get_execute_failures()
  for name, f in pairs(self:get_revert_failures()) do
    out[name] = f
  end
  return out
end

---Add flow-wide values, which come before what atoms provide.
---@param pairs_ table<string, any>
function Storage:inject(pairs_)
  for name in pairs(check.is(pairs_, "table", "inject: the values")) do
    check.is(name, "string", "inject: a name")
  end
  self._engine:_check(self._engine._handle:inject(pairs_))
end

---The same for one value as JSON text, which Lua need not be able to hold.
---@param name string
---@param text string
function Storage:inject_text(name, text)
  check.is(name, "string", "inject_text: the name")
  check.is(text, "string", "inject_text: the text")
  self._engine:_check(self._engine._handle:inject_text(name, text))
end

-- State, intention, uuid and progress of an atom.
local function atom(self, name)
  return self._engine._handle:atom(check.is(name, "string", "the name of an atom"))
end

---@param name string
---@return string
function Storage:get_atom_state(name)
  return (atom(self, name))
end

---@param name string
---@return string
function Storage:get_atom_intention(name)
  return (select(2, atom(self, name)))
end

---@param name string
---@return string
function Storage:get_atom_uuid(name)
  return (select(3, atom(self, name)))
end

---@param name string
---@return number from 0 to 1
function Storage:get_task_progress(name)
  return (select(4, atom(self, name)))
end

---State and intention of atoms by name.
---@param names string[]? default: all
---@return table<string, { [1]: string, [2]: string }>
function Storage:get_atoms_states(names)
  local out = {}
  for _, name in ipairs(names == nil and self._engine._names or check.names(names, "get_atoms_states")) do
    local state, intention = atom(self, name)
    out[name] = { state, intention }
  end
  return out
end

---@return string
function Storage:get_flow_state()
  return self._engine._handle:state()
end

---@return string
function Storage:flow_uuid()
  return self._engine._handle:flow_uuid()
end

---@return string
function Storage:flow_name()
  return self._engine.flow_name
end

local function update(metadata, with)
  for key, value in pairs(check.is(with, "table", "metadata")) do
    metadata[check.is(key, "string", "a key of metadata")] = value
  end
end

local function copy(metadata)
  local out = {}
  for key, value in pairs(metadata or {}) do
    out[key] = value
  end
  return out
end

---Add to what is noted of an atom, as listeners do.
---@param name string
---@param with table<string, any>
function Storage:update_atom_metadata(name, with)
  atom(self, name)
  self._metadata[name] = self._metadata[name] or {}
  update(self._metadata[name], with)
end

---What is noted of an atom.
---@param name string
---@return table<string, any>
function Storage:get_atom_metadata(name)
  atom(self, name)
  return copy(self._metadata[name])
end

---Add to what is noted of the flow.
---@param with table<string, any>
function Storage:update_flow_metadata(with)
  update(self._flow_metadata, with)
end

---What is noted of the flow.
---@return table<string, any>
function Storage:get_flow_metadata()
  return copy(self._flow_metadata)
end

meta.__index = check.methods("Storage", Storage, function(value)
  return getmetatable(value) == meta
end)

return M
