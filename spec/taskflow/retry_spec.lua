local exceptions = require "taskflow.exceptions"
local failure = require "taskflow.failure"
local retry = require "taskflow.retry"

local boom = failure.from_exception(exceptions.ValueError "boom")

local function history(...)
  local entries = {}
  for i, value in ipairs { ... } do
    entries[i] = { value, { a = boom } }
  end
  return retry.History(entries)
end

describe("taskflow.retry", function()
  it("tells what happened", function()
    local h = history(10, 20)
    assert.equal(2, h:len())
    assert.same({ 10, 20 }, h:provided())
    assert.same({ a = boom }, h:outcomes(1))
    assert.is_true(h:caused_by "ValueError")
    assert.is_true(h:caused_by(exceptions.ValueError, 2))
    assert.is_false(h:caused_by "KeyError")
    assert.same({}, retry.History({}):outcomes())
    local seen = {}
    for i, value in h:iter() do
      seen[i] = value
    end
    assert.same({ 10, 20 }, seen)
  end)

  it("always reverts, the flow or everything", function()
    assert.equal("REVERT", retry.AlwaysRevert():on_failure(history()))
    assert.equal("REVERT_ALL", retry.AlwaysRevertAll():on_failure(history()))
  end)

  it("counts attempts in total", function()
    local r = retry.Times(3, { name = "r", provides = "n" })
    assert.same({ "n" }, r.provides)
    assert.equal(1, r:execute(history()))
    assert.equal("RETRY", r:on_failure(history(1)))
    assert.equal("RETRY", r:on_failure(history(1, 2)))
    assert.equal("REVERT", r:on_failure(history(1, 2, 3)))
    assert.equal("REVERT_ALL", retry.Times({ attempts = 1, revert_all = true }):on_failure(history(1)))
    assert.equal("REVERT", retry.Times():on_failure(history(1)))
    assert.has_error(function()
      retry.Times(0)
    end)
  end)

  it("tries each value once for each time it is listed", function()
    local r = retry.ForEach({ 10, 20, 10 }, { provides = "v" })
    assert.equal(10, r:execute(history()))
    assert.equal(20, r:execute(history(10)))
    assert.equal(10, r:execute(history(10, 20)))
    assert.equal("RETRY", r:on_failure(history(10, 20)))
    assert.equal("REVERT", r:on_failure(history(10, 20, 10)))
    local tables = retry.ForEach { values = { { id = 1 }, { id = 2 } }, revert_all = true }
    assert.same({ id = 2 }, tables:execute(history { id = 1 }))
    assert.equal("REVERT_ALL", tables:on_failure(history({ id = 2 }, { id = 1 })))
  end)

  it("has nothing to give from an empty list", function()
    local _, err = pcall(function()
      retry.ForEach({}):execute(history())
    end)
    assert.is_true(err:is(exceptions.NotFound))
  end)

  it("takes the values from an input", function()
    local r = retry.ParameterizedForEach { rebind = { "numbers" }, provides = "n" }
    assert.same({ "numbers" }, r.requires)
    assert.equal(2, r:execute({ 1, 2 }, history(1)))
    assert.equal("REVERT", r:on_failure({ 1, 2 }, history(1, 2)))
  end)

  it("checks a class of the user's own", function()
    local Own = retry.Retry {
      execute = function(self, history_, limit)
        return self:bounded(history_:len(), limit)
      end,
      bounded = function(_self, n, limit)
        return math.min(n, limit)
      end,
      on_failure = function(_self, _history, _limit)
        return retry.RETRY
      end,
    }
    assert.is_true(retry.is_retry(Own { name = "own" }))
    assert.has_error(function()
      retry.Retry { execute = function(_self) end }
    end)
    assert.has_error(function()
      Own { attempts = 3 }
    end)
  end)
end)
