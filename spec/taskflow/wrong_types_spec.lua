-- Every public function of the library, called with values of wrong types: whatever it does not take is refused by
-- an error that names this file's line, never by one from inside the library.
local engines = require "taskflow.engines"
local exceptions = require "taskflow.exceptions"
local failure = require "taskflow.failure"
local gf = require "taskflow.patterns.graph_flow"
local lf = require "taskflow.patterns.linear_flow"
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
  "taskflow.retry",
  "taskflow.task",
  "taskflow.values",
}

-- What is meant to raise whatever it is given.
local SKIPPED = { ["taskflow.failure.handler"] = true }

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
  ["a notifier"] = { notifier.new, "notifier.lua" },
  ["a listener"] = { function() return printing.PrintingListener(an_engine(), { out = { write = noop } }) end,
    "listeners/base.lua", skip = EVENTS },
  ["an exception"] = { function() return exceptions.OSError "x" end, "exceptions.lua" },
  ["a failure"] = { function() return failure.from_exception "x" end, "failure.lua", skip = { reraise = true } },
}

describe("wrong types", function()
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
    it("are refused by " .. name, function()
      local make, file, complaints = row[1], row[2], {}
      for _, method in ipairs(methods_of(file)) do
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
