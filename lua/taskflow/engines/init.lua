-- Making engines. `require "taskflow".engines` is this module.
--
--   local eng = taskflow.engines.load(flow, { engine = "parallel", store = { x = 1 } })
--   eng:run()
--   print(eng.storage:fetch "y")
local check = require "taskflow.utils.check"
local class_name = require "taskflow.utils.class_name"
local engine = require "taskflow.engines.engine"
local exceptions = require "taskflow.exceptions"
local place = require "taskflow.utils.place"
local values = require "taskflow.values"

-- Loaded when something is to be kept.
local function lazy(module)
  return setmetatable({}, {
    __index = function(_, key)
      return require(module)[key]
    end,
  })
end
local backends = lazy "taskflow.persistence.backends"
local models = lazy "taskflow.persistence.models"
local persistence = lazy "taskflow.persistence"

local M = {}

---What an engine can be told. Options of another kind of engine are errors.
---@class taskflow.EngineOptions
---@field engine string? "serial" (default), "parallel", "worker-based", or a URI: "parallel://?max_workers=3"
---@field engine_conf table|string|nil the same options in a table of their own; those beside it win
---@field store table<string, any>? values that atoms may ask for
---@field backend taskflow.Backend|table|string|nil where the flow is kept (taskflow.persistence.backends.fetch)
---@field book taskflow.LogBook? of a new flow, default: one named "tmp" of its own
---@field flow_detail taskflow.FlowDetail? go on with what an earlier engine left there
---@field defer_reverts boolean? revert only once everything that can still run has run
---@field inject_transient boolean? false: constants of atoms are kept in the logbook; default: true
---@field gather_statistics boolean? false: `statistics` of the engine stay empty; default: true
---@field never_resolve boolean? no revert and no retry: the first failure ends in FAILURE
---@field reference_quirks boolean? do what TaskFlow 5.0.0 does where it is better not imitated (differences.md)
---@field max_workers integer? parallel: tasks at once, default: number of cores
---@field executor string? parallel: TaskFlow's kinds are accepted, and all mean processes
---@field url string? worker-based: of the broker
---@field exchange string? worker-based: default "default"
---@field topics string[]? worker-based: topics of workers, default { "default" }
---@field transport string? worker-based: "filesystem", "memory", ...
---@field transport_options table<string, any>? worker-based: README.md lists them
---@field retry_options table<string, number>? worker-based: interval_start, interval_step, interval_max, max_retries of
---  publishing
---@field transition_timeout number? worker-based: seconds that a request may wait for a worker that could run it,
---  default 60, negative: for ever; time in line while workers of its topic have no free slot does not count
---@field worker_expiry number? worker-based: seconds after which a silent worker is forgotten, default 60
---@field probe_interval number? worker-based: seconds between probes for workers, default 5
---@field attempts integer? worker-based: runs of one request when its tfhost workers are lost, default 3
---@field silence_limit number? worker-based: seconds of silence after which a tfhost worker counts as lost, default 2.4

---Make an engine for a flow. What is wrong with the flow by itself is told here.
---@param flow taskflow.Flow|taskflow.Task
---@param options taskflow.EngineOptions?
---@return taskflow.Engine
function M.load(flow, options)
  local self = engine.new(flow, options)
  self:_connect()
  return self
end

---Load, run, and give all values by name.
---@param flow taskflow.Flow|taskflow.Task
---@param options taskflow.EngineOptions?
---@return table<string, any>
function M.run(flow, options)
  local self = M.load(flow, options)
  self:run()
  local results = self.storage:fetch_all()
  self:close()
  return results
end

-- ---- flows that can be made again ----

-- A factory and its name, "module.function", by which it is found again.
local function named_factory(factory)
  if type(factory) == "string" then
    local module, name = factory:match "^(.+)[.:]([^.:]+)$"
    local ok, content = pcall(require, module or factory)
    local f = ok and type(content) == "table" and content[name]
    if not check.is_callable(f) then
      exceptions.raise(
        exceptions.ImportError,
        ("Could not import factory '%s': %s"):format(
          factory,
          ok and "it is no function of a module" or tostring(content):match "^[^\n]*"
        )
      )
    end
    return f, factory
  end
  check.callable(factory, "load_from_factory: the factory")
  local name = class_name.of(factory)
  if not name then
    exceptions.raise(
      exceptions.ValueError,
      ("Flow factory %s is not reimportable by name: let a module return it"):format(place.of_function(factory))
    )
  end
  return factory, name
end

---Keep in a flow detail how its flow is made again.
---@param detail taskflow.FlowDetail
---@param factory function|string function, or its name "module.function"
---@param args any[]?
---@param kwargs table<string, any>? Lua functions have none: given as a table after the arguments
---@param backend taskflow.Backend? to save the detail in
function M.save_factory_details(detail, factory, args, kwargs, backend)
  models.check_flow(detail, "save_factory_details: the detail")
  local _, name = named_factory(factory)
  detail.meta.factory = { name = name, args = values.list(args or {}), kwargs = kwargs or {} }
  if backend then
    backend:get_connection():update_flow_details(detail)
  end
end

local function call_factory(factory, args, kwargs)
  args = { unpack(args or {}) }
  if kwargs and next(kwargs) ~= nil then
    args[#args + 1] = kwargs
  end
  return factory(unpack(args))
end

---Load a flow that a function makes, and keep how to make it again.
---@param factory function|string function that a module returns, or its name "module.function"
---@param options taskflow.EngineOptions|{ factory_args: any[]?, factory_kwargs: table? }?
---@return taskflow.Engine
function M.load_from_factory(factory, options)
  local rest = {}
  check.is(options or rest, "table", "load_from_factory: the options")
  for key, value in pairs(options or {}) do
    rest[key] = value
  end
  local args, kwargs = rest.factory_args, rest.factory_kwargs
  rest.factory_args, rest.factory_kwargs = nil, nil
  local f = named_factory(factory)
  local flow = call_factory(f, args, kwargs)
  if type(rest.backend) == "table" and not backends.is_backend(rest.backend) or type(rest.backend) == "string" then
    rest.backend = backends.fetch(rest.backend)
  end
  rest.flow_detail = persistence.create_flow_detail(flow.name, rest.book, rest.backend)
  M.save_factory_details(rest.flow_detail, factory, args, kwargs, rest.backend)
  return M.load(flow, rest)
end

---The flow of a detail that load_from_factory made.
---@param detail taskflow.FlowDetail
---@return taskflow.Flow
function M.flow_from_detail(detail)
  models.check_flow(detail, "flow_from_detail: the detail")
  local data = detail.meta and detail.meta.factory
  if type(data) ~= "table" then
    exceptions.raise(
      exceptions.ValueError,
      ("Cannot reconstruct flow %s %s: no factory information saved."):format(detail.name, detail.uuid)
    )
  end
  local ok, factory = pcall(named_factory, data.name)
  if not ok then
    local err = exceptions.ImportError(("Could not import factory for flow %s %s"):format(detail.name, detail.uuid))
    error(exceptions.is_exception(factory) and err:caused_by(factory) or err, 0)
  end
  return call_factory(factory, data.args, data.kwargs)
end

---Go on with the flow of a detail that load_from_factory made.
---@param detail taskflow.FlowDetail
---@param options taskflow.EngineOptions?
---@return taskflow.Engine
function M.load_from_detail(detail, options)
  local rest = { flow_detail = detail }
  check.is(options or rest, "table", "load_from_detail: the options")
  for key, value in pairs(options or {}) do
    rest[key] = value
  end
  return M.load(M.flow_from_detail(detail), rest)
end

return M
