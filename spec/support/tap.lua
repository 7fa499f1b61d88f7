-- busted output handler: TAP as busted's own, printed as it happens, with seconds for what was slow.
local pretty = require "pl.pretty"

local SLOW = 1 -- seconds

return function()
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()
  local counter = 0

  local function say(...)
    io.write(string.format(...), "\n")
    io.flush()
  end

  local function comment(text)
    say("#   %s", (tostring(text):gsub("\n", "\n#   ")))
  end

  local function show(t)
    say("not ok %d - %s", counter, t.name)
    local trace = t.element.trace
    if trace then
      comment(("%s:%d"):format(trace.short_src, trace.currentline))
    end
    comment(type(t.message) == "string" and t.message or pretty.write(t.message or "nil error"))
    if t.trace and t.trace.traceback then
      comment(t.trace.traceback)
    end
  end

  local started
  local function test_start()
    started = busted.gettime()
    return nil, true
  end

  local function test_end(_, _, status)
    counter = counter + 1
    local took = busted.gettime() - started
    if status == "success" then
      local t = handler.successes[#handler.successes]
      say("ok %d - %s%s", counter, t.name, took > SLOW and (" (%.1f s)"):format(took) or "")
    elseif status == "pending" then
      local t = handler.pendings[#handler.pendings]
      say("ok %d - # SKIP %s: %s", counter, t.name, t.message or "pending")
    elseif status == "failure" then
      show(handler.failures[#handler.failures])
    else
      show(handler.errors[#handler.errors])
    end
    return nil, true
  end

  -- Errors outside of a test: in a describe, a setup, a file that does not load.
  local function outside(element)
    if element.descriptor ~= "it" then
      counter = counter + 1
      show(handler.errors[#handler.errors])
    end
    return nil, true
  end

  -- Nothing ran: a file without tests must not look like success.
  local function suite_end()
    say("1..%d", math.max(counter, 1))
    return nil, true
  end

  busted.subscribe({ "suite", "end" }, suite_end)
  busted.subscribe({ "test", "start" }, test_start)
  busted.subscribe({ "test", "end" }, test_end)
  busted.subscribe({ "error" }, outside)
  busted.subscribe({ "failure" }, outside)
  return handler
end
