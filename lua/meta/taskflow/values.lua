---@meta taskflow.values
-- What JSON has and Lua has not: null, lists that are empty, integers beyond 2^53. Arguments, results and event
-- details are JSON. `nil` and `null` are null; a list stays a list when it is empty if it came from elsewhere or is
-- marked. Integers beyond 2^53 are int64 cdata and keep all their digits, wider ones pass through a flow unchanged but
-- cannot be looked at in Lua. What is no data (functions, cycles, text that is not UTF-8) fails the task with an error
-- that names the path inside the value.
local M = {}

---JSON's null, where a nil would be no entry at all.
---@type userdata
M.null = nil

---Mark a table as a list, so that it is one when it is empty: `values.list {}`.
---@param t table? default: a new table
---@return table t
function M.list(t) end

---Whether a table is marked as a list, by list or because it came as one.
---@param value any
---@return boolean
function M.is_list(value) end

---An integer that may need more than 53 bits. Raises if it is none, or has more than 64 bits.
---@param value number|string
---@return number|ffi.cdata* a number up to 2^53, an int64_t or uint64_t beyond
function M.int64(value) end

---The JSON text of a value.
---@param value any
---@return string? nil if it is no data
---@return string? message what is wrong, and where inside the value
function M.encode(value) end

---The value of a JSON text.
---@param text string
---@return any value nil if it is no JSON
---@return string? message what is wrong
function M.decode(text) end

return M
