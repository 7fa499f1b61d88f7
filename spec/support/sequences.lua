-- Flows of steps (steps.lua) in short words, and what happens when an engine of any kind runs them.
--
--   local f = sequences.linear("f", { retry = r }, sequences.step("a", { fails = 1 }), ...)
--   local run = sequences.run(f, { engine = "parallel" })
--   run.events     { "flow RUNNING", "task a RUNNING", "X a", ... }
--   run.ok, run.err, run.engine, run.reverted[name]
--
-- M.describe makes specs of a table of them, over all engines.
local busted = require "busted"
local engines = require "taskflow.engines"
local exceptions = require "taskflow.exceptions"
local peers = require "peers"
local process = require "process"
local steps = require "steps"

local assert = require "luassert"
local describe, it, lazy_setup, lazy_teardown = busted.describe, busted.it, busted.lazy_setup, busted.lazy_teardown

local M = {}

local PATTERNS = {
  linear = require "taskflow.patterns.linear_flow",
  unordered = require "taskflow.patterns.unordered_flow",
  graph = require "taskflow.patterns.graph_flow",
}

-- Options of a step that belong to its task.
local OF_TASK = { provides = true, requires = true, rebind = true, priority = true, name = true }

---A task; options: those of steps.lua, provides, requires, rebind, priority, inject.
function M.step(name, options)
  local step, task_options = { counter = process.directory() .. "/count" }, { name = name }
  local inject = { step = step }
  for key, value in pairs(options or {}) do
    if key == "inject" then
      for symbol, constant in pairs(value) do
        inject[symbol] = constant
      end
    else
      (OF_TASK[key] and task_options or step)[key] = value
    end
  end
  task_options.inject = inject
  return steps.Step(task_options)
end

---A task that tells of all its methods; the hook of its name raises, execute if `fails`.
function M.hooked(name, fails)
  return steps.Hooked { name = name, inject = { fails = fails or false } }
end

for pattern, module in pairs(PATTERNS) do
  ---A flow: name, options or nil, children.
  M[pattern] = function(name, options, ...)
    return module.Flow(name, options):add(...)
  end
end

