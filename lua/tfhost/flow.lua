-- `tfhost flow`: what the logbook has, and going on with it.
local exceptions = require "taskflow.exceptions"
local host = require "tfhost.host"
local json = require "tfhost.json"
local log = require "tfhost.log"
local logbook = require "tfhost.logbook"
local run = require "tfhost.run"
local settings = require "tfhost.settings"
local values = require "taskflow.values"

local M = {}

---Exit codes beside those of run.
M.EXIT = { OK = 0, INVALID = 2, BUSY = 7 }

local function fail(given, message, code)
  io.stdout:flush()
  io.stderr:write(given.command, ": ", message, "\n")
  return code or M.EXIT.INVALID
end

-- { pid, host, since } of the engine that runs it now.
local function owner_of(backend, row)
  local owner = backend._handle:owner(row.uuid)
  return owner or nil
end

-- What people want to know of a flow besides its state.
local function engine_text(row, owner)
  if owner then
    return ("process %d on %s"):format(owner.pid, owner.host)
  end
  return logbook.unfinished(row.state) and "none: can be resumed" or ""
end

local function meta_of(row)
  return row.meta and values.decode(row.meta) or {}
end

local function summary(row, owner)
  return {
    uuid = row.uuid,
    name = row.name,
    state = row.state or "PENDING",
    book = row.book,
    created_at = row.created_at,
    updated_at = row.updated_at,
    engine = owner,
    unfinished = logbook.unfinished(row.state),
  }
end

-- ---- list ----

