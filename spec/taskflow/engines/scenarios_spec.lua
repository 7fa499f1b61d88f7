-- The 58 flows that were recorded from Python TaskFlow 5.0.0 (spec/fixtures/vectors/engine-scenarios.json), built
-- with the Lua library. Serial: every event, in order. Parallel: the same outcome, states and results.
local cjson = require "cjson"
local engines = require "taskflow.engines"
local exceptions = require "taskflow.exceptions"
local gf = require "taskflow.patterns.graph_flow"
local lf = require "taskflow.patterns.linear_flow"
local retry = require "taskflow.retry"
local task = require "taskflow.task"
local uf = require "taskflow.patterns.unordered_flow"

local root = arg[0]:match "^(.*)/spec/[^/]*$" or "."
local file = assert(io.open(root .. "/spec/fixtures/vectors/engine-scenarios.json"))
local scenarios = cjson.decode(file:read "*a").scenarios
file:close()

-- `fail` is true, or how many of the first executions fail.
local function fails(definition, n)
  return definition.fail == true or (type(definition.fail) == "number" and n <= definition.fail)
end

local function build_task(definition, trace)
  local executions = 0
  local name = definition.name
  local provides = definition.provides
  if type(provides) == "table" and provides.set then
    provides = task.set(provides.set)
  end
  local class = task.Task {
    kwargs = true,
    execute = function(_self, kwargs) -- luacheck: ignore
      executions = executions + 1
      trace("execute " .. name)
      if fails(definition, executions) then
        error(exceptions.RuntimeError("boom-" .. name))
      end
      return definition.result
    end,
    revert = function(_self, kwargs) -- luacheck: ignore
      trace("revert " .. name)
      if definition.revert_fail then
        error(exceptions.ValueError("rboom-" .. name))
      end
    end,
  }
  return class {
    name = name,
    provides = provides,
    requires = definition.requires,
    inject = definition.inject,
    priority = definition.priority,
  }
end

local function build_retry(definition)
  if not definition then
    return nil
  end
  local options = {}
  for key, value in pairs(definition) do
    options[key] = value
  end
  options.class = nil
  return retry[definition.class](options)
end

local patterns = { linear = lf, unordered = uf, graph = gf }

local function build(definition, trace)
  if not definition.kind then
    return build_task(definition, trace)
  end
  local flow = patterns[definition.kind].Flow(definition.name, { retry = build_retry(definition.retry) })
  local nodes = {}
  for _, child in ipairs(definition.children) do
    nodes[child.name] = build(child, trace)
    flow:add(nodes[child.name])
  end
  for _, link in ipairs(definition.links or {}) do
    local decider
    if link.decider ~= nil then
      decider = function()
        return link.decider
      end
    end
    flow:link(nodes[link.from], nodes[link.to], decider, decider and link.depth)
  end
  return flow
end

-- A task that fails a number of times counts in its own process: then there must be but one.
local function counts(definition)
  for _, child in ipairs(definition.children or {}) do
    if counts(child) then
      return true
    end
  end
  return type(definition.fail) == "number"
end

local function run(scenario, kind)
  local events = {}
  local function trace(event)
    events[#events + 1] = event
  end
  local options = { engine = kind, store = scenario.store, reference_quirks = true }
  for key, value in pairs(scenario.options or {}) do
    options[key] = value
  end
  if kind == "parallel" and counts(scenario.flow) then
    options.max_workers = 1
  end
  local eng
  local ok, err = pcall(function()
    eng = engines.load(build(scenario.flow, trace), options)
    eng.notifier:register("*", function(state)
      trace("flow " .. state)
    end)
    eng.atom_notifier:register("*", function(state, details)
      if details.retry_name then
        trace(("retry %s %s"):format(details.retry_name, state))
      else
        trace(("task %s %s"):format(details.task_name, state))
      end
    end)
    eng:run()
  end)
  return eng, events, ok, err
end

-- The single error or, for several, their texts; order of failures in a wrapped one is that of the atoms.
local function check_error(scenario, ok, err)
  if scenario.outcome == "ok" then
    assert.is_true(ok, tostring(err))
    return
  end
  assert.is_false(ok)
  if not scenario.failures then
    -- A failure that has no live exception here comes wrapped.
    local found = err.failures and err:check(scenario.exception) or err.class.short
    assert.equal(scenario.exception, found)
    if scenario.message then
      assert.equal(scenario.message, err.failures and err.failures[1].exception_str or err.message)
    end
    return
  end
  local texts = {}
  for i, failure in err:iter() do
    texts[i] = failure.exception_str
  end
  table.sort(texts)
  assert.same(scenario.failures, texts)
end

local function check_end(scenario, eng)
  if not eng then
    return
  end
  assert.equal(scenario.flow_state, eng.storage:get_flow_state())
  assert.same(scenario.atoms, eng.storage:get_atoms_states())
  if scenario.results then
    local results = eng.storage:fetch_all()
    for name, value in pairs(scenario.results) do
      assert.same(value, results[name])
    end
  end
end

local function per_atom(events, tasks_only)
  local out = {}
  for _, event in ipairs(events) do
    local what, name = event:match "^(%S+) ?(%S*)"
    if not tasks_only or (what ~= "execute" and what ~= "revert") then
      out[name] = out[name] or {}
      table.insert(out[name], event)
    end
  end
  return out
end

describe("recorded flows", function()
  for _, scenario in ipairs(scenarios) do
    it(scenario.name .. ", serial", function()
      local eng, events, ok, err = run(scenario, "serial")
      check_error(scenario, ok, err)
      if scenario.ordered then
        assert.same(scenario.events, events)
      else
        assert.same(per_atom(scenario.events), per_atom(events))
      end
      check_end(scenario, eng)
    end)

    it(scenario.name .. ", parallel", function()
      local eng, _, ok, err = run(scenario, "parallel")
      check_error(scenario, ok, err)
      check_end(scenario, eng)
      if eng then
        eng:close()
      end
    end)
  end
end)
