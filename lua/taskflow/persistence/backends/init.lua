-- Where logbooks are kept.
--
--   local backend = require("taskflow.persistence.backends").fetch { connection = "sqlite:////var/lib/flows.db" }
--   local conn = backend:get_connection()
--   for book in conn:get_logbooks() do ... end
local check = require "taskflow.utils.check"
local exceptions = require "taskflow.exceptions"
local host = require "tfhost.persistence"
local models = require "taskflow.persistence.models"
local values = require "taskflow.values"

local M = {}

-- Codes of the bindings -> exceptions. What a backend cannot do is a StorageFailure.
local CODES = { ENOTFOUND = "NotFound", EINVAL = "ValueError", EEXIST = "Duplicate" }

local function result(value, message, code)
  if value == nil then
    exceptions.raise(exceptions[CODES[code] or "StorageFailure"], message)
  end
  return value
end

---Loads and saves what a backend keeps.
---@class taskflow.Connection
---@field backend taskflow.Backend
local Connection = {}
local connection_meta = {}

local function meta_text(detail)
  return assert(values.encode(detail.meta or {}))
end

function Connection:_handle()
  return self.backend._handle
end

---Create the tables that are missing. Opening a backend has done that.
function Connection:upgrade() end

---Check that the tables are as they should be.
function Connection:validate() end

---Forget what belongs to the connection; the backend stays open.
function Connection:close() end

---Save a book and the flow details in it, whose atoms come with them.
---@param book taskflow.LogBook
---@return taskflow.LogBook
function Connection:save_logbook(book)
  models.check_book(book, "save_logbook: the book")
  result(self:_handle():save_book { uuid = book.uuid, name = book.name, meta = meta_text(book) })
  for detail in book:iter() do
    self:save_flow_details(book, detail)
  end
  return book
end

---Save a flow detail and its atoms in a book that is there already.
---@param book taskflow.LogBook|string the book or its uuid
---@param detail taskflow.FlowDetail
---@return taskflow.FlowDetail
function Connection:save_flow_details(book, detail)
  local id = type(book) == "string" and book or models.check_book(book, "save_flow_details: the book").uuid
  models.check_flow(detail, "save_flow_details: the detail")
  result(self:_handle():save_flow(id, {
    uuid = detail.uuid,
    name = detail.name,
    state = detail.state,
    meta = meta_text(detail),
  }, models.rows(detail)))
  return detail
end

---@package a book, which may be there already, and a new flow detail in it, in one go
function Connection:save_new_flow(book, detail)
  models.check_book(book, "save_new_flow: the book")
  models.check_flow(detail, "save_new_flow: the detail")
  result(self:_handle():save_flow({ uuid = book.uuid, name = book.name, meta = meta_text(book) }, {
    uuid = detail.uuid,
    name = detail.name,
    state = detail.state,
    meta = meta_text(detail),
  }, models.rows(detail)))
end

---@package the metadata of a flow whose engine keeps the rest
function Connection:save_flow_metadata(detail, state)
  models.check_flow(detail, "save_flow_metadata: the detail")
  check.is(state, "string", "save_flow_metadata: the state")
  local row = result(self:_handle():flow(detail.uuid))
  local text = meta_text(detail)
  result(self:_handle():save_flow(row.book, { uuid = detail.uuid, name = row.name, state = state, meta = text }, {}))
end

---Save what has changed of a flow detail that is there already.
---@param detail taskflow.FlowDetail
---@return taskflow.FlowDetail
function Connection:update_flow_details(detail)
  models.check_flow(detail, "update_flow_details: the detail")
  local row = result(self:_handle():flow(detail.uuid))
  return self:save_flow_details(row.book, detail)
end

---Save what has changed of an atom detail that is there already.
---@param detail taskflow.AtomDetail
---@return taskflow.AtomDetail
function Connection:update_atom_details(detail)
  models.check_atom(detail, "update_atom_details: the detail")
  local row = result(self:_handle():atom(detail.uuid))
  result(self:_handle():save_atoms(row.flow, models.rows(models.FlowDetail(""):add(detail))))
  return detail
end

local function load_atoms(self, detail)
  for _, row in ipairs(result(self:_handle():atoms(detail.uuid))) do
    detail:add(models.atom_from_row(row))
  end
  return detail
end

---Load a book. Raises NotFound if there is none.
---@param id string uuid
---@param lazy boolean? leave its flow details out
---@return taskflow.LogBook
function Connection:get_logbook(id, lazy)
  check.is(id, "string", "get_logbook: the uuid")
  local book = models.book_from_row(result(self:_handle():book(id)))
  if not lazy then
    for detail in self:get_flows_for_book(id) do
      book:add(detail)
    end
  end
  return book
