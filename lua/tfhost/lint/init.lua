-- `tfhost lint`: mistakes in flows and tasks, found without running them. Each finding names a file and line, and what
-- to do.
local engine_module = require "taskflow.engines.engine"
local engines = require "taskflow.engines"
local flow_lint = require "tfhost.lint.flow"
local flow_module = require "taskflow.flow"
local globals = require "tfhost.lint.globals"
local host = require "tfhost.host"
local json = require "tfhost.json"
local script_place = require "taskflow.utils.place"
local recorder = require "tfhost.lint.recorder"
local run = require "tfhost.run"
local task = require "taskflow.task"
local text = require "taskflow.utils.text"
local worker = require "tfhost.worker"

local M = {}

---Exit codes, as --help lists them.
M.EXIT = { OK = 0, WARNINGS = 1, ERRORS = 2 }

---@class tfhost.Finding
---@field level "error"|"warning"|"note"
---@field code string "missing-input", "cycle", "unreachable", "unused-value", "unserved-class", "global", ...
---@field file string?
---@field line integer?
---@field message string
---@field hint string?
---@field atom string?
---@field symbol string?
---@field class string?

-- Findings as they come: the same one once.
local function collector()
  local findings, seen = {}, {}
  return findings, function(level, code, where, finding)
    local place = where or finding.message:match "([^%s'\"]+%.lua:%d+)"
    finding.level, finding.code = level, code
    finding.file, finding.line = (place or ""):match "^(.*):(%d+)$"
    finding.line = tonumber(finding.line)
    local key = table.concat({ code, tostring(place), finding.message }, "\n")
    if not seen[key] then
      seen[key] = true
      findings[#findings + 1] = finding
    end
  end
end

-- ---- scripts ----

-- Globals that programs set around scripts: the command line, busted.
local AROUND = { arg = true, describe = true, it = true, pending = true, before_each = true, after_each = true }

-- Names that a script may read: those of the host, and those that any script sets.
local function check_globals(report, known_files)
  local uses, set = {}, {}
  for _, path in pairs(host.scripts()) do
    if not known_files[path] then
      known_files[path] = true
      for _, use in ipairs(globals.of(path) or {}) do
        use.path = path
        uses[#uses + 1] = use
        set[use.name] = set[use.name] or use.write
      end
    end
  end
  local here = host.directory() .. "/"
  for _, use in ipairs(uses) do
    local shown = use.path:sub(1, #here) == here and use.path:sub(#here + 1) or use.path
    local where = ("%s:%d"):format(shown, use.line)
    if use.write then
      report("warning", "global", where, {
        symbol = use.name,
        message = ("'%s' is assigned as a global: every task in the same process shares it"):format(use.name),
        hint = ("write local %s, or keep it in the table that the module returns"):format(use.name),
      })
    elseif not set[use.name] and not AROUND[use.name] and rawget(_G, use.name) == nil then
      local near = text.nearest(use.name, _G)
      report("warning", "global", where, {
        symbol = use.name,
        message = ("'%s' is neither a local nor a global: it is nil here"):format(use.name),
        hint = near and ("did you mean '%s'?"):format(near) or nil,
      })
    end
  end
end

local CODES = { DependencyFailure = "cycle", AmbiguousDependency = "ambiguous" }

-- What a script raised while it was loaded or while it built its flow.
local function code_of(message)
  for class, code in pairs(CODES) do
    if message:find(class, 1, true) then
      return code
    end
  end
  return message:find("closes a cycle", 1, true) and "cycle" or "script"
end

local function is_tasks(content)
  if type(content) ~= "table" or flow_module.is_flow(content) or task.is_task(content) then
    return false
  end
  local classes = false
  for _, value in pairs(content) do
    if flow_module.is_flow(value) or task.is_task(value) or type(value) == "function" then
      return false
    end
    classes = classes or task.is_class(value)
  end
  return classes
end

local function check_tasks(report, content, served)
  for name, class in pairs(flow_lint.classes(content)) do
    if served and not served[name] then
      local near = text.nearest(name, served)
      report("warning", "unserved-class", class.where, {
        class = name,
        message = ("no known worker serves %s"):format(name),
        hint = near and ("did you mean %s?"):format(near) or "add its module to the tasks of a worker",
      })
    end
  end
end

-- What a program hands to engines itself, each as { flow, options, where, run = at once }. Nothing is run: the script
-- ends there.
local ENDED = "lint: the script ends here"

local function load_program(reference)
  local handed, args, at_once = {}, rawget(_G, "arg"), false
  local new, run_at_once, run_worker = engine_module.new, engines.run, worker.run
  rawset(_G, "arg", args or { [0] = reference })
  function engines.run(...)
    at_once = true
    return run_at_once(...)
  end
  function engine_module.new(flow, options)
    handed[#handed + 1] = { flow, options or {}, script_place.caller(), run = at_once }
    at_once = false
    error(ENDED, 0)
  end
  function worker.run()
    error(ENDED, 0)
  end
  local content, message = host.load(reference)
  engine_module.new, engines.run, worker.run = new, run_at_once, run_worker
  rawset(_G, "arg", args)
  return content, message, handed
end

-- An engine that is only made may be given its inputs later.
local function leniently(report)
  return function(level, code, where, finding)
    if code == "missing-input" then
      level, finding.hint = "warning", finding.hint .. "; or does the script inject it into the engine's storage?"
    end
    report(level, code, where, finding)
  end
end

local function check_program(report, handed, made, texts, served)
  for _, one in ipairs(handed) do
    local flow, options, where = unpack(one)
    if flow_module.is_flow(flow) or task.is_task(flow) then
      -- With several flows each of them has what the others have not.
      local others = handed[2] and {} or made
      flow_lint.check(one.run and report or leniently(report), flow, options, texts, others, served)
    end
    report("note", "program", where, {
      message = "this script runs its flow itself: what it does from here on is not looked at",
      hint = "return the flow, or a function that makes it, and run it with tfhost run",
    })
  end
end

local function check_reference(report, reference, texts, served)
  local made, stop = recorder.start()
  local content, message, handed = load_program(reference)
  -- One that catches errors goes on without its results, and may fail for that.
  if content == nil and message:find(ENDED, 1, true) or (handed[1] and (content == nil or content == true)) then
    stop()
    check_program(report, handed, made, texts, served)
  elseif content == nil then
    stop()
    report("error", code_of(message), nil, { message = message })
  elseif is_tasks(content) then
    stop()
    check_tasks(report, content, served)
  else
    local flow, options = run.make({ reference = reference, engine_options = {} }, texts)
    stop()
    if flow then
      flow_lint.check(report, flow, options, texts, made, served)
    else
      report("error", code_of(options), nil, { message = options })
    end
  end
end

-- ---- workers ----

-- Classes that a worker with this configuration, or these tasks, serves; nil and what is wrong.
local function classes_of_worker(reference)
  local content, message
  local chunk, wrong = loadfile(reference)
  local ok, config = pcall(chunk or function() error(wrong, 0) end)
  if ok and type(config) == "table" and type(config.tasks) == "table" then
    local out = {}
    for _, entry in ipairs(config.tasks) do
      local module, name = tostring(entry):match "^([^:]+):([%w_]+)$"
      content, message = host.load(module or entry)
      if content == nil then
        return nil, message
      end
      for class in pairs(flow_lint.classes(content)) do
        if not name or class:match "[^.]*$" == name then
          out[class] = true
        end
      end
    end
    return out
  end
  content, message = host.load(reference)
  return content and flow_lint.classes(content), message
end

local function served_by(report, workers)
  if not workers[1] then
    return nil
  end
  local served = {}
  for _, reference in ipairs(workers) do
    local classes, message = classes_of_worker(reference)
    if not classes then
      report("error", "worker", nil, { message = ("--worker %s: %s"):format(reference, message) })
    end
    for class in pairs(classes or {}) do
      served[class] = true
    end
  end
  return served
end

-- ---- output ----

-- With the lines around it, unless the next finding shows them too.
local function print_finding(finding, following)
  local place = finding.file and ("%s:%d: "):format(finding.file, finding.line) or ""
  local message = finding.message
  if finding.file then -- it is said already
    message = message:gsub("^" .. finding.file:gsub("%p", "%%%0") .. ":" .. finding.line .. ": ", "")
  end
  io.write(("%s%s: %s [%s]\n"):format(place, finding.level, message, finding.code))
  io.write(finding.hint and ("    hint: %s\n"):format(finding.hint) or "")
  local again = following and following.file == finding.file and following.line == finding.line
  if finding.level == "error" and finding.file and not (again and following.level == "error") then
    io.write(host.excerpt(("%s:%d:"):format(finding.file, finding.line)))
  end
end

local RANK = { error = 1, warning = 2, note = 3 }

local function sort(findings)
  local place = {}
  for i, finding in ipairs(findings) do
    place[finding] = i
  end
  table.sort(findings, function(a, b)
    if (a.file or "") ~= (b.file or "") then
      return (a.file or "") < (b.file or "")
    elseif (a.line or 0) ~= (b.line or 0) then
      return (a.line or 0) < (b.line or 0)
    elseif RANK[a.level] ~= RANK[b.level] then
      return RANK[a.level] < RANK[b.level]
    end
    return place[a] < place[b]
  end)
end

local function plural(count, word)
  return ("%d %s%s"):format(count, word, count == 1 and "" or "s")
end

---@param given table references, workers, store, file_store, json
---@return integer exit code
function M.main(given)
  local findings, report = collector()
  local texts = run.store_texts(given)
  local served = served_by(report, given.workers)
  for _, reference in ipairs(given.references) do
    check_reference(report, reference, texts, served)
  end
  check_globals(report, {})
  sort(findings)
  local counts = { error = 0, warning = 0, note = 0 }
  for i, finding in ipairs(findings) do
    counts[finding.level] = counts[finding.level] + 1
    if given.json then
      io.write(json.encode(finding), "\n")
    else
      print_finding(finding, findings[i + 1])
    end
  end
  if not given.json then
    io.write(("%s, %s, %s\n"):format(
      plural(counts.error, "error"), plural(counts.warning, "warning"), plural(counts.note, "note")
    ))
  end
  if counts.error > 0 then
    return M.EXIT.ERRORS
  end
  return counts.warning > 0 and M.EXIT.WARNINGS or M.EXIT.OK
end

return M
