local log = require "taskflow.utils.log"
local notifier = require "taskflow.notifier"

describe("taskflow.notifier", function()
  local n, calls
  local function recorder(name)
    return function(event, details)
      calls[#calls + 1] = name .. ":" .. event .. ":" .. tostring(details.x)
    end
  end

  before_each(function()
    n, calls = notifier.new(), {}
  end)

  it("calls listeners of * first, each group in order of registration", function()
    n:register("RUNNING", recorder "a")
    n:register("*", recorder "b")
    n:register("RUNNING", recorder "c")
    n:notify("RUNNING", { x = 1 })
    n:notify("SUCCESS", { x = 2 })
    assert.same({ "b:RUNNING:1", "a:RUNNING:1", "c:RUNNING:1", "b:SUCCESS:2" }, calls)
  end)

  it("passes over a listener that raises", function()
    local warn = log.warn
    n:register("X", function()
      error "listener broke"
    end)
    n:register("X", recorder "b")
    local reported
    log.warn = function(area, message)
      reported = area .. ": " .. message
    end
    n:notify("X", {})
    log.warn = warn
    assert.same({ "b:X:nil" }, calls)
    assert.truthy(reported:find "^notifier: a listener for 'X' failed: .*listener broke")
  end)

  it("filters by details", function()
    n:register("X", recorder "even", {
      details_filter = function(details)
        return details.x % 2 == 0
      end,
    })
    for i = 1, 4 do
      n:notify("X", { x = i })
    end
    assert.same({ "even:X:2", "even:X:4" }, calls)
  end)

  it("lets a listener deregister itself and others while it is called", function()
    local a, b = nil, recorder "b"
    a = function(event)
      calls[#calls + 1] = "a"
      n:deregister(event, a)
    end
    n:register("X", a)
    n:register("X", b)
    n:notify("X", {})
    n:notify("X", {})
    assert.same({ "a", "b:X:nil", "b:X:nil" }, calls)
    assert.equal(1, n:count())
    n:reset()
    assert.equal(0, n:count())
  end)

  it("does not call a listener for the event in which it was registered", function()
    n:register("X", function()
      if not n:is_registered("X", n.late) then
        n.late = recorder "late"
        n:register("X", n.late)
      end
    end)
    n:notify("X", {})
    assert.same({}, calls)
    n:notify("X", {})
    assert.same({ "late:X:nil" }, calls)
  end)

  it("refuses what cannot be registered or emitted", function()
    local f = recorder "f"
    n:register("X", f)
    local function message(...)
      local ok, err = pcall(...)
      assert.is_false(ok)
      return err.class.short .. ": " .. err.message
    end
    assert.equal("ValueError: this listener is already registered for 'X'", message(n.register, n, "X", f))
    assert.equal("ValueError: register: the listener must be a function", message(n.register, n, "X", 1))
    assert.equal("ValueError: register: the event must be a non-empty string", message(n.register, n, "", f))
    assert.equal("ValueError: the event '*' can not be emitted", message(n.notify, n, "*", {}))
    local limited = notifier.new { "update_progress" }
    limited:register("update_progress", f)
    limited:register("*", f)
    assert.equal(
      "ValueError: Disallowed event type 'other' can not have a callback registered",
      message(limited.register, limited, "other", f)
    )
    limited:notify("other", { x = 1 }) -- any type may be emitted
    assert.same({ "f:other:1" }, calls)
  end)
end)
