-- Listeners say what TaskFlow's say of the same flow, and hear of tasks on workers what they hear of tasks here.
local capturing = require "taskflow.listeners.capturing"
local cjson = require "cjson"
local engines = require "taskflow.engines"
local exceptions = require "taskflow.exceptions"
local lf = require "taskflow.patterns.linear_flow"
local logging = require "taskflow.listeners.logging"
local peers = require "peers"
local printing = require "taskflow.listeners.printing"
local process = require "process"
local retry = require "taskflow.retry"
local task = require "taskflow.task"
local timing = require "taskflow.listeners.timing"

local Give = task.Task {
  execute = function(_self, what)
    return what
  end,
}
local Fail = task.Task {
  execute = function(_self)
    error(exceptions.RuntimeError "boom")
  end,
}

-- Lines of a listener; those of tracebacks are left out, and what differs from run to run.
local function normal(text)
  local out = {}
  for line in text:gmatch "[^\n]+" do
    if line:find "^Trace" == nil and line:find "^%s" == nil and line ~= "RuntimeError: boom" then
      line = line:gsub("^(%u* ?).* has moved", "%1ENGINE has moved"):gsub("%x+%-%x+%-%x+%-%x+%-%x+", "UUID")
      out[#out + 1] = (line:gsub("%d%.%d%d seconds", "N seconds"))
    end
  end
  return out
end

-- What comes when, and what the storage says then.
local function in_order(engine, write)
  engine.notifier:register("*", function(state)
    write("flow " .. state)
  end)
  engine.atom_notifier:register("*", function(state, details)
    local name = details.task_name
    if not name then
      write("retry " .. state)
      return
    end
    local stored, progress = engine.storage:get_atom_state(name), engine.storage:get_task_progress(name)
    write(("%s %s stored %s %.1f"):format(name, state, stored, progress))
  end)
  for name, one in pairs(engine:tasks()) do
    one.notifier:register("*", function(event, details)
      write(("%s %s %.1f"):format(name, event, details.progress))
    end)
  end
  return {
    with = function(_, f)
      f()
    end,
  }
end

local function ours(kind)
  local lines = {}
  local function write(line)
    lines[#lines + 1] = line
  end
  local function level(name)
    return function(_, message)
      write(name .. " " .. message)
    end
  end
  local log = { debug = level "DEBUG", warn = level "WARNING" }
  local out = {
    write = function(_, ...)
      write(table.concat({ ... }):gsub("\n$", ""))
    end,
  }
  local flow = lf.Flow("f", { retry = retry.Times(1, { name = "r" }) }):add(
    Give { name = "a", inject = { what = "one" } },
    Give { name = "b", inject = { what = { 1, 2 } } },
    Fail { name = "c" }
  )
  local engine = engines.load(flow)
  local make = {
    printing = function()
      return printing.PrintingListener(engine, { out = out })
    end,
    logging = function()
      return logging.LoggingListener(engine, { log = log })
    end,
    dynamic = function()
      return logging.DynamicLoggingListener(engine, { log = log })
    end,
    durations = function()
      return timing.PrintingDurationListener(engine, { printer = write })
    end,
    times = function()
      return timing.EventTimeListener(engine)
    end,
    capture = function()
      return capturing.CaptureListener(engine)
    end,
    order = function()
      return in_order(engine, write)
    end,
  }
  local listener = make[kind]()
  pcall(listener.with, listener, function()
    engine:run()
  end)
  for _, entry in ipairs(kind == "capture" and listener.values or {}) do
    local members = {}
    for key in pairs(entry[3]) do
      members[#members + 1] = key
    end
    table.sort(members)
    write(("%s %s %s"):format(entry[1], entry[2], table.concat(members, " ")))
  end
  local metadata = { f = engine.storage:get_flow_metadata() }
  for _, name in ipairs { "a", "b", "c", "r" } do
    metadata[name] = engine.storage:get_atom_metadata(name)
  end
  return normal(table.concat(lines, "\n")), metadata
end

describe("listeners, as TaskFlow's", function()
  after_each(process.cleanup)

  for _, kind in ipairs { "printing", "logging", "dynamic", "durations", "times", "capture", "order" } do
    it(kind, function()
      local done = process.run { "/usr/bin/python3", "spec/support/python/listeners.py", kind }
      assert.equal(0, done.code, done.story)
      local said, told = done.stdout:match "^(.-)({[^\n]*})\n$"
      local lines, metadata = ours(kind)
      assert.same(normal(said), lines)
      for name, keys in pairs(cjson.decode(told)) do
        local found = {}
        for key in pairs(metadata[name]) do
          found[#found + 1] = key
        end
        table.sort(found)
        assert.same(keys, found, name)
      end
    end)
  end
end)

-- Kinds, states and members of what was captured, and events of tasks, in order for each task.
local function captured(options, modules)
  local tasks = require(modules)
  local out = {}
  local function note(name, line)
    out[name] = out[name] or {}
    table.insert(out[name], line)
  end
  local letters = tasks.Letters { name = "letters" }
  letters.notifier:register("*", function(event, details)
    note("letters", ("event %s %s"):format(event, details.leftover and #details.leftover or details.progress))
  end)
  local flow = lf.Flow("f", { retry = retry.AlwaysRevert { name = "r" } }):add(letters)
  local engine = engines.load(flow, options)
  local listener = capturing.CaptureListener(engine)
  listener:with(function()
    engine:run()
  end)
  for _, entry in ipairs(listener.values) do
    local details, members = entry[3], {}
    for key in pairs(details) do
      members[#members + 1] = key
    end
    table.sort(members)
    local name = details.task_name or details.retry_name or "flow"
    note(name, ("%s %s from %s: %s"):format(entry[1], entry[2], details.old_state, table.concat(members, " ")))
  end
  engine:close()
  return out
end

describe("listeners of tasks elsewhere", function()
  after_each(process.cleanup)

  it("hear the same as of tasks here", function()
    local here = captured({ engine = "serial" }, "tasks.events")
    assert.equal("event update_progress 0", here.letters[1])
    assert.equal("event A 25", here.letters[2])
    assert.equal("event update_progress 1", here.letters[28])
    assert.same(here, captured({ engine = "parallel", max_workers = 1 }, "tasks.events"))
    local side = peers.environment "filesystem"
    peers.ready(side:worker("lua", "letters", { tasks = { "tasks.events" } }))
    local options = side:options { engine = "worker-based", topics = { "letters" } }
    assert.same(here, captured(options, "tasks.events"))
  end)
end)