local function list(given, backend)
  local rows, message = backend._handle:flows()
  if not rows then
    return fail(given, message)
  end
  local shown = {}
  for _, row in ipairs(rows) do
    if not given.unfinished or logbook.unfinished(row.state) then
      shown[#shown + 1] = row
    end
  end
  if given.json then
    for _, row in ipairs(shown) do
      io.write(json.encode(summary(row, owner_of(backend, row))), "\n")
    end
    return M.EXIT.OK
  end
  if #shown == 0 then
    io.write "no flows\n"
    return M.EXIT.OK
  end
  local widest = 4
  for _, row in ipairs(shown) do
    widest = math.min(40, math.max(widest, #(row.name or "")))
  end
  local format = "%-36s  %-" .. widest .. "s  %-10s  %-19s  %s\n"
  io.write((format:format("UUID", "NAME", "STATE", "LAST CHANGE (UTC)", "ENGINE"):gsub("%s+\n", "\n")))
  for _, row in ipairs(shown) do
    local changed = (row.updated_at or row.created_at or ""):sub(1, 19)
    local line =
      format:format(row.uuid, row.name or "", row.state or "PENDING", changed, engine_text(row, owner_of(backend, row)))
    io.write((line:gsub("%s+\n", "\n")))
  end
  return M.EXIT.OK
end

-- ---- show ----

local RESULT_WIDTH = 120

local function short(text)
  text = json.readable(text):gsub("%c+", " ")
  if #text <= RESULT_WIDTH then
    return text
  end
  return text:sub(1, RESULT_WIDTH - 3):gsub("[\192-\255][\128-\191]*$", "") .. "..."
end

local function print_atom(atom, indent)
  local line = ("%s%s  %s"):format(indent, atom.name, atom.state or "PENDING")
  local meta = atom.meta and values.decode(atom.meta) or {}
  if atom.state == "RUNNING" and type(meta.progress) == "number" and meta.progress > 0 then
    line = ("%s %d %%"):format(line, math.floor(meta.progress * 100))
  end
  if atom.intention == "REVERT" and (atom.state == "SUCCESS" or atom.state == "RUNNING") then
    line = line .. " (to be reverted)"
  end
  if atom.updated_at then
    line = ("%s  %s"):format(line, atom.updated_at:sub(1, 19))
  end
  local failed = json.failure(atom.failure)
  if failed then
    line = line .. "  " .. short(failed)
  elseif atom.state == "SUCCESS" and atom.results then
    line = line .. "  = " .. short(atom.results)
  end
  local revert_failed = json.failure(atom.revert_failure)
  if revert_failed then
    line = ("%s  revert failed: %s"):format(line, short(revert_failed))
  end
  io.write(line, "\n")
end

-- The structure is the flow's, which only its script knows: a logbook has a list.
local function print_tree(flow, by_name, indent, shown)
  local flow_module = require "taskflow.flow"
  local function atom(node)
    if by_name[node.name] then
      print_atom(by_name[node.name], indent)
      shown[node.name] = true
    end
  end
  if flow.retry then
    atom(flow.retry)
  end
  for _, node in flow:iter_nodes() do
    if flow_module.is_flow(node) then
      io.write(indent, node.name, "\n")
      print_tree(node, by_name, indent .. "  ", shown)
    else
      atom(node)
    end
  end
end

-- How to make the flow again: what `tfhost run` noted, or a factory.
local function recipe(row)
  local meta = meta_of(row)
  return type(meta.tfhost) == "table" and meta.tfhost, type(meta.factory) == "table" and meta.factory
end

-- The flow itself, if its script is there.
local function make(given, row, atoms)
  local noted, factory = recipe(row)
  if noted then
    host.enter(noted.directory)
    local texts = {}
    for _, atom in ipairs(atoms) do
      if atom.name == logbook.INJECTOR and atom.results then
        texts = host.members(atom.results)
      end
    end
    local options = {}
    for _, source in ipairs { noted.engine_options or {}, given.engine_options or {} } do
      for key, value in pairs(source) do
        options[key] = value
      end
    end
    return run.make({ reference = noted.reference, engine_options = options }, texts)
  elseif factory then
    local models = require "taskflow.persistence.models"
    local ok, flow = pcall(require("taskflow.engines").flow_from_detail, models.flow_from_row(row))
    if not ok then
      return nil, exceptions.is_exception(flow) and flow:describe() or tostring(flow)
    end
    return flow, given.engine_options or {}
  end
  return nil, "the logbook does not say how it is made: it was not begun by tfhost run, nor from a factory"
end

local function atom_summary(atom)
  local members = {}
  for _, key in ipairs { "uuid", "name", "kind", "state", "intention", "version", "created_at", "updated_at" } do
    members[#members + 1] = ('"%s": %s'):format(key, json.encode(atom[key] == nil and values.null or atom[key]))
  end
  -- As they are kept: numbers that Lua cannot hold, too.
  for _, key in ipairs { "results", "failure", "revert_results", "revert_failure", "meta" } do
    members[#members + 1] = ('"%s": %s'):format(key, atom[key] or "null")
  end
  return "{" .. table.concat(members, ", ") .. "}"
end

local function show_json(row, owner, atoms)
  local texts = {}
  for i, atom in ipairs(atoms) do
    texts[i] = atom_summary(atom)
  end
  local noted = recipe(row)
  local head = summary(row, owner)
  head.script, head.directory = noted and noted.reference, noted and noted.directory
  head.changed_scripts = noted and values.list(logbook.changes(noted.scripts or {})) or nil
  io.write((json.encode(head):gsub("}$", "")), ', "atoms": [', table.concat(texts, ", "), "]}\n")
end

local function show(given, backend)
  local row, message = logbook.find(given.uuid, backend)
  if not row then
    return fail(given, message)
  end
  local atoms = assert(backend._handle:atoms(row.uuid))
  local owner = owner_of(backend, row)
  if given.json then
    show_json(row, owner, atoms)
    return M.EXIT.OK
  end
  local noted = recipe(row)
  io.write(("flow '%s' %s: %s\n"):format(row.name or "", row.uuid, row.state or "PENDING"))
  io.write(("  begun %s, last change %s UTC\n"):format(row.created_at or "?", row.updated_at or row.created_at or "?"))
  local engine = engine_text(row, owner)
  if engine ~= "" then
    io.write("  engine: ", engine, "\n")
  end
  if noted then
    io.write(("  made by %s in %s\n"):format(noted.reference, noted.directory))
    for _, change in ipairs(logbook.changes(noted.scripts or {})) do
      io.write("  since then: ", change, "\n")
    end
  end
  local by_name, shown = {}, { [logbook.INJECTOR] = true }
  for _, atom in ipairs(atoms) do
    by_name[atom.name] = atom
  end
  -- Loading the script is a courtesy: without it the atoms are a list.
  local flow = noted and #logbook.changes(noted.scripts or {}) == 0 and make(given, row, atoms)
  if flow and require("taskflow.flow").is_flow(flow) then
    print_tree(flow, by_name, "  ", shown)
  end
  for _, atom in ipairs(atoms) do
    if not shown[atom.name] then
      print_atom(atom, "  ")
    end
  end
  local store = by_name[logbook.INJECTOR]
  if store and store.results then
    io.write("  store: ", short(store.results), "\n")
  end
  return M.EXIT.OK
end

-- ---- resume and cancel ----

-- What was noted of the scripts must still hold.
local function check_scripts(given, row)
  local noted = recipe(row)
  if not noted or given.force then
    return nil
  end
  local changes = logbook.changes(noted.scripts or {})
  if #changes == 0 then
    return nil
  end
  return ("flow %s was begun with other scripts: %s; --force goes on with what is there now"):format(
    row.uuid,
    table.concat(changes, ", ")
  )
end

local function go_on(given, backend, row, cancel)
  local owner = owner_of(backend, row)
  if owner then
    return fail(given, ("flow %s is run by %s"):format(row.uuid, engine_text(row, owner)), M.EXIT.BUSY)
  end
  local message = check_scripts(given, row)
  if message then
    return fail(given, message)
  end
  local atoms = assert(backend._handle:atoms(row.uuid))
  local flow, options = make(given, row, atoms)
  if not flow then
    return fail(given, ("flow %s cannot be made again: %s"):format(row.uuid, options))
  end
  options.backend = backend
  options.flow_detail = require("taskflow.persistence.models").flow_from_row(row)
  local engine
  engine, message = run.prepare(flow, options, {})
  if not engine then
    local busy = message:find("is run by another engine", 1, true)
    return fail(given, message, busy and M.EXIT.BUSY)
  end
  if cancel then
    engine:cancel()
  end
  return run.execute(engine, flow, given)
end

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- Each in a process of its own: two flows may have modules of one name.
local function resume_all(given, backend)
  local rows, message = backend._handle:flows()
  if not rows then
    return fail(given, message)
  end
  local worst = M.EXIT.OK
  for _, row in ipairs(rows) do
    if logbook.unfinished(row.state) and not owner_of(backend, row) then
      local words = { "/proc/" .. host.pid() .. "/exe", "flow", "resume", row.uuid }
      for _, word in ipairs(given.argv) do
        words[#words + 1] = word
      end
      for key, value in pairs(given.flags) do
        words[#words + 1] = ("--%s=%s"):format(key:gsub("_", "-"), value)
      end
      for i, word in ipairs(words) do
        words[i] = quoted(word)
      end
      io.stdout:flush()
      local status = os.execute(table.concat(words, " "))
      local code, signal = math.floor(status / 256), status % 128
      worst = math.max(worst, code)
      if signal ~= 0 or code > 128 then
        return math.max(code, 128 + signal)
      end
    end
  end
  return worst
end

local function resume(given, backend)
  if given.all then
    return resume_all(given, backend)
  end
  local row, message = logbook.find(given.uuid, backend)
  if not row then
    return fail(given, message)
  end
  if not logbook.unfinished(row.state) then
    return fail(given, ("flow %s has ended: %s"):format(row.uuid, row.state))
  end
  return go_on(given, backend, row, false)
end

-- Ask a living engine to suspend, and wait for it.
local function stop_engine(given, backend, row, owner)
  if not host.terminate(owner.pid, owner.host) then
    return ("flow %s is run by %s, which cannot be asked to stop from here"):format(row.uuid, engine_text(row, owner))
  end
  local deadline = host.now() + given.wait
  while owner_of(backend, row) do
    if host.now() > deadline then
      return ("the engine of flow %s (%s) still finishes what runs: try again later, or --wait longer"):format(
        row.uuid,
        engine_text(row, owner)
      )
    end
    host.sleep(0.05)
  end
end

local function cancel(given, backend)
  local row, message = logbook.find(given.uuid, backend)
  if not row then
    return fail(given, message)
  end
  local owner = owner_of(backend, row)
  if owner then
    message = stop_engine(given, backend, row, owner)
    if message then
      return fail(given, message, M.EXIT.BUSY)
    end
    row, message = logbook.find(row.uuid, backend)
    if not row then
      return fail(given, message)
    end
  end
  if not logbook.unfinished(row.state) then
    return fail(given, ("flow %s has ended: %s"):format(row.uuid, row.state))
  end
  return go_on(given, backend, row, true)
end

-- ---- delete ----

local function delete_one(given, backend, row)
  local ok, message = backend._handle:lock(row.uuid)
  if not ok then
    return fail(given, message, M.EXIT.BUSY)
  end
  row = backend._handle:flow(row.uuid) or row -- it may have ended since
  if logbook.unfinished(row.state) and not given.force then
    backend._handle:unlock(row.uuid)
    return fail(
      given,
      ("flow %s has not ended (%s): resume or cancel it first, or --force"):format(row.uuid, row.state or "PENDING")
    )
  end
  logbook.remove(backend, row.uuid)
  backend._handle:unlock(row.uuid)
  if given.json then
    io.write(json.encode { uuid = row.uuid, deleted = true }, "\n")
  else
    io.write(("flow '%s' %s deleted\n"):format(row.name or "", row.uuid))
  end
  return M.EXIT.OK
end

local function delete(given, backend)
  if not given.all then
    local row, message = logbook.find(given.uuid, backend)
    return row and delete_one(given, backend, row) or fail(given, message)
  end
  local worst = M.EXIT.OK
  for _, row in ipairs(assert(backend._handle:flows())) do
    if not logbook.unfinished(row.state) and not owner_of(backend, row) then
      worst = math.max(worst, delete_one(given, backend, row))
    end
  end
  return worst
end

local COMMANDS = { list = list, show = show, resume = resume, cancel = cancel, delete = delete }

---@param given table command line: action, uuid, all, force, json, plain, unfinished, wait, backend, durability, argv,
---  flags (log_format, log_level, metrics)
---@return integer exit code
function M.main(given)
  given.command = "tfhost flow " .. given.action
  local chosen, wrong, usage = settings.run { flags = given.flags }
  if not chosen then
    return fail(given, wrong, usage and run.EXIT.USAGE)
  end
  log.configure(chosen.host.log_format, chosen.host.log_level)
  given.metrics = chosen.host.metrics
  local backend, message = logbook.need(given)
  if not backend then
    return fail(given, message)
  end
  local ok, code = pcall(COMMANDS[given.action], given, backend)
  if not ok then
    if not exceptions.is_exception(code) then
      error(code, 0)
    end
    return fail(given, code.message)
  end
  return code
end

return M
