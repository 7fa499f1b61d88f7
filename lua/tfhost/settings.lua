-- Settings of `tfhost worker` and `tfhost run`: the command line ranks before the environment (TFHOST_SLOTS for
-- `slots`), that before a file, that before what is built in. Each value knows where it came from.
local config = require "taskflow.engines.worker_based.config"
local engine_options = require "taskflow.engines.options"
local exceptions = require "taskflow.exceptions"
local text = require "taskflow.utils.text"
local values = require "taskflow.values"

local M = {}

---@class tfhost.Setting one that can be given
---@field key string as in a file
---@field flag string? as on the command line
---@field read fun(words: string): any what the words of a flag or of the environment say, or they as they are
---@field check fun(value: any, name: string): any
---@field default string? for people
---@field merged boolean? a table whose members are given one by one

---@class tfhost.Origin
---@field key string
---@field value any
---@field origin "flag"|"env"|"file"|"default"
---@field where string? "--slots", "TFHOST_SLOTS", "worker.lua:3"

-- ---- what words say ---------------------------------------------------------------------------

local read = {}

function read.text(words)
  return words
end

function read.number(words)
  return tonumber(words) or words
end

local BOOLEANS = {
  ["true"] = true, ["1"] = true, yes = true, on = true,
  ["false"] = false, ["0"] = false, no = false, off = false,
}

function read.boolean(words)
  local value = BOOLEANS[words:lower()]
  if value == nil then
    return words
  end
  return value
end

