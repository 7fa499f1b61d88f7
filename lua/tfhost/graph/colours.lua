-- One set of colours for every picture of a flow: what a state looks like, in RGB for pictures.
local M = {}

---Fill and line of an atom in a state; NONE: not from a run.
M.STATES = {
  NONE = { "#ffffff", "#334155" },
  PENDING = { "#f1f5f9", "#94a3b8" },
  RUNNING = { "#cffafe", "#0891b2" },
  SUCCESS = { "#dcfce7", "#16a34a" },
  FAILURE = { "#fee2e2", "#dc2626" },
  REVERT_FAILURE = { "#fecaca", "#991b1b" },
  REVERTING = { "#fef3c7", "#d97706" },
  REVERTED = { "#fef3c7", "#d97706" },
  RETRYING = { "#fef3c7", "#d97706" },
  IGNORE = { "#f8fafc", "#cbd5e1" },
}

---@param node tfhost.GraphNode
---@return string fill
---@return string line
function M.of(node)
  local pair = M.STATES[node.state or "NONE"] or M.STATES.NONE
  return pair[1], pair[2]
end

return M
