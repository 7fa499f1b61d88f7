-- An engine: runs one flow, as the options say where. See taskflow.engines for how one is made.
local check = require "taskflow.utils.check"
local compiler = require "taskflow.engines.compiler"
local exceptions = require "taskflow.exceptions"
local failure = require "taskflow.failure"
local host = require "tfhost.engine"
local notifier = require "taskflow.notifier"
local options = require "taskflow.engines.options"
local place = require "taskflow.utils.place"
local retry_module = require "taskflow.retry"
local states = require "taskflow.states"
local storage = require "taskflow.engines.storage"
local task = require "taskflow.task"
local text = require "taskflow.utils.text"
local values = require "taskflow.values"

---Runs one flow. It is released by close or by the collector; it can be run from a coroutine, but a task or a listener
---cannot yield out of it.
---@class taskflow.Engine
---@field flow_name string
---@field kind "serial"|"parallel"|"worker-based"
---@field notifier taskflow.Notifier tells of states of the flow: details flow_name, flow_uuid, old_state, engine
---@field atom_notifier taskflow.Notifier tells of states of tasks and retries: task_name or retry_name, task_uuid or
---  retry_uuid, old_state, result
---@field storage taskflow.Storage
---@field options table as used
---@field flow_detail taskflow.FlowDetail? where the flow is kept, as it was when the engine was made
---@field statistics table of the last run: completed, incomplete, awaiting, discarded_failures, active_for,
---  seconds_per_state; worker-based also workers, malformed, lost, ...
---@field package _listen fun()
---@field package _handle userdata of the host, nil before compile
local Engine = {}

local M = {}

-- Codes of the bindings -> exceptions.
local CODES = {
  EINVAL = "ValueError",
  EFORMAT = "InvalidFormat",
  ENOTFOUND = "NotFound",
  EEXIST = "Duplicate",
  ESTATE = "InvalidState",
  EMISSING = "MissingDependencies",
  ECYCLE = "DependencyFailure",
  ESTORE = "StorageFailure",
  ETIMEOUT = "RequestTimeout",
  EAUTH = "PermissionError",
  ECLOSED = "ConnectionError",
  EIO = "OSError",
  ESYS = "OSError",
}