end

---Iterate over all books: for book in conn:get_logbooks() do ... end
---@param lazy boolean? leave their flow details out
---@return fun(): taskflow.LogBook?
function Connection:get_logbooks(lazy)
  local rows, i = result(self:_handle():books()), 0
  return function()
    i = i + 1
    return rows[i] and self:get_logbook(rows[i].uuid, lazy)
  end
end

---Iterate over the flow details of a book.
---@param id string uuid of the book
---@param lazy boolean? leave their atoms out
---@return fun(): taskflow.FlowDetail?
function Connection:get_flows_for_book(id, lazy)
  check.is(id, "string", "get_flows_for_book: the uuid")
  local rows, i = result(self:_handle():flows(id)), 0
  return function()
    i = i + 1
    if not rows[i] then
      return nil
    end
    local detail = models.flow_from_row(rows[i])
    return lazy and detail or load_atoms(self, detail)
  end
end

---Load a flow detail. Raises NotFound if there is none.
---@param id string uuid
---@param lazy boolean? leave its atoms out
---@return taskflow.FlowDetail
function Connection:get_flow_details(id, lazy)
  check.is(id, "string", "get_flow_details: the uuid")
  local detail = models.flow_from_row(result(self:_handle():flow(id)))
  return lazy and detail or load_atoms(self, detail)
end

---Load an atom detail. Raises NotFound if there is none.
---@param id string uuid
---@return taskflow.AtomDetail
function Connection:get_atom_details(id)
  check.is(id, "string", "get_atom_details: the uuid")
  return models.atom_from_row(result(self:_handle():atom(id)))
end

---Iterate over the atom details of a flow.
---@param id string uuid of the flow detail
---@return fun(): taskflow.AtomDetail?
function Connection:get_atoms_for_flow(id)
  check.is(id, "string", "get_atoms_for_flow: the uuid")
  local rows, i = result(self:_handle():atoms(id)), 0
  return function()
    i = i + 1
    return rows[i] and models.atom_from_row(rows[i])
  end
end

---Delete a book with everything in it.
---@param id string uuid
function Connection:destroy_logbook(id)
  check.is(id, "string", "destroy_logbook: the uuid")
  result(self:_handle():delete_book(id))
end

---Delete a flow detail with its atoms.
---@param id string uuid
function Connection:destroy_flow_details(id)
  check.is(id, "string", "destroy_flow_details: the uuid")
  result(self:_handle():delete_flow(id))
end

---Delete everything.
function Connection:clear_all()
  for book in self:get_logbooks(true) do
    self:destroy_logbook(book.uuid)
  end
end

---An open backend.
---@class taskflow.Backend
---@field connection string what was asked for
---@field name string the same without a password, for messages
---@field package _handle userdata
local Backend = {}
local backend_meta = {}

---A connection, for as long as it is needed.
---@return taskflow.Connection
function Backend:get_connection()
  return setmetatable({ backend = self }, connection_meta)
end

---Close it; flows that are kept in it cannot run any more.
function Backend:close()
  self._handle:close()
end

---Whether a value is a backend.
---@param value any
---@return boolean
function M.is_backend(value)
  return type(value) == "table" and getmetatable(value) == backend_meta
end

connection_meta.__index = check.methods("Connection", Connection, function(value)
  return type(value) == "table" and getmetatable(value) == connection_meta
end)
backend_meta.__index = check.methods("Backend", Backend, M.is_backend)

-- In the URL's authority, and as a parameter of libpq's.
local function without_password(connection)
  connection = connection:gsub("^([%w+]+://[^:/@]*):[^/]*@", "%1:***@")
  return (connection:gsub("([?&]password=)[^&]*", "%1***"))
end

---Open a backend.
---@param conf { connection: string, path: string?, durability: string? }|string connection: "memory",
---  "sqlite:///relative.db", "sqlite:////absolute.db", "postgresql://...", "dir" with `path` (only read), or the path
---  of an SQLite file or of such a directory
---@return taskflow.Backend
function M.fetch(conf)
  if type(conf) == "string" then
    conf = { connection = conf }
  end
  check.is(conf, "table", "fetch: the configuration")
  check.is(conf.connection, "string", "fetch: the connection")
  local connection = conf.connection
  if conf.path and (connection == "dir" or connection == "file") then
    check.is(conf.path, "string", "fetch: the path")
    connection = "dir://" .. conf.path
  end
  local handle = result(host.open { connection = connection, durability = conf.durability })
  local name = without_password(connection)
  return setmetatable({ connection = conf.connection, name = name, _handle = handle }, backend_meta)
end

return M
