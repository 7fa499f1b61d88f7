-- Logbooks and what is in them, under TaskFlow's names: a book has flow details, a flow detail has atom
-- details. They are copies of what a backend has; a connection of the backend loads and saves them.
local check = require "taskflow.utils.check"
local values = require "taskflow.values"
local uuid = require("tfhost.persistence").uuid

local M = {}

local function has_meta(meta)
  return function(value)
    return type(value) == "table" and getmetatable(value) == meta
  end
end

local function check_id(id, what)
  if id ~= nil then
    check.is(id, "string", what .. ": the uuid")
  end
  return id or uuid()
end

-- Members in the order they were added, found by uuid.
local function add(self, child)
  if not self._by_uuid[child.uuid] then
    self._children[#self._children + 1] = child
    self._by_uuid[child.uuid] = child
  end
  return self
end

local function iterate(self)
  local i = 0
  return function()
    i = i + 1
    return self._children[i]
  end
end

local function container(fields)
  fields._children, fields._by_uuid = {}, {}
  return fields
end

---What is kept of an atom.
---@class taskflow.AtomDetail
---@field uuid string
---@field name string
---@field kind "TASK_DETAIL"|"RETRY_DETAIL"
---@field state string
---@field intention string
---@field version string?
---@field meta table<string, any>
---@field results any of a retry a list of { value, { atom = failure } }
---@field failure table? as a dict (taskflow.failure.from_dict)
---@field revert_results any
---@field revert_failure table?
---@field created_at string?
---@field updated_at string?
local AtomDetail = {}
---@package
M.AtomDetail = AtomDetail

-- Values are kept as JSON text, as they came, and decoded when somebody looks.
local VALUES = { meta = true, results = true, failure = true, revert_results = true, revert_failure = true }

local atom_methods

local atom_meta = {
  __index = function(self, key)
    if VALUES[key] then
      local text = self._texts[key]
      local value = text and text ~= "null" and values.decode(text) or nil
      if key == "meta" and value == nil then
        value = {}
      end
      rawset(self, key, value)
      return value
    end
    return atom_methods[key]
  end,
  __tostring = function(self)
    return ("%s '%s' (%s)"):format(self.kind, self.name, self.uuid)
  end,
}

---The JSON text of a value, as it came unless it was assigned since.
---@param key "meta"|"results"|"failure"|"revert_results"|"revert_failure"
---@return string?
function AtomDetail:text(key)
  if not VALUES[key] then
    check.fail("text: there is no value '%s'", tostring(key))
  end
  local value = rawget(self, key)
  if value == nil then
    return self._texts[key]
  end
  return assert(values.encode(value))
end

atom_methods = check.methods("AtomDetail", AtomDetail, has_meta(atom_meta))

local function new_atom(kind, name, id)
  return setmetatable({
    uuid = check_id(id, "AtomDetail"),
    name = check.is(name, "string", "AtomDetail: the name"),
    kind = kind,
    state = "PENDING",
    intention = "EXECUTE",
    _texts = {},
  }, atom_meta)
end

---An atom detail of a task.
---@param name string
---@param id string? uuid; default: a new one
---@return taskflow.AtomDetail
function M.TaskDetail(name, id)
  return new_atom("TASK_DETAIL", name, id)
end

---An atom detail of a retry controller.
---@param name string
---@param id string? uuid; default: a new one
---@return taskflow.AtomDetail
function M.RetryDetail(name, id)
  return new_atom("RETRY_DETAIL", name, id)
end

---What is kept of a flow.
---@class taskflow.FlowDetail
---@field uuid string
---@field name string
---@field state string?
---@field meta table<string, any>
---@field created_at string?
---@field updated_at string?
local FlowDetail = {}
local flow_meta = {}
---A flow detail without atoms. The second argument is its uuid; default: a new one.
---@type fun(name: string, id: string?): taskflow.FlowDetail
M.FlowDetail = setmetatable(FlowDetail, {
  __call = function(_, name, id)
    check.is(name, "string", "FlowDetail: the name")
    return setmetatable(container { uuid = check_id(id, "FlowDetail"), name = name, meta = {} }, flow_meta)
  end,
})

---@package raise a TypeError unless it is a flow detail
function M.check_flow(value, what)
  if not has_meta(flow_meta)(value) then
    check.fail("%s must be a flow detail, not %s", what, check.kind(value))
  end
  return value
end

---Add an atom detail; one of the same uuid is there already: nothing.
---@param detail taskflow.AtomDetail
---@return taskflow.FlowDetail self
function FlowDetail:add(detail)
  if not has_meta(atom_meta)(detail) then
    check.fail("FlowDetail:add takes an atom detail, not %s", check.kind(detail))
  end
  return add(self, detail)
end

---The atom detail of a uuid.
---@param id string uuid of an atom detail
---@return taskflow.AtomDetail?
function FlowDetail:find(id)
  return self._by_uuid[check.is(id, "string", "find: the uuid")]
end

---Iterate: for atom in flow_detail:iter() do ... end
---@return fun(): taskflow.AtomDetail?
function FlowDetail:iter()
  return iterate(self)
end

---Number of atom details.
---@return integer
function FlowDetail:len()
  return #self._children
end

flow_meta.__index = check.methods("FlowDetail", FlowDetail, has_meta(flow_meta))

---A book of flow details.
---@class taskflow.LogBook
---@field uuid string
---@field name string
---@field meta table<string, any>
---@field created_at string?
---@field updated_at string?
local LogBook = {}
local book_meta = {}
---A book without flow details. The second argument is its uuid; default: a new one.
---@type fun(name: string, id: string?): taskflow.LogBook
M.LogBook = setmetatable(LogBook, {
  __call = function(_, name, id)
    check.is(name, "string", "LogBook: the name")
    return setmetatable(container { uuid = check_id(id, "LogBook"), name = name, meta = {} }, book_meta)
  end,
})

---@package raise a TypeError unless it is a logbook
function M.check_book(value, what)
  if not has_meta(book_meta)(value) then
    check.fail("%s must be a logbook, not %s", what, check.kind(value))
  end
  return value
end

---@package raise a TypeError unless it is an atom detail
function M.check_atom(value, what)
  if not has_meta(atom_meta)(value) then
    check.fail("%s must be an atom detail, not %s", what, check.kind(value))
  end
  return value
end

---Add a flow detail; one of the same uuid is there already: nothing.
---@param detail taskflow.FlowDetail
---@return taskflow.LogBook self
function LogBook:add(detail)
  M.check_flow(detail, "LogBook:add: the detail")
  return add(self, detail)
end

---The flow detail of a uuid.
---@param id string uuid of a flow detail
---@return taskflow.FlowDetail?
function LogBook:find(id)
  return self._by_uuid[check.is(id, "string", "find: the uuid")]
end

---Iterate: for flow_detail in book:iter() do ... end
---@return fun(): taskflow.FlowDetail?
function LogBook:iter()
  return iterate(self)
end

---Number of flow details.
---@return integer
function LogBook:len()
  return #self._children
end

book_meta.__index = check.methods("LogBook", LogBook, has_meta(book_meta))

---@package the atoms of a flow detail, as a backend has them
function M.rows(detail)
  local rows = {}
  for atom in detail:iter() do
    local row = { uuid = atom.uuid, name = atom.name, kind = atom.kind }
    for _, key in ipairs { "state", "intention", "version" } do
      row[key] = atom[key]
    end
    for key in pairs(VALUES) do
      row[key] = atom:text(key)
    end
    rows[#rows + 1] = row
  end
  return rows
end

---@package what a backend has, as an atom detail
function M.atom_from_row(row)
  local self = new_atom(row.kind, row.name, row.uuid)
  for _, key in ipairs { "state", "intention", "version", "created_at", "updated_at" } do
    self[key] = row[key] or self[key]
  end
  for key in pairs(VALUES) do
    self._texts[key] = row[key]
  end
  return self
end

local function with_meta(self, row)
  self.meta = row.meta and values.decode(row.meta) or {}
  self.created_at, self.updated_at = row.created_at, row.updated_at
  return self
end

---@package
function M.flow_from_row(row)
  local self = with_meta(M.FlowDetail(row.name or "", row.uuid), row)
  self.state = row.state
  return self
end

---@package
function M.book_from_row(row)
  return with_meta(M.LogBook(row.name or "", row.uuid), row)
end

return M
