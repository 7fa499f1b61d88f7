-- The storage as scripts ask it. What TaskFlow 5.0.0 answers was found by asking it the same.
local engines = require "taskflow.engines"
local lf = require "taskflow.patterns.linear_flow"
local retry = require "taskflow.retry"
local task = require "taskflow.task"

local Add = task.Task {
  default_provides = "a",
  optional = { "y" },
  execute = function(self, x, y)
    self:update_progress(0.25, { step = "adding" })
    return x + (y or 3)
  end,
}
local Boom = task.Task {
  execute = function(_self, a) -- luacheck: ignore
    error("boom", 0)
  end,
}
local Double = task.Task {
  default_provides = "y",
  execute = function(_self, x)
    return x * 2
  end,
}

local function failing(storage, method, ...)
  local ok, err = pcall(storage[method], storage, ...)
  assert.is_false(ok)
  return (tostring(err):gsub("^[^:]+:%d+: ", ""))
end

describe("storage", function()
  local function reverted()
    local flow = lf.Flow("f", { retry = retry.Times(2, { name = "r" }) })
    flow:add(Add { name = "a", inject = { y = 5 } }, Boom { name = "b" })
    local engine = engines.load(flow, { store = { x = 1 } })
    assert.is_false(pcall(engine.run, engine))
    return engine.storage
  end

  local function done()
    local flow = lf.Flow("g"):add(Double { name = "y" }, Add { name = "a", rebind = { x = "y" } })
    local engine = engines.load(flow, { store = { x = 1 } })
    engine:run()
    return engine.storage, engine
  end

  it("knows failures by name, of execute and of revert", function()
    local storage = reverted()
    assert.equal("boom", storage:get_execute_failures().b.exception_str)
    assert.equal("boom", storage:get_failures().b.exception_str)
    assert.same({}, storage:get_revert_failures())
    assert.is_true(storage:has_failures())
    assert.equal("boom", storage:get("b").exception_str)
    assert.is_false(done():has_failures())
  end)

  it("says what is not known", function()
    local storage = reverted()
    assert.equal("NotFound: Unknown atom name 'nope' in flow 'f'", failing(storage, "get", "nope"))
    assert.equal("NotFound: Result for atom 'a' execution is not known", failing(storage, "get", "a"))
    assert.equal("NotFound: Unknown atom name 'nope' in flow 'f'", failing(storage, "reset", "nope"))
    assert.equal("NotFound: Unknown atom name 'nope' in flow 'f'", failing(storage, "inject_atom_args", "nope", {}))
  end)

  it("gives the states and intentions of atoms", function()
    local storage = reverted()
    assert.equal("REVERTED", storage:get_atom_state "a")
    assert.equal("REVERT", storage:get_atom_intention "a")
    local both = { "REVERTED", "REVERT" }
    assert.same({ a = both, b = both, r = both }, storage:get_atoms_states())
    assert.same({ b = both }, storage:get_atoms_states { "b" })
  end)

  it("keeps progress and its details", function()
    local storage = reverted()
    assert.equal(1, storage:get_task_progress "a")
    assert.same({ at_progress = 0.25, details = { step = "adding" } }, storage:get_task_progress_details "a")
    assert.is_nil(storage:get_task_progress_details "b")
    storage:set_task_progress("a", 0.5, { k = 1 })
    storage:set_task_progress("a", 0.75)
    assert.equal(0.75, storage:get_task_progress "a")
    assert.same({ at_progress = 0.5, details = { k = 1 } }, storage:get_task_progress_details "a")
    storage:set_task_progress("a", 0.8, {})
    assert.is_nil(storage:get_task_progress_details "a")
    assert.equal("TypeError: Atom 'r' is not of the expected type: task", failing(storage, "get_task_progress", "r"))
    assert.equal(
      "TypeError: set_task_progress: the progress must be from 0 to 1, not 2",
      failing(storage, "set_task_progress", "a", 2)
    )
  end)

  it("gives the history of a retry while it is running", function()
    local histories = {}
    local flow = lf.Flow("f", { retry = retry.Times(2, { name = "r" }) }):add(Boom { name = "b", inject = { a = 1 } })
    local engine = engines.load(flow)
    engine.atom_notifier:register("REVERTED", function(_, details)
      if details.task_name == "b" then
        histories[#histories + 1] = engine.storage:get_retry_history "r"
        local name, history = unpack(engine.storage:get_retry_histories()[1])
        assert.equal("r", name)
        assert.equal(histories[#histories]:len(), history:len())
      end
    end)
    assert.is_false(pcall(engine.run, engine))
    assert.same({ 1, 2 }, { histories[1]:len(), histories[2]:len() })
    assert.equal("boom", histories[2]:outcomes(1).b.exception_str)
    assert.equal(0, engine.storage:get_retry_history("r"):len()) -- it was reverted
    assert.equal(
      "TypeError: Atom 'b' is not of the expected type: retry",
      failing(engine.storage, "get_retry_history", "b")
    )
  end)

  it("tells what an atom would get, and what nobody will give it", function()
    local storage = reverted()
    assert.same({ "q" }, storage:fetch_unsatisfied_args("a", { p = "x", q = "nope", r = "y", o = "opt" }, { "o" }))
    assert.same({}, storage:fetch_unsatisfied_args("b", { p = "a" }))
    assert.same({ "p" }, storage:fetch_unsatisfied_args("a", { p = "a" })) -- what comes later is out of sight
    assert.same({ p = 1, q = 5 }, storage:fetch_mapped_args({ p = "x", q = "y" }, { atom_name = "a" }))
    assert.same({ p = 1 }, storage:fetch_mapped_args({ p = "x", q = "y" }, { optional = { "q" } }))
    assert.equal(
      "NotFound: Name 'y' is not mapped as a produced output by any providers",
      failing(storage, "fetch_mapped_args", { p = "x", q = "y" })
    )
    assert.truthy(
      failing(storage, "fetch_mapped_args", { q = "a" }, { atom_name = "b" }):find(
        "NotFound: Expected to be able to find output 'a' produced by 'a'", 1, true
      )
    )
  end)

  it("resets one atom, which runs again", function()
    local storage, engine = done()
    storage:reset "a"
    assert.equal("PENDING", storage:get_atom_state "a")
    assert.equal("NotFound: Result for atom 'a' execution is not known", failing(storage, "get", "a"))
    local ran = {}
    engine.atom_notifier:register("*", function(state, details)
      ran[#ran + 1] = details.task_name .. " " .. state
    end)
    engine:run()
    assert.same({ "a RUNNING", "a SUCCESS" }, ran)
    assert.same({ x = 1, y = 2, a = 4 }, storage:fetch_all())
    engine.notifier:register("RUNNING", function()
      assert.truthy(failing(storage, "reset", "a"):find "InvalidState: flow 'g' is running: 'a' cannot be reset")
    end)
    engine:run()
  end)

  it("injects values to keep and values not to keep; of both, the first is in view", function()
    local storage = done()
    storage:inject { x = 7 }
    storage:inject({ x = 9 }, { transient = true })
    assert.equal(7, storage:fetch "x")
    storage:inject({ t = 9 }, { transient = true })
    storage:inject { t = 10 }
    assert.equal(9, storage:fetch "t")
    assert.same({ t = 9 }, storage:fetch_mapped_args({ t = "t" }, { atom_name = "a" }))
    assert.same({ x = { 7, 9 }, t = { 9, 10 }, y = 2, a = 4 }, storage:fetch_all())
    local function last(list)
      return list[#list]
    end
    assert.equal(9, storage:fetch("x", last))
    assert.same({ x = 9, t = 10, y = 2, a = 4 }, storage:fetch_all(last))
  end)

  it("injects values for one atom, which come before all others", function()
    local storage, engine = done()
    storage:inject_atom_args("a", { y = 50 })
    assert.same({ y = 50 }, storage:fetch_mapped_args({ y = "y" }, { atom_name = "a" }))
    storage:inject_atom_args("a", { y = 60 }, { transient = false })
    assert.same({ y = 50 }, storage:fetch_mapped_args({ y = "y" }, { atom_name = "a" }))
    engine:reset()
    engine:run()
    assert.equal(100, storage:fetch "a")
  end)

  it("an injected value satisfies an atom that nothing else does", function()
    local engine = engines.load(lf.Flow("f"):add(Double { name = "y" }))
    assert.is_false(pcall(engine.check, engine))
    engine.storage:inject_atom_args("y", { x = 4 })
    engine:run()
    assert.equal(8, engine.storage:fetch "y")
  end)

  for _, kept in ipairs { true, "false" } do
    it("takes constants of atoms with inject_transient = " .. tostring(kept), function()
      local flow = lf.Flow("f"):add(Double { name = "y", inject = { x = 4 } })
      local engine = engines.load(flow, { inject_transient = kept })
      engine:run()
      assert.equal(8, engine.storage:fetch "y")
    end)
  end
end)
