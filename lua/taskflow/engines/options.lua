-- Options of engines: what there is, of which type, and what a mistake is told.
local exceptions = require "taskflow.exceptions"
local text = require "taskflow.utils.text"

local M = {}

-- TaskFlow's names of engines.
local KINDS = {
  default = "serial",
  serial = "serial",
  parallel = "parallel",
  ["worker-based"] = "worker-based",
  workers = "worker-based",
}

local function fail(class, ...)
  exceptions.raise(exceptions[class], (...):format(select(2, ...)))
end

local TRUE = { ["1"] = true, t = true, ["true"] = true, on = true, y = true, yes = true }
local FALSE = { ["0"] = true, f = true, ["false"] = true, off = true, n = true, no = true }

-- Converters: value as given -> value as used. Options of an engine URI are strings.
local convert = {}

function convert.boolean(value, name)
  if type(value) == "boolean" then
    return value
  end
  local word = tostring(value):lower()
  if TRUE[word] then
    return true
  elseif FALSE[word] then
    return false
  end
  fail("ValueError", "%s: expected true or false, got '%s'", name, tostring(value))
end

function convert.string(value, name)
  if type(value) ~= "string" or value == "" then
    fail("TypeError", "%s: expected a non-empty string, got %s", name, value == "" and "''" or "a " .. type(value))
  end
  return value
end

function convert.count(value, name)
  local n = tonumber(value)
  if not n or n < 1 or n % 1 ~= 0 or n > 100000 then
    fail("ValueError", "%s: expected an integer of at least 1, got '%s'", name, tostring(value))
  end
  return n
end

---Seconds; math.huge or a negative number is "never".
function convert.seconds(value, name)
  local n = tonumber(value)
  if not n or n ~= n or n == 0 then
    fail("ValueError", "%s: expected seconds (not 0; negative is never), got '%s'", name, tostring(value))
  end
  return n == math.huge and -1 or n
end

function convert.interval(value, name)
  local n = tonumber(value)
  if not n or not (n > 0 and n < 1e9) then
    fail("ValueError", "%s: expected seconds above 0, got '%s'", name, tostring(value))
  end
  return n
end

