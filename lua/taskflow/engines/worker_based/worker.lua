-- A worker from a script, as TaskFlow's documentation has it. Tasks are loaded and run in processes of their own:
-- nothing of this script's state is in them.
--
--   local w = require "taskflow.engines.worker_based.worker"
--   w.Worker({ topic = "test-tasks", tasks = { "tasks:TestTask1" } }):run()
local config = require "taskflow.engines.worker_based.config"
local exceptions = require "taskflow.exceptions"
local host = require "tfhost.worker"

---A worker that does not run yet, or runs.
---@class taskflow.Worker
---@field config taskflow.WorkerConfig
local Worker = {}
Worker.__index = Worker

local M = {}

---A worker. Tasks are looked for as the script's own require would.
---@param given taskflow.WorkerConfig
---@return taskflow.Worker
function M.Worker(given)
  local checked = config.check(given)
  if not checked.tasks then
    exceptions.raise(exceptions.ValueError, "worker: tasks: name at least one script, module or 'module:Task'")
  end
  return setmetatable({ config = checked }, Worker)
end

---Serve until TERM or INT, then finish what runs. Raises when the tasks cannot be loaded or the
---transport cannot be used.
---@return integer? signal that ended it at once, before all was finished
function Worker:run()
  local ok, message = host.run(self.config)
  if ok == nil then
    exceptions.raise(exceptions.RuntimeError, message)
  end
  return ok ~= 0 and ok or nil
end

return M
