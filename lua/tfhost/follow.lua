-- `tfhost events --run UUID`: what happens to the atoms of a flow, out of its logbook, whatever engine writes that.
local host = require "tfhost.host"
local json = require "tfhost.json"
local logbook = require "tfhost.logbook"
local operate = require "tfhost.operate"
local trace = require "tfhost.trace"

local M = {}

M.EXIT = { OK = 0, INVALID = 2 }

-- Between two looks: so long, and so many times as long as a look takes.
local PAUSE, SHARE = 0.1, 5

---What is different in the rows of the atoms since the last look.
---@param atoms table[] rows
---@param seen table<string, string> what was seen of each, by uuid; brought up to date
---@return table[] events
function M.changes(atoms, seen)
  local changed, events = {}, {}
  for _, atom in ipairs(atoms) do
    local now = ("%s %s"):format(atom.state or "PENDING", atom.meta or "")
    if seen[atom.uuid] ~= now and atom.name ~= logbook.INJECTOR then
      if seen[atom.uuid] or (atom.state or "PENDING") ~= "PENDING" then
        changed[#changed + 1] = atom
      end
      seen[atom.uuid] = now
    end
  end
  for _, atom in ipairs(changed) do
    local runs = trace.runs { atom }
    local last = runs[#runs] or {}
    events[#events + 1] = {
      event = "atom", atom = atom.name, uuid = atom.uuid, state = atom.state or "PENDING", at = host.time(),
      action = last.action, waited = last.waited, seconds = last.ran, worker = last.worker, reason = last.failure,
    }
  end
  return events
end

local function print_events(given, events)
  for _, event in ipairs(events) do
    io.write(given.json and json.encode(event) or operate.event_text(event), "\n")
  end
  io.stdout:flush()
end

---@param given table run, backend, times, json, command
---@return integer exit code
function M.main(given)
  local backend, row = logbook.flow(given, given.run)
  if not backend then
    io.stderr:write(given.command, ": ", row, "\n")
    return M.EXIT.INVALID
  end
  local seen, state, left = {}, nil, given.times or math.huge
  while true do
    local began = host.now()
    row = backend._handle:flow(row.uuid) or row
    local events = M.changes(backend._handle:atoms(row.uuid) or {}, seen)
    if row.state ~= state then
      state = row.state
      events[#events + 1] = { event = "flow", flow = row.name, uuid = row.uuid, state = state, at = host.time() }
    end
    while #events > left do
      table.remove(events)
    end
    left = left - #events
    print_events(given, events)
    if left == 0 or not logbook.unfinished(state) then
      return M.EXIT.OK
    end
    host.sleep(math.max(PAUSE, SHARE * (host.now() - began)))
  end
end

return M