function convert.names(value, name)
  if type(value) == "string" then
    local list = {}
    for part in value:gmatch "[^,]+" do
      list[#list + 1] = part
    end
    value = list
  end
  if type(value) ~= "table" then
    fail("TypeError", "%s: expected a list of names, got a %s", name, type(value))
  end
  for i, entry in ipairs(value) do
    if type(entry) ~= "string" or entry == "" then
      fail("TypeError", "%s: entry %d must be a non-empty string", name, i)
    end
  end
  for key in pairs(value) do
    if type(key) ~= "number" then
      fail("TypeError", "%s: expected a list of names, got a table with the key '%s'", name, tostring(key))
    end
  end
  return value
end

function convert.table(value, name)
  if type(value) ~= "table" then
    fail("TypeError", "%s: expected a table, got a %s", name, type(value))
  end
  return value
end

---Values by name.
function convert.store(value, name)
  for key in pairs(convert.table(value, name)) do
    if type(key) ~= "string" then
      fail("TypeError", "%s: names are strings, not %s (%s)", name, "a " .. type(key), tostring(key))
    end
  end
  return value
end

local RETRY_OPTIONS = { interval_start = true, interval_step = true, interval_max = true, max_retries = true }

function convert.retry_options(value, name)
  convert.table(value, name)
  local out = {}
  for key, number in pairs(value) do
    if not RETRY_OPTIONS[key] then
      fail("TypeError", "%s: %s", name, text.unknown("option", key, RETRY_OPTIONS))
    end
    out[key] = tonumber(number)
    if not out[key] or out[key] ~= out[key] or out[key] < 0 then
      fail("ValueError", "%s.%s: expected a number of at least 0, got '%s'", name, key, tostring(number))
    end
  end
  return out
end

local EXECUTORS = {}
for _, name in ipairs {
  "thread", "threads", "threaded",
  "process", "processes",
  "greenthread", "greenthreads", "greenthreaded",
} do
  EXECUTORS[name] = true
end

---Accepted for flows written for Python: every kind means processes here.
function convert.executor(value, name)
  if type(value) ~= "string" then
    fail("TypeError", "%s: expected the name of a kind of executor, got a %s", name, type(value))
  end
  if not EXECUTORS[value:lower()] then
    fail("ValueError", "%s: %s", name, text.unknown("kind of executor", value, EXECUTORS))
  end
  return value
end

M.TRANSPORT = {
  url = convert.string,
  exchange = convert.string,
  transport = convert.string,
  transport_options = convert.table,
  retry_options = convert.retry_options,
}

---A backend, or what backends.fetch takes.
function convert.backend(value)
  local backends = require "taskflow.persistence.backends" -- an engine need not keep anything
  return backends.is_backend(value) and value or backends.fetch(value)
end

function convert.book(value, name)
  return require("taskflow.persistence.models").check_book(value, name)
end

function convert.flow_detail(value, name)
  return require("taskflow.persistence.models").check_flow(value, name)
end

local GENERIC = {
  store = convert.store,
  backend = convert.backend,
  book = convert.book,
  flow_detail = convert.flow_detail,
  defer_reverts = convert.boolean,
  never_resolve = convert.boolean,
  inject_transient = convert.boolean,
  gather_statistics = convert.boolean,
  reference_quirks = convert.boolean,
}

local SPECIAL = {
  serial = {},
  parallel = { max_workers = convert.count, executor = convert.executor },
  ["worker-based"] = {
    topics = convert.names,
    transition_timeout = convert.seconds,
    worker_expiry = convert.seconds,
    probe_interval = convert.interval,
    silence_limit = convert.interval,
    attempts = convert.count,
  },
}
for name, check in pairs(M.TRANSPORT) do
  SPECIAL["worker-based"][name] = check
end

---Convert the options of a table by a list of converters; unknown ones are errors.
---@param options table
---@param known table<string, function>
---@param what string for messages: "engine 'serial'"
---@return table
function M.convert(options, known, what)
  local out = {}
  for _, key in ipairs(text.sorted_keys(options)) do
    local check = known[key]
    if not check then
      fail("TypeError", "%s: %s", what, text.unknown("option", key, known))
    end
    out[key] = check(options[key], key)
  end
  return out
end

---What checks an option of any kind of engine; nil if there is none of that name.
---@param name string
---@return (fun(value: any, name: string): any)?
function M.converter(name)
  for _, known in pairs(SPECIAL) do
    if known[name] then
      return known[name]
    end
  end
  return GENERIC[name]
end

---Whether the kind of engine that a name or URI names has that option.
---@param engine any as `engine` of the options of load
---@param option string
---@return boolean
function M.takes(engine, option)
  local kind = KINDS[tostring(engine or "default"):match "^[%w_-]+"]
  return not kind or GENERIC[option] ~= nil or SPECIAL[kind][option] ~= nil
end

-- An option of another kind of engine is no typo.
local function check_kind(given, kind, title)
  for _, key in ipairs(text.sorted_keys(given)) do
    for other, known in pairs(SPECIAL) do
      if other ~= kind and known[key] and not SPECIAL[kind][key] then
        fail("TypeError", "%s: the option '%s' is for the engine '%s'", title, key, other)
      end
    end
  end
end

local function unescape(s)
  return (s:gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

-- "parallel://?max_workers=3" -> "parallel", { max_workers = "3" }
local function parse_uri(name)
  local kind, query = name:match "^([%w_-]+)://[^?]*%??(.*)$"
  if not kind then
    return name, {}
  end
  local options = {}
  for pair in query:gmatch "[^&]+" do
    local key, value = pair:match "^([^=]*)=?(.*)$"
    options[unescape(key)] = unescape(value)
  end
  return kind, options
end

-- Later tables win.
local function merge(...)
  local out = {}
  for i = 1, select("#", ...) do
    for key, value in pairs((select(i, ...))) do
      out[key] = value
    end
  end
  return out
end

---The options of load: { engine = name or URI, engine_conf = { ... }, ... } checked and merged.
---@param given table?
---@return table with `engine` one of "serial", "parallel", "worker-based"
function M.parse(given)
  given = given or {}
  if type(given) ~= "table" then
    fail("TypeError", "the options of an engine are a table, not a %s", type(given))
  end
  local conf = given.engine_conf or {}
  if type(conf) == "string" then
    conf = { engine = conf }
  elseif type(conf) ~= "table" then
    fail("TypeError", "engine_conf: expected a table, got a %s", type(conf))
  end
  local merged = merge(conf, given)
  local name = merged.engine or "default"
  if type(name) ~= "string" then
    fail("TypeError", "engine: expected a name, got a %s", type(name))
  end
  local kind, query = parse_uri(name)
  if not KINDS[kind] then
    local near = text.nearest(kind, KINDS)
    fail("NotFound", "Could not find engine '%s'%s", kind, near and (", did you mean '%s'?"):format(near) or "")
  end
  merged = merge(query, merged)
  merged.engine, merged.engine_conf = nil, nil
  local title = ("engine '%s'"):format(kind)
  check_kind(merged, KINDS[kind], title)
  local out = M.convert(merged, merge(GENERIC, SPECIAL[KINDS[kind]]), title)
  out.engine = KINDS[kind]
  if out.engine == "worker-based" then
    out.topics = out.topics or { "default" }
    out.exchange = out.exchange or "default"
    if out.topics[1] == nil then
      fail("ValueError", "engine '%s': topics: name at least one topic of workers", kind)
    end
  end
  return out
end

return M