local function listen(engine, run)
  local function note(event)
    run.events[#run.events + 1] = event
    if run.on_event then
      run.on_event(event, engine)
    end
  end
  engine.notifier:register("*", function(state)
    note("flow " .. state)
  end)
  engine.atom_notifier:register("*", function(state, details)
    if details.retry_name then
      note(("retry %s %s"):format(details.retry_name, state))
    else
      note(("task %s %s"):format(details.task_name, state))
    end
  end)
  for name, task in pairs(engine:tasks()) do
    task.notifier:register("*", function(event, details)
      if event == "X" then
        note(("X %s%s"):format(name, details.arguments ~= "" and ("(%s)"):format(details.arguments) or ""))
      elseif event == "R" then
        run.reverted[name] = details
        note("R " .. name)
      elseif event ~= "update_progress" then
        note(event .. " " .. name)
      end
    end)
  end
end

---Load and run. `on_event` is told each event and the engine.
function M.run(flow, options, on_event)
  local run = { events = {}, reverted = {}, on_event = on_event }
  run.engine = engines.load(flow, options)
  listen(run.engine, run)
  M.again(run)
  return run
end

---Run the same engine once more; `events` are those of this run.
function M.again(run)
  run.events = {}
  run.ok, run.err = pcall(run.engine.run, run.engine)
  return run
end

---Whether events are those of a text, "flow RUNNING; task a RUNNING; ...; flow SUCCESS", where "..." stands for
---any number of events.
function M.matches(events, text)
  local wanted = {}
  for event in (text .. ";"):gmatch "%s*(.-)%s*;" do
    wanted[#wanted + 1] = event
  end
  local function match(i, j)
    if wanted[j] == nil then
      return events[i] == nil
    elseif wanted[j] ~= "..." then
      return events[i] == wanted[j] and match(i + 1, j + 1)
    end
    for from = i, #events + 1 do
      if match(from, j + 1) then
        return true
      end
    end
    return false
  end
  return match(1, 1)
end

---States and intentions: "a SUCCESS/EXECUTE, b PENDING/REVERT", names in order.
function M.states(engine)
  local all, names, out = engine.storage:get_atoms_states(), {}, {}
  for name in pairs(all) do
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    out[i] = ("%s %s/%s"):format(name, all[name][1], all[name][2])
  end
  return table.concat(out, ", ")
end

-- What happened to the flow and to each of its atoms.
local function per_atom(events)
  local out = {}
  for _, event in ipairs(events) do
    local what, name = event:match "^(%S+) (%S+)"
    local key = (what == "flow" and what or name):match "^[^(]*"
    out[key] = (out[key] or "") .. event .. "; "
  end
  return out
end

local function split(text)
  local out = {}
  for event in (text .. ";"):gmatch "%s*(.-)%s*;" do
    out[#out + 1] = event
  end
  return out
end

local function position(events, wanted)
  for i, event in ipairs(events) do
    if event == wanted then
      return i
    end
  end
end

-- As raised in this process, or wrapped: then the failure is the same.
local function check_raised(sequence, run)
  if sequence.raises_like then
    assert.is_false(run.ok)
    assert.is_truthy(tostring(run.err):gsub("^[^\n]-:%d+: ", ""):find("^" .. sequence.raises_like), tostring(run.err))
    return
  end
  if not sequence.raises then
    assert.is_true(run.ok, tostring(run.err))
    return
  end
  assert.is_false(run.ok)
  local expected = sequence.raises
  if run.err:is(exceptions.WrappedFailure) and not expected:find "^WrappedFailure" then
    expected = ("WrappedFailure: [Failure: %s]"):format(expected)
  end
  local said = tostring(run.err):gsub("^[^\n]-:%d+: ", "")
  assert.equal(expected, said)
end

local function check(sequence, run)
  local story = table.concat(run.events, "; ")
  if sequence.concurrent then
    assert.same(per_atom(split(sequence.events)), per_atom(run.events))
  else
    assert.is_true(M.matches(run.events, sequence.events), story)
  end
  check_raised(sequence, run)
  if sequence.states then
    assert.equal(sequence.states, M.states(run.engine))
  end
  for name, given in pairs(sequence.reverted or {}) do
    assert.same(given.failures, { unpack(run.reverted[name].failures) })
    assert.equal(given.result, run.reverted[name].result)
  end
  if sequence.before then
    assert.is_true(position(run.events, sequence.before[1]) < position(run.events, sequence.before[2]), story)
  end
  if sequence.check then
    sequence.check(run)
  end
  for name, value in pairs(sequence.results or {}) do
    assert.same(value, run.engine.storage:fetch(name), name)
  end
end

-- More runs of the same engine, each after what is to be done before it.
local function check_later(sequence, run)
  for _, more in ipairs(sequence.later or {}) do
    if more.reset then
      run.engine:reset()
    end
    M.again(run)
    check(more, run)
  end
end

---An `it` for each sequence on each engine. A sequence:
---  [1] title; flow() -> flow, on_event(event, engine); options; store
---  events (see matches); concurrent: of each atom alone, since others run at the same time
---  raises: the text of the error, nil for none; raises_like: what it begins with, a pattern
---  states; results by name; check(run)
---  reverted: what reverts were given, by name; before: two events of which the first comes first
---  later: more runs, { reset = true, events, raises, ... }
---  engines: the kinds on which it makes sense
---@param title string
---@param list table[]
function M.describe(title, list)
  for _, kind in ipairs { "serial", "parallel", "worker-based" } do
    describe(("%s on the %s engine"):format(title, kind), function()
      local side

      lazy_setup(function()
        if kind == "worker-based" then
          side = peers.environment "filesystem"
          peers.ready(side:worker("lua", "steps", { tasks = { "spec/support/steps.lua" }, slots = 4 }))
        end
      end)

      lazy_teardown(process.cleanup)

      for _, sequence in ipairs(list) do
        if not sequence.engines or sequence.engines[kind] then
          it(sequence[1], function()
            local options = { engine = kind, store = sequence.store }
            if side then
              options = side:options { engine = kind, topics = { "steps" }, store = sequence.store }
            end
            for key, value in pairs(sequence.options or {}) do
              if kind == "parallel" or key ~= "max_workers" then
                options[key] = value
              end
            end
            local flow, on_event = sequence.flow()
            local run = M.run(flow, options, on_event)
            check(sequence, run)
            check_later(sequence, run)
            run.engine:close()
          end)
        end
      end
    end)
  end
end

return M
