-- The task classes of python/peer_tasks.py in Lua, name for name; what each is for is said there.
local ffi = require "ffi"
local task = require "taskflow.task"
local values = require "taskflow.values"
local cjson = require "cjson"

ffi.cdef [[
int getpid(void);
int getppid(void);
int access(const char *, int);
int poll(void *, unsigned long, int);
]]

local M = {}

local VALUES = {
  ["null"] = values.null,
  ["true"] = true,
  ["false"] = false,
  zero = 0,
  integer = 42,
  negative = -7,
  real = 0.1,
  tiny = 5e-324,
  string = "plain",
  empty_string = "",
  empty_list = values.list {},
  empty_map = {},
  list = { 1, { 2, { 3, values.list {} } }, {}, values.null, "x" },
  map = { b = 1, a = { empty = values.list {}, null = values.null }, [""] = "no name" },
  unicode = "\195\169 \228\184\173\230\150\135 \240\159\152\128 \226\128\168 \239\187\191",
  control = "\0\1\31\t\r\n\"\\/\127",
  above_2_53 = 9007199254740993LL,
  int64_max = 9223372036854775807LL,
  int64_min = -9223372036854775807LL - 1,
  megabyte = ("x"):rep(1048576),
}

local describe

local function describe_string(raw)
  if #raw > 64 then
    local sum = 0
    for i = 1, #raw do
      sum = sum + raw:byte(i)
    end
    return ("s%d:%d"):format(#raw, sum % 65521)
  end
  return "s" .. raw:gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end)
end

local function describe_table(value)
  local out = {}
  if values.is_list(value) then
    for i = 1, #value do
      out[i] = describe(value[i])
    end
    return "[" .. table.concat(out, ",") .. "]"
  end
  local keys = {}
  for key in pairs(value) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  for i, key in ipairs(keys) do
    out[i] = describe(key) .. ":" .. describe(value[key])
  end
  return "{" .. table.concat(out, ",") .. "}"
end

function describe(value)
  if value == nil or value == values.null then
    return "null"
  elseif type(value) == "string" then
    return describe_string(value)
  elseif type(value) == "table" then
    return describe_table(value)
  elseif type(value) == "cdata" then
    return "n" .. tostring(value):gsub("U?LL$", "")
  elseif type(value) == "number" then
    return (value % 1 == 0 and "n%.0f" or "n%.17g"):format(value)
  end
  return tostring(value)
end

local function journal(entry)
  local path = os.getenv "PEER_JOURNAL"
  if path then
    entry.pid = ffi.C.getpid()
    entry.host = ffi.C.getppid()
    entry.language = "lua"
    local handle = assert(io.open(path, "ab"))
    handle:write(cjson.encode(entry) .. "\n") -- one write, as the file is shared
    handle:close()
  end
end

local function what(outcome)
  if type(outcome) == "table" and outcome.exception_str then
    return "failure " .. outcome.exception_str
  end
  return describe(outcome)
end

local function texts(failures)
  local out = setmetatable({}, cjson.array_mt)
  for name, failure in pairs(failures) do
    out[#out + 1] = name .. "=" .. failure.exception_str
  end
  table.sort(out)
  return out
end

M.Give = task.Task {
  execute = function(_, kind)
    return VALUES[kind]
  end,
}

M.Echo = task.Task {
  execute = function(_, value)
    return value
  end,
}

M.Describe = task.Task {
  execute = function(_, value)
    return describe(value)
  end,
}

M.Picky = task.Task {
  execute = function(_, value)
    return { value }
  end,
}

M.WaitFor = task.Task {
  execute = function(self, path)
    journal { task = self.name, did = "start" }
    while ffi.C.access(path, 0) ~= 0 do
      ffi.C.poll(nil, 0, 20)
    end
    journal { task = self.name, did = "end" }
    return path
  end,
}

M.Pair = task.Task {
  execute = function(_, first, second)
    return { second, first }
  end,
}

M.Nothing = task.Task {
  execute = function(self)
    journal { task = self.name, did = "execute" }
  end,
}

M.Undo = task.Task {
  execute = function(self, value)
    journal { task = self.name, did = "execute", value = describe(value) }
    return value * 2
  end,
  revert = function(self, value, result, flow_failures)
    journal {
      task = self.name,
      did = "revert",
      value = describe(value),
      result = what(result),
      failures = texts(flow_failures),
    }
    return "undone"
  end,
}

M.Boom = task.Task {
  execute = function(self)
    journal { task = self.name, did = "execute" }
    error("Woot!", 0)
  end,
  revert = function(self, result, flow_failures)
    journal { task = self.name, did = "revert", result = what(result), failures = texts(flow_failures) }
  end,
}

M.RevertBoom = task.Task {
  execute = function()
    return "fine"
  end,
  revert = function(_, result, flow_failures) -- luacheck: no unused args
    error("cannot undo", 0)
  end,
}

M.BadResult = task.Task {
  execute = function()
    return print
  end,
}

M.Progress = task.Task {
  execute = function(self, steps)
    for step = 1, steps do
      self:update_progress(step / steps)
    end
    return steps
  end,
}

M.Slow = task.Task {
  execute = function(self, seconds)
    journal { task = self.name, did = "start" }
    ffi.C.poll(nil, 0, seconds * 1000)
    journal { task = self.name, did = "end" }
    return seconds
  end,
  revert = function(self, result, flow_failures) -- luacheck: no unused args
    journal { task = self.name, did = "revert", result = what(result) }
  end,
}

M.Join = task.Task {
  kwargs = true,
  execute = function(_, kwargs)
    local names, out = {}, values.list {}
    for name in pairs(kwargs) do
      names[#names + 1] = name
    end
    table.sort(names)
    for i, name in ipairs(names) do
      out[i] = kwargs[name]
    end
    return out
  end,
}

return M
