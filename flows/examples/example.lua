-- What the examples share: values as the reference prints them, framed headings, workers, flows that are kept.
local backends = require "taskflow.persistence.backends"
local models = require "taskflow.persistence.models"
local persistence = require "taskflow.persistence"
local taskflow = require "taskflow"
local values = require "taskflow.values"

local M = {}

local python

local function python_list(list)
  local out = {}
  for i, value in ipairs(list) do
    out[i] = python(value)
  end
  return "[" .. table.concat(out, ", ") .. "]"
end

---A table as Python prints a dict; the keys in that order, default: sorted.
---@param map table<string, any>
---@param keys string[]?
---@return string
function M.dict(map, keys)
  if not keys then
    keys = {}
    for key in pairs(map) do
      keys[#keys + 1] = key
    end
    table.sort(keys)
  end
  local out = {}
  for i, key in ipairs(keys) do
    out[i] = ("'%s': %s"):format(key, python(map[key]))
  end
  return "{" .. table.concat(out, ", ") .. "}"
end

---A value as Python prints it.
---@param value any
---@return string
function python(value)
  if value == nil or value == values.null then
    return "None"
  elseif type(value) == "boolean" then
    return value and "True" or "False"
  elseif type(value) == "string" then
    return "'" .. value .. "'"
  elseif type(value) ~= "table" then
    return tostring(value)
  end
  return (value[1] ~= nil or values.is_list(value)) and python_list(value) or M.dict(value)
end

M.python = python

---Print a text between two lines of dashes.
function M.heading(text)
  local dashes = ("-"):rep(#text)
  print(dashes)
  print(text)
  print(dashes)
end

---Path of the program that runs this script.
---@return string
function M.host()
  local pipe = assert(io.popen "readlink /proc/$PPID/exe")
  local path = pipe:read "*l"
  pipe:close()
  return path
end

local function start(topic, module, url)
  local command = ("exec '%s' worker %s --topic %s --url '%s' 2>/dev/null"):format(M.host(), module, topic, url)
  local pipe = assert(io.popen(command))
  local pid = assert(pipe:read("*l"):match "pid (%d+)$", "the worker did not start")
  return { pipe = pipe, pid = pid }
end

---Wait, as slow work would; SLOW_DOWN is another number of seconds.
---@param seconds number
function M.slow_down(seconds)
  print "** Ctrl-c me please!!! **"
  io.stdout:flush()
  os.execute("sleep " .. (os.getenv "SLOW_DOWN" or seconds))
end

---An engine for a flow that is kept, new or gone on with: prints, or takes, a tracking id.
---@param factory fun(): taskflow.Flow
---@param options table of the engine
---@param backend_name string? default: memory
---@param tracking_id string? "book+flow", as an earlier run has printed it
---@return taskflow.Engine
function M.tracked(factory, options, backend_name, tracking_id)
  local backend = backends.fetch(backend_name or "memory")
  options.backend = backend
  local flow = factory()
  local _, id = (tracking_id or ""):match "^(%S+)%+(%S+)$"
  if id then
    options.flow_detail = backend:get_connection():get_flow_details(id)
  else
    local book = models.LogBook(flow.name)
    options.flow_detail = persistence.create_flow_detail(flow.name, book, backend)
    print(("!! Your tracking id is: '%s+%s'"):format(book.uuid, options.flow_detail.uuid))
    print "!! Please submit this on later runs for tracking purposes"
  end
  return taskflow.engines.load(flow, options)
end

---Run a function while workers of a module of tasks are there; they talk over a directory.
---@param count integer
---@param module string
---@param f fun(options: table) is given the options of an engine that uses them
function M.with_workers(count, module, f)
  local folder = os.tmpname()
  os.remove(folder)
  local options = { engine = "worker-based", url = "filesystem://" .. folder, topics = {} }
  local workers = {}
  print(("Running %d workers."):format(count))
  for i = 1, count do
    options.topics[i] = "worker-" .. i
    workers[i] = start(options.topics[i], module, options.url)
  end
  local ok, err = pcall(f, options)
  print "Stopping workers."
  for _, worker in ipairs(workers) do
    os.execute("kill " .. worker.pid)
    worker.pipe:close() -- waits for its end
  end
  os.execute(("rm -r '%s'"):format(folder))
  if not ok then
    error(err, 0)
  end
end

return M
