-- What an engine keeps of a flow: values by name, results and failures by atom.
local check = require "taskflow.utils.check"
local failure = require "taskflow.failure"
local retry_module = require "taskflow.retry"
local sorted_keys = require("taskflow.utils.text").sorted_keys

---What an engine keeps of its flow: values by name, results and failures by atom.
---@class taskflow.Storage
---@field private _engine table
local Storage = {}
local meta = {}

local M = {}

---The storage of an engine.
---@param engine table
---@return taskflow.Storage
function M.new(engine)
  local detail = engine.flow_detail
  return setmetatable({ _engine = engine, _flow_metadata = detail and detail.meta or {} }, meta)
end

-- The output of a failed atom is its failure, which is stored as a dict.
local function as_failure(value)
  if type(value) == "table" and value.exc_type_names and value.exception_str and value.version then
    local ok, f = pcall(failure.from_dict, value)
    return ok and f or value
  end
  return value
end

-- The same for each of several values.
local function as_failures(list)
  for i, value in ipairs(list) do
    list[i] = as_failure(value)
  end
  return list
end

-- All values of a symbol, injected ones first, for a function that makes one of them.
local function handled(self, name, many_handler)
  return many_handler(as_failures(self._engine:_check(self._engine._handle:fetch_list(name))))
end

---The value of a symbol; if it has several, the first. Raises NotFound while nothing provides it.
---@param name string
---@param many_handler (fun(values: any[]): any)? makes one value of all there are
---@return any
function Storage:fetch(name, many_handler)
  check.is(name, "string", "fetch: the name")
  if many_handler ~= nil then
    return handled(self, name, check.callable(many_handler, "fetch: many_handler"))
  end
  return as_failure(self._engine:_check(self._engine._handle:fetch(name)))
end

---All values by name; a list of values where several atoms provide the same name.
---@param many_handler (fun(values: any[]): any)? makes one value of all there are of a name
---@return table<string, any>
function Storage:fetch_all(many_handler)
  if many_handler ~= nil then
    check.callable(many_handler, "fetch_all: many_handler")
  end
  local all = self._engine:_check(self._engine._handle:fetch_all())
  for name, value in pairs(all) do
    if many_handler then
      all[name] = handled(self, name, many_handler)
    else
      local is_list = type(value) == "table" and value[1] ~= nil
      all[name] = is_list and as_failures(value) or as_failure(value)
    end
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
  if not revert and retry_module.is_retry(self._engine._plan.named(name)) then
    return retry_module.history_from(value).entries
  end
  return value
end

---What an atom's execute gave: its result, or the Failure. Raises NotFound if there is none. Of a retry controller: a
---list of { value, failures by atom name }, one for each execution.
---@param name string of the atom
---@return any
function Storage:get(name)
  return result_of(self, name, false)
end

---The same as get.
---@type fun(self: taskflow.Storage, name: string): any
Storage.get_execute_result = Storage.get

---What an atom's revert gave: its result, or the Failure.
---@param name string of the atom
---@return any
function Storage:get_revert_result(name)
  return result_of(self, name, true)
end

local function failures(self, revert)
  local out = failure.from_dicts(self._engine:_check(self._engine._handle:failures_by_name(revert)))
  for name, f in pairs(out) do
    self._engine:_live(name, f)
  end
  return out
end

---Failures of execute by atom name, each until the atom runs anew.
---@return table<string, taskflow.Failure>
function Storage:get_execute_failures()
  return failures(self, false)
end

---The same as get_execute_failures.
---@type fun(self: taskflow.Storage): table<string, taskflow.Failure>
Storage.get_failures = Storage.get_execute_failures

---Failures of revert by atom name.
---@return table<string, taskflow.Failure>
function Storage:get_revert_failures()
  return failures(self, true)
end

---Whether an atom has failed and has not run anew since.
---@return boolean
function Storage:has_failures()
  return next(self:get_execute_failures()) ~= nil or next(self:get_revert_failures()) ~= nil
