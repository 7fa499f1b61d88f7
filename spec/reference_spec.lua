-- doc/reference.md is what the sources say, and says all that the library has; .ci/annotations finds what is wrong.
package.path = package.path .. ";doc/manual/?.lua"
local annotations = require "annotations"
local process = require "process"

local function run(...)
  local done = process.run { ... }
  return done.code, done.stdout, done.stderr
end

local function sources()
  local pipe = io.popen "find lua/taskflow lua/meta -name '*.lua' | LC_ALL=C sort"
  local out = {}
  for path in pipe:lines() do
    out[#out + 1] = path
  end
  pipe:close()
  return out
end

-- Modules that are the library's own.
local OWN = {
  ["taskflow"] = true, -- told with taskflow.engines
  ["taskflow.atom"] = true, ["taskflow.flow"] = true, ["taskflow.map"] = true, ["taskflow.listeners.text"] = true,
  ["taskflow.engines.compiler"] = true,
  ["taskflow.patterns.links"] = true, ["taskflow.engines.engine"] = true, ["taskflow.engines.options"] = true,
  ["taskflow.engines.storage"] = true, ["taskflow.engines.worker_based.config"] = true,
}

describe("the reference", function()
  local text = process.read "doc/reference.md"

  after_each(process.cleanup)

  -- What is told of a module: "#### `task.Map(options)`" and, of what the module's table has, "- `NotFound` ...".
  local function told_of(module)
    local section = ("\n" .. text .. "\n## "):match("\n## " .. module:gsub("%.", "%%.") .. "\n(.-)\n## ")
    local out = {}
    for name in (section or ""):gmatch "\n#### `[%w_]+%.([%w_]+)" do
      out[name] = true
    end
    for name in (section or ""):gmatch "\n%- `([%w_]+)`" do
      out[name] = true
    end
    return section and out
  end

  it("is what `make reference` makes", function()
    local code, made, err = run("luajit", "doc/manual/reference.lua")
    assert.same(0, code, err)
    assert.is_true(made == text, "doc/reference.md is stale: make reference, and commit it")
  end)

  it("tells all that each module has, and has each module", function()
    local seen = 0
    for _, path in ipairs(sources()) do
      local module = path:gsub("^lua/meta/", ""):gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
      local told = told_of(module)
      if not OWN[module] and not module:find "%.utils%." then
        assert(told, module .. " is not told: name it in doc/manual/reference.lua")
        seen = seen + 1
        local own = {}
        for _, subject in ipairs(annotations.read(path, error).subjects) do
          own[subject.name or ""] = subject.package
        end
        for name in pairs(require(module)) do
          assert(told[name] or own[name] or name:find "^_", ("%s.%s is not told"):format(module, name))
        end
      end
    end
    assert.is_true(seen > 15)
  end)

  -- Local variables of a module, as one of its functions sees them.
  local function upvalue(f, wanted)
    for i = 1, math.huge do
      local name, value = debug.getupvalue(f, i)
      if name == wanted then
        return value
      end
      assert(name, "no upvalue " .. wanted)
    end
  end

  local function assert_fields(class, ...)
    local fields = ("\n" .. text):match("\n### " .. class:gsub("%.", "%%.") .. "\n(.-)\n###?#? ")
    for i = 1, select("#", ...) do
      for option in pairs((select(i, ...))) do
        assert(fields:find("\n- `" .. option .. "` ", 1, true), ("%s: the option %s is not told"):format(class, option))
      end
    end
  end

  it("tells all options of engines, workers, tasks and maps", function()
    local task = require "taskflow.task"
    local parse = require("taskflow.engines.options").parse
    local special = upvalue(parse, "SPECIAL")
    assert_fields(
      "taskflow.EngineOptions", upvalue(parse, "GENERIC"), special.serial, special.parallel, special["worker-based"]
    )
    assert_fields("taskflow.WorkerConfig", upvalue(require("taskflow.engines.worker_based.config").check, "KNOWN"))
    assert_fields("taskflow.TaskOptions", upvalue(upvalue(task.Task, "instantiate"), "INSTANCE_OPTIONS"))
  end)

  local function check(source)
    local dir = process.directory()
    run("mkdir", "-p", dir .. "/lua/taskflow")
    process.write(dir .. "/lua/taskflow/x.lua", source)
    local here = os.getenv "PWD"
    local code, _, err = run("sh", "-c", ("cd '%s' && '%s/.ci/annotations' lua/taskflow/x.lua"):format(dir, here))
    return code, err
  end

  it("annotations that are right are left alone", function()
    assert.same({ 0, "" }, { check [[
---A point.
---@class geometry.Point
---@field x number
---@field y number? 0
local Point = {}

local M = {}

---Where they meet.
---@generic T
---@param a geometry.Point|string|nil
---@param b { [1]: T, name: string? }
---@param ... fun(p: geometry.Point, n: integer): boolean, string?
---@return table<string, (fun(): geometry.Point)[]> by name
---@return integer
function M.meet(a, b, ...)
  return { a, b, ... }, 1
end

---Its length.
---@return number
function Point:length() return self.x end

---@package the library's own
function M.own(x) return x end

local function hidden(x) return x end

return M, hidden
]] })
  end)

  for _, case in ipairs {
    { "an unknown type", "---Does.\n---@param a thing\nfunction M.f(a) end", "x.lua:3: there is no type 'thing'" },
    { "an inner type", "---Does.\n---@param a table<string, fun(b: thing)>\nfunction M.f(a) end", "no type 'thing'" },
    { "an unknown parent", "---@class a.B: a.C\nlocal B = {}", "no type 'a.C'" },
    { "a class twice", "---@class a.B\nlocal B = {}\n---@class a.B\nlocal C = {}", "'a.B' is there already" },
    { "no annotation", "function M.f() end", "x.lua:1: M.f has no annotations" },
    { "no text", "---@param a string\nfunction M.f(a) end", "f does not say what it does" },
    { "a parameter less", "---Does.\n---@param a string\nfunction M.f(a, b) end", "no @param for 'b'" },
    { "a parameter more", "---Does.\n---@param a string\nfunction M.f() end", "a @param 'a' that it does not have" },
    { "another order", "---Does.\n---@param b any\n---@param a any\nfunction M.f(a, b) end", "for 'a' where" },
    { "no @return", "---Does.\nfunction M.f()\n  return 1\nend", "f returns something" },
    { "no @return of a method", "---@class B\nlocal x = {}\n---Does.\nfunction x:f()\n  return 1\nend", "f returns" },
    { "an unknown tag", "---Does.\n---@parma a any\nfunction M.f(a) end", "unknown tag @parma" },
    { "a field of nothing", "---@field a string\n\nlocal M = {}", "a @field without a @class" },
    { "a broken type", "---Does.\n---@param a table<string\nfunction M.f(a) end", "> expected at" },
    { "text that goes nowhere", "---Does.\n---@param a any\n---more\nfunction M.f(a) end", "text after a tag" },
  } do
    it("finds " .. case[1], function()
      local code, err = check(case[2])
      assert.same(1, code)
      assert.is_truthy(err:find(case[3], 1, true), err)
    end)
  end
end)
