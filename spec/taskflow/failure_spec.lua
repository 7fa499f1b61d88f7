local exceptions = require "taskflow.exceptions"
local failure = require "taskflow.failure"
local values = require "taskflow.values"

local function dict(overrides)
  local d = {
    exception_str = "boom",
    traceback_str = "",
    exc_type_names = { "tasks.Broken", "RuntimeError", "Exception" },
    exc_args = { "boom" },
    causes = {},
    version = 1,
  }
  for key, value in pairs(overrides or {}) do
    d[key] = value
  end
  return d
end

describe("taskflow.failure", function()
  it("captures a plain Lua error as a RuntimeError for Python", function()
    local f = failure.from_exception "tasks.lua:3: boom"
    assert.same({ "tfhost.LuaError", "RuntimeError", "Exception" }, f.exc_type_names)
    assert.equal("tasks.lua:3: boom", f.exception_str)
    assert.equal("Failure: tfhost.LuaError: tasks.lua:3: boom", tostring(f))
    assert.equal("tasks.lua:3: boom", f.exception)
  end)

  it("keeps type, arguments and causes of an exception", function()
    local cause = exceptions.OSError("disk"):caused_by(exceptions.ValueError "deep")
    local f = failure.from_exception(exceptions.KeyError("k", 7):caused_by(cause))
    assert.equal("k", f.exception_str)
    assert.same({ "k", 7 }, { unpack(f.exception_args) })
    -- flattened, nearest first, each with its own causes again
    assert.equal(2, #f.causes)
    assert.equal("disk", f.causes[1].exception_str)
    assert.equal("deep", f.causes[2].exception_str)
    assert.equal("deep", f.causes[1].causes[1].exception_str)
    assert.equal(0, #f.causes[2].causes)
  end)

  it("does not follow a cause that is its own cause for ever", function()
    local exc = exceptions.ValueError "loop"
    exc.causes[1] = exc
    assert.is_true(#failure.from_exception(exc).causes == 0)
  end)

  it("takes a traceback with the user's frames, oldest first", function()
    local function inner()
      error(exceptions.ValueError "x")
    end
    local function outer()
      inner()
      return 1 -- no tail call
    end
    local _, f = xpcall(function()
      outer()
      return 1
    end, failure.handler)
    local first, second = f.traceback_str:match '(in outer\n).*(in inner\n)'
    assert.truthy(first)
    assert.truthy(second)
    assert.truthy(f.traceback_str:find('  File "[^"]+failure_spec.lua", line %d+, in inner\n'))
  end)

  it("captures values of any other type", function()
    assert.equal("spoken", failure.from_exception({ message = "spoken" }).exception_str)
    assert.equal("nil", failure.from_exception(nil).exception_str)
    local same = failure.from_exception "x"
    assert.equal(same, failure.from_exception(same))
  end)

  it("goes to its dict form and back", function()
    local f = failure.from_exception(exceptions.KeyError("k"):caused_by(exceptions.OSError "disk"))
    local d = f:to_dict()
    local keys = {}
    for key in pairs(d) do
      keys[#keys + 1] = key
    end
    table.sort(keys)
    assert.same({ "causes", "exc_args", "exc_type_names", "exception_str", "traceback_str", "version" }, keys)
    assert.equal(1, d.version)
    assert.is_true(values.is_list(d.causes[1].causes))
    local back = failure.from_dict(d)
    assert.is_true(f:matches(back))
    assert.is_nil(back.exception)
  end)

  it("leaves arguments out that cannot travel", function()
    local f = failure.from_exception(exceptions.ValueError("x", print))
    assert.equal(0, #f.exception_args)
  end)

  it("rejects dicts that the reference rejects", function()
    assert.has_error(function()
      failure.from_dict(dict { version = 2 })
    end)
    assert.has_error(function()
      failure.from_dict(dict { traceback_str = false })
    end)
    assert.has_error(function()
      failure.from_dict "boom"
    end)
  end)

  it("is checked by class, full name and last part of the name", function()
    local f = failure.from_dict(dict())
    assert.equal("RuntimeError", f:check("OSError", "RuntimeError"))
    assert.equal(exceptions.RuntimeError, f:check(exceptions.RuntimeError))
    assert.equal("Broken", f:check "Broken")
    assert.is_nil(f:check("Runtime", exceptions.ValueError))
    assert.equal("Broken", failure.check({ failure.from_exception "x", f }, "Broken"))
  end)

  it("does not match another story", function()
    local f = failure.from_dict(dict())
    assert.is_true(f:matches(failure.from_dict(dict())))
    assert.is_false(f:matches(failure.from_dict(dict { traceback_str = "elsewhere" })))
    assert.is_false(f:matches(failure.from_dict(dict { exception_str = "bang" })))
    assert.is_false(f:matches(failure.from_dict(dict { exc_args = {} })))
    assert.is_false(f:matches(failure.from_dict(dict { causes = { dict() } })))
    assert.is_false(f:matches {})
  end)

  it("reraises the live error, else wraps itself", function()
    local original = exceptions.KeyError "k"
    local _, err = pcall(function()
      failure.from_exception(original):reraise()
    end)
    assert.equal(original, err)
    _, err = pcall(function()
      failure.from_dict(dict()):reraise()
    end)
    assert.equal("WrappedFailure: [Failure: tasks.Broken: boom]", tostring(err))
    assert.equal("Broken", err:check "Broken")
  end)

  it("raises several as one that is flat, iterable and can be checked", function()
    local a, b, c = failure.from_exception "a", failure.from_exception "b", failure.from_dict(dict())
    local inner = failure.from_exception(exceptions.WrappedFailure { b, c })
    local _, err = pcall(failure.reraise_if_any, { a, inner })
    local seen = {}
    for i, f in err:iter() do
      seen[i] = f
    end
    assert.same({ a, b, c }, seen)
    assert.equal("Broken", err:check("KeyError", "Broken"))
    assert.is_nil(err:check "KeyError")
    assert.is_true(err:is(require("taskflow.exceptions").WrappedFailure))
    assert.is_nil(failure.reraise_if_any {})
  end)
end)
