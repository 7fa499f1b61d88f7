-- Every public function of the library, called with values of wrong types: whatever it does not take is refused by
-- an error that names this file's line, never by one from inside the library.
local backends = require "taskflow.persistence.backends"
local engines = require "taskflow.engines"
local exceptions = require "taskflow.exceptions"
local ffi = require "ffi"
local failure = require "taskflow.failure"
local gf = require "taskflow.patterns.graph_flow"
local lf = require "taskflow.patterns.linear_flow"
local models = require "taskflow.persistence.models"
local notifier = require "taskflow.notifier"
local printing = require "taskflow.listeners.printing"
local process = require "process"
local retry = require "taskflow.retry"
local task = require "taskflow.task"
local uf = require "taskflow.patterns.unordered_flow"
local values = require "taskflow.values"

local FILE = debug.getinfo(1, "S").short_src

local MODULES = {
  "taskflow.engines",
  "taskflow.engines.worker_based.worker",
  "taskflow.exceptions",
  "taskflow.failure",
  "taskflow.listeners.base",
  "taskflow.listeners.capturing",
  "taskflow.listeners.logging",
  "taskflow.listeners.printing",
  "taskflow.listeners.timing",
  "taskflow.notifier",
  "taskflow.patterns.graph_flow",
  "taskflow.patterns.linear_flow",
  "taskflow.patterns.unordered_flow",
  "taskflow.persistence",
  "taskflow.persistence.backends",
  "taskflow.persistence.models",
  "taskflow.retry",
  "taskflow.task",
  "taskflow.values",
}

-- What is meant to raise whatever it is given.
local SKIPPED = { ["taskflow.failure.handler"] = true }
-- What one part of the library offers to another.
local models_text = process.read "lua/taskflow/persistence/models.lua"
for name in models_text:gmatch "\n%-%-%-@package[^\n]*\nfunction M%.([%w_]+)" do
  SKIPPED["taskflow.persistence.models." .. name] = true
end

local function noop() end

local function bad_values()
  return {
    { nil, "nil" },
    { true, "true" },
    { 0, "0" },
    { -1.5, "-1.5" },
    { 0 / 0, "nan" },
    { "", "''" },
    { "x", "'x'" },
    { "a\0b", "NUL" },
    { "\255", "no UTF-8" },
    { {}, "{}" },
    { { 1 }, "{ 1 }" },
    { { [1] = "a", [3] = "b" }, "a list with a hole" },
    { { x = 1 }, "{ x = 1 }" },
    { { name = 1 }, "{ name = 1 }" },
    { { [{}] = 1 }, "{ [{}] = 1 }" },
    { noop, "a function" },
    { io.stdout, "a file" },
    { coroutine.create(noop), "a coroutine" },
    { values.int64 "1", "an int64" },
    { values.null, "null" },
    { setmetatable({}, { __metatable = false }), "a locked table" },
  }
end

