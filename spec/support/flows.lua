-- Short words for the scenarios of the e2e specs (peers.lua says what a scenario is).
local M = {}

local function flow(pattern)
  return function(name, ...)
    return { pattern = pattern, name = name, children = { ... } }
  end
end

M.linear = flow "linear"
M.unordered = flow "unordered"
M.graph = flow "graph"

---A task of peer_tasks; `more`: provides, requires, rebind, inject.
function M.task(class, name, more)
  local node = { task = class:find(".", 1, true) and class or "peer_tasks." .. class, name = name }
  for key, value in pairs(more or {}) do
    node[key] = value
  end
  return node
end

return M
