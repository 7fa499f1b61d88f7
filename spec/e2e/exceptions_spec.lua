-- Exceptions and failures are those of TaskFlow: type names, texts with causes, what matches what; and they arrive
-- as such from workers of both languages.
local cjson = require "cjson"
local engines = require "taskflow.engines"
local exceptions = require "taskflow.exceptions"
local failure = require "taskflow.failure"
local lf = require "taskflow.patterns.linear_flow"
local peers = require "peers"
local process = require "process"
local task = require "taskflow.task"
local uf = require "taskflow.patterns.unordered_flow"

describe("exceptions, as TaskFlow's", function()
  local theirs

  lazy_setup(function()
    local done = process.run { "/usr/bin/python3", "spec/support/python/exceptions.py" }
    assert.equal(0, done.code, done.story)
    theirs = cjson.decode(done.stdout)
  end)

  lazy_teardown(process.cleanup)

  it("have its names and bases", function()
    for name, names in pairs(theirs.trees) do
      assert.same(names, exceptions[name].names)
    end
    for name, class in pairs(exceptions) do
      if exceptions.is_class(class) and not class.name:find "^tfhost%." and name ~= "Exception" then
        assert.truthy(theirs.trees[name], name)
      end
    end
  end)

  it("have its texts, causes included", function()
    local inner = exceptions.NotFound("inner"):caused_by(exceptions.StorageFailure "deepest")
    local texts = {
      plain = exceptions.NotFound "x",
      ["one cause"] = exceptions.ExecutionFailure("outer"):caused_by(inner),
      ["python cause"] = exceptions.JobFailure("job"):caused_by(exceptions.ValueError "bad"),
      python = exceptions.ValueError "bad",
    }
    for name, text in pairs(theirs.texts) do
      assert.equal(text, texts[name]:pformat())
      assert.equal(text, failure.from_exception(texts[name]).exception_str)
    end
  end)

  it("wrap failures, and are flat", function()
    local function fail(exception)
      return failure.from_exception(exception)
    end
    local inner =
      fail(exceptions.WrappedFailure { fail(exceptions.OSError "b"), fail(exceptions.KeyError "'c'") })
    local whole = exceptions.WrappedFailure { fail(exceptions.RuntimeError "a"), inner }
    assert.equal(theirs.wrapped.text, whole:pformat())
    assert.equal(theirs.wrapped["nested text"], tostring(inner))
    assert.equal(theirs.wrapped.len, whole:len())
    local count = 0
    for i, f in whole:iter() do
      count = count + 1
      assert.equal(whole.failures[i], f)
    end
    assert.equal(theirs.wrapped.len, count)
    for i, name in ipairs { "RuntimeError", "OSError", "LookupError", "ValueError" } do
      assert.equal(theirs.wrapped.checks[i], whole:check(exceptions[name]) ~= nil, name)
    end
    assert.is_nil(whole:check())
  end)

  it("match what is the same", function()
    local function make(change)
      local dict = {
        exception_str = "boom",
        traceback_str = "tb",
        exc_type_names = { "RuntimeError", "Exception" },
        exc_args = { "boom" },
        causes = {},
        version = 1,
      }
      if change.causes then
        change.causes = { make({}):to_dict() }
      end
      for key, value in pairs(change) do
        dict[key] = value
      end
      return failure.from_dict(dict)
    end
    local changes = {
      same = {},
      text = { exception_str = "bang" },
      traceback = { traceback_str = "elsewhere" },
      types = { exc_type_names = { "Exception" } },
      args = { exc_args = {} },
      causes = { causes = true },
    }
    for name, change in pairs(changes) do
      assert.equal(theirs.matches[name], make({}):matches(make(change)), name)
    end
    assert.equal(theirs.matches["no failure"], make({}):matches "boom")
  end)
end)

describe("failures from elsewhere", function()
  local side

  lazy_setup(function()
    side = peers.environment "filesystem"
    peers.ready(side:worker("lua", "lua", { tasks = { "spec/support/raising.lua" }, slots = 2 }))
    peers.ready(side:worker("python", "python", { module = "raising" }))
  end)

  lazy_teardown(process.cleanup)

  local function run(topic, ...)
    local flow = uf.Flow "f"
    for i, class in ipairs { ... } do
      flow:add(task.Reference("raising:" .. class, { name = class .. i }))
    end
    local options = side:options { engine = "worker-based", topics = { topic } }
    local engine = engines.load(flow, options)
    local given = {}
    engine.atom_notifier:register("FAILURE", function(_, details)
      given[details.task_name] = details.result
    end)
    local ok, err = pcall(engine.run, engine)
    assert.is_false(ok)
    local kept = engine.storage:get_execute_failures()
    engine:close()
    return err, given, kept
  end

  for _, topic in ipairs { "lua", "python" } do
    it("of a " .. topic .. " worker come wrapped, with types, arguments and causes", function()
      local err, given, kept = run(topic, "Chained")
      assert.is_true(err:is(exceptions.WrappedFailure))
      assert.equal(1, err:len())
      local f = err.failures[1]
      assert.is_nil(f.exception)
      assert.same({ "RuntimeError", "Exception" }, f.exc_type_names)
      assert.same({ "outer", 7 }, { unpack(f.exception_args) })
      assert.equal("inner", f.causes[1].exception_str)
      assert.equal("OSError", f.causes[1]:check "OSError")
      assert.is_nil(err:check "OSError")
      assert.equal(exceptions.RuntimeError, err:check(exceptions.OSError, exceptions.RuntimeError))
      assert.truthy(f.traceback_str:find "raising%.[lp][uy]")
      -- notified, stored and raised: the same failure
      assert.is_true(f:matches(given.Chained1))
      assert.is_true(f:matches(kept.Chained1))
      local _, again = pcall(f.reraise, f)
      assert.is_true(again:is(exceptions.WrappedFailure))
      assert.is_true(again.failures[1]:matches(f))
    end)

    it("of a " .. topic .. " worker: one of TaskFlow's, with its cause", function()
      local err = run(topic, "Missing")
      local f = err.failures[1]
      assert.equal("nothing there\n  StorageFailure: disk", f.exception_str)
      assert.equal(exceptions.NotFound, f:check(exceptions.NotFound))
      assert.equal("taskflow.exceptions.TaskFlowException", f:check "taskflow.exceptions.TaskFlowException")
    end)

    it("of a " .. topic .. " worker: several, one of which has wrapped others", function()
      local err = run(topic, "Chained", "Wrapping")
      assert.equal(2, err:len())
      local names = {}
      for i, f in err:iter() do
        names[i] = f.exc_type_names[1]
      end
      table.sort(names)
      assert.same({ "RuntimeError", "taskflow.exceptions.WrappedFailure" }, names)
      assert.truthy(tostring(err):find("WrappedFailure: [Failure: ValueError: deep]", 1, true))
    end)
  end

  it("of a task that ran a flow here are flattened", function()
    local Bad = task.Task {
      execute = function(self)
        error(exceptions.OSError(self.name))
      end,
    }
    local Outer = task.Task {
      execute = function(_self)
        engines.run(uf.Flow("inner"):add(Bad { name = "x" }, Bad { name = "y" }))
      end,
    }
    local flow = uf.Flow("f"):add(Outer { name = "outer" }, Bad { name = "z" })
    local _, err = pcall(engines.run, flow)
    assert.equal("WrappedFailure: [Failure: OSError: x, Failure: OSError: y, Failure: OSError: z]", tostring(err))
    _, err = pcall(engines.run, lf.Flow("f"):add(Outer { name = "outer" }))
    assert.equal(2, err:len()) -- the very error that the task raised
  end)
end)
