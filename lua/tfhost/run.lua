-- `tfhost run FLOW`: load a flow, run it, show it, and tell by the exit code how it ended.
local display_module = require "tfhost.display"
local engine_options = require "taskflow.engines.options"
local engines = require "taskflow.engines"
local exceptions = require "taskflow.exceptions"
local failure = require "taskflow.failure"
local fold_module = require "tfhost.display_fold"
local flow_file = require "tfhost.flow_file"
local host = require "tfhost.host"
local json = require "tfhost.json"
local log = require "tfhost.log"
local logbook = require "tfhost.logbook"
local place = require "taskflow.utils.place"
local settings = require "tfhost.settings"
local values = require "taskflow.values"

local M = {}

---Exit codes, as the manual lists them.
M.EXIT = {
  SUCCESS = 0,
  INVALID = 2, -- the script or the flow cannot be used; nothing has run
  REVERTED = 3,
  FAILURE = 4,
  NO_WORKER = 5, -- no worker for these tasks was ever seen
  SUSPENDED = 6,
  USAGE = 64,
}

local function choose_display(options, kind)
  if options.json then
    return display_module.json(host.now, io.stdout)
  end
  if host.terminal() and not options.plain and os.getenv "TERM" ~= "dumb" then
    -- Tasks of a parallel engine print from processes of their own: they must not write into the tree.
    local path = host.catch_output(kind == "parallel")
    local out = path and io.open(path, "a") or io.stdout
    if path and out == io.stdout then -- not a terminal that can be opened again
      host.release_output()
      return display_module.lines(host.now, io.stdout, options.output)
    end
    local partial = ""
    local tree = display_module.tree(host.now, out, host.terminal, function(all)
      local caught = partial .. host.caught_output()
      local lines, rest = caught:match "^(.*\n)([^\n]*)$"
      lines, rest = lines or "", rest or caught
      if all and rest ~= "" then
        lines, rest = lines .. rest .. "\n", ""
      end
      partial = rest
      return lines .. (options.output and options.output() or "")
    end)
    tree.colours = (os.getenv "NO_COLOR" or "") == "" -- no-color.org
    return tree
  end
  return display_module.lines(host.now, io.stdout, options.output)
end

-- A tree of a large flow asks for states instead: telling each would cost more than running it.
local function watch(engine, flow, display)
  if display.polls ~= nil and #engine._plan.order > fold_module.POLL_AT then
    return display:start(engine, flow, true)
  end
  engine.notifier:register("*", function(state, details)
    display:flow(state, details.old_state)
  end)
  engine.atom_notifier:register("*", function(state, details)
    display:atom(details.task_name or details.retry_name, state, details.old_state, details.result)
  end)
  for name, atom in pairs(engine:tasks()) do
    atom.notifier:register("*", function(event_type, details)
      local of = details.map_index and ("%s[%d]"):format(name, details.map_index) or name
      details.map_index = nil
      if event_type ~= "update_progress" then
        display:event(of, event_type, details)
      elseif type(details.progress) == "number" and details.progress > 0 and details.progress < 1 then
        display:progress(of, details.progress)
      end
    end)
  end
  display:start(engine, flow)
end

-- What tasks of a serial engine print must not end up inside the tree.
local function guard_output(display)
  if not display.print then
    return function() end
  end
  local print_, write, here = print, io.write, host.pid()
  _G.print = function(...) -- luacheck: ignore 122
    if host.pid() ~= here then -- a process of the engine's: what it prints is caught
      return print_(...)
    end
    local parts = {}
    for i = 1, select("#", ...) do
      parts[i] = tostring((select(i, ...)))
    end
    display:print(table.concat(parts, "\t") .. "\n")
  end
  io.write = function(...) -- luacheck: ignore 122
    if io.output() ~= io.stdout or host.pid() ~= here then
      return write(...)
    end
    display:print(table.concat { ... })
    return io.stdout
  end
  return function()
    _G.print, io.write = print_, write -- luacheck: ignore 122
  end
end

-- Every request timed out, and nobody that serves these topics was ever heard of.
local function no_worker(engine, failures)
  if engine.kind ~= "worker-based" or #failures == 0 or engine.statistics.seen > 0 then
    return false
  end
  for _, f in ipairs(failures) do
    if not f:check(exceptions.RequestTimeout) then
      return false
    end
  end
  return true
end