-- Where the atoms that a message names were made: 'a', or '"a==1.0"'.
local function places(self, message)
  local out = {}
  for quoted in message:gmatch "'([^']*)'" do
    local name = quoted:match '^"(.*)==[%d.]*"$' or quoted
    for _, atom in ipairs(self._plan.order) do
      local line
      if atom.name == name and atom.where then
        local flow = self._plan.flow_of(atom)
        line = ("'%s'%s is made at %s"):format(name, flow and (" of flow '%s'"):format(flow.name) or "", atom.where)
      end
      if line and not out[line] then
        out[line] = true
        out[#out + 1] = line
      end
    end
  end
  return out
end

-- The first value of a call of the host, or the exception for its failure.
function Engine:_check(value, message, code)
  if value ~= nil then
    return value
  end
  local class = exceptions[CODES[code] or "RuntimeError"]
  if code == "EMISSING" and self._plan.single then -- there is no flow that misses anything
    message = message:match "^[^\n]*\n  MissingDependencies: ([^\n]*)$" or message
  end
  if code == "EMISSING" or code == "EEXIST" then
    local where = places(self, message)
    if where[1] then
      message = message .. "\n  " .. table.concat(where, "\n  ")
    end
  end
  exceptions.raise(class, message)
end

-- Failures that the engine itself made have no traceback: they are live, too.
local function live_here(f)
  local short = f.exc_type_names[1]:match "^taskflow%.exceptions%.(%w+)$"
  if f.exception == nil and f.traceback_str == "" and short and exceptions[short] then
    f.exception = exceptions[short](f.exception_str)
  end
  return f
end

-- The failure with its live error value, if that was raised in this process.
function Engine:_live(name, f)
  -- Errors of deciders and of on_failure are kept without a name.
  for _, raised in ipairs { self._raised[name or ""] or {}, self._raised[""] } do
    if raised.exception_str == f.exception_str and raised.exc_type_names[1] == f.exc_type_names[1] then
      f.exception = raised.exception
      break
    end
  end
  return f
end

-- ---- what the host calls while the flow runs ----

local function flow_details(self, old)
  return {
    engine = self,
    flow_name = self.flow_name,
    flow_uuid = self._handle:flow_uuid(),
    old_state = old,
  }
end

local function atom_details(self, name, atom, state, old)
  local _, _, uuid = self._handle:atom(name)
  local prefix = retry_module.is_retry(atom) and "retry" or "task"
  local details = { [prefix .. "_name"] = name, [prefix .. "_uuid"] = uuid, old_state = old }
  if states.WITH_RESULT[state] then
    local value, failed = self._handle:notified()
    if failed == true then
      value = self:_live(name, failure.from_dict(value))
    end
    details.result = value -- nil for one that Lua cannot represent: it is stored and passed on as it came
  end
  return details
end

-- Name and atom of a number of the host's; of an item of a map also the map's name and the item's place in it.
local function identify(self, index)
  local name = self._handle:name(index)
  if name then
    return name, self._plan.named(name)
  end
  local map, position = self._handle:item(index)
  local map_name = self._handle:name(map)
  return ("%s[%d]"):format(map_name, position), self._plan.named(map_name), map_name, position
end

local function call_by_name(atom, f, arguments)
  local args, count = {}, 0
  local used = {}
  while true do
    local name = debug.getlocal(f, count + 2)
    if not name then
      break
    end
    count = count + 1
    args[count] = arguments[name]
    used[name] = true
  end
  if atom.kwargs then
    local rest = {}
    for key, value in pairs(arguments) do
      if not used[key] then
        rest[key] = value
      end
    end
    for i = 1, count do
      if debug.getlocal(f, i + 1) == "kwargs" then
        args[i] = rest
      end
    end
  end
  return f(atom, unpack(args, 1, count))
end

-- A value that a function of the user's returned, for a message.
local function quote(value)
  if value == values.null then
    return "null"
  end
  return type(value) == "string" and ("'%s'"):format(value) or check.kind(value)
end

-- An error about what a function of the user's returned: its place is that of the function, which has ended.
local function raise_at(where, name, class, message)
  local exc = class(message)
  exc.where = where
  local file, line = where:match "^(.*):(%d+)$"
  exc.traceback_str = ('  File "%s", line %d, in %s\n'):format(file, line, name)
  error(exc, 0)
end

-- What an on_failure may return after its decision.
local function is_delay(decision, delay)
  if delay == nil or (decision ~= retry_module.RETRY and delay == 0) then
    return true
  end
  return decision == retry_module.RETRY and type(delay) == "number" and delay >= 0 and delay <= 1e9
end

-- What on_failure returned: a decision, and with RETRY perhaps seconds to wait.
local function check_decision(self, retry, answer, delay)
  local wrong
  if not retry_module.is_decision(answer) then
    wrong = "Unknown atom failure resolution action/strategy " .. quote(answer)
  elseif not is_delay(answer, delay) then
    local given = answer == retry_module.RETRY and quote(delay) or answer .. " with a delay"
    wrong = "RETRY may have seconds to wait, 0 to 1e9, not " .. given
  end
  if wrong then
    local message = ("%s (from on_failure of retry '%s', flow '%s')"):format(
      wrong,
      retry.name,
      self._plan.flow_of(retry).name
    )
    raise_at(place.of_function(retry.on_failure), "on_failure", exceptions.ValueError, message)
  end
end

local function handlers(self)
  local h = {}

  function h.flow(state, old)
    if self.notifier:count() > 0 then
      self.notifier:notify(state, flow_details(self, old))
    end
  end

  function h.atom(index, state, old)
    if self.atom_notifier:count() > 0 then
      local name, atom, map, position = identify(self, index)
      local details = atom_details(self, name, atom, state, old)
      details.map, details.index = map, position
      self.atom_notifier:notify(state, details)
    end
  end

  function h.event(index, event_type, details)
    local _, atom, _, position = identify(self, index)
    details.map_index = position -- of an item of a map
    atom.notifier:notify(event_type, details)
  end

  function h.tick()
    if self._on_tick then
      self._on_tick()
    end
  end

  function h.retry(index, method, arguments, history, own_failure, flow_failures)
    local atom = self._plan.named(self._handle:name(index))
    local f = atom[method]
    if not f then
      return nil
    end
    arguments.history = retry_module.history_from(history, own_failure)
    if flow_failures then
      arguments.flow_failures = failure.from_dicts(flow_failures)
    end
    local answer, delay = call_by_name(atom, f, arguments)
    if method == "on_failure" then
      check_decision(self, atom, answer, delay)
    end
    return answer, method == "on_failure" and (delay or 0) or nil
  end

  function h.decide(index, history)
    local decider = self._plan.deciders[index]
    local answer = decider.call(history)
    if type(answer) ~= "boolean" then
      local where = type(decider.call) == "function" and place.of_function(decider.call) or decider.where
      local message = ("%s: the decider must return true or false, not %s"):format(decider.title, quote(answer))
      raise_at(where, "decider", exceptions.TypeError, message)
    end
    return answer
  end

  function h.raised(name, err)
    self._raised[name] = failure.from_exception(err)
  end

  return h
end

-- ---- life ----

-- Tasks by name, as local engines run them: most are the flow's own. A reference is resolved to its class here.
local function instances(self)
  local out = {}
  local fake = self._fake -- taskflow.testing
  local named = self._plan.named -- not the engine: the host keeps what is returned, and would keep it alive
  for _, atom in ipairs(self.kind ~= "worker-based" and self._plan.references or {}) do
    out[atom.name] = not (fake and fake(atom)) and M.resolve(atom, self.kind) or nil
  end
  for _, atom in ipairs(fake and self._plan.order or {}) do
    out[atom.name] = fake(atom) or out[atom.name]
  end
  -- Items of maps come to be as they are asked for.
  return setmetatable(out, {
    __index = function(tasks, name)
      local atom = named(name)
      if atom then
        return atom
      end
      local map_name = name:gsub("%[%d+%]$", "")
      local map = rawget(tasks, map_name) or named(map_name)
      return map and (fake and fake(named(map_name)) or task.item(map, name))
    end,
  })
end

---The task that a reference names, for an engine that runs it in this process. Raises NotFound.
---@param atom taskflow.Task
---@param kind string of the engine, for the message
---@return taskflow.Task
function M.resolve(atom, kind)
  local module, name = atom.reference:match "^(.*):(.*)$"
  local ok, content = pcall(require, module)
  local class = ok and type(content) == "table" and content[name]
  if not task.is_class(class) then
    local why = ("module '%s' has no task class '%s'"):format(module, name)
    if not ok then
      why = tostring(content):match "^[^\n]*"
    end
    exceptions.raise(
      exceptions.NotFound,
      ("task '%s' (%s): the %s engine runs it on this machine, but %s"):format(
        atom.name,
        atom.reference,
        kind,
        why
      )
    )
  end
  return class { name = atom.name }
end

local function check_wire_names(plan)
  for _, atom in ipairs(plan.order) do
    if task.is_task(atom) then
      local name, why = compiler.wire_name(atom)
      if not name then
        exceptions.raise(
          exceptions.ValueError,
          ("task '%s' (made at %s) cannot run on workers: %s"):format(atom.name, atom.where, why)
        )
      end
    end
  end
end

-- Options that the host reads, with defaults filled in.
local function host_options(self)
  local out = { plan = self._plan, tasks = instances(self), handlers = handlers(self) }
  for key, value in pairs(self.options) do
    out[key] = value
  end
  out.gather_statistics = self.options.gather_statistics ~= false
  out.virtual_time = self._virtual_time -- taskflow.testing
  out.keep_injected = self.options.inject_transient == false
  if self.kind == "parallel" then
    out.max_workers = out.max_workers or host.cores()
  end
  local detail = self.flow_detail
  if detail then
    out.flow_uuid = detail.uuid
    out.backend = self.options.backend and self.options.backend._handle
  end
  if detail and not out.backend then
    out.flow_state = detail.state
    out.details = require("taskflow.persistence.models").rows(detail)
  end
  return out
end

-- For an atom that never had a name of its own, or one that is no text.
local function name_check(plan)
  return function(atom)
    local fault = atom.name == "" and "it has an empty name" or text.name_fault(atom.name)
    if fault then
      local flow = plan.flow_of(atom) or plan
      local message = "an atom (made at %s, in flow '%s'): %s"
      exceptions.raise(exceptions.ValueError, message:format(tostring(atom.where), flow.name, fault))
    end
  end
end

-- Connect the flow to the host. Done once, when the engine is loaded, so that mistakes are told then.
function Engine:_connect()
  if self._handle then
    return
  end
  local fault = text.name_fault(self._plan.name)
  if fault then
    exceptions.raise(exceptions.ValueError, "flow: " .. fault)
  end
  self._plan.check_name = name_check(self._plan)
  if self.kind == "worker-based" then
    check_wire_names(self._plan)
  end
  self._handle = self:_check(host.load(host_options(self)))
  self._listen()
  self._plan.steps, self._plan.check_name = nil, nil -- the host has the graph: a large flow is a lot to keep twice
end

---Flatten the flow. Done once; run does it by itself.
function Engine:compile()
  self:_connect()
  self._compiled = true
end

local function need_compiled(self, what)
  if not self._compiled then
    exceptions.raise(
      exceptions.InvalidState,
      ("Can not %s an engine which has not been compiled"):format(what)
    )
  end
end

local function need_prepared(self, what)
  need_compiled(self, what)
  if not self._prepared then
    exceptions.raise(
      exceptions.InvalidState,
      ("Can not %s an engine which has not had its storage populated"):format(what)
    )
  end
end

---Get the storage ready: a flow with a backend gets its details there; one that another engine left is told as RESUMING
---and SUSPENDED. After a run that ended REVERTED it resets the flow. run does it by itself.
function Engine:prepare()
  need_compiled(self, "prepare")
  self:_check(self._handle:prepare())
  self._prepared = true
end

---Check that every input can be satisfied; raises MissingDependencies. run does it by itself.
function Engine:validate()
  need_prepared(self, "validate")
  self:_check(self._handle:validate())
end

---Everything that run checks before it starts.
function Engine:check()
  self:compile()
  self:prepare()
  self:validate()
end

---Tasks of the flow by name.
---@return table<string, taskflow.Task>
function Engine:tasks()
  local out = {}
  for _, atom in ipairs(self._plan.order) do
    if task.is_task(atom) then
      out[atom.name] = atom
    end
  end
  return out
end

---Whether a run has come to an end, whatever it was.
---@return boolean
function Engine:has_ended()
  return self._ended == true
end

---The signal that suspended or cancelled the last run, if one did.
---@return integer?
function Engine:signal()
  return self._signal
end

local function collect_failures(self)
  local out = {}
  for i, entry in ipairs(self._handle:failures()) do
    local f = failure.from_dict(entry.failure)
    out[i] = live_here(self:_live(entry.atom, f))
  end
  return out
end

---The failures of the last run.
---@return taskflow.Failure[]
function Engine:failures()
  return collect_failures(self)
end

local RUN_OPTIONS = { signals = true, on_tick = true, tick = true, timeout = true }

-- The host prepares and validates by itself.
local function make_ready(self)
  self:compile()
  self._prepared = true
  self._ended = false
end

local function finish(self)
  if self._handle:state() ~= states.SUSPENDED and self._handle:state() ~= states.SUCCESS then
    failure.reraise_if_any(collect_failures(self))
  end
end

---Run the flow to its end. Raises what failed: the error itself if there is one and it was raised in this
---process, else a WrappedFailure.
---@param run_options { signals: boolean?, on_tick: function?, tick: number?, timeout: number? }? signals: Ctrl-C
---  cancels the engine (see cancel), TERM suspends it, the second signal ends the process. on_tick is called every
---  `tick` seconds (0.2) while the engine waits. timeout is taken as TaskFlow's, and as little to be seen.
---@return string state of the flow: "SUCCESS" or "SUSPENDED"
---@return integer? signal that ended it
function Engine:run(run_options)
  run_options = check.options(run_options, RUN_OPTIONS, "run")
  if run_options.on_tick ~= nil then
    check.callable(run_options.on_tick, "run: on_tick")
  end
  check.is(run_options.tick or 0, "number", "run: tick")
  check.is(run_options.timeout or 0, "number", "run: timeout")
  make_ready(self)
  self._on_tick = run_options.on_tick
  local tick_ms = self._on_tick and (run_options.tick or 0.2) * 1000 or 0
  local state, signal, code = self._handle:run(run_options.signals or false, tick_ms)
  if not state then
    self:_check(nil, signal, code)
  end
  self._ended, self._signal = true, signal
  finish(self)
  return state, signal
end

---A run phase by phase: see Engine:run_iter.
---@class taskflow.Turns
---@overload fun(sent: any): string?
local Turns = {}

local function end_turns(self)
  self._done = true
  self._engine._ended = true
  finish(self._engine)
end

local function begin_turns(self)
  self._begun = true
  make_ready(self._engine)
  self._engine:_check(self._engine._handle:begin())
end

---The next state of the machine, or nil at the end. Raises like run.
---@param sent any a true value suspends the flow
---@return string?
function Turns:send(sent)
  local engine = self._engine
  if self._done then
    return nil
  elseif not self._begun then
    begin_turns(self)
    return (engine._handle:phase())
  elseif sent then
    engine._handle:suspend()
  end
  engine._handle:advance(self._timeout)
  local state, at_end = engine._handle:phase()
  if at_end == "ending" and state == states.FAILURE then -- it raises instead of saying so
    engine._handle:advance(0)
    at_end = "ended"
  end
  if at_end == "ended" then
    end_turns(self)
    return nil
  end
  return state
end

---Suspend the flow and go on until it has ended. Raises like run.
function Turns:close()
  if self._begun and not self._done then
    self._engine._handle:suspend()
    while select(2, self._engine._handle:phase()) ~= "ended" do
      self._engine._handle:advance(self._timeout)
    end
    end_turns(self)
  end
  self._done = true
end

local turns_meta = { __call = Turns.send }
turns_meta.__index = check.methods("run_iter", Turns, function(value)
  return getmetatable(value) == turns_meta
end)

---Run phase by phase: an iterator over the states of the engine's machine, each before it is acted on: RESUMING, then
---SCHEDULING, WAITING, ANALYZING again and again, then SUCCESS, REVERTED or SUSPENDED. Several engines can be stepped
---by one loop. Raises like run. Calling it with a true value, or closing it, suspends the flow.
---@param run_options { timeout: number? }? seconds that WAITING waits for something to complete, default 60
---@return taskflow.Turns
function Engine:run_iter(run_options)
  local timeout = check.options(run_options, { timeout = true }, "run_iter").timeout
  if timeout ~= nil and (check.is(timeout, "number", "run_iter: the timeout") ~= timeout or timeout < 0) then
    exceptions.raise(exceptions.ValueError, "run_iter: the timeout must be seconds of at least 0, not " .. timeout)
  end
  return setmetatable({ _engine = self, _timeout = timeout or 60 }, turns_meta)
end

---Start nothing new; what runs, finishes. A later run goes on.
function Engine:suspend()
  need_compiled(self, "suspend")
  self._handle:suspend()
end

---Begin nothing any more and revert what has run: from now on, or in the next run. Tasks that run in processes of a
---parallel engine or on tfhost workers are ended, with a failure tfhost.Cancelled; what else runs is waited for.
function Engine:cancel()
  need_compiled(self, "cancel")
  self._handle:cancel()
end

---Forget the progress: the next run begins anew.
function Engine:reset()
  need_prepared(self, "reset")
  self:_check(self._handle:reset())
end

---Release what the engine holds: connections, processes. Using it afterwards is an error.
function Engine:close()
  if self._handle then
    self._handle:close()
  end
end

local meta = {}

---Whether a value is an engine.
---@param value any
---@return boolean
function M.is_engine(value)
  return getmetatable(value) == meta
end

local methods = check.methods("Engine", Engine, M.is_engine)

function meta:__index(key)
  if key == "statistics" then
    return self._handle and self._handle:stats() or {}
  end
  return methods[key]
end

function meta:__tostring()
  return ("%s engine of flow '%s'"):format(self.kind, self.flow_name)
end

---An engine that is not compiled yet.
---@param flow taskflow.Flow|taskflow.Task
---@param given table? options
---@return taskflow.Engine
function M.new(flow, given)
  local parsed = options.parse(given)
  local self = setmetatable({
    kind = parsed.engine,
    options = parsed,
    notifier = notifier.new(),
    _raised = {},
    _plan = compiler.compile(flow),
  }, meta)
  -- Tells the host which events somebody listens to: the others are no calls into Lua.
  function self._listen()
    if self._handle then
      self._handle:listen(self.atom_notifier:count() > 0, task.is_heard(self._listen))
    end
  end
  self.atom_notifier = notifier.new(nil, self._listen)
  self.flow_name = self._plan.name
  self.flow_detail = parsed.flow_detail
  if not self.flow_detail and (parsed.backend or parsed.book) then
    self.flow_detail = require("taskflow.persistence").create_flow_detail(self._plan.name, parsed.book, parsed.backend)
  end
  self.storage = storage.new(self)
  return self
end

return M
