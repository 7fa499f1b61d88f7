-- What a flow script returns, as a flow: the flow itself, a function that builds it, or a table of those by name.
local flow_module = require "taskflow.flow"
local task = require "taskflow.task"

local M = {}

local function is_flow(value)
  return flow_module.is_flow(value) or task.is_task(value)
end

local function names(content)
  local out = {}
  for name, value in pairs(content) do
    if type(name) == "string" and (type(value) == "function" or is_flow(value)) then
      out[#out + 1] = name
    end
  end
  table.sort(out)
  return out
end

---@param content any what the script reference names
---@param reference string for messages
---@param store table handed to a builder
---@return taskflow.Flow|taskflow.Task|nil
---@return table|string options that the builder returned besides; or the message
function M.build(content, reference, store)
  if type(content) == "table" and not is_flow(content) then
    local found = names(content)
    if #found ~= 1 then
      local list = found[1] and ("name one of its flows, as %s:%s (it has: %s)"):format(
        reference,
        found[1],
        table.concat(found, ", ")
      ) or "it returns a table without flows or builders"
      return nil, ("%s: %s"):format(reference, list)
    end
    content = content[found[1]]
  end
  local options = {}
  if type(content) == "function" then
    content, options = content(store)
    if options ~= nil and type(options) ~= "table" then
      return nil, ("%s: the second value of the builder must be a table of engine options"):format(reference)
    end
  end
  -- A module that returns nothing is `true` to require.
  if content == nil or content == true then
    return nil, ("%s: it returns nothing: a flow, or a function that returns one, is expected"):format(reference)
  elseif not is_flow(content) then
    return nil, ("%s: expected a flow or a function that returns one, got a %s"):format(reference, type(content))
  end
  return content, options or {}
end

return M
