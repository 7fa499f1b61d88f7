local engines = require "taskflow.engines"
local exceptions = require "taskflow.exceptions"
local task = require "taskflow.task"
local values = require "taskflow.values"

local function failing(f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.is_true(exceptions.is_exception(err))
  return err.class.short .. ": " .. err.message
end

local function class(definition)
  definition.name = definition.name or "N"
  return task.Task(definition)
end

describe("taskflow.task", function()
  describe("argument mapping (ENGINE.md 2.2)", function()
    local ABC = class {
      optional = { "c" },
      execute = function(_self, a, b, c)
        return a, b, c
      end,
    }

    it("reads required and optional inputs from the parameters", function()
      local t = ABC()
      assert.same({ "a", "b" }, t.requires)
      assert.same({ "c" }, t.optional)
      assert.same({ a = "a", b = "b", c = "c" }, t.rebind)
    end)

    it("rebinds by place", function()
      local t = ABC { rebind = { "p", "q" } }
      assert.same({ a = "p", b = "q", c = "c" }, t.rebind)
      assert.same({ "p", "q" }, t.requires)
      local extra = { rebind = { "p", "q", "r" } }
      assert.equal("ValueError: Extra arguments given to atom N: ['r']", failing(ABC, extra))
    end)

    it("rebinds by name, optional parameters become required", function()
      local t = ABC { rebind = { a = "p", c = "r" } }
      assert.same({ "p", "b", "r" }, t.requires)
      assert.same({}, t.optional)
      assert.equal("ValueError: Extra arguments given to atom N: ['z']", failing(ABC, { rebind = { z = "p" } }))
    end)

    it("without auto_extract knows only what is said", function()
      assert.equal("ValueError: Missing arguments for atom N: ['a', 'b']", failing(ABC, { auto_extract = false }))
      local t = ABC { auto_extract = false, requires = { "a", "b" } }
      assert.same({ "a", "b" }, t.requires)
      assert.same({}, t.optional)
    end)

    it("does not require what is injected", function()
      assert.same({ "b" }, ABC({ inject = { a = 1 } }).requires)
    end)

    it("adds requires to the parameters", function()
      assert.equal("ValueError: Extra arguments given to atom N: ['d']", failing(ABC, { requires = "d" }))
      local Any = class {
        kwargs = true,
        execute = function(_self, a, kwargs)
          return a, kwargs
        end,
      }
      assert.same({ "a", "d" }, Any({ requires = "d" }).requires)
      assert.same({ a = "p", q = "q" }, Any({ rebind = { "p", "q" } }).rebind)
    end)

    it("maps revert on its own, without result and flow_failures", function()
      local R = class {
        optional = { "opt" },
        execute = function(_self, a)
          return a
        end,
        revert = function(_self, b, result, flow_failures, opt)
          return b, result, flow_failures, opt
        end,
      }
      local t = R()
      assert.same({ "a", "b" }, t.requires)
      assert.same({ b = "b", opt = "opt" }, t.revert_rebind)
      assert.same({ "opt" }, t.revert_optional)
      assert.equal("ValueError: Extra arguments given to atom N: ['a']", failing(R, { rebind = { a = "aa" } }))
      t = R { rebind = { a = "aa" }, revert_rebind = { b = "bb" } }
      assert.same({ "aa", "bb" }, t.requires)
      assert.same({ b = "bb", opt = "opt" }, t.revert_rebind)
    end)

    it("gives a task without revert what is required by name", function()
      assert.same({ a = "p" }, ABC({ rebind = { a = "p" } }).revert_rebind)
      assert.same({}, ABC().revert_rebind)
    end)

    it("keeps order and drops repetitions of symbols", function()
      assert.same({ "s" }, ABC({ rebind = { a = "s", b = "s" } }).requires)
    end)
  end)

  describe("provides", function()
    local T = class {
      default_provides = "x",
      execute = function(_self) end,
    }

    it("is a name, a list, or a set", function()
      assert.same({ { symbol = "x", how = "whole" } }, T().save_as)
      local list = T { provides = { "a", "b" } }
      assert.same({
        { symbol = "a", how = "index", index = 0 },
        { symbol = "b", how = "index", index = 1 },
      }, list.save_as)
      local set = T { provides = task.set { "n", "m" } }
      assert.same({ { symbol = "n", how = "key" }, { symbol = "m", how = "key" } }, set.save_as)
      assert.same({ "m", "n" }, T({ provides = { n = true, m = true } }).provides)
      assert.same({}, T({ provides = {} }).provides)
    end)

    it("refuses maps, repetitions and other types", function()
      assert.truthy(failing(T, { provides = { x = "key" } }):find "^TypeError: atom .*: provides should be a name")
      assert.truthy(failing(T, { provides = 3 }):find "^TypeError: atom .*: provides should be a name")
      assert.truthy(failing(T, { provides = { "a", "a" } }):find "^ValueError: atom .*: provides: 'a' is named twice$")
      assert.truthy(failing(T, { provides = { "a", "" } }):find ": provides: entry 2 must be a non%-empty string$")
    end)
  end)

  describe("classes", function()
    it("have methods of their own, and the instance's options before the class's", function()
      local T = class {
        priority = 3,
        version = { 2, 1 },
        execute = function(self)
          return self:double(4)
        end,
        double = function(_self, n)
          return 2 * n
        end,
      }
      local t = T { name = "t", priority = 7 }
      assert.equal(8, t:execute())
      assert.equal(7, t.priority)
      assert.equal('"t==2.1"', tostring(t))
      assert.is_true(task.is_task(t))
      assert.is_true(task.is_class(T))
      assert.is_false(task.is_class(t))
    end)

    it("takes how often it may be run when workers are lost", function()
      local T = class { attempts = 1, execute = function() end }
      assert.equal(1, T().attempts)
      assert.equal(5, T({ attempts = 5 }).attempts)
      assert.equal(2, task.Reference("m:T", { attempts = 2 }).attempts)
      for _, bad in ipairs { 0, 1.5, -1, "2", true } do
        assert.equal("TypeError: task N: attempts must be an integer of at least 1", failing(T, { attempts = bad }))
      end
    end)

    it("catch typos, wrong types and what cannot be called", function()
      local function execute(_self) end
      assert.equal(
        "TypeError: Task: unknown option 'revret', did you mean 'revert'?",
        failing(task.Task, { execute = execute, revret = execute })
      )
      assert.equal(
        "TypeError: Task: unknown option 'colour' (known: argument_limit, attempts, auto_extract, concurrency, "
          .. "default_provides, execute, ignore_list, inject, kwargs, memory_limit, name, optional, post_execute, "
          .. "post_revert, pre_execute, pre_revert, priority, queue_limit, rebind, requires, result_limit, revert, "
          .. "revert_rebind, revert_requires, time_limit, time_warning, version)",
        failing(task.Task, { execute = execute, colour = 3 })
      )
      assert.equal("TypeError: Task: revert must be a function, not a number", failing(task.Task, {
        execute = execute,
        revert = 3,
      }))
      assert.equal("TypeError: Task: a task needs an execute function", failing(task.Task, {}))
      assert.equal("TypeError: Task: the method 'notify' is taken", failing(task.Task, {
        execute = execute,
        notify = execute,
      }))
      local function selfless(x)
        return x
      end
      assert.truthy(failing(task.Task, { execute = selfless }):find "first parameter must be self, not 'x'")
      assert.truthy(failing(task.Task, { execute = print }):find "a C function has no parameter names")
      assert.truthy(failing(task.Task, { execute = loadstring(string.dump(execute, true)) }):find "stripped")
      assert.truthy(failing(task.Task, { execute = execute, optional = { "b" } }):find "unknown parameter 'b'")
      local T = class { execute = execute }
      assert.equal("TypeError: task: unknown option 'nmae', did you mean 'name'?", failing(T, { nmae = 1 }))
      assert.equal("TypeError: the name of a task must be a string", failing(T, { name = 1 }))
      assert.truthy(failing(T, { priority = 0.5, name = "t" }):find "^TypeError: task t: priority must be an integer")
      assert.truthy(failing(T, { version = { "x" } }):find "version must be a list of integers")
    end)

    it("are named by the module that has them", function()
      local M = { Alpha = task.Task { execute = function(_self) end } }
      package.loaded["spec_tasks.inner"] = M
      finally(function()
        package.loaded["spec_tasks.inner"] = nil
      end)
      assert.equal("spec_tasks.inner.Alpha", M.Alpha().name)
      local Nameless = task.Task { execute = function(_self) end }
      assert.truthy(Nameless().name:find "^task_spec.lua:%d+$")
    end)
  end)

  describe("events", function()
    local T = class { execute = function(_self) end }

    it("go to the listeners when the task is not run by an engine", function()
      local t, seen = T(), {}
      t.notifier:register("*", function(event, details)
        seen[#seen + 1] = { event, details }
      end)
      t:update_progress(0.5, { note = "half" })
      t:update_progress(7)
      t:update_progress(-1)
      t:notify("custom", { a = 1 })
      t:notify "bare"
      assert.same({
        { "update_progress", { progress = 0.5, note = "half" } },
        { "update_progress", { progress = 1 } },
        { "update_progress", { progress = 0 } },
        { "custom", { a = 1 } },
        { "bare", {} },
      }, seen)
    end)

    it("have a name and progress a number", function()
      local t = T()
      assert.truthy(failing(t.update_progress, t, 0 / 0):find "must be a number")
      assert.truthy(failing(t.notify, t, "*"):find "event type")
    end)
  end)

  describe("references", function()
    it("name a task without its code", function()
      local options = { name = "t", requires = { "x" }, provides = "a", rebind = { y = "z" } }
      local t = task.Reference("tasks:TestTask1", options)
      assert.equal("tasks.TestTask1", t.task_cls)
      assert.same({ "x", "z" }, t.requires)
      assert.same({}, t.revert_rebind)
      assert.same({ "a" }, t.provides)
      assert.is_true(task.is_task(t))
      assert.equal("a.b.C", task.Reference("a.b:C").name)
    end)

    it("take what revert needs, and optional inputs", function()
      local t = task.Reference("m:T", { requires = "a", optional = { "b" }, revert_requires = "a" })
      assert.same({ "a" }, t.requires)
      assert.same({ "b" }, t.optional)
      assert.same({ a = "a" }, t.revert_rebind)
    end)

    it("are refused when they are no references", function()
      for _, bad in ipairs { "tasks", "tasks.TestTask1", ":T", "m:", "m:T:x", "m: T" } do
        assert.truthy(failing(task.Reference, bad):find("a task is referred to as 'module:Class'", 1, true))
      end
      assert.truthy(failing(task.Reference, "m:T", { reqires = "x" }):find "did you mean 'requires'")
    end)
  end)

  describe("functor tasks", function()
    local function call(t, args)
      return t:execute(args)
    end

    it("take inputs from a plain function's parameters", function()
      local t = task.FunctorTask(function(a, b)
        return a - b
      end, { name = "minus", provides = "d", revert = function(result) return result end })
      assert.same({ "a", "b" }, t.requires)
      assert.same({}, t.revert_rebind)
      assert.equal(3, call(t, { a = 5, b = 2 }))
      assert.equal(9, t:revert { result = 9 })
      assert.truthy(task.FunctorTask(function() end).name:find "^task_spec.lua:%d+$")
      assert.equal("TypeError: FunctorTask: execute must be a function, not a nil", failing(task.FunctorTask, nil))
    end)

    it("map and reduce over their inputs in order", function()
      local map = task.MapFunctorTask(function(v) return v * v end, { name = "m", requires = { "x", "y" } })
      assert.same({ 9, 4 }, { unpack(call(map, { x = 3, y = 2 })) })
      local reduce = task.ReduceFunctorTask(function(l, r)
        return l - r
      end, { name = "r", requires = { "a", "b", "c" } })
      assert.equal(5, call(reduce, { a = 10, b = 3, c = 2 }))
      assert.truthy(failing(task.ReduceFunctorTask, print, { requires = { "a" } }):find "at least 2 elements")
      assert.truthy(failing(task.MapFunctorTask, print, {}):find "requires must name the inputs$")
      assert.equal(
        "ValueError: 2 arguments were provided. Map functor must take exactly 1 argument.",
        failing(task.MapFunctorTask, function(_a, _b) end, { requires = { "a" } })
      )
      assert.equal(
        "ValueError: 1 arguments were provided. Reduce functor must take exactly 2 arguments.",
        failing(task.ReduceFunctorTask, function(_a) end, { requires = { "a", "b" } })
      )
      local nothing = task.MapFunctorTask(print, { requires = {}, provides = "out" })
      assert.equal("[]", values.encode(engines.run(nothing).out))
    end)
  end)
end)
