-- Where `tfhost run` keeps its flows, and what it notes to make one again: script reference, engine options, directory,
-- and a digest of every script that took part.
local host = require "tfhost.host"
local values = require "taskflow.values"

local M = {}

-- States of a flow that an engine can go on with.
local UNFINISHED = { PENDING = true, RUNNING = true, SUSPENDING = true, SUSPENDED = true, RESUMING = true }

---@param state string?
---@return boolean
function M.unfinished(state)
  return UNFINISHED[state or "PENDING"] == true
end

local function backends()
  return require "taskflow.persistence.backends" -- a run with --backend none does not need it
end

---The file that is used unless another is named.
---@return string? path, or nil and what is missing
---@return string?
function M.default_path()
  local state = os.getenv "XDG_STATE_HOME"
  local home = os.getenv "HOME"
  if state and state:sub(1, 1) == "/" then
    return state .. "/tfhost/flows.db"
  elseif home and home ~= "" then
    return home .. "/.local/state/tfhost/flows.db"
  end
  return nil, "no place to keep the flow: neither HOME nor XDG_STATE_HOME is set (--backend FILE, or --backend none)"
end

---The backend that the command line, the environment or the default names.
---@param given { backend: string?, durability: string? }
---@return taskflow.Backend? nil: none is wanted, or with a message it cannot be opened
---@return string? message
function M.open(given)
  local connection = given.backend or os.getenv "TFHOST_BACKEND"
  if connection == "none" then
    return nil
  end
  local named = connection and connection ~= ""
  local message
  if not named then
    connection, message = M.default_path()
    if not connection then
      return nil, message
    end
  end
  local ok, backend = pcall(backends().fetch, { connection = connection, durability = given.durability })
  if not ok then
    return nil, ("the logbook cannot be used: %s%s"):format(
      backend.message or tostring(backend),
      named and "" or " (--backend FILE keeps flows elsewhere, --backend none nowhere)"
    )
  end
  return backend
end

-- Digests of the scripts that are loaded, by path.
local function digests()
  local out = {}
  for _, path in pairs(host.scripts()) do
    out[path] = host.digest(path)
  end
  return out
end

-- A script named by a path is found again from any directory.
local function absolute(reference, directory)
  if reference:find "/" or reference:find "%.lua" then
    return reference:sub(1, 1) == "/" and reference or directory .. "/" .. reference
  end
  return reference
end

---Name of the detail that keeps the store (ENGINE.md 7).
M.INJECTOR = "_TaskFlow_INJECTOR"

-- The detail that keeps the store.
local function injector(models, texts)
  local detail = models.TaskDetail(M.INJECTOR)
  local members = {}
  for name, text in pairs(texts) do
    members[#members + 1] = ("%s: %s"):format(values.encode(name), text)
  end
  table.sort(members)
  detail.state = "SUCCESS"
  detail._texts.results = "{" .. table.concat(members, ", ") .. "}"
  return detail
end

---Note a new flow, with its store.
---@param backend taskflow.Backend
---@param flow taskflow.Flow
---@param given table reference, engine_options
---@param texts table<string, string> values of the store as JSON texts
---@return taskflow.FlowDetail
function M.add(backend, flow, given, texts)
  local models = require "taskflow.persistence.models"
  local directory = host.directory()
  local detail = models.FlowDetail(flow.name)
  detail.meta.tfhost = {
    reference = absolute(given.reference, directory),
    directory = directory,
    engine_options = given.engine_options,
    scripts = digests(),
  }
  detail:add(injector(models, texts))
  backend:get_connection():save_new_flow(models.LogBook(flow.name), detail)
  return detail
end

---Scripts that are not as they were when the flow was noted, sorted.
---@param noted table<string, string> digests by path
---@return string[] "/path/flow.lua (changed)"
function M.changes(noted)
  local out = {}
  for path, digest in pairs(noted) do
    local now = host.digest(path)
    if now ~= digest then
      out[#out + 1] = ("%s (%s)"):format(path, now and "changed" or "gone")
    end
  end
  table.sort(out)
  return out
end

-- The row of the flow that was noted last.
local function newest(backend)
  local rows, message = backend._handle:flows()
  local found
  for _, row in ipairs(rows or {}) do
    found = (not found or (row.created_at or "") >= (found.created_at or "")) and row or found
  end
  return found, message or ("there is no flow in %s yet"):format(backend.name)
end

---The row of a flow by its uuid or the beginning of one, or by "last": that which was noted last.
---@param uuid string
---@param backend taskflow.Backend
---@return table? row, or nil and what is wrong
---@return string?
function M.find(uuid, backend)
  if uuid == "last" then
    return newest(backend)
  elseif not uuid:find "^[%x-]+$" or #uuid > 36 then
    return nil, ("'%s' is no uuid, nor the beginning of one"):format(uuid)
  end
  local row, message, code = backend._handle:flow(uuid:lower())
  if row then
    return row
  elseif code == "ENOTFOUND" then
    return nil, ("no flow %s in %s (tfhost flow list shows what there is)"):format(uuid, backend.name)
  end
  return nil, message
end

---The backend, for who can do nothing without one.
---@param given { backend: string?, durability: string? }
---@return taskflow.Backend? nil: there is none, or it cannot be opened
---@return string? message
function M.need(given)
  local backend, message = M.open(given)
  return backend, not backend and (message or "there is no logbook: --backend and TFHOST_BACKEND say none") or nil
end

---A flow in it: the two before in one.
---@param given { backend: string?, durability: string? }
---@param uuid string as for find
---@return taskflow.Backend? nil: there is no such flow, or no backend
---@return table|string row, or what is wrong
function M.flow(given, uuid)
  local backend, message = M.need(given)
  if not backend then
    return nil, message
  end
  local row
  row, message = M.find(uuid, backend)
  return row and backend, row or message
end

---Delete a flow, and its book if that has no other.
---@param backend taskflow.Backend
---@param uuid string
function M.remove(backend, uuid)
  local handle = backend._handle
  local row = handle:flow(uuid)
  if row and #(handle:flows(row.book) or {}) == 1 then
    backend:get_connection():destroy_logbook(row.book)
  else
    backend:get_connection():destroy_flow_details(uuid)
  end
end

---Whether the logbook has a flow as one to be resumed.
---@param uuid string
---@param backend taskflow.Backend?
---@return boolean
function M.is_unfinished(uuid, backend)
  local row = backend and backend._handle:flow(uuid)
  return row ~= nil and row ~= false and M.unfinished(row.state)
end

return M
