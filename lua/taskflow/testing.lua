-- For specs: run a task or a flow in this process, with fakes in place of tasks. Time is virtual: the delays of retries
-- are over at once, and `seconds` of the run says how long they would have been.
--
--   local testing = require "taskflow.testing"
--   local run = testing.flow(flow, { store = { x = 1 }, fakes = { charge = testing.fails "card refused" } })
--   assert.same("REVERTED", run.state)
--   assert.same({ "reserve", "charge" }, run.executed)
local check = require "taskflow.utils.check"
local engine_module = require "taskflow.engines.engine"
local exceptions = require "taskflow.exceptions"
local flow_module = require "taskflow.flow"
local linear_flow = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"

local M = {}

---What stands in for a task's execute: a function that is handed the inputs by name and the task, or what `returns` or
---`fails` made.
---@alias taskflow.Fake fun(inputs: table<string, any>, task: taskflow.Task): any

---What came of a run.
---@class taskflow.TestRun
---@field state string of the flow: "SUCCESS", "REVERTED", "FAILURE", "SUSPENDED"
---@field results table<string, any> values by name, the store's included
---@field result any of testing.task: what execute returned
---@field failures taskflow.Failure[] what the run raised
---@field failure taskflow.Failure? the first of them
---@field states table<string, string> of atoms, by name
---@field executed string[] names of tasks in the order in which they began, once for each attempt
---@field reverted string[] names of tasks in the order in which they were reverted
---@field inputs table<string, table<string, any>[]> of fakes, by name: the inputs of each call
---@field events { task: string, type: string, details: table }[] what tasks notified; progress at 0 and 1 left out
---@field seconds number virtual time that passed

---A fake that returns this value.
---@param value any
---@return taskflow.Fake
function M.returns(value)
  return function()
    return value
  end
end

---A fake that raises.
---@param err any a message, or an exception as taskflow.exceptions makes them
---@return taskflow.Fake
function M.fails(err)
  return function()
    error(err, 0)
  end
end

