local capturing = require "taskflow.listeners.capturing"
local engines = require "taskflow.engines"
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
    error("boom", 0)
  end,
}

local function load(...)
  local flow = lf.Flow("f", { retry = retry.AlwaysRevert { name = "r" } })
  return engines.load(flow:add(...))
end

-- UUIDs differ from run to run.
local function anonymous(text)
  return (text:gsub("%x+%-%x+%-%x+%-%x+%-%x+", "UUID"))
end

describe("taskflow.listeners", function()
  it("printing says what moved into which state, with which result", function()
    local out = sink()
    local eng = load(Ok { name = "a" }, Bad { name = "b" })
    assert.has_error(function()
      printing.PrintingListener(eng, { out = out }):with(function()
        eng:run()
      end)
    end, "boom")
    local e = "serial engine of flow 'f' has moved "
    assert.equal(
      e .. "flow 'f' (UUID) into state 'RUNNING' from state 'PENDING'\n"
        .. e .. "retry 'r' (UUID) into state 'RUNNING' from state 'PENDING'\n"
        .. e .. "retry 'r' (UUID) into state 'SUCCESS' from state 'RUNNING' with result 'null' (failure=False)\n"
        .. e .. "task 'a' (UUID) into state 'RUNNING' from state 'PENDING'\n"
        .. e .. "task 'a' (UUID) into state 'SUCCESS' from state 'RUNNING' with result '[1, \"two\"]' (failure=False)\n"
        .. e .. "task 'b' (UUID) into state 'RUNNING' from state 'PENDING'\n"
        .. e .. "task 'b' (UUID) into state 'FAILURE' from state 'RUNNING' with result "
        .. "'Failure: tfhost.LuaError: boom' (failure=True)\n",
      anonymous(out.text):match "^(.*failure=True%)\n)"
    )
    -- with() has deregistered it
    assert.equal(0, eng.notifier:count() + eng.atom_notifier:count())
  end)

  it("logging uses levels, and the dynamic one warns of failures", function()
    local lines = {}
    local log = {}
    for _, level in ipairs { "debug", "info", "warn" } do
      log[level] = function(_, message)
        lines[#lines + 1] = level .. " " .. anonymous(message)
      end
    end
    local eng = load(Bad { name = "b" })
    local plain = logging.LoggingListener(eng, { log = log }):register()
    pcall(eng.run, eng)
    plain:deregister()
    assert.equal(
      "debug serial engine of flow 'f' has moved flow 'f' (UUID) into state 'RUNNING' from state 'PENDING'",
      lines[1]
    )
    lines = {}
    local dynamic = logging.DynamicLoggingListener(eng, { log = log, level = "info" }):register()
    pcall(eng.run, eng)
    dynamic:deregister()
    local all = table.concat(lines, "\n")
    assert.truthy(all:find("info Task 'b' (UUID) transitioned into state 'RUNNING' from state 'PENDING'", 1, true))
    assert.truthy(
      all:find(
        "warn Task 'b' (UUID) transitioned into state 'FAILURE' from state 'RUNNING' with result "
          .. "'Failure: tfhost.LuaError: boom'",
        1,
        true
      )
    )
  end)

  it("timing measures with the clock it is given", function()
    local now, out = 0, sink()
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
    local durations = timing.PrintingDurationListener(eng, { now = clock, out = out }):register()
    local times = timing.EventTimeListener(eng, { now = clock }):register()
    eng:run()
    assert.same({ a = 2.25, b = 0.5 }, durations.durations)
    assert.equal(2.75, durations.flow_duration)
    assert.equal(
      "'f' flow started.\n"
        .. "'a' task started.\nIt took task 'a' 2.25 seconds to finish.\n"
        .. "'b' task started.\nIt took task 'b' 0.50 seconds to finish.\n"
        .. "It took flow 'f' 2.75 seconds to finish.\n",
      out.text
    )
    assert.same({ RUNNING = 2.25, SUCCESS = 2.75 }, times.timestamps.b)
    assert.same({ RUNNING = 0, SUCCESS = 2.75 }, times.flow_timestamps)
  end)

  it("timing is of tasks and flows, not of retry controllers", function()
    local out = sink()
    local eng = load(Bad { name = "bad" })
    local listener = timing.PrintingDurationListener(eng, { now = function() return 0 end, out = out })
    listener:with(function()
      pcall(eng.run, eng)
    end)
    local run = "'bad' task started.\nIt took task 'bad' 0.00 seconds to finish.\n"
    assert.equal("'f' flow started.\n" .. run:rep(2) .. "It took flow 'f' 0.00 seconds to finish.\n", out.text)
    assert.same({ bad = 0 }, listener.durations)
  end)

  it("capturing keeps what it is asked to keep", function()
    local eng = load(Ok { name = "a" })
    local capture = capturing.CaptureListener(eng, { capture_retry = false }):register()
    eng:run()
    local seen = {}
    for i, entry in ipairs(capture.values) do
      seen[i] = entry[1] .. " " .. entry[2]
    end
    assert.same({ "flow RUNNING", "task RUNNING", "task SUCCESS", "flow SUCCESS" }, seen)
    assert.same({ 1, "two" }, { unpack(capture.values[3][3].result) })
    assert.equal(eng, capture.values[1][3].engine)
  end)
end)
