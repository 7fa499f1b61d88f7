-- Tasks: units of work with inputs, outputs, and a way back. The names of execute's and revert's parameters are what
-- the task asks for.
--
--   local task = require "taskflow.task"
--   local Add = task.Task {
--     default_provides = "sum",
--     execute = function(self, a, b) return a + b end,
--     revert = function(self, result, flow_failures) end,
--   }
--   flow:add(Add { name = "add", rebind = { a = "x", b = "y" } })
--
local atom = require "taskflow.atom"
local check = require "taskflow.utils.check"
local class_name = require "taskflow.utils.class_name"
local exceptions = require "taskflow.exceptions"
local host = require "tfhost.host"
local limits = require "taskflow.utils.limits"
local map = require "taskflow.map"
local notifier = require "taskflow.notifier"
local place = require "taskflow.utils.place"
local text = require "taskflow.utils.text"
local values = require "taskflow.values"

local M = {
  ---A set of names, for `provides`: the result is a map, and name n is result[n].
  ---@type fun(names: string[]): table
  set = atom.set,
  ---The event of update_progress.
  EVENT_UPDATE_PROGRESS = "update_progress",
  ---The event that time_warning is over.
  EVENT_TIME_WARNING = "time_warning",
}

-- Parameters of revert that the engine fills itself.
local REVERT_IGNORE = { result = true, flow_failures = true }

-- Options of a class and of an instance; an instance's option replaces its class's.
local COMMON = {
  name = true,
  requires = true,
  rebind = true,
  inject = true,
  optional = true,
  auto_extract = true,
  ignore_list = true,
  revert_requires = true,
  revert_rebind = true,
  version = true,
  priority = true,
  attempts = true,
  time_limit = true,
  time_warning = true,
  memory_limit = true,
  queue_limit = true,
  argument_limit = true,
  result_limit = true,
}
local METHODS = {
  execute = true,
  revert = true,
  pre_execute = true,
  post_execute = true,
  pre_revert = true,
  post_revert = true,
}
local CLASS_OPTIONS = { default_provides = true, kwargs = true, concurrency = true }
local INSTANCE_OPTIONS = { provides = true }
for name in pairs(COMMON) do
  CLASS_OPTIONS[name], INSTANCE_OPTIONS[name] = true, true
end
for name in pairs(METHODS) do
  CLASS_OPTIONS[name] = true
end

---Options of a task. All but `name` and `provides` may be given to its class, too; the task's own replace them.
---@class taskflow.TaskOptions
---@field name string? default: the class's name ("module.Class")
---@field provides string|string[]|table|nil what the result gives to others: a name (all of it), a list of names
---  (by index), or set { ... } (by key); default: default_provides of its class
---@field requires string|string[]|nil inputs besides the parameters
---@field rebind string[]|table<string, string>|nil other names for the inputs: by place, or by parameter
---@field inject table<string, any>? constant inputs of this task alone
---@field optional string[]? parameters that may be missing
---@field auto_extract boolean? false: parameters are not read from the functions
---@field ignore_list string[]? names; without effect, as in TaskFlow 5.0.0
---@field revert_requires string|string[]|nil the same for revert; default: requires
---@field revert_rebind string[]|table<string, string>|nil the same for revert; default: rebind
---@field version integer[]? default { 1, 0 }
---@field priority integer? higher runs first among what is ready, and what waits for a slot; default 0
---@field attempts integer? runs of one request when its workers are lost (1: never repeat); default: the engine's
---@field time_limit number? seconds that execute, or revert, may take in a slot; then it is killed, and fails
---@field time_warning number? seconds after which the task (time_left) and its listeners ("time_warning") are told
---@field queue_limit number? seconds that a request may wait for a worker; then it fails, and is never run
---@field memory_limit number|string|nil bytes ("64M") that the slot may have in memory; then it is killed, and fails
---@field argument_limit number|string|nil bytes ("64K") of the arguments of execute as JSON; with more it is not run
---@field result_limit number|string|nil bytes ("64K") of what it returns, as JSON; with more it fails

