-- What the listeners take and do; that they say what TaskFlow's say is shown in spec/e2e/listeners_spec.lua.
local base = require "taskflow.listeners.base"
local capturing = require "taskflow.listeners.capturing"
local engines = require "taskflow.engines"
local exceptions = require "taskflow.exceptions"
local lf = require "taskflow.patterns.linear_flow"
local logging = require "taskflow.listeners.logging"
local printing = require "taskflow.listeners.printing"
local retry = require "taskflow.retry"
local task = require "taskflow.task"
local timing = require "taskflow.listeners.timing"

local function sink()
  local out = { text = "" }
  function out:write(...)
    self.text = self.text .. table.concat { ... }
  end
  return out
end

local Ok = task.Task {
  default_provides = "x",
  execute = function(_self)
    return { 1, "two" }
  end,
}
local Bad = task.Task {
  execute = function(_self)
    error(exceptions.OSError "boom")
  end,
}

local function load(...)
  local flow = lf.Flow("f", { retry = retry.AlwaysRevert { name = "r" } })
  return engines.load(flow:add(...))
end

local function kinds_and_states(values)
  local out = {}
  for i, entry in ipairs(values) do
    out[i] = entry[1] .. " " .. entry[2]
  end
  return out
end

describe("taskflow.listeners", function()
  it("watch while a function runs, give what it gives, raise what it raises", function()
    local eng = load(Ok { name = "a" }, Bad { name = "b" })
    local listener = capturing.CaptureListener(eng)
    local _, err = pcall(listener.with, listener, function()
      eng:run()
    end)
    assert.is_true(err:is "OSError")
    assert.equal(0, eng.notifier:count() + eng.atom_notifier:count())
    assert.same({ 1, nil, 3 }, {
      listener:with(function()
        return 1, nil, 3
      end),
    })
  end)

  it("are registered once, and as often as they were deregistered", function()
    local eng = load(Ok { name = "a" })
    local listener = capturing.CaptureListener(eng)
    assert.equal(listener, listener:register())
    listener:register()
    local count = eng.notifier:count() + eng.atom_notifier:count()
    assert.equal(3, count)
    listener:deregister()
    listener:deregister()
    assert.equal(0, eng.notifier:count() + eng.atom_notifier:count())
    listener:register()
    eng:run()
    assert.equal(6, #listener.values)
  end)

  it("hear of the states that they listen for", function()
    local eng = load(Ok { name = "a" }, Bad { name = "b" })
    local capture = capturing.CaptureListener(eng, {
      flow_listen_for = { "REVERTED" },
      task_listen_for = { "FAILURE", "REVERTED" },
      retry_listen_for = {},
    })
    pcall(capture.with, capture, function()
      eng:run()
    end)
    assert.same({ "task FAILURE", "task REVERTED", "task REVERTED", "flow REVERTED" }, kinds_and_states(capture.values))
  end)

  it("may be written by users", function()
    local seen = {}
    local Own = base.class({
      flow_event = function(self, state, details)
        seen[#seen + 1] = ("%s %s %s"):format(self.prefix, details.flow_name, state)
      end,
    }, function(self, options)
      self.prefix = options.prefix
    end, { prefix = true })
    local eng = load(Ok { name = "a" })
    Own(eng, { prefix = ">" }):with(function()
      eng:run()
    end)
    assert.same({ "> f RUNNING", "> f SUCCESS" }, seen)
    local _, err = pcall(Own, eng, { prefixx = 1 })
    assert.equal("listener: unknown option 'prefixx', did you mean 'prefix'?", err.message)
    _, err = pcall(Own, {})
    assert.equal("a listener watches an engine (taskflow.engines.load), not a table", err.message)
  end)

  it("that raise are passed over", function()
    local log = require "taskflow.utils.log"
    local warn, warnings = log.warn, {}
    log.warn = function(_, message)
      warnings[#warnings + 1] = message
    end
    local eng = load(Ok { name = "a" })
    local Raising = base.class {
      task_event = function(_self, state)
        error("not today: " .. state)
      end,
    }
    Raising(eng):register()
    local state = eng:run()
    log.warn = warn
    assert.equal("SUCCESS", state)
    assert.equal(2, #warnings)
    assert.truthy(warnings[1]:find("a listener for 'RUNNING' failed: .*not today: RUNNING"))
  end)

  it("printing writes where it is told to", function()
    local eng = load(Ok { name = "a" })
    local out = sink()
    printing.PrintingListener(eng, { out = out }):with(function()
      eng:run()
    end)
    assert.truthy(out.text:find("serial engine of flow 'f' has moved task 'a' (", 1, true))
    assert.equal(io.stderr, printing.PrintingListener(eng, { stderr = true }).out)
    assert.equal(io.stdout, printing.PrintingListener(eng).out)
    local _, err = pcall(printing.PrintingListener, eng, { out = "file" })
    assert.equal("out must be a file, or have a method write", err.message)
  end)

  it("logging uses its levels, and a log that has not all of them", function()
    local lines = {}
    local log = {
      info = function(_, message)
        lines[#lines + 1] = message
      end,
    }
    local eng = load(Ok { name = "a" }, Bad { name = "b" })
    logging.LoggingListener(eng, { log = log }):register() -- debug: nobody hears it
    logging.DynamicLoggingListener(eng, { log = log, failure_level = "info" }):register()
    pcall(eng.run, eng)
    -- a: REVERTED; b: FAILURE, REVERTED; the flow
    assert.equal(4, #lines)
    assert.truthy(lines[1]:find("^Task 'b' %(%S+%) transitioned into state 'FAILURE' from state 'RUNNING'\n"))
    -- with the traceback of the line that raised
    assert.truthy(lines[1]:find("listeners_spec.lua\", line %d+, in .*\nOSError: boom$"))
    local _, err = pcall(logging.LoggingListener, eng, { level = "loud" })
    assert.equal("level must be debug, info, warn or error", err.message)
  end)

  it("logging keeps results that are to be hidden", function()
    local text = ""
    local log = {
      debug = function(_, message)
        text = text .. message .. "\n"
      end,
    }
    local eng = load(Ok { name = "a" }, Ok { name = "b", provides = {} })
    logging.DynamicLoggingListener(eng, { log = log, hide_inputs_outputs_of = { "a" } }):with(function()
      eng:run()
    end)
    assert.truthy(text:find "Task 'a' %(%S+%) transitioned into state 'SUCCESS' from state 'RUNNING'\n")
    assert.truthy(text:find "Task 'b' %(%S+%) transitioned into state 'SUCCESS' from state 'RUNNING' with result '%[1")
  end)

  it("timing measures with the clock it is given, and keeps it as metadata", function()
    local now, lines = 0, {}
    local Slow = task.Task {
      execute = function(_self, seconds)
        now = now + seconds
      end,
    }
    local eng = engines.load(lf.Flow("f"):add(Slow { name = "a" }, Slow { name = "b", inject = { seconds = 0.5 } }), {
      store = { seconds = 2.25 },
    })
    local function clock()
      return now
    end
    local function printer(line)
      lines[#lines + 1] = line
    end
    timing.PrintingDurationListener(eng, { now = clock, printer = printer }):register()
    timing.EventTimeListener(eng, { now = clock }):register()
    eng:run()
    assert.same({
      "'f' flow started.",
      "'a' task started.",
      "It took task 'a' 2.25 seconds to finish.",
      "'b' task started.",
      "It took task 'b' 0.50 seconds to finish.",
      "It took flow 'f' 2.75 seconds to finish.",
    }, lines)
    assert.equal(2.25, eng.storage:get_atom_metadata("a").duration)
    local b = eng.storage:get_atom_metadata "b"
    assert.same({ 0.5, 2.25, 2.75 }, { b.duration, b["RUNNING-timestamp"], b["SUCCESS-timestamp"] })
    local of_flow = eng.storage:get_flow_metadata()
    assert.same({ 2.75, 0, 2.75 }, { of_flow.duration, of_flow["RUNNING-timestamp"], of_flow["SUCCESS-timestamp"] })
  end)

  it("timing is kept with the flow", function()
    local backend = require("taskflow.persistence.backends").fetch "memory"
    local eng = engines.load(lf.Flow("f"):add(Ok { name = "a" }), { backend = backend })
    timing.DurationListener(eng):register()
    timing.EventTimeListener(eng):register()
    eng:run()
    local kept = backend:get_connection():get_flow_details(eng.storage:flow_uuid())
    assert.equal("SUCCESS", kept.state)
    assert.same(eng.storage:get_flow_metadata(), kept.meta)
    assert.is_number(kept.meta.duration)
    assert.is_number(kept.meta["SUCCESS-timestamp"])
    for atom in kept:iter() do
      assert.equal("SUCCESS", atom.state)
      atom.meta.tfhost = nil -- what the engine keeps for itself
      assert.same(eng.storage:get_atom_metadata(atom.name), atom.meta)
      assert.is_number(atom.meta.duration)
      assert.equal(1, atom.meta.progress)
    end
    assert.equal(1, kept:len())
  end)

  it("timestamps are Unix time", function()
    local eng = load(Ok { name = "a" })
    timing.EventTimeListener(eng):with(function()
      eng:run()
    end)
    local at = eng.storage:get_atom_metadata("a")["SUCCESS-timestamp"]
    assert.is_true(math.abs(at - os.time()) < 60)
    assert.is_true(eng.storage:get_atom_metadata("r")["SUCCESS-timestamp"] <= at)
  end)

  it("timing reports what did not end", function()
    local log = require "taskflow.utils.log"
    local eng
    local Suspending = task.Task {
      execute = function(_self)
        eng:suspend()
      end,
    }
    eng = load(Suspending { name = "a" }, Ok { name = "b" })
    local warn, warnings = log.warn, {}
    log.warn = function(_, message)
      warnings[#warnings + 1] = message
    end
    timing.DurationListener(eng):with(function()
      eng:run()
    end)
    log.warn = warn
    assert.same({ "1 flow(s) did not enter an end state" }, warnings)
    assert.is_number(eng.storage:get_atom_metadata("a").duration)
    assert.is_nil(eng.storage:get_flow_metadata().duration)
  end)

  it("capturing keeps what it is asked to keep, where it is asked to", function()
    local eng = load(Ok { name = "a" }, Ok { name = "b", provides = {} })
    local values = { "before" }
    local capture =
      capturing.CaptureListener(eng, { capture_retry = false, skip_tasks = { "b" }, values = values }):register()
    eng:run()
    assert.equal(values, capture.values)
    assert.equal("before", table.remove(values, 1))
    assert.same({ "flow RUNNING", "task RUNNING", "task SUCCESS", "flow SUCCESS" }, kinds_and_states(values))
    assert.same({ 1, "two" }, { unpack(values[3][3].result) })
    assert.equal(eng, values[1][3].engine)
  end)
end)
