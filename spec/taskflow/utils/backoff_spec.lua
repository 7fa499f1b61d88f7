local backoff = require "taskflow.utils.backoff"
local retry = require "taskflow.retry"

describe("backoff", function()
  local function delays(options, random)
    local out = {}
    for attempt = 1, 4 do
      out[attempt] = backoff.delay(options, attempt, random)
    end
    return out
  end

  it("multiplies the delay, up to a limit", function()
    assert.same({ 0, 0, 0, 0 }, delays {})
    assert.same({ 2, 2, 2, 2 }, delays { delay = 2 })
    assert.same({ 0.5, 1, 2, 4 }, delays { delay = 0.5, backoff = 2 })
    assert.same({ 0.5, 1, 1.5, 1.5 }, delays { delay = 0.5, backoff = 2, max_delay = 1.5 })
    assert.equal(1e9, backoff.delay({ delay = 1, backoff = 10 }, 400))
  end)

  it("leaves out a random piece of the part that jitter says", function()
    local function most()
      return 0.75
    end
    assert.same({ 0.25, 0.5, 1, 2 }, delays({ delay = 1, backoff = 2, jitter = true }, most))
    assert.equal(0.625, backoff.delay({ delay = 1, jitter = 0.5 }, 1, most))
    assert.equal(1, backoff.delay({ delay = 1, jitter = false }, 1, most))
    local least, greatest = 2, 0
    for _ = 1, 200 do
      local d = backoff.delay({ delay = 1, jitter = 0.5 }, 1)
      least, greatest = math.min(least, d), math.max(greatest, d)
    end
    assert.is_true(least >= 0.5 and least < 0.6 and greatest <= 1 and greatest > 0.9)
  end)

  it("is checked when the retry is made", function()
    local function fails(options)
      local ok, err = pcall(retry.Times, options)
      assert.is_false(ok)
      return (tostring(err):gsub("^[^:]+:%d+: ", ""))
    end
    assert.equal("ValueError: Times: delay must be seconds from 0 to 1e9, not -1", fails { delay = -1 })
    assert.equal("ValueError: Times: backoff must be a factor of at least 1, not 0.5", fails { backoff = 0.5 })
    assert.equal("ValueError: Times: jitter must be from 0 to 1, not 2", fails { jitter = 2 })
    assert.equal("TypeError: Times: max_delay must be a number, not a string", fails { max_delay = "1" })
    assert.truthy(fails({ dellay = 1 }):find("did you mean 'delay'?", 1, true))
  end)
end)
