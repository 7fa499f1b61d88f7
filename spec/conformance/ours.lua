-- usage: tfhost lua spec/conformance/ours.lua OPTIONS > OUTCOMES        OPTIONS: a JSON object
--
-- What peer.py does, with tfhost: runs the flows of TF_CONFORMANCE_FLOWS on one engine and says everything that can be
-- seen of them, one JSON object a line. For engines that run tasks at once, "groups" is the order in which completions
-- were taken, for each step: a group ends where the engine scheduled something.
local engines = require "taskflow.engines"
local exceptions = require "taskflow.exceptions"
local failure = require "taskflow.failure"
local retry = require "taskflow.retry"
local task = require "taskflow.task"
local values = require "taskflow.values"

local classes = require "conformance_tasks"
local plain, short = classes._plain, classes._short

local PATTERNS = {
  linear = require "taskflow.patterns.linear_flow",
  unordered = require "taskflow.patterns.unordered_flow",
  graph = require "taskflow.patterns.graph_flow",
}

local function histories(history)
  local out = values.list {}
  for i, value, failures in history:iter() do
    local by_name = {}
    for name, f in pairs(failures) do
      by_name[name] = short(f)
    end
    out[i] = values.list { value == nil and values.null or value, by_name }
  end
  return out
end

local function custom(node, log)
  return retry.Retry {
    execute = function(self, history)
      log("execute " .. self.name, histories(history))
      if node.fail then
        error(exceptions.RuntimeError("boom-" .. self.name))
      end
      return history:len() * 10
    end,
    on_failure = function(self, history)
      log("on_failure " .. self.name, histories(history))
      local n = history:len()
      local decision = n <= 3 and node.decisions[math.max(1, math.min(n, #node.decisions))] or "REVERT"
      if n == 0 then
        decision = node.decisions[#node.decisions] -- index -1 in Python
      end
      if decision == "raise" then
        error(exceptions.RuntimeError("no decision-" .. self.name))
      end
      return decision
    end,
    revert = function(self, history, flow_failures)
      log("revert " .. self.name, values.list { histories(history), plain(flow_failures) })
      if node.revert_fail then
        error(exceptions.ValueError("rboom-" .. self.name))
      end
    end,
  }
end

local function make_retry(node, log)
  if not node then
    return nil
  end
  if node.class == "Custom" then
    return custom(node, log) { name = node.name, provides = node.provides }
  end
  local options = {}
  for _, key in ipairs { "name", "provides", "attempts", "values", "revert_all", "rebind" } do
    options[key] = node[key]
  end
  return retry[node.class](options)
end

local function make_task(node, seen)
  local provides = node.provides
  if type(provides) == "table" and provides.set then
    provides = task.set(provides.set)
  end
  local made = classes[node.name] { name = node.name, provides = provides, rebind = node.rebind, inject = node.inject }
  made.notifier:register("*", function(event, details)
    if event == "call" then
      seen(details.what, details.given)
    end
  end)
  return made
end

-- What Python holds for true, of the values that the generator makes; `true` itself is left out there too.
local function counts_as_true(value)
  if value == nil or value == values.null or value == true or failure.is_failure(value) then
    return false
  end
  return type(value) ~= "table" or next(value) ~= nil
end

local function make_decider(link)
  return function(history)
    if link.decider == "raise" then
      error(exceptions.RuntimeError "no answer")
    elseif link.decider == "by result" then
      for _, value in pairs(history) do
        if counts_as_true(value) then
          return true
        end
      end
      return false
    end
    return link.decider
  end
end

local function build(node, log)
  if not node.kind then
    return make_task(node, log)
  end
  local class = node.target and "TargetedFlow" or "Flow"
  local flow = PATTERNS[node.kind][class](node.name, { retry = make_retry(node.retry, log) })
  local by_name, children = {}, {}
  for i, child in ipairs(node.children) do
    children[i] = build(child, log)
    by_name[child.name] = children[i]
  end
  if children[1] then
    flow:add(unpack(children))
  end
  for _, link in ipairs(node.links or {}) do
    local decider = link.decider ~= nil and make_decider(link) or nil
    flow:link(by_name[link.from], by_name[link.to], decider, decider and link.depth)
  end
  if node.target then
    flow:set_target(by_name[node.target])
  end
  return flow
end

local function raised(err)
  if type(err) ~= "table" then
    return { type = "Lua error", text = tostring(err) }
  end
  if err.failures then
    local out = values.list {}
    for i, f in err:iter() do
      out[i] = short(f)
    end
    return { type = "WrappedFailure", failures = out }
  end
  return { type = err.class and err.class.short or "?", text = err.message }
end

local function lookup(store, method, name)
  local ok, value = pcall(store[method], store, name)
  if not ok then
    assert(type(value) == "table" and value.class == exceptions.NotFound, tostring(value))
    return values.null
  end
  return { value = value == nil and values.null or plain(value) }
end

local function by_name(failures)
  local out = {}
  for name, f in pairs(failures) do
    out[name] = short(f)
  end
  return out
end

local function describe(eng, out)
  local store = eng.storage
  out.flow_state = store:get_flow_state()
  out.atoms, out.results, out.revert_results, out.histories = store:get_atoms_states(), {}, {}, {}
  for name, pair in pairs(out.atoms) do
    out.atoms[name] = values.list(pair)
    out.results[name] = lookup(store, "get", name)
    out.revert_results[name] = lookup(store, "get_revert_result", name)
  end
  out.failures = by_name(store:get_execute_failures())
  out.revert_failures = by_name(store:get_revert_failures())
  for _, pair in ipairs(store:get_retry_histories()) do
    out.histories[pair[1]] = histories(pair[2])
  end
  out.fetched = plain(store:fetch_all())
end

-- Groups of completions, in order: what begins, or a change of the flow, ends one.
local COMPLETES = { SUCCESS = true, FAILURE = true, REVERTED = true, REVERT_FAILURE = true }
local function follow()
  local groups, open = values.list {}, false
  return groups,
    function(kind, name, state)
      if kind ~= "flow" and COMPLETES[state] then
        if not open then
          groups[#groups + 1] = values.list {}
        end
        open = true
        table.insert(groups[#groups], name)
      elseif state ~= "IGNORE" then
        open = false
      end
    end
end

local function run(scenario, options)
  local out = { name = scenario.name, events = values.list {}, raised = values.list {}, calls = {} }
  local events, eng, notified = out.events, nil, 0
  local concurrent = options.engine ~= "serial"
  if concurrent then
    out.groups = values.list {}
  end
  local groups, group
  local function log(what, given)
    out.calls[what] = out.calls[what] or values.list {}
    table.insert(out.calls[what], given)
    if not concurrent then
      events[#events + 1] = what
    end
  end
  local function seen(event)
    events[#events + 1] = event
    notified = notified + 1
    if notified == scenario.suspend_at then
      eng:suspend()
    end
  end
  local ok, err = pcall(function()
    local flow = build(scenario.flow, log)
    local all = { store = scenario.store }
    for _, given in ipairs { options, scenario.options or {} } do
      for key, value in pairs(given) do
        all[key] = value
      end
    end
    eng = engines.load(flow, all)
  end)
  if not ok then
    out.raised[1] = { type = raised(err).type }
    return out
  end
  eng.notifier:register("*", function(state)
    group("flow", "", state)
    seen("flow " .. state)
  end)
  eng.atom_notifier:register("*", function(state, details)
    local kind = details.retry_name and "retry" or "task"
    local name = details.retry_name or details.task_name
    group(kind, name, state)
    local event = ("%s %s %s"):format(kind, name, state)
    if COMPLETES[state] then
      local result = details.result
      event = event .. " " .. assert(values.encode(result == nil and values.null or plain(result)))
    end
    seen(event)
  end)
  local function act(step)
    if step ~= "run_iter" then
      return eng[step](eng)
    end
    for state in eng:run_iter() do
      if not concurrent then
        events[#events + 1] = "machine " .. state
      end
    end
  end
  for i, step in ipairs(scenario.steps) do
    groups, group = follow()
    local done, why = pcall(act, step)
    if concurrent then
      out.groups[i] = groups
    end
    out.raised[i] = done and values.null or raised(why)
  end
  pcall(describe, eng, out)
  eng:close()
  return out
end

local options = assert(values.decode(arg[1]))
for line in io.lines((os.getenv "TF_CONFORMANCE_FLOWS")) do
  io.write(assert(values.encode(run(assert(values.decode(line)), options))), "\n")
end
