-- Engines are killed with SIGKILL, at every commit of small flows and at random instants; another one resumes the flow.
-- It must end as if nothing had happened: same state and results, no task runs again whose SUCCESS was committed, none
-- at all on a tfhost worker, nothing is reverted twice or in another order.
local peers = require "peers"
local process = require "process"
local values = require "taskflow.values"

local host = peers.tfhost
local HERE = peers.support .. "/resume"
local RANDOM_KILLS = { serial = 80, parallel = 70, ["worker-based"] = 50 }
local seed = tonumber(os.getenv "TFHOST_TEST_SEED") or os.time() % 1000000

-- What must be reverted before what.
local ORDER = {
  failure = { { "boom", "b1" }, { "boom", "b2" }, { "b1", "a" }, { "b2", "a" } },
  exhausted = { { "boom", "a" }, { "a", "z" }, { "times", "z" } },
}

local function events(text)
  local out = {}
  for line in text:gmatch "[^\n]+" do
    out[#out + 1] = line:sub(1, 1) == "{" and values.decode(line) or nil
  end
  return out
end

-- Lines of a task's own notes: { ["execute a"] = 2, ... }
local function effects(path)
  local out = {}
  for line in process.read(path):gmatch "[^\n]+" do
    out[line] = (out[line] or 0) + 1
  end
  return out
end

local function sum(counts)
  local n = 0
  for _, count in pairs(counts) do
    n = n + count
  end
  return n
end

-- One run of a flow, perhaps cut off and resumed.
local Case = {}
Case.__index = Case

local function case(name, options)
  local dir = process.directory()
  return setmetatable({ name = name, options = options, dir = dir, db = dir .. "/flows.db", log = dir .. "/log" }, Case)
end

function Case:begin(env)
  local command = { host, "run", HERE .. "/book.lua:" .. self.name, "--json", env = env }
  for _, word in ipairs { "--backend", self.db, "--durability", "off", "--store", "log=" .. self.log } do
    command[#command + 1] = word
  end
  for _, word in ipairs(self.options) do
    command[#command + 1] = word
  end
  return process.spawn(command)
end

function Case:flow(...)
  return process.run { host, "flow", "--json", "--backend", self.db, ... }
end

-- What the logbook has: the flow with its atoms, or nil if it never got there.
function Case:kept()
  local list = self:flow "list"
  assert.equal(0, list.code, list.story)
  local row = events(list.stdout)[1]
  return row and events(self:flow("show", row.uuid).stdout)[1]
end

-- Told events -> state of the end, results, order of what was reverted.
local function outcome(told)
  local out = { reverted = {} }
  for _, e in ipairs(told) do
    if e.event == "end" then
      out.state, out.exit, out.results = e.state, e.exit, e.results
    elseif e.event == "atom" and e.state == "REVERTED" then
      out.reverted[#out.reverted + 1] = e.name
    end
  end
  if out.results then
    out.results.log = nil
  end
  return out
end

local function check_order(name, reverted)
  local at = {}
  for i, atom in ipairs(reverted) do
    assert.is_true(name == "retry" or name == "exhausted" or at[atom] == nil, atom .. " was reverted twice")
    at[atom] = i
  end
  for _, pair in ipairs(ORDER[name] or {}) do
    local first, second = at[pair[1]], at[pair[2]]
    assert.is_true(first ~= nil and second ~= nil and first < second, ("%s before %s"):format(pair[1], pair[2]))
  end
end

-- Atoms that were committed as reverted just before the kill, which came before they were told.
local function untold(kept, told)
  local last, out = {}, {}
  for _, e in ipairs(told) do
    if e.event == "atom" and e.state ~= "PENDING" then -- that may have been told, and not committed
      last[e.name] = e.state
    end
  end
  for _, atom in ipairs(kept.atoms) do
    if atom.state == "REVERTED" and last[atom.name] ~= "REVERTED" then
      out[#out + 1] = atom.name
    end
  end
  return out
end

-- After the kill: resume, and compare with the run that nobody killed.
function Case:resume_and_check(whole, told_before, story)
  local kept = self:kept()
  if not kept then
    assert.same({}, effects(self.log), "it ran, but was not kept: " .. story)
    return false
  elseif not kept.unfinished then -- it was killed after its end
    assert.equal(whole.state, kept.state)
    return false
  end
  local before, succeeded, running = effects(self.log), {}, 0
  for _, atom in ipairs(kept.atoms) do
    succeeded[atom.name] = atom.state == "SUCCESS"
    running = running + ((atom.state == "RUNNING" or atom.state == "REVERTING") and 1 or 0)
  end
  local resumed = self:flow("resume", kept.uuid)
  local told = events(resumed.stdout)
  story = ("%s\n-- resumed\n%s\n-- kept: %s"):format(story, resumed.story, values.encode(kept))
  local now = outcome(told)
  assert.equal(whole.exit, resumed.code, story)
  assert.equal(whole.state, now.state, story)
  assert.same(whole.results, now.results, story)
  local reset = {}
  for _, e in ipairs(told) do
    if e.event == "atom" and e.state == "PENDING" then
      reset[e.name] = true
    end
  end
  local after = effects(self.log)
  for atom, yes in pairs(succeeded) do
    local line = "execute " .. atom
    if yes and not reset[atom] then
      assert.equal(before[line] or 0, after[line] or 0, atom .. " ran again: " .. story)
    end
  end
  local extra = sum(after) - whole.effects
  if self.worker then
    assert.equal(0, extra, ("%d requests ran again: %s"):format(extra, story))
  else
    assert.is_true(extra >= 0 and extra <= running, ("%d runs too many: %s"):format(extra, story))
  end
  local reverted = outcome(told_before).reverted
  for _, name in ipairs(untold(kept, told_before)) do
    reverted[#reverted + 1] = name
  end
  for _, atom in ipairs(now.reverted) do
    reverted[#reverted + 1] = atom
  end
  check_order(self.name, reverted)
  assert.equal(#whole.reverted, #reverted, story)
  return true
end

local ENGINES = {
  serial = function()
    return {}
  end,
  parallel = function()
    return { "--engine", "parallel", "--option", "max_workers=2" }
  end,
  ["worker-based"] = function()
    local dir = process.directory()
    local url = "filesystem://" .. dir
    local worker = process.spawn { host, "worker", HERE .. "/work.lua", "--topic", "steps", "--url", url }
    peers.ready(worker)
    return { "--engine", "worker-based", "--topics", "steps", "--url", url }, worker
  end,
}

describe("a flow whose engine is killed (seed " .. seed .. ")", function()
  after_each(process.cleanup)
  math.randomseed(seed)

  -- The run that nobody kills; nothing of it is left.
  local function whole_run(name, options, worker)
    local c = case(name, options)
    c.worker = worker
    local began = process.now()
    local p = c:begin()
    local how = p:wait(30)
    local out = outcome(events(p:stdout()))
    out.seconds, out.exit, out.effects = process.now() - began, how.code, sum(effects(c.log))
    assert.is_not_nil(out.state, p:story())
    check_order(name, out.reverted)
    return out
  end

  -- The workers of a topic share its queue: a repeated request that came to the other one would run twice. Each has a
  -- slot for every task, so that all run when the engine dies.
  for _, transport in ipairs { "filesystem", "amqp" } do
    it(("asks the worker that runs a task already, of two on one topic, over %s"):format(transport), function()
      local side = peers.environment(transport)
      local words = side:words()
      for _ = 1, 2 do
        local serve = { host, "worker", HERE .. "/work.lua", "--topic", "two", "--slots", "4", unpack(words) }
        peers.ready(process.spawn(serve))
      end
      local c = case("long", { "--engine", "worker-based", "--topics", "two", unpack(words) })
      local p = c:begin()
      p:wait_for("long4", 10)
      local performed = process.poll(10, function()
        local kept = c:kept()
        local n = 0
        for _, atom in ipairs(kept and kept.atoms or {}) do
          n = n + (atom.meta.tfhost and atom.meta.tfhost.performer and 1 or 0)
        end
        return n == 4
      end)
      assert.is_true(performed, p:story())
      p:kill "KILL"
      p:wait(10)
      local resumed = c:flow("resume", c:kept().uuid)
      assert.equal(0, resumed.code, resumed.story)
      assert.same(
        { ["execute long1"] = 1, ["execute long2"] = 1, ["execute long3"] = 1, ["execute long4"] = 1 },
        effects(c.log),
        resumed.story
      )
    end)
  end

  for _, engine in ipairs { "serial", "parallel", "worker-based" } do
    local make = ENGINES[engine]
    local names = engine == "worker-based" and { "failure", "retry" } or { "success", "failure", "retry", "exhausted" }
    it(("ends the same, killed at each commit: %s"):format(engine), function()
      local options, worker = make()
      local kills, resumed = 0, 0
      for _, name in ipairs(names) do
        local whole = whole_run(name, options, worker)
        for at = 1, 1000 do
          local c = case(name, options)
          c.worker = worker
          local p = c:begin { TFHOST_TEST_KILL_AT_COMMIT = tostring(at) }
          local how = p:wait(30)
          if not how.signal then
            assert.equal(whole.exit, how.code, p:story())
            break
          end
          kills = kills + 1
          resumed = resumed + (c:resume_and_check(whole, events(p:stdout()), p:story()) and 1 or 0)
        end
      end
      print(("# %s: %d flows, killed at %d commits, %d resumed"):format(engine, #names, kills, resumed))
    end)

    it(("ends the same, killed at random instants: %s"):format(engine), function()
      local options, worker = make()
      local whole, kills, resumed, tries = {}, 0, 0, 0
      while kills < RANDOM_KILLS[engine] do
        tries = tries + 1
        local name = names[tries % #names + 1]
        whole[name] = whole[name] or whole_run(name, options, worker)
        local c = case(name, options)
        c.worker = worker
        local p = c:begin()
        process.sleep(math.random() * whole[name].seconds)
        p:kill "KILL"
        if p:wait(10).signal then -- it had not ended
          kills = kills + 1
          resumed = resumed + (c:resume_and_check(whole[name], events(p:stdout()), p:story()) and 1 or 0)
        end
        assert.is_true(tries < 4 * RANDOM_KILLS[engine], "the kills come too late")
      end
      print(("# %s: killed at %d random instants, %d resumed"):format(engine, kills, resumed))
      assert.is_true(resumed > kills / 5)
    end)
  end
end)