end

local INJECT_OPTIONS = { transient = true }

local function check_values(pairs_, options, what)
  for name in pairs(check.is(pairs_, "table", what .. ": the values")) do
    check.is(name, "string", what .. ": a name")
  end
  return check.options(options, INJECT_OPTIONS, what)
end

---Add flow-wide values, which come before what atoms provide.
---@param pairs_ table<string, any>
---@param options { transient: boolean? }? transient: true keeps them out of the logbook
function Storage:inject(pairs_, options)
  options = check_values(pairs_, options, "inject")
  self._engine:_check(self._engine._handle:inject(pairs_, options.transient or false))
end

---Give values to one atom alone; they come before all others.
---@param name string of the atom
---@param pairs_ table<string, any>
---@param options { transient: boolean? }? transient: false keeps them in the logbook; default: true
function Storage:inject_atom_args(name, pairs_, options)
  check.is(name, "string", "inject_atom_args: the name of the atom")
  options = check_values(pairs_, options, "inject_atom_args")
  self._engine:_check(self._engine._handle:inject_atom(name, pairs_, options.transient ~= false))
end

-- A mapping from parameter to symbol as the host reads it.
local function bindings(mapping, optional, what)
  local out, may_miss = {}, {}
  for _, param in ipairs(check.names(optional, what .. ": optional")) do
    may_miss[param] = true
  end
  check.is(mapping, "table", what .. ": the mapping")
  for _, param in ipairs(sorted_keys(mapping)) do
    check.is(param, "string", what .. ": a parameter")
    local symbol = check.is(mapping[param], "string", ("%s: the name for '%s'"):format(what, param))
    out[#out + 1] = { param = param, symbol = symbol, optional = may_miss[param] }
  end
  return out
end

local MAPPED_OPTIONS = { atom_name = true, optional = true }

---What an atom with this mapping would get, by parameter. Raises NotFound for what is not there (yet).
---@param mapping table<string, string> parameter to symbol
---@param options { atom_name: string?, optional: string[]? }? atom_name: whose scope; default: all providers.
---  optional: parameters that may be missing
---@return table<string, any>
function Storage:fetch_mapped_args(mapping, options)
  options = check.options(options, MAPPED_OPTIONS, "fetch_mapped_args")
  local list = bindings(mapping, options.optional, "fetch_mapped_args")
  local mapped = self._engine:_check(self._engine._handle:mapped(options.atom_name, list))
  for param, value in pairs(mapped) do
    mapped[param] = as_failure(value)
  end
  return mapped
end

---The parameters of a mapping that nothing will provide to this atom, sorted.
---@param name string of the atom
---@param mapping table<string, string> parameter to symbol
---@param optional string[]? parameters that may be missing
---@return string[]
function Storage:fetch_unsatisfied_args(name, mapping, optional)
  check.is(name, "string", "fetch_unsatisfied_args: the name of the atom")
  return self._engine._handle:unsatisfied(name, bindings(mapping, optional, "fetch_unsatisfied_args"))
end

---The history of a retry controller.
---@param name string
---@return taskflow.History
function Storage:get_retry_history(name)
  local list, own = self._engine._handle:history(check.is(name, "string", "the name of a retry"))
  if not list then
    check.fail("Atom '%s' is not of the expected type: retry", name)
  end
  return retry_module.history_from(list, own)
end

---The histories of all retry controllers, in order of the flow.
---@return { [1]: string, [2]: taskflow.History }[] name, history
function Storage:get_retry_histories()
  local out = {}
  for _, name in ipairs(self._engine._handle:atoms()) do
    if retry_module.is_retry(self._engine._plan.named(name)) then
      out[#out + 1] = { name, self:get_retry_history(name) }
    end
  end
  return out
end

---Forget what an atom gave: it is PENDING, and the next run executes it again. Not while the flow runs.
---@param name string
function Storage:reset(name)
  self._engine:_check(self._engine._handle:reset_atom(check.is(name, "string", "the name of an atom")))
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

---State of an atom.
---@param name string
---@return string
function Storage:get_atom_state(name)
  return (atom(self, name))
end

---What is to be done with an atom: "EXECUTE", "REVERT", "RETRY" or "IGNORE".
---@param name string
---@return string
function Storage:get_atom_intention(name)
  return (select(2, atom(self, name)))
end

---UUID of an atom, by which a logbook knows it.
---@param name string
---@return string
function Storage:get_atom_uuid(name)
  return (select(3, atom(self, name)))
end

-- Retries make no progress.
local function task_only(self, name)
  if retry_module.is_retry(self._engine._plan.named(check.is(name, "string", "the name of a task"))) then
    check.fail("Atom '%s' is not of the expected type: task", name)
  end
  return name
end

---How far a task is.
---@param name string
---@return number from 0 to 1
function Storage:get_task_progress(name)
  return (select(4, atom(self, task_only(self, name))))
end

---Tell how far a task is. Listeners are not told.
---@param name string
---@param progress number from 0 to 1
---@param details table<string, any>? {} removes those that there are, nil leaves them
function Storage:set_task_progress(name, progress, details)
  task_only(self, name)
  if not (check.is(progress, "number", "set_task_progress: the progress") >= 0 and progress <= 1) then
    check.fail("set_task_progress: the progress must be from 0 to 1, not %s", progress)
  end
  self._engine:_check(self._engine._handle:set_progress(name, progress, details))
end

---What came with the last progress that had details.
---@param name string
---@return { at_progress: number, details: table<string, any> }?
function Storage:get_task_progress_details(name)
  return self._engine._handle:progress_details(task_only(self, name))
end

---State and intention of atoms by name.
---@param names string[]? default: all
---@return table<string, { [1]: string, [2]: string }>
function Storage:get_atoms_states(names)
  local out = {}
  for _, name in ipairs(names == nil and self._engine._handle:atoms() or check.names(names, "get_atoms_states")) do
    local state, intention = atom(self, name)
    out[name] = { state, intention }
  end
  return out
end

---State of the flow.
---@return string
function Storage:get_flow_state()
  return self._engine._handle:state()
end

---UUID of the flow, by which a logbook knows it.
---@return string
function Storage:flow_uuid()
  return self._engine._handle:flow_uuid()
end

---Name of the flow.
---@return string
function Storage:flow_name()
  return self._engine.flow_name
end

local function check_metadata(with)
  for key in pairs(check.is(with, "table", "metadata")) do
    check.is(key, "string", "a key of metadata")
  end
  return with
end

---Add to what is noted of an atom, as listeners do. It is kept with the atom.
---@param name string
---@param with table<string, any>
function Storage:update_atom_metadata(name, with)
  check.is(name, "string", "the name of an atom")
  self._engine:_check(self._engine._handle:update_metadata(name, check_metadata(with)))
end

---What is noted of an atom, its progress included.
---@param name string
---@return table<string, any>
function Storage:get_atom_metadata(name)
  check.is(name, "string", "the name of an atom")
  return self._engine:_check(self._engine._handle:metadata(name))
end

---Add to what is noted of the flow. It is kept with the flow.
---@param with table<string, any>
function Storage:update_flow_metadata(with)
  local state, detail, backend = self:get_flow_state(), self._engine.flow_detail, self._engine.options.backend
  for key, value in pairs(check_metadata(with)) do
    self._flow_metadata[key] = value
  end
  if backend then
    backend:get_connection():save_flow_metadata(detail, state)
  end
end

---What is noted of the flow.
---@return table<string, any>
function Storage:get_flow_metadata()
  local out = {}
  for key, value in pairs(self._flow_metadata) do
    out[key] = value
  end
  return out
end

meta.__index = check.methods("Storage", Storage, function(value)
  return getmetatable(value) == meta
end)

return M
