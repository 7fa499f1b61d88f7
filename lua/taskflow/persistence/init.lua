-- Flows that outlive their engine. See taskflow.persistence.models and taskflow.persistence.backends.
local backends = require "taskflow.persistence.backends"
local check = require "taskflow.utils.check"
local models = require "taskflow.persistence.models"

local M = {}

---A new flow detail: in `book`, or with a backend and no book in a new one named "tmp". Saved if there is a backend.
---@param name string of the flow
---@param book taskflow.LogBook?
---@param backend taskflow.Backend?
---@param meta table<string, any>?
---@return taskflow.FlowDetail
function M.create_flow_detail(name, book, backend, meta)
  if book ~= nil then
    models.check_book(book, "create_flow_detail: the book")
  end
  if backend ~= nil and not backends.is_backend(backend) then
    check.fail("create_flow_detail: the backend must be a backend, not %s", check.kind(backend))
  end
  check.is(meta or {}, "table", "create_flow_detail: the metadata")
  local detail = models.FlowDetail(name)
  detail.meta = meta or {}
  if not book and backend then
    book = models.LogBook "tmp"
  end
  if book then
    book:add(detail)
  end
  if backend then
    backend:get_connection():save_new_flow(book, detail)
  end
  return detail
end

return M
