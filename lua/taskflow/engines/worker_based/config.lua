-- The configuration of a worker, as its file or its caller gives it: TaskFlow's keys, and `slots`.
local exceptions = require "taskflow.exceptions"
local limits = require "taskflow.utils.limits"
local options = require "taskflow.engines.options"

local M = {}

local function name(value, key)
  if type(value) ~= "string" or value == "" then
    exceptions.raise(exceptions.TypeError, ("%s: expected a non-empty string"):format(key))
  end
  return value
end

local function references(value, key)
  if type(value) == "string" then
    value = { value }
  end
  if type(value) ~= "table" or #value == 0 then
    exceptions.raise(
      exceptions.TypeError,
      ("%s: expected a list of scripts, modules or 'module:Task' references"):format(key)
    )
  end
  for i, reference in ipairs(value) do
    if type(reference) ~= "string" or reference == "" then
      exceptions.raise(exceptions.TypeError, ("%s: entry %d must be a non-empty string"):format(key, i))
    end
  end
  return value
end

local function flag(value, key)
  if type(value) ~= "boolean" then
    exceptions.raise(exceptions.TypeError, ("%s: expected true or false"):format(key))
  end
  return value
end

local function seconds(value, key)
  if type(value) ~= "number" or not (value >= 0.001 and value <= 86400) then
    exceptions.raise(
      exceptions.ValueError,
      ("%s: expected seconds, above 0 and up to 86400, got '%s'"):format(key, tostring(value))
    )
  end
  return value
end

local function choice(...)
  local words = { ... }
  return function(value, key)
    for _, word in ipairs(words) do
      if value == word then
        return value
      end
    end
    exceptions.raise(
      exceptions.ValueError,
      ("%s: expected %s or %s, got '%s'"):format(
        key, table.concat(words, ", ", 1, #words - 1), words[#words], tostring(value)
      )
    )
  end
end

-- "9464", "0.0.0.0:9464", "[::1]:9464", "none"
local function address(value, key)
  local port = type(value) == "number" and value % 1 == 0 and tostring(value)
    or type(value) == "string"
      and (value:match "^%d+$" or value:match "^[%w.-]+:(%d+)$" or value:match "^%[[%x:.]+%]:(%d+)$")
  if value ~= "none" and not (port and tonumber(port) <= 65535) then
    exceptions.raise(
      exceptions.ValueError,
      ("%s: expected PORT, HOST:PORT or none, got '%s'"):format(key, tostring(value))
    )
  end
  return tostring(value)
end

local function tasks_count(value, key)
  return limits.count(value, key, 1e9)
end

-- Class, also as a reference, to number: classes become as on the wire.
local function concurrency(value, key)
  if type(value) ~= "table" then
    exceptions.raise(exceptions.TypeError, key .. ': expected { ["tasks:Convert"] = 2 }, or tasks.Convert=2')
  end
  local out = {}
  for class, limit in pairs(value) do
    name(class, key .. ": a class")
    local number = limits.count(limit, ("%s of '%s'"):format(key, class))
    out[(class:gsub(":", "."))] = number
  end
  return out
end

local KNOWN = {
  topic = name,
  tasks = references,
  slots = limits.count,
  threads_count = limits.count,
  watch = flag,
  control = name,
  drain_timeout = limits.seconds,
  journal = name,
  journal_after = limits.seconds,
  load_timeout = seconds,
  time_limit = limits.seconds,
  time_warning = limits.seconds,
  memory_limit = limits.bytes,
  metrics = address,
  log_format = choice("text", "logfmt", "json"),
  log_level = choice("debug", "info", "warn", "error"),
  argument_limit = limits.size,
  result_limit = limits.size,
  max_tasks_per_slot = tasks_count,
  max_memory_growth = limits.bytes,
  concurrency = concurrency,
}
for key, check in pairs(options.TRANSPORT) do
  KNOWN[key] = check
end

---What a worker can be told, here and in the file of `tfhost worker --config`.
---@class taskflow.WorkerConfig
---@field url string? of the broker
---@field exchange string? default "default"
---@field topic string? default "default"
---@field tasks string[] scripts ("tasks.lua"), modules ("tasks"), or single classes ("tasks:TestTask1")
---@field transport string? "filesystem", "memory", ...; default: what the URL says
---@field transport_options table<string, any>? README.md lists them
---@field retry_options table<string, number>? interval_start, interval_step, interval_max, max_retries of publishing
---@field slots integer? tasks at once, default: number of cores
---@field threads_count integer? TaskFlow's name of slots
---@field watch boolean? load scripts again when they change, default true
---@field control string? path of the control socket, "none" for none
---@field time_limit number? seconds, of tasks that have no limit of their own; so are these:
---@field time_warning number? seconds
---@field memory_limit number|string|nil bytes, or "64M"
---@field argument_limit number|string|nil bytes of arguments as JSON, or "64K"
---@field result_limit number|string|nil bytes of a result as JSON
---@field concurrency table<string, integer>? class ("tasks:Convert") -> how many of it run at a time here
---@field max_tasks_per_slot integer? a slot is replaced by a new one after at most so many tasks
---@field max_memory_growth number|string|nil bytes that a slot may grow by until it is replaced
---@field drain_timeout number? seconds that TERM gives to what runs, default: no limit
---@field journal string? directory for what Python engines were promised, "none" for none
---@field journal_after number? seconds after which a task of theirs is kept there alone, default 180
---@field load_timeout number? seconds that scripts may take to load, default 30
---@field metrics string|integer|nil "[HOST:]PORT" where Prometheus finds metrics, default: nowhere; HOST is 127.0.0.1
---@field log_format string? "text", "logfmt" or "json"
---@field log_level string? "debug", "info", "warn" or "error"

---Checks of the keys: (value, key) -> value, or a ValueError or TypeError.
M.KNOWN = KNOWN

---The last step of a check: TaskFlow's names become ours.
---@param out table values that have been checked
---@return taskflow.WorkerConfig
function M.finish(out)
  out.slots = out.slots or out.threads_count
  out.threads_count = nil
  out.no_watch = out.watch == false
  return out
end

---Check a configuration; unknown keys are errors.
---@param config any
---@return taskflow.WorkerConfig
function M.check(config)
  if type(config) ~= "table" then
    exceptions.raise(exceptions.TypeError, "the configuration of a worker is a table, not a " .. type(config))
  end
  return M.finish(options.convert(config, KNOWN, "worker"))
end

return M