function read.list(words)
  local list = {}
  for part in words:gmatch "[^,]+" do
    list[#list + 1] = part
  end
  return list
end

function read.object(words)
  local ok, value = pcall(values.decode, words)
  return ok and value or words
end

-- "tasks.Convert=2,tasks.Send=1"; of several words for one name the last counts.
function read.pairs(words)
  local out = {}
  for part in words:gmatch "[^,]+" do
    local name, value = part:match "^(.+)=(.*)$"
    if not name then
      return words
    end
    out[name] = tonumber(value) or value
  end
  return out
end

-- ---- what there is ----------------------------------------------------------------------------

local TRANSPORT = {
  { key = "url", flag = "--url", read = read.text, default = "amqp://guest:guest@localhost:5672//" },
  { key = "exchange", flag = "--exchange", read = read.text, default = "default" },
  { key = "transport", flag = "--transport", read = read.text },
  { key = "transport_options", flag = "--transport-option", read = read.object, merged = true },
  { key = "retry_options", read = read.object, merged = true },
}

local OBSERVED = {
  { key = "metrics", flag = "--metrics", read = read.text, default = "none" },
  { key = "log_format", flag = "--log-format", read = read.text, default = "text" },
  { key = "log_level", flag = "--log-level", read = read.text, default = "info" },
}

local function rows(checks, ...)
  local out = { by_key = {} }
  for i = 1, select("#", ...) do
    for _, row in ipairs((select(i, ...))) do
      local copy = setmetatable({ check = checks[row.key] }, { __index = row })
      assert(copy.check, row.key)
      out[#out + 1] = copy
      out.by_key[row.key] = copy
    end
  end
  return out
end

local WORKER = rows(config.KNOWN, {
  { key = "tasks", read = read.list },
  { key = "topic", flag = "--topic", read = read.text, default = "default" },
}, TRANSPORT, {
  { key = "slots", flag = "--slots", read = read.number, default = "number of cores" },
  { key = "watch", flag = "--no-watch", read = read.boolean, default = "true" },
  { key = "control", flag = "--control", read = read.text, default = "a name with the pid in the usual directory" },
  { key = "load_timeout", flag = "--load-timeout", read = read.number, default = "30" },
  { key = "drain_timeout", flag = "--drain-timeout", read = read.number, default = "no limit" },
  { key = "journal", flag = "--journal", read = read.text, default = "the user's tfhost/journal" },
  { key = "journal_after", flag = "--journal-after", read = read.number, default = "180" },
  { key = "time_limit", flag = "--time-limit", read = read.number, default = "none" },
  { key = "time_warning", flag = "--time-warning", read = read.number, default = "never" },
  { key = "memory_limit", flag = "--memory-limit", read = read.text, default = "no limit" },
  { key = "argument_limit", flag = "--argument-limit", read = read.text, default = "no limit" },
  { key = "result_limit", flag = "--result-limit", read = read.text, default = "no limit" },
  {
    key = "concurrency", flag = "--concurrency", read = read.pairs, merged = true, default = "what the classes say",
  },
  { key = "max_tasks_per_slot", flag = "--max-tasks-per-slot", read = read.number, default = "any number" },
  { key = "max_memory_growth", flag = "--max-memory-growth", read = read.text, default = "no limit" },
}, OBSERVED)

local function any(value)
  return value
end

local RUN = rows(
  setmetatable({ engine = any, backend = any, durability = any }, {
    __index = function(_, key)
      return engine_options.converter(key) or config.KNOWN[key]
    end,
  }),
  {
    { key = "engine", flag = "--engine", read = read.text, default = "serial" },
    { key = "topics", flag = "--topics", read = read.list, default = "default" },
  },
  TRANSPORT,
  {
    { key = "transition_timeout", flag = "--timeout", read = read.number, default = "60" },
    { key = "worker_expiry", flag = "--option", read = read.number, default = "60" },
    { key = "probe_interval", flag = "--option", read = read.number, default = "5" },
    { key = "silence_limit", flag = "--option", read = read.number, default = "2.4" },
    { key = "attempts", flag = "--option", read = read.number, default = "3" },
    { key = "max_workers", flag = "--option", read = read.number, default = "number of cores" },
    { key = "defer_reverts", flag = "--option", read = read.boolean, default = "false" },
    { key = "never_resolve", flag = "--option", read = read.boolean, default = "false" },
    { key = "inject_transient", flag = "--option", read = read.boolean, default = "false" },
    { key = "reference_quirks", flag = "--option", read = read.boolean, default = "false" },
    { key = "backend", flag = "--backend", read = read.text, default = "the user's tfhost/flows.db" },
    { key = "durability", flag = "--durability", read = read.text, default = "normal" },
  },
  OBSERVED
)

M.KINDS = { worker = WORKER, run = RUN }

-- Of `run`, what is not an option of its engine.
local HOST = { backend = true, durability = true, metrics = true, log_format = true, log_level = true }

-- Variables that others read.
local FOREIGN = { TFHOST_LUA_DIR = true, TFHOST_CONTROL_DIR = true }

-- ---- where something stands in a file ---------------------------------------------------------

-- Line structure and names stay, comments and what is inside strings go, but for names in ["..."].
local function code_of(source)
  local function blank(s)
    return (s:gsub("[^\n]", " "))
  end
  local out, at = {}, 1
  while at <= #source do
    local rest = source:sub(at, at + 1)
    local equals = source:match("^%[(=*)%[", rest == "--" and at + 2 or at)
    local stop
    if equals then
      stop = select(2, source:find("]" .. equals .. "]", at, true)) or #source
    elseif rest == "--" then
      stop = (source:find("\n", at, true) or #source + 1) - 1
    elseif rest:match "^['\"]" then
      stop = at + 1
      while stop <= #source and source:sub(stop, stop) ~= rest:sub(1, 1) do
        stop = stop + (source:sub(stop, stop) == "\\" and 2 or 1)
      end
    end
    local piece = source:sub(at, stop or at)
    local name = stop and rest ~= "--" and piece:match "^['\"]([%a_][%w_]*)['\"]$"
    if name and source:match("^%s*%]", stop + 1) then
      piece = " " .. name .. " "
    elseif stop then
      piece = blank(piece)
    end
    out[#out + 1] = piece
    at = (stop or at) + 1
  end
  return table.concat(out)
end

---The line on which a file gives a key its value; the last one if there are several. nil: it is made in another way.
---@param source string
---@param key string
---@return integer?
function M.line_of(source, key)
  local code, found = "\n" .. code_of(source), nil
  for before, at in code:gmatch("([^%w_])" .. key .. "%s*%]?%s*=()") do
    if before and code:sub(at, at) ~= "=" then
      found = select(2, code:sub(1, at - 1):gsub("\n", "")) -- one is ours
    end
  end
  return found
end

-- ---- putting it together ----------------------------------------------------------------------

---@class tfhost.Settings
---@field values table<string, any>
---@field origins tfhost.Origin[] in the order of the list above
---@field given table<string, any> what of `values` the command line says

local function story(err)
  return type(err) == "table" and err.message or tostring(err)
end

local function read_file(path)
  local file, message = io.open(path, "rb")
  if not file then
    error({ message = ("configuration %s"):format(message) }, 0)
  end
  local source = file:read "*a" or ""
  file:close()
  local chunk, ok, result
  chunk, message = loadfile(path)
  if not chunk then
    error({ message = ("configuration %s: %s"):format(path, message) }, 0)
  end
  ok, result = pcall(chunk)
  if not ok then
    error({ message = ("configuration %s: %s"):format(path, story(result)) }, 0)
  elseif type(result) ~= "table" then
    local what = ("configuration %s: it returns a table, not a %s"):format(path, type(result))
    error({ message = what }, 0)
  end
  return result, source
end

local function file_layer(list, path)
  local given, source = read_file(path)
  for _, key in ipairs(text.sorted_keys(given)) do
    if not list.by_key[key] and key ~= "threads_count" then
      local line = M.line_of(source, tostring(key))
      error({
        message = ("configuration %s%s: %s"):format(
          path, line and ":" .. line or "", text.unknown("option", key, list.by_key)
        ),
      }, 0)
    end
  end
  return function(row)
    local key = row.key
    if key == "slots" and given.slots == nil and given.threads_count ~= nil then
      key = "threads_count" -- TaskFlow's name of it
    end
    if given[key] ~= nil then
      local line = M.line_of(source, key)
      return given[key], path .. (line and ":" .. line or ""), "configuration " .. path .. (line and ":" .. line or "")
    end
  end
end

local function env_layer(row)
  local name = "TFHOST_" .. row.key:upper()
  local words = os.getenv(name)
  if words and words ~= "" then
    return row.read(words), name, name
  end
end

local function flag_layer(flags)
  return function(row)
    local value = flags[row.key]
    if value == nil then
      return
    end
    local where = row.flag or "the command line"
    if row.flag == "--option" then
      where = "--option " .. row.key
    end
    return type(value) == "string" and row.read(value) or value, where, where
  end
end

-- Check what was given; the story names the place instead of the key.
local function checked(row, value, where, is_usage)
  local ok, result = pcall(row.check, value, row.key)
  if ok then
    return result
  end
  local message = story(result)
  if is_usage then -- the place says the key
    message = message:gsub("^" .. row.key .. ": ", "", 1)
  end
  error({ message = where .. ": " .. message, usage = is_usage }, 0)
end

local function merge_members(found)
  local out = {}
  for i = #found, 1, -1 do
    for name, value in pairs(found[i].value) do
      out[name] = value
    end
  end
  found[1].value = next(out) ~= nil and out or found[1].value
end

local function resolve(list, given)
  local layers = {
    { "flag", flag_layer(given.flags or {}), true },
    { "env", env_layer, true },
  }
  if given.file then
    layers[#layers + 1] = { "file", file_layer(list, given.file), false }
  end
  local out = { values = {}, origins = {}, given = given.flags or {} }
  for _, row in ipairs(list) do
    local found = {}
    for _, layer in ipairs(layers) do
      local value, where, place = layer[2](row)
      if value ~= nil then
        value = checked(row, value, place, layer[3])
        found[#found + 1] = { key = row.key, origin = layer[1], where = where, value = value }
      end
    end
    if row.merged and #found > 0 then
      merge_members(found)
    end
    local best = found[1] or { key = row.key, origin = "default", value = row.default }
    out.origins[#out.origins + 1] = best
    if found[1] then
      out.values[row.key] = best.value
    end
  end
  return out
end

---@param kind "worker"|"run"
---@param given { flags: table<string, any>?, file: string? }
---@return tfhost.Settings? or nil and what is wrong
---@return string?
---@return boolean? usage: the command line or the environment is to blame, not a file
function M.resolve(kind, given)
  local ok, result = pcall(resolve, M.KINDS[kind], given)
  if ok then
    return result
  elseif type(result) == "table" and result.message and not exceptions.is_exception(result) then
    return nil, result.message, result.usage or false
  end
  error(result, 0)
end

---The configuration of a worker, as taskflow.engines.worker_based.config gives it.
---@param given { flags: table<string, any>?, file: string?, optional_tasks: boolean? }
---@return taskflow.WorkerConfig? or nil, message, usage
---@return string?
---@return boolean?
function M.worker(given)
  local settings, message, blame = M.resolve("worker", given)
  if not settings then
    return nil, message, blame
  end
  if not settings.values.tasks and not given.file and not given.optional_tasks then
    return nil, "no tasks to serve: name a script, a module, or module:Task", true
  end
  return config.finish(settings.values)
end

---What `run` is to do: options for the host, those of the engine that the command line gives, and those that others
---give, which are for any flow and need not suit this one.
---@param given { flags: table<string, any>?, file: string? }
---@return { host: table, engine: table, general: table }? or nil, message, usage
---@return string?
---@return boolean?
function M.run(given)
  local settings, message, blame = M.resolve("run", given)
  if not settings then
    return nil, message, blame
  end
  local out = { host = {}, engine = {}, general = {} }
  for key, value in pairs(settings.values) do
    local to = HOST[key] and out.host or settings.given[key] ~= nil and out.engine or out.general
    to[key] = value
  end
  for key, value in pairs(settings.given) do
    if not RUN.by_key[key] then
      out.engine[key] = value -- an option that the engine will know, or refuse
    end
  end
  return out
end

---Variables of the environment that look like settings and are none.
---@param names string[] of the environment
---@return string[] what is wrong with each
function M.unknown_variables(names)
  local known, out = {}, {}
  for _, list in pairs(M.KINDS) do
    for _, row in ipairs(list) do
      known["TFHOST_" .. row.key:upper()] = true
    end
  end
  for name in pairs(FOREIGN) do
    known[name] = true
  end
  for _, name in ipairs(names) do
    if name:match "^TFHOST_" and not known[name] and not name:match "^TFHOST_TEST_" then
      out[#out + 1] = text.unknown("variable", name, known)
    end
  end
  return out
end

return M