---Options of a class of tasks. Functions under other names are methods of its tasks.
---@class taskflow.TaskClassOptions: taskflow.TaskOptions
---@field execute fun(self: taskflow.Task, ...): any the work; its parameters are the inputs
---@field revert (fun(self: taskflow.Task, ...): any)? the way back; it gets the inputs that it names, `result` (what
---  execute returned, or its Failure) and `flow_failures` (Failures by name of the atom)
---@field pre_execute fun(self: taskflow.Task)? called before execute
---@field post_execute fun(self: taskflow.Task)? called after it, also after an error
---@field pre_revert fun(self: taskflow.Task)? called before revert
---@field post_revert fun(self: taskflow.Task)? called after it, also after an error
---@field default_provides string|string[]|table|nil `provides` of tasks that say none
---@field concurrency integer? so many tasks of this class run at a time in one worker or parallel engine
---@field kwargs boolean? the parameter named kwargs takes a table of all other arguments

---One task of a flow. Inside execute and revert it is `self`.
---@class taskflow.Task: taskflow.Atom
---@field notifier taskflow.Notifier listeners for update_progress and "*"
local Task = {}

---A class of tasks; calling it makes one. On the wire it is named by the module that returned it and its field there,
---`images.Resize`. A class in no module runs on the serial and the parallel engine only.
---@class taskflow.TaskClass
---@overload fun(options: taskflow.TaskOptions?): taskflow.Task

---Tell the listeners of this task, wherever the engine is.
---@param event_type string "update_progress" or any other name
---@param details table<string, any>? default: {}
function Task:notify(event_type, details)
  if type(event_type) ~= "string" or event_type == "" or event_type == notifier.ANY then
    exceptions.raise(exceptions.ValueError, "notify: the event type must be a non-empty string, and not '*'")
  end
  details = check.is(details == nil and {} or details, "table", "notify: the details")
  if not host.notify(self, event_type, details) then -- no action of it is under way
    self.notifier:notify(event_type, details)
  end
end

---Report progress. Values outside 0..1 are clamped.
---@param progress number 0..1
---@param details table<string, any>? more members of the event
function Task:update_progress(progress, details)
  if type(progress) ~= "number" or progress ~= progress then
    exceptions.raise(exceptions.TypeError, "update_progress: the progress must be a number from 0 to 1")
  end
  local event = {}
  for key, value in pairs(check.is(details or {}, "table", "update_progress: the details")) do
    event[key] = value
  end
  event.progress = math.max(0, math.min(1, progress))
  self:notify(M.EVENT_UPDATE_PROGRESS, event)
end

---Seconds until the time limit of the action that runs, negative beyond it.
---@return number? nil without a limit
---@return boolean late whether time_warning is over
function Task:time_left()
  local now = rawget(self, "_limits")
  if not now then
    return nil, false
  end
  local ran = host.now() - now[1]
  return now[2] > 0 and now[2] - ran or nil, now[3] > 0 and ran >= now[3]
end

function Task.__tostring(self)
  return atom.describe(self)
end

-- Marks: a class's metatable and an instance's metatable carry them.
local class_mark, task_mark = {}, {}

---Whether a value is a class of tasks.
---@param value any
---@return boolean
function M.is_class(value)
  local meta = type(value) == "table" and getmetatable(value)
  return type(meta) == "table" and meta.mark == class_mark
end

---Whether a value is a task.
---@param value any
---@return boolean
function M.is_task(value)
  local meta = type(value) == "table" and getmetatable(value)
  return type(meta) == "table" and meta.mark == task_mark
end

