-- `tfhost dev FLOW`: one run of a flow on a worker of its own, over a directory that both are handed. A new worker for
-- each run: what is shown is the code as it is saved, and never half of it.
local class_name = require "taskflow.utils.class_name"
local compiler = require "taskflow.engines.compiler"
local host = require "tfhost.host"
local run = require "tfhost.run"
local task = require "taskflow.task"

local M = {}

-- Options of a builder that say which engine, or where: dev has its own.
local REPLACED = {
  "engine", "url", "exchange", "topics", "transport", "transport_options", "retry_options", "max_workers", "executor",
  "backend", "book", "flow_detail",
}
local READY_SECONDS = 30

-- Modules that have the task classes of a flow, or nil and the first task that no worker could name.
local function modules_of(flow)
  local out, seen = {}, {}
  for _, atom in ipairs(compiler.compile(flow).order) do
    local module
    if atom.reference then
      module = atom.reference:match "^(.*):"
      pcall(require, module) -- its files are watched, though this engine does not need them
    elseif task.is_task(atom) then
      module = (class_name.of(atom.class) or ""):match "^(.*)%.[^.]+$"
      if atom.class.functor or not module then
        return nil, atom
      end
    end
    if module and not seen[module] then
      seen[module] = true
      out[#out + 1] = module
    end
  end
  return out
end

-- What is new in a file since the last call: what tasks print and what goes wrong, without the worker's chat.
local function reader(path, from)
  local at, partial = from or 0, ""
  return function()
    local file = io.open(path, "rb")
    if not file then
      return ""
    end
    file:seek("set", at)
    local text = partial .. file:read "*a"
    at = file:seek()
    file:close()
    local lines, rest = text:match "^(.*\n)(.-)$"
    partial = lines and rest or text
    local out = {}
    for line in (lines or ""):gmatch "[^\n]*\n" do
      if not line:find "^%d+%-%d+%-%d+T[%d:.]+Z %u+ " or line:find "^%S+ ERROR " or line:find "^%S+ WARN " then
        out[#out + 1] = line
      end
    end
    return table.concat(out)
  end
end

-- A table as Lua text.
local function literal(value)
  if type(value) ~= "table" then
    return type(value) == "string" and ("%q"):format(value) or tostring(value)
  end
  local out = {}
  for key, member in pairs(value) do
    out[#out + 1] = ("[%s] = %s"):format(literal(key), literal(member))
  end
  return "{ " .. table.concat(out, ", ") .. " }"
end

-- Start a worker, which finds modules where this process does, and wait until it serves; nil and what it said if it
-- does not.
local function start_worker(given, modules)
  local log, url = given.directory .. "/worker.log", "filesystem://" .. given.directory .. "/spool"
  local config = {
    url = url, topic = "dev", tasks = modules, slots = tonumber(given.slots), watch = false, control = "none",
  }
  local script = ("package.path = %q require('taskflow.engines.worker_based.worker').Worker(%s):run()"):format(
    package.path, literal(config)
  )
  local pid, message = host.spawn({ "lua", "-e", script }, log)
  if not pid then
    return nil, message
  end
  local limit = host.now() + READY_SECONDS
  while host.now() < limit do
    local file = io.open(log, "rb")
    local text = file and file:read "*a" or ""
    if file then
      file:close()
    end
    if text:find "^serving " or text:find "\nserving " then
      return pid, nil, url, reader(log, #text)
    elseif not host.lives(pid) then
      return nil, (reader(log)():gsub("\n$", ""))
    end
    host.sleep(0.005)
  end
  host.stop(pid)
  return nil, ("the worker did not come up in %d s: %s"):format(READY_SECONDS, reader(log)())
end

local function own_options(options, more)
  local out = {}
  for key, value in pairs(options) do
    out[key] = value
  end
  for _, key in ipairs(REPLACED) do
    out[key] = nil
  end
  for key, value in pairs(more) do
    out[key] = value
  end
  return out
end

---@param given table reference, store, file_store, directory, slots, plain
---@return integer exit code
function M.main(given)
  given.command, given.engine_options = "tfhost dev", {}
  local texts = run.store_texts(given)
  local flow, options = run.make(given, texts)
  if not flow then
    return run.complain(given, options)
  end
  local ok, modules, unnamed = pcall(modules_of, flow)
  if not ok then
    return run.complain(given, tostring(modules))
  end
  local pid, message, url
  if not modules then
    io.write(("-- without workers: task '%s' (made at %s) is in no module\n"):format(unnamed.name, unnamed.where))
    options = own_options(options, { engine = "parallel", max_workers = tonumber(given.slots) })
  elseif modules[1] then
    pid, message, url, given.output = start_worker(given, modules)
    if not pid then
      return run.complain(given, message)
    end
    options = own_options(options, { engine = "worker-based", url = url, topics = { "dev" } })
  else
    options = own_options(options, {})
  end
  local code
  local engine, why = run.prepare(flow, options, texts)
  if engine then
    code = run.execute(engine, flow, given)
  else
    code = run.complain(given, why)
  end
  if pid then
    host.stop(pid)
  end
  return code
end

return M