local function summarize(engine, began, signal)
  local state = engine.storage:get_flow_state()
  local failures = state == "SUCCESS" and {} or engine:failures()
  local summary = {
    name = engine.flow_name,
    state = state,
    seconds = host.now() - began,
    failures = failures,
    results = {},
    results_text = engine.storage:fetch_all_text(),
    exit = M.EXIT[state] or M.EXIT.FAILURE,
  }
  for name, text in engine.storage:iter_texts() do
    -- What a failed task was to provide is its failure: that is told elsewhere.
    if not text:find '"exc_type_names"' then
      summary.results[#summary.results + 1] = { name = name, text = text }
    end
  end
  if no_worker(engine, failures) then
    summary.exit = M.EXIT.NO_WORKER
  elseif signal and (state == "SUSPENDED" or state == "REVERTED") then
    summary.exit = 128 + signal
  end
  return summary
end

-- JSON texts by name: the file's, with the command line's put over them.
local function store_texts(given)
  local texts = {}
  for _, source in ipairs { given.file_store, given.store } do
    for name, text in pairs(assert(host.members(source))) do
      texts[name] = text
    end
  end
  return texts
end

-- What of the store Lua can hold, for the builder.
local function store_values(texts)
  local store = {}
  for name, text in pairs(texts) do
    store[name] = values.decode(text)
  end
  return store
end

-- What the flow's script wants, with what the user gave put over it; of general settings (given.general) only those
-- that the engine has.
local function merged_options(from_builder, given)
  local options, general = {}, given.general or {}
  local chosen = {}
  local engine = given.engine_options.engine or general.engine or from_builder.engine
  for key, value in pairs(from_builder) do
    options[key] = value
  end
  for key, value in pairs(general) do
    if key == "engine" or engine_options.takes(engine, key) then
      chosen[key] = value
    end
  end
  for key, value in pairs(given.engine_options) do
    chosen[key] = value
  end
  given.engine_options = chosen
  for key, value in pairs(chosen) do
    options[key] = value
  end
  return options
end

local function complain(given, message)
  host.release_output()
  io.stdout:flush()
  io.stderr:write(given.command or "tfhost run", ": ", message, "\n", host.excerpt(message))
  return M.EXIT.INVALID
end

-- What a builder raised, and how it came there if that is more than one line of the user's.
local function story(err)
  local frames = place.traceback(2)
  local text = exceptions.is_exception(err) and err:describe() or tostring(failure.from_exception(err).exception_str)
  if select(2, frames:gsub("\n", "")) > 1 then
    text = ("%s\nTraceback (most recent call last):\n%s"):format(text, frames:gsub("\n$", ""))
  end
  return text
end

-- ---- making a flow ----

---The flow that a reference names, built with the values of `texts`.
---@param given table reference, engine_options
---@param texts table<string, string> JSON texts by name
---@return taskflow.Flow? or nil and what is wrong
---@return table|string options of the engine
function M.make(given, texts)
  local content, message = host.load(given.reference)
  if content == nil then
    return nil, message
  end
  local ok, flow, builder_options = xpcall(flow_file.build, story, content, given.reference, store_values(texts))
  if not ok then
    return nil, flow:find "%.lua:%d" and flow or given.reference .. ": " .. flow
  elseif not flow then
    return nil, builder_options
  end
  return flow, merged_options(builder_options, given)
end

-- An engine that is ready to run, or nil and what is wrong.
local function prepare(flow, options, texts)
  local ok, engine = pcall(engines.load, flow, options)
  if not ok then
    return nil, tostring(engine)
  end
  local message
  ok, message = pcall(function()
    for name, text in pairs(texts) do
      engine.storage:inject_text(name, text)
    end
    engine:check()
  end)
  if not ok then
    engine:close()
    return nil, tostring(message)
  end
  return engine
end

---Run a flow that is ready and show it.
---@param engine taskflow.Engine
---@param flow taskflow.Flow
---@param given table json, plain; command for messages; output: gives what workers have said since it was last called
---@return integer exit code
function M.execute(engine, flow, given)
  log.about(engine._handle:flow_uuid())
  if given.metrics and given.metrics ~= "none" then
    local url, message = engine._handle:metrics(given.metrics)
    if not url then
      engine:close()
      return complain(given, message)
    end
  end
  local began, display = host.now(), choose_display(given, engine.kind)
  watch(engine, flow, display)
  local restore = guard_output(display)
  local on_tick = display.tick and function()
    display:tick()
  end
  local ran, state = pcall(engine.run, engine, { signals = true, on_tick = on_tick })
  restore()
  if not ran and not engine:has_ended() then
    engine:close()
    return complain(given, tostring(state)) -- it could not start: the transport, say
  end
  local summary = summarize(engine, began, engine:signal())
  display:finish(summary)
  host.release_output()
  if summary.exit == M.EXIT.NO_WORKER then
    io.stderr:write(
      ("%s: no worker answered on topic%s %s\n"):format(
        given.command or "tfhost run",
        #engine.options.topics == 1 and "" or "s",
        json.encode(engine.options.topics)
      )
    )
  end
  if engine.flow_detail and logbook.is_unfinished(engine.flow_detail.uuid, engine.options.backend) then
    io.stderr:write(("flow %s can go on: tfhost flow resume %s\n"):format(engine.flow_name, engine.flow_detail.uuid))
  end
  engine:close()
  return summary.exit
end

---@param given table reference, flags, file (tfhost.settings); store and file_store as JSON texts; json, plain
---@return integer exit code
function M.main(given)
  local chosen, message, usage = settings.run { flags = given.flags, file = given.file }
  if not chosen then
    complain(given, message)
    return usage and M.EXIT.USAGE or M.EXIT.INVALID
  end
  log.configure(chosen.host.log_format, chosen.host.log_level)
  given.engine_options, given.general = chosen.engine, chosen.general
  given.metrics = chosen.host.metrics
  local backend
  backend, message = logbook.open(chosen.host)
  if message then
    return complain(given, message)
  end
  local texts = store_texts(given)
  local flow, options = M.make(given, texts)
  if not flow then
    return complain(given, options)
  end
  local detail
  if backend then
    local ok
    ok, detail = pcall(logbook.add, backend, flow, given, texts)
    if not ok then
      return complain(given, tostring(detail))
    end
    options.backend, options.flow_detail = backend, detail
  end
  local engine
  engine, message = prepare(flow, options, texts)
  if not engine then
    if detail then
      pcall(logbook.remove, backend, detail.uuid) -- nothing has run
    end
    return complain(given, message)
  end
  local code = M.execute(engine, flow, given)
  if detail and code == M.EXIT.INVALID then -- it could not start
    pcall(logbook.remove, backend, detail.uuid)
  end
  return code
end

M.prepare, M.complain, M.store_texts = prepare, complain, store_texts

return M