local function parse_version(version, name)
  version = version or { 1, 0 }
  if type(version) == "string" then
    local parts = {}
    for part in version:gmatch "[^.]+" do
      parts[#parts + 1] = tonumber(part)
    end
    version = parts
  end
  if type(version) ~= "table" or #version == 0 then
    check.fail("task %s: version must be a list of integers, as { 1, 0 }", name)
  end
  for _, part in ipairs(version) do
    if type(part) ~= "number" or part % 1 ~= 0 or part < 0 then
      check.fail("task %s: version must be a list of integers, as { 1, 0 }", name)
    end
  end
  return values.list { unpack(version) }
end

local function check_priority(priority, name)
  priority = priority or 0
  if type(priority) ~= "number" or priority % 1 ~= 0 or math.abs(priority) > 2 ^ 31 - 1 then
    check.fail("task %s: priority must be an integer", name)
  end
  return priority
end

local function check_attempts(attempts, name)
  if attempts ~= nil and (type(attempts) ~= "number" or attempts % 1 ~= 0 or attempts < 1 or attempts > 100000) then
    check.fail("task %s: attempts must be an integer of at least 1", name)
  end
  return attempts
end

local function check_inject(inject, name)
  if inject ~= nil and type(inject) ~= "table" then
    check.fail("task %s: inject must be a table from name to value, not a %s", name, type(inject))
  end
  for symbol in pairs(inject or {}) do
    check.is(symbol, "string", ("task %s: a name in inject"):format(name))
  end
  return inject
end

-- Parameters of one method: without the catch-all, and which of them may be missing.
local function signature(class, method, title)
  local f = class.methods[method]
  if not f then
    return { params = {}, accepts_any = true }
  end
  local params, accepts_any = {}, false
  for _, name in ipairs(atom.method_parameters(f, ("%s of %s"):format(method, title))) do
    if class.kwargs and name == "kwargs" then
      accepts_any = true
    else
      params[#params + 1] = name
    end
  end
  return { params = params, accepts_any = accepts_any }
end

local function check_optional(names, execute, revert, task_name)
  local what = ("task %s: optional"):format(task_name)
  local known, out = {}, {}
  for _, sig in ipairs { execute, revert } do
    for _, name in ipairs(sig.params) do
      known[name] = true
    end
  end
  for _, name in ipairs(atom.names(names, what)) do
    if not known[name] then
      exceptions.raise(exceptions.ValueError, what .. ": " .. text.unknown("parameter", name, known))
    end
    out[name] = true
  end
  return out
end

local checked = check.methods("Task", Task, M.is_task)

-- What the instance was given, else what its class has.
local function pick(options, class, key)
  if options[key] ~= nil then
    return options[key]
  end
  return class.options[key]
end

local LIMITS = {
  time_limit = limits.seconds,
  time_warning = limits.seconds,
  queue_limit = limits.seconds,
  memory_limit = limits.bytes,
  argument_limit = limits.size,
  result_limit = limits.size,
}

---@param self table a task that has its name
---@param option fun(key: string): any
local function set_limits(self, option)
  for key, check_limit in pairs(LIMITS) do
    self[key] = check_limit(option(key), ("task %s: %s"):format(self.name, key))
  end
end

local function default_name(class)
  local name = class.options.name or class_name.of(class)
  return name or (class.where:match "([^/\\]+)$" or class.where)
end

-- What happens to tasks is told by engines only once any task has a listener.
local heard, waiting = false, setmetatable({}, { __mode = "k" })

local function on_listener()
  if not heard then
    heard = true
    for f in pairs(waiting) do
      f()
    end
  end
end

---@package whether any task ever had a listener. If none had, `f` is called once one has, unless it was collected.
---@param f fun()
---@return boolean
function M.is_heard(f)
  waiting[check.callable(f, "is_heard: the function to call")] = true
  return heard
end

local function new_notifier()
  return notifier.new({ M.EVENT_UPDATE_PROGRESS, M.EVENT_TIME_WARNING }, on_listener)
end

-- An instance whose options say no more than its name; nil: they do, or they are wrong.
local function plain_instance(class, options)
  local name = class.plain_meta and type(options) == "table" and host.only(options, "name")
  if type(name) == "string" then
    return setmetatable({ name = name, where = place.caller() or class.where }, class.plain_meta)
  end
end

local function instantiate(class, options)
  local plain = plain_instance(class, options)
  if plain then
    return plain
  end
  options = check.options(options, INSTANCE_OPTIONS, "task")
  local name = options.name == nil and default_name(class) or options.name
  if type(name) ~= "string" then
    exceptions.raise(exceptions.TypeError, "the name of a task must be a string")
  end
  if class.plain_meta and next(options) == nil then
    return setmetatable({ name = name, where = place.caller() or class.where }, class.plain_meta)
  end
  local self = {
    name = name,
    class = class,
    kwargs = class.kwargs,
    where = place.caller() or class.where,
    version = parse_version(pick(options, class, "version"), name),
    priority = check_priority(pick(options, class, "priority"), name),
    attempts = check_attempts(pick(options, class, "attempts"), name),
    concurrency = limits.count(class.options.concurrency, "task " .. name .. ": concurrency"),
    inject = check_inject(pick(options, class, "inject"), name),
    optional_parameters = check_optional(pick(options, class, "optional"), class.execute, class.revert, name),
    notifier = new_notifier(),
  }
  set_limits(self, function(key)
    return pick(options, class, key)
  end)
  atom.names(pick(options, class, "ignore_list"), "ignore_list")
  local auto_extract = pick(options, class, "auto_extract") ~= false
  local function mapping(what, sig, ignore, requires, rebind)
    return atom.build_mapping {
      name = name,
      what = what,
      params = sig.params,
      optional = self.optional_parameters,
      ignore = ignore,
      accepts_any = sig.accepts_any,
      auto_extract = auto_extract,
      requires = requires,
      rebind = rebind,
    }
  end
  local requires, rebind = pick(options, class, "requires"), pick(options, class, "rebind")
  local revert_requires = pick(options, class, "revert_requires") or requires
  local revert_rebind = pick(options, class, "revert_rebind") or rebind
  local provides = options.provides
  if provides == nil then
    provides = class.options.default_provides
  end
  atom.set_interface(
    self,
    mapping("execute", class.execute, {}, requires, rebind),
    mapping("revert", class.revert, class.revert_ignore, revert_requires, revert_rebind),
    provides
  )
  return setmetatable(self, class.instance_meta)
end

local class_meta = {
  mark = class_mark,
  __call = instantiate,
  __tostring = function(class)
    return "task class " .. (class_name.of(class) or class.where)
  end,
}

local function check_definition_key(key, value)
  if type(key) ~= "string" then
    exceptions.raise(exceptions.TypeError, "Task: options are named, as in Task { execute = function(self) end }")
  end
  if METHODS[key] and type(value) ~= "function" then
    exceptions.raise(exceptions.TypeError, ("Task: %s must be a function, not a %s"):format(key, type(value)))
  end
  if CLASS_OPTIONS[key] then
    return
  end
  -- Other functions are methods of the class, as long as they look like no typo.
  if type(value) ~= "function" or text.nearest(key, METHODS, 1) then
    exceptions.raise(exceptions.TypeError, "Task: " .. text.unknown("option", key, CLASS_OPTIONS))
  end
  if Task[key] then
    exceptions.raise(exceptions.TypeError, ("Task: the method '%s' is taken"):format(key))
  end
end

-- A class from its methods, its options and the parameters of execute and revert.
local function make_class(class)
  class.revert_ignore = REVERT_IGNORE
  class.instance_meta = {
    mark = task_mark,
    __index = setmetatable(class.methods, { __index = checked }),
    __tostring = Task.__tostring,
  }
  return setmetatable(class, class_meta)
end

-- All that an instance may have of its own that says no more than its name.
local PLAIN = { "name", "where", "_limits", "notifier" }

-- An instance that says no more than its name shares all else with `example`: flows have very many of them.
local function share(class, example)
  example.notifier = nil
  class.plain_meta = {
    mark = task_mark,
    example = example, -- for the host: what an instance shares, while it has no other members than these
    plain = PLAIN,
    __index = function(self, key)
      if key == "notifier" then
        self.notifier = new_notifier()
        return self.notifier
      end
      return example[key]
    end,
    __tostring = Task.__tostring,
  }
end

---Make a task class. Functions under other names become methods.
---@param definition taskflow.TaskClassOptions
---@return taskflow.TaskClass
function M.Task(definition)
  if type(definition) ~= "table" then
    exceptions.raise(exceptions.TypeError, "Task: expected a table, as in Task { execute = function(self) end }")
  end
  local class = { methods = {}, options = {}, kwargs = definition.kwargs or false }
  for key, value in pairs(definition) do
    check_definition_key(key, value)
    local group = (METHODS[key] or not CLASS_OPTIONS[key]) and class.methods or class.options
    group[key] = value
  end
  if not class.methods.execute then
    exceptions.raise(exceptions.TypeError, "Task: a task needs an execute function")
  end
  class.where = place.of_function(class.methods.execute)
  local title = "task at " .. class.where
  class.execute, class.revert = signature(class, "execute", title), signature(class, "revert", title)
  make_class(class)
  -- A class that can never be made is a mistake of this line, not of each use.
  share(class, instantiate(class, { name = class.options.name or "?" }))
  return class
end

---What a class says for every worker that serves it, for the host: concurrency, argument_limit, result_limit.
---@param class taskflow.TaskClass
---@return integer?, integer?, integer?
function M.class_limits(class)
  if not M.is_class(class) then
    exceptions.raise(exceptions.TypeError, "class_limits: expected a Task class, not a " .. type(class))
  end
  local example = class.plain_meta.example
  return example.concurrency, example.argument_limit, example.result_limit
end

local REFERENCE_OPTIONS = { provides = true }
for name in pairs(COMMON) do
  REFERENCE_OPTIONS[name] = true
end
REFERENCE_OPTIONS.auto_extract = nil

local reference_meta = { mark = task_mark, __index = checked, __tostring = Task.__tostring }

---@package Whether a task is a reference, without its class.
---@param value any
---@return boolean
function M.is_reference(value)
  return getmetatable(value) == reference_meta
end

-- Without the code nothing is known but what the flow says.
local NO_SIGNATURE = { params = {}, accepts_any = true }

---A task named by reference, without its code on this machine: requires and provides are given here. Its
---class may be written in Lua or in Python. For revert nothing is asked for unless revert_requires or
---revert_rebind is given (result and flow_failures always reach it).
---@param reference string "module:Class"
---@param options taskflow.TaskOptions?
---@return taskflow.Task
function M.Reference(reference, options)
  local module, class = check.is(reference, "string", "a reference to a task"):match "^([%w_.%-]+):([%w_]+)$"
  if not module then
    exceptions.raise(exceptions.ValueError, ("a task is referred to as 'module:Class', not as '%s'"):format(reference))
  end
  options = check.options(options, REFERENCE_OPTIONS, "task " .. reference)
  local cls = module .. "." .. class
  local name = options.name == nil and cls or options.name
  if type(name) ~= "string" then
    exceptions.raise(exceptions.TypeError, "the name of a task must be a string")
  end
  local self = {
    name = name,
    reference = reference,
    task_cls = cls,
    where = place.caller(),
    version = parse_version(options.version, name),
    priority = check_priority(options.priority, name),
    attempts = check_attempts(options.attempts, name),
    inject = check_inject(options.inject, name),
    optional_parameters = {},
    notifier = new_notifier(),
  }
  set_limits(self, function(key)
    return options[key]
  end)
  local optional = atom.names(options.optional, ("task %s: optional"):format(name))
  local function mapping(what, requires, rebind, optional_names)
    local built = atom.build_mapping {
      name = name,
      what = what,
      params = optional_names,
      optional = self.optional_parameters,
      ignore = {},
      accepts_any = true,
      auto_extract = true,
      requires = requires,
      rebind = rebind,
    }
    return built
  end
  for _, param in ipairs(optional) do
    self.optional_parameters[param] = true
  end
  atom.set_interface(
    self,
    mapping("execute", options.requires, options.rebind, optional),
    mapping("revert", options.revert_requires, options.revert_rebind, NO_SIGNATURE.params),
    options.provides
  )
  return setmetatable(self, reference_meta)
end

---@package a reference as flow:add takes it: "module:Class", or { "module:Class", name = ..., requires = ... }.
---@param value any
---@return taskflow.Task? nil if it is none
function M.from_reference(value)
  if type(value) == "string" then
    return M.Reference(value)
  end
  if type(value) == "table" and getmetatable(value) == nil and type(value[1]) == "string" then
    local options = {}
    for key, option in pairs(value) do
      if key ~= 1 then
        options[key] = option
      end
    end
    return M.Reference(value[1], options)
  end
end

-- Functor tasks: plain functions, without self, become tasks. They have no name on the wire, so they run in
-- the engine's process or in forks of it.

-- A method that is handed its arguments by name and calls `f` with them in the order of `params`.
local function by_name(f, params)
  return function(_, kwargs)
    local args = {}
    for i, param in ipairs(params) do
      args[i] = kwargs[param]
    end
    return f(unpack(args, 1, #params))
  end
end

local FUNCTOR_OPTIONS = { revert = true, provides = true }
for name in pairs(COMMON) do
  FUNCTOR_OPTIONS[name] = true
end

local function check_functor(f, what)
  if type(f) ~= "function" then
    exceptions.raise(exceptions.TypeError, ("%s must be a function, not a %s"):format(what, type(f)))
  end
end

-- An instance of a one-off class around `methods`.
local function functor(f, options, class)
  class.options, class.kwargs, class.functor = {}, true, true
  class.where = place.of_function(f)
  make_class(class)
  local instance_options = {}
  for key, value in pairs(options) do
    if key ~= "revert" then
      instance_options[key] = value
    end
  end
  return class(instance_options)
end

---A task from a function, whose parameters are its inputs.
---@param execute function
---@param options taskflow.TaskOptions|{ revert: function? }|nil
---@return taskflow.Task
function M.FunctorTask(execute, options)
  check_functor(execute, "FunctorTask: execute")
  options = check.options(options, FUNCTOR_OPTIONS, "FunctorTask")
  local params = atom.parameters(execute, "FunctorTask")
  local class = {
    methods = { execute = by_name(execute, params) },
    execute = { params = params, accepts_any = false },
    revert = { params = {}, accepts_any = true },
  }
  if options.revert ~= nil then
    check_functor(options.revert, "FunctorTask: revert")
    local revert_params = atom.parameters(options.revert, "FunctorTask: revert")
    class.methods.revert = by_name(options.revert, revert_params)
    class.revert = { params = revert_params, accepts_any = false }
  end
  return functor(execute, options, class)
end

-- What a functor must be: how many values it takes at once, and how many inputs there must be at least.
local MAP = { title = "MapFunctorTask", what = "Map", takes = "1 argument", arity = 1, least = 0 }
local REDUCE = { title = "ReduceFunctorTask", what = "Reduce", takes = "2 arguments", arity = 2, least = 2 }

local function invalid(message, ...)
  exceptions.raise(exceptions.ValueError, message:format(...))
end

local function check_inputs(f, options, kind)
  if type(f) ~= "function" then
    check.fail("%s: the functor must be a function, not %s", kind.title, check.kind(f))
  end
  local info = debug.getinfo(f, "Su") -- of a C function nobody knows
  if info.what ~= "C" and not info.isvararg and info.nparams ~= kind.arity then
    invalid("%d arguments were provided. %s functor must take exactly %s.", info.nparams, kind.what, kind.takes)
  end
  if options.requires == nil then
    check.fail("%s: requires must name the inputs", kind.title)
  end
  local names = atom.names(options.requires, "requires")
  if #names < kind.least then
    invalid("%d elements were provided. Requires must have at least %d elements.", #names, kind.least)
  end
  return names
end

local function over_inputs(f, options, kind, run)
  options = check.options(options, FUNCTOR_OPTIONS, kind.title)
  local params = check_inputs(f, options, kind)
  return functor(f, options, {
    methods = {
      execute = function(_, kwargs)
        local inputs = {}
        for i, param in ipairs(params) do
          inputs[i] = kwargs[param]
        end
        return run(f, inputs)
      end,
    },
    execute = { params = params, accepts_any = false },
    revert = { params = {}, accepts_any = true },
  })
end

---A task that gives the list of functor(value) of all that it requires, in order.
---@param f fun(value: any): any
---@param options taskflow.TaskOptions `requires` names the inputs
---@return taskflow.Task
function M.MapFunctorTask(f, options)
  return over_inputs(f, options, MAP, function(functor_, inputs)
    local out = values.list {}
    for i, value in ipairs(inputs) do
      local result = functor_(value)
      out[i] = result == nil and values.null or result
    end
    return out
  end)
end

---A task that folds all that it requires, in order: functor(functor(a, b), c) ...
---@param f fun(left: any, right: any): any
---@param options taskflow.TaskOptions `requires` names at least two inputs
---@return taskflow.Task
function M.ReduceFunctorTask(f, options)
  return over_inputs(f, options, REDUCE, function(functor_, inputs)
    local result = inputs[1]
    for i = 2, #inputs do
      result = functor_(result, inputs[i])
    end
    return result
  end)
end

local MAP_OPTIONS = { task = true, over = true, as = true, limit = true }
for name in pairs(FUNCTOR_OPTIONS) do
  MAP_OPTIONS[name] = true
end

---Options of a map. Besides: those of its task.
---@class taskflow.MapOptions: taskflow.TaskOptions
---@field task taskflow.TaskClass|string|function what runs for each element: a class, "module:Class", or a function
---@field over string name of the list; anything else than a list fails the map with a TypeError
---@field as string? parameter that takes an element; default: the only one there is
---@field limit integer? items at once; default: as many as the engine can run; the serial engine runs one at a time
---@field revert function? of a task that is a function

---A task that runs once for each element of a list, which another task may have made. Its result is the list of
---their results, in order. The items ("name[1]", ...) are run, reverted and retried like tasks; the first that fails
---makes the map fail.
---@param options taskflow.MapOptions
---@return taskflow.Task
function M.Map(options)
  check.options(check.is(options, "table", "Map: its argument"), MAP_OPTIONS, "Map")
  local what, plan, self = options.task, nil, nil
  if M.is_class(what) then
    plan = map.plan(options, what.execute, what.revert)
    self = what(plan.options)
  elseif type(what) == "string" then
    plan = map.plan(options)
    self = M.Reference(what, plan.options)
  elseif type(what) == "function" then
    local execute = { params = atom.parameters(what, "Map"), accepts_any = false }
    local revert = options.revert and { params = atom.parameters(options.revert, "Map: revert"), accepts_any = false }
    plan = map.plan(options, execute, revert)
    self = M.FunctorTask(what, plan.options)
  else
    local hint = M.is_task(what) and "a task that is made already" or check.kind(what)
    check.fail("Map: task must be a task class, \"module:Class\" or a function, not %s", hint)
  end
  self.each, self.limit = plan.each, plan.limit
  return self
end

---@package the task that one item of a map is.
---@param of taskflow.Task the map
---@param name string of the item
---@return taskflow.Task
function M.item(of, name)
  if not M.is_task(of) then
    check.fail("item: the map must be a task, not %s", check.kind(of))
  end
  check.is(name, "string", "item: the name")
  local item = {}
  for key, value in pairs(of) do
    item[key] = value
  end
  item.name = name
  return setmetatable(item, getmetatable(of))
end

return M