local function is_clear(err)
  if exceptions.is_exception(err) then
    err = err.where
  end
  return type(err) == "string" and err:sub(1, #FILE + 1) == FILE .. ":"
end

local function story(err)
  local ok, text = pcall(tostring, err)
  return ok and text:match "^[^\n]*" or "an error without a text"
end

-- The call that has to be named: of this file, and no tail call.
local function call(f, ...)
  local result = f(...)
  return result
end

-- All calls of `f` with up to two arguments, after those that are given.
local function try(complaints, name, f, given)
  local function check(what, ...)
    local args, n = { unpack(given, 1, given.n) }, given.n
    for i = 1, select("#", ...) do
      n = n + 1
      args[n] = (select(i, ...))
    end
    local ok, err = pcall(call, f, unpack(args, 1, n))
    if not ok and not is_clear(err) then
      complaints[#complaints + 1] = ("%s(%s): %s"):format(name, what, story(err))
    end
  end
  check ""
  for _, first in ipairs(bad_values()) do
    check(first[2], first[1])
    for _, second in ipairs(bad_values()) do
      check(first[2] .. ", " .. second[2], first[1], second[1])
    end
  end
end

-- Names of the methods that a file of the library defines.
local function methods_of(file)
  local out = {}
  for name in process.read("lua/taskflow/" .. file):gmatch "\nfunction [%w_]+:(%l[%w_]*)" do
    out[#out + 1] = name
  end
  assert(out[1], file)
  return out
end

local function report(complaints)
  table.sort(complaints)
  local shown = table.concat(complaints, "\n", 1, math.min(#complaints, 100))
  assert(#complaints == 0, ("%d calls, such as\n%s"):format(#complaints, shown))
end

local Ok = task.Task {
  execute = function(_self) end,
}

local function an_engine()
  return engines.load(lf.Flow("f"):add(Ok { name = "a" }))
end

local function a_closed_engine()
  local engine = an_engine()
  engine:close()
  return engine
end

-- What the engine calls, not the user.
local EVENTS = { flow_event = true, task_event = true, retry_event = true, deregistered = true }

local function a_connection()
  return backends.fetch("memory"):get_connection()
end

-- Objects by name: how one is made, the file of its methods, and which of them are not for this.
local OBJECTS = {
  ["a task"] = { function() return Ok { name = "a" } end, "task.lua" },
  ["a linear flow"] = { function() return lf.Flow "f" end, "flow.lua" },
  ["an unordered flow"] = { function() return uf.Flow "f" end, "flow.lua" },
  ["a graph flow"] = { function() return gf.Flow "f" end, "patterns/graph_flow.lua" },
  ["a targeted flow"] = { function() return gf.TargetedFlow "f" end, "patterns/graph_flow.lua" },
  ["a history"] = { function() return retry.History {} end, "retry.lua" },
  ["an engine"] = { an_engine, "engines/engine.lua" },
  ["a closed engine"] = { a_closed_engine, "engines/engine.lua" },
  ["a storage"] = { function() return an_engine().storage end, "engines/storage.lua" },
  ["a storage of a closed engine"] = { function() return a_closed_engine().storage end, "engines/storage.lua" },
  ["a backend"] = { function() return backends.fetch "memory" end, "persistence/backends/init.lua" },
  ["a connection"] = { a_connection, "persistence/backends/init.lua" },
  ["a logbook"] = { function() return models.LogBook "b" end, "persistence/models.lua" },
  ["a flow detail"] = { function() return models.FlowDetail "f" end, "persistence/models.lua" },
  ["an atom detail"] = { function() return models.TaskDetail "t" end, "persistence/models.lua" },
  ["a notifier"] = { notifier.new, "notifier.lua" },
  ["a listener"] = { function() return printing.PrintingListener(an_engine(), { out = { write = noop } }) end,
    "listeners/base.lua", skip = EVENTS },
  ["an exception"] = { function() return exceptions.OSError "x" end, "exceptions.lua" },
  ["a failure"] = { function() return failure.from_exception "x" end, "failure.lua", skip = { reraise = true } },
}

local function a_flow()
  return lf.Flow("f"):add(Ok { name = "a" })
end

-- What takes a table of options: the call, and the options that it knows.
local OPTIONS = {
  ["engines.load"] = {
    function(options)
      engines.load(a_flow(), options):close()
    end,
    "engine engine_conf store backend book flow_detail defer_reverts never_resolve inject_transient reference_quirks "
      .. "gather_statistics max_workers executor url exchange topics transport transport_options retry_options "
      .. "transition_timeout worker_expiry probe_interval silence_limit",
  },
  ["engine:run"] = {
    function(options)
      an_engine():run(options)
    end,
    "signals on_tick tick",
  },
  ["task.Task"] = {
    function(options)
      options.execute = options.execute or noop
      return task.Task(options)
    end,
    "execute revert pre_execute post_execute pre_revert post_revert default_provides kwargs name requires rebind "
      .. "inject optional auto_extract revert_requires revert_rebind version priority",
  },
  ["a task class"] = {
    function(options)
      return lf.Flow("f"):add(Ok(options))
    end,
    "name provides requires rebind inject optional auto_extract revert_requires revert_rebind version priority",
  },
  ["task.Map"] = {
    function(options)
      options.task, options.over = options.task or Ok, options.over or "list"
      return task.Map(options)
    end,
    "task over as limit name provides requires rebind inject optional version priority revert",
  },
  ["task.FunctorTask"] = {
    function(options)
      return task.FunctorTask(noop, options)
    end,
    "name provides requires rebind inject optional auto_extract revert version priority",
  },
  ["task.MapFunctorTask"] = {
    function(options)
      options.requires = options.requires or "x"
      return task.MapFunctorTask(noop, options)
    end,
    "name provides requires rebind inject",
  },
  ["task.Reference"] = {
    function(options)
      return task.Reference("m:T", options)
    end,
    "name provides requires rebind inject optional revert_requires revert_rebind version priority",
  },
  ["retry.Retry"] = {
    function(options)
      options.execute, options.on_failure = options.execute or noop, options.on_failure or noop
      return retry.Retry(options)
    end,
    "execute on_failure revert default_provides kwargs name",
  },
  ["retry.Times"] = {
    retry.Times,
    "attempts revert_all name provides requires rebind optional auto_extract revert_requires revert_rebind",
  },
  ["retry.ForEach"] = { retry.ForEach, "values revert_all name provides" },
  ["retry.ParameterizedForEach"] = { retry.ParameterizedForEach, "revert_all name provides rebind" },
  ["a flow"] = {
    function(options)
      return lf.Flow("f", options)
    end,
    "retry",
  },
  ["graph_flow:add"] = {
    function(options)
      return gf.Flow("f"):add(Ok { name = "a" }, options)
    end,
    "resolve_requires resolve_existing",
  },
  ["notifier:register"] = {
    function(options)
      notifier.new():register("x", noop, options)
    end,
    "details_filter args",
  },
  ["backends.fetch"] = {
    function(options)
      options.connection = options.connection or "memory"
      backends.fetch(options):close()
    end,
    "path durability",
  },
  ["a worker"] = {
    function(options)
      options.tasks = options.tasks or { "tasks" }
      return require("taskflow.engines.worker_based.worker").Worker(options)
    end,
    "url exchange topic tasks transport transport_options retry_options slots threads_count "
      .. "time_limit time_warning memory_limit argument_limit result_limit concurrency max_tasks_per_slot "
      .. "max_memory_growth",
  },
}

for name, class in pairs(require "taskflow.listeners.timing") do
  OPTIONS[name] = {
    function(options)
      class(an_engine(), options)
    end,
    "now printer flow_listen_for task_listen_for retry_listen_for",
  }
end
for module, keys in pairs {
  capturing = "capture_flow capture_task capture_retry skip_flows skip_tasks skip_retries values task_listen_for",
  logging = "log level failure_level hide_inputs_outputs_of flow_listen_for",
  printing = "stderr out task_listen_for",
} do
  for name, class in pairs(require("taskflow.listeners." .. module)) do
    if type(class) == "function" then
      OPTIONS[name] = {
        function(options)
          class(an_engine(), options)
        end,
        keys,
      }
    end
  end
end

ffi.cdef "int chdir(const char *);"
local home = assert(os.getenv "PWD")

-- Some of the values are names of files: what they make must not be left here.
local function leave()
  assert(ffi.C.chdir(process.directory()) == 0)
end

local function come_back()
  assert(ffi.C.chdir(home) == 0)
  process.cleanup()
end

describe("options of wrong types", function()
  before_each(leave)
  after_each(come_back)

  for name, row in pairs(OPTIONS) do
    it("are refused by " .. name, function()
      local complaints = {}
      for key in row[2]:gmatch "%S+" do
        for _, bad in ipairs(bad_values()) do
          local ok, err = pcall(call, row[1], { [key] = bad[1] })
          if not ok and not is_clear(err) then
            complaints[#complaints + 1] = ("%s { %s = %s }: %s"):format(name, key, bad[2], story(err))
          end
        end
      end
      report(complaints)
    end)
  end
end)

describe("wrong types", function()
  before_each(leave)
  after_each(come_back)

  for _, name in ipairs(MODULES) do
    it("are refused by " .. name, function()
      local module, complaints = require(name), {}
      for key, value in pairs(module) do
        local public = type(value) == "function" or (getmetatable(value) or {}).__call
        if public and not SKIPPED[name .. "." .. key] then
          try(complaints, name .. "." .. key, value, { n = 0 })
        end
      end
      report(complaints)
    end)
  end

  for name, row in pairs(OBJECTS) do
    local methods = methods_of(row[2])
    it("are refused by " .. name, function()
      local make, complaints = row[1], {}
      for _, method in ipairs(methods) do
        local object = make()
        local f = object[method]
        if f and not (row.skip and row.skip[method]) then
          try(complaints, "object:" .. method, f, { object, n = 1 })
          try(complaints, "object." .. method, f, { n = 0 })
        end
      end
      report(complaints)
    end)
  end
end)