---A fake that does one thing after the other, one for each call; the last is repeated.
---@param ... taskflow.Fake
---@return taskflow.Fake
function M.in_turn(...)
  local fakes, at = { ... }, 0
  if not fakes[1] then
    check.fail "in_turn: name at least one fake"
  end
  for i, fake in ipairs(fakes) do
    check.callable(fake, ("in_turn: fake %d"):format(i))
  end
  return function(inputs, atom)
    at = math.min(at + 1, #fakes)
    return fakes[at](inputs, atom)
  end
end

local current -- engine of the run under way

---Let virtual time pass, from inside a fake or a task under test.
---@param seconds number? default: 0
---@return number seconds since the run began
function M.clock(seconds)
  check.is(seconds or 0, "number", "clock: the seconds")
  if not current then
    exceptions.raise(exceptions.InvalidState, "clock: no run of taskflow.testing is under way")
  end
  return current._handle:clock(seconds)
end

-- Call a method with those of the inputs that its parameters name.
local function call_by_name(f, self, inputs)
  local args, count = {}, 0
  local name = debug.getlocal(f, 2)
  while name do
    count = count + 1
    if name == "kwargs" then
      args[count] = inputs
    else
      args[count] = inputs[name]
    end
    name = debug.getlocal(f, count + 2)
  end
  return f(self, unpack(args, 1, count))
end

-- What the host calls instead of the task: its execute is the fake, all else is the task's.
local function stand_in(atom, fake, calls)
  local double = { kwargs = true }
  function double.execute(self, kwargs)
    local inputs = {}
    for name, value in pairs(kwargs) do
      inputs[name] = value
    end
    calls[#calls + 1] = inputs
    return fake(kwargs, self)
  end
  if atom.revert then
    function double.revert(self, result, flow_failures, kwargs)
      kwargs.result, kwargs.flow_failures = result, flow_failures
      return call_by_name(atom.revert, self, kwargs)
    end
  end
  return setmetatable(double, { __index = atom, mark = getmetatable(atom).mark })
end

-- Fakes are named by task; a name that no task has is a mistake.
local function set_fakes(engine, fakes, run)
  local tasks, made = engine:tasks(), {}
  for name, fake in pairs(check.is(fakes or {}, "table", "testing: fakes")) do
    check.callable(fake, ("testing: the fake for '%s'"):format(tostring(name)))
    if not tasks[name] then
      check.fail("testing: %s", require("taskflow.utils.text").unknown("task", name, tasks))
    end
    run.inputs[name] = {}
    made[tasks[name]] = stand_in(tasks[name], fake, run.inputs[name])
  end
  function engine._fake(atom)
    return made[atom]
  end
end

local function listen(engine, run)
  engine.atom_notifier:register("*", function(state, details)
    local name = details.task_name
    if state == "RUNNING" and name then
      run.executed[#run.executed + 1] = name
    elseif state == "REVERTED" and name then
      run.reverted[#run.reverted + 1] = name
    end
  end)
  for name, atom in pairs(engine:tasks()) do
    atom.notifier:register("*", function(event_type, details)
      local progress = event_type == task.EVENT_UPDATE_PROGRESS and details.progress
      if progress ~= 0 and progress ~= 1 then
        run.events[#run.events + 1] = { task = name, type = event_type, details = details }
      end
    end)
  end
end

local FLOW_OPTIONS = { store = true, fakes = true, engine_options = true }

---Run a flow to its end.
---@param flow taskflow.Flow|taskflow.Task
---@param options { store: table<string, any>?, fakes: table<string, taskflow.Fake>?, engine_options: table? }?
---  engine_options: as defer_reverts, for the serial engine that is used
---@return taskflow.TestRun
function M.flow(flow, options)
  options = check.options(options, FLOW_OPTIONS, "testing.flow")
  local given = { store = options.store }
  for key, value in pairs(check.is(options.engine_options or {}, "table", "testing.flow: engine_options")) do
    given[key] = value
  end
  local engine = engine_module.new(flow, given)
  if engine.kind ~= "serial" then
    check.fail "testing.flow: the engine is the serial one"
  end
  local run = { executed = {}, reverted = {}, inputs = {}, events = {} }
  engine._virtual_time = true
  set_fakes(engine, options.fakes, run)
  engine:check() -- what is wrong with the flow itself is the spec's mistake
  listen(engine, run)
  local outer = current
  current = engine
  local ok, err = pcall(engine.run, engine)
  current = outer
  if not ok and not engine:has_ended() then
    error(err, 0)
  end
  run.state, run.failures = engine.storage:get_flow_state(), ok and {} or engine:failures()
  run.failure, run.results = run.failures[1], engine.storage:fetch_all()
  run.seconds, run.states = engine._handle:clock(), {}
  for name, pair in pairs(engine.storage:get_atoms_states()) do
    run.states[name] = pair[1]
  end
  local only = task.is_task(flow) and run.states[flow.name] == "SUCCESS"
  run.result = only and engine.storage:get(flow.name) or nil
  engine:close()
  return run
end

-- A task from a class, a reference or an instance.
local function as_task(what, title)
  if task.is_class(what) then
    return what {}
  end
  local made = task.is_task(what) and what or task.from_reference(what)
  if not made or flow_module.is_flow(made) then
    check.fail("%s: expected a task or a task class, not %s", title, check.kind(what))
  end
  return made
end

---Execute one task.
---@param what taskflow.Task|taskflow.TaskClass
---@param inputs table<string, any>? by name
---@return taskflow.TestRun run.result is what execute returned, run.failure what it raised
function M.task(what, inputs)
  return M.flow(as_task(what, "testing.task"), { store = check.is(inputs or {}, "table", "testing.task: the inputs") })
end

---Revert one task, as when something after it has failed.
---@param what taskflow.Task|taskflow.TaskClass
---@param inputs table<string, any>? by name
---@param execute taskflow.Fake? what execute is to have done, default: the task's own
---@return taskflow.TestRun
function M.revert(what, inputs, execute)
  local subject = as_task(what, "testing.revert")
  local stop = task.FunctorTask(function()
    error("the reason to revert", 0)
  end, { name = "taskflow.testing.stop" })
  return M.flow(linear_flow.Flow("revert"):add(subject, stop), {
    store = check.is(inputs or {}, "table", "testing.revert: the inputs"),
    fakes = execute and { [subject.name] = execute },
  })
end

return M
