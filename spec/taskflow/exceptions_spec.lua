local exceptions = require "taskflow.exceptions"

describe("taskflow.exceptions", function()
  it("carries the chain of type names that Python checks", function()
    local exc = exceptions.RequestTimeout "late"
    assert.same({
      "taskflow.exceptions.RequestTimeout",
      "taskflow.exceptions.ExecutionFailure",
      "taskflow.exceptions.TaskFlowException",
      "Exception",
    }, exc.exc_type_names)
    assert.same({ "FileNotFoundError", "OSError", "Exception" }, exceptions.FileNotFoundError("x").exc_type_names)
  end)

  it("can be raised and tested by class, full and short name", function()
    local ok, err = pcall(error, exceptions.KeyError "k")
    assert.is_false(ok)
    assert.is_true(exceptions.is_exception(err))
    assert.is_true(err:is(exceptions.LookupError))
    assert.is_true(err:is "KeyError")
    assert.is_false(err:is(exceptions.ValueError, "OSError"))
    assert.is_true(exceptions.NotFound("n"):is "NotFound")
    assert.equal("KeyError: k", tostring(err))
  end)

  it("makes user classes below others", function()
    local CardRefused = exceptions.class("billing.CardRefused", exceptions.RuntimeError)
    local exc = CardRefused("limit", 42)
    assert.same({ "billing.CardRefused", "RuntimeError", "Exception" }, exc.exc_type_names)
    assert.same({ "limit", 42 }, exc.args)
    assert.equal("CardRefused: limit", tostring(exc))
    local _, err = pcall(exceptions.class, "")
    assert.equal("exceptions.class: the name must not be empty", err.message)
  end)

  it("indents causes by two more each", function()
    local inner = exceptions.ValueError "inner"
    local exc = exceptions.RuntimeError("outer"):caused_by(exceptions.OSError("middle"):caused_by(inner))
    assert.equal("RuntimeError: outer\n  OSError: middle\n    ValueError: inner", tostring(exc))
  end)

  it("names the line of the user's script", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local _, err = pcall(require("taskflow.task").Task, { excute = 1 })
    assert.equal("Task: unknown option 'excute', did you mean 'execute'?", err.message)
    -- pcall calls the library itself: the nearest script line is this one.
    assert.truthy(tostring(err):find("exceptions_spec.lua:" .. line, 1, true))
  end)

  it("is not fooled by other tables", function()
    assert.is_false(exceptions.is_exception {})
    assert.is_false(exceptions.is_exception(setmetatable({}, { __metatable = "locked" })))
    assert.is_false(exceptions.is_exception "KeyError")
  end)
end)
