-- Making engines:
--
--   local eng = taskflow.engines.load(flow, { engine = "parallel", store = { x = 1 } })
--   eng:run()
--   print(eng.storage:fetch "y")
local engine = require "taskflow.engines.engine"

local M = {}

---@class taskflow.EngineOptions
---@field engine string? "serial" (default), "parallel", "worker-based", or a URI: "parallel://?max_workers=3"
---@field engine_conf table|string|nil the same options in a table of their own; those beside it win
---@field store table<string, any>? values that atoms may ask for
---@field defer_reverts boolean?
---@field never_resolve boolean? no revert and no retry: the first failure ends in FAILURE
---@field reference_quirks boolean? what TaskFlow 5.0.0 does where it is better not imitated (ENGINE.md 20)
---@field max_workers integer? parallel: tasks at once, default: number of cores
---@field url string? worker-based: of the broker
---@field exchange string? worker-based: default "default"
---@field topics string[]? worker-based: topics of workers, default { "default" }
---@field transport string? worker-based: "filesystem", "memory", ...
---@field transport_options table<string, any>?
---@field retry_options table<string, number>?
---@field transition_timeout number? seconds that a request may wait for its next state, default 60
---@field worker_expiry number? seconds after which a silent worker is forgotten, default 60
---@field probe_interval number? seconds between probes for workers, default 5
---@field silence_limit number? seconds of silence after which a tfhost worker counts as lost, default 2.5

---Make an engine for a flow, compiled and ready to run.
---@param flow taskflow.Flow|taskflow.Task
---@param options taskflow.EngineOptions?
---@return taskflow.Engine
function M.load(flow, options)
  local self = engine.new(flow, options)
  self:compile()
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

return M
