-- Many tasks of one unordered flow as one line: how many are done, what is going on. States are polled when something
-- is drawn, so that a flow of a hundred thousand tasks runs as fast with a display as without.
local thousands = require("tfhost.text").thousands

local M = {}

---More tasks than these fold; a flow with more atoms than POLL_AT is polled altogether.
M.FOLD_AT, M.POLL_AT, M.BUSY_SHOWN = 12, 1000, 4

local BAR = 20
local DONE = { SUCCESS = true, IGNORE = true, REVERTED = true }
local WORDS = {
  { "RUNNING", "running" }, { "FAILURE", "failed" }, { "REVERT_FAILURE", "failed to revert" },
  { "REVERTING", "reverting" }, { "REVERTED", "reverted" }, { "IGNORE", "ignored" },
}
local BUSY = { RUNNING = true, FAILURE = true, REVERT_FAILURE = true, REVERTING = true }

---@class tfhost.Fold
---@field first integer numbers of its atoms in the engine
---@field last integer

---@param fold tfhost.Fold
---@param bytes string a byte for the state of each atom (handle:states())
---@param names table<integer, string> of states
---@param serial boolean? tasks run one after the other: those that are RUNNING have run, and only wait to be counted
---@return string text "████░░ 40 %  400 of 1,000  2 running"
---@return integer[] busy numbers of the first few atoms that are not just waiting or done
function M.describe(fold, bytes, names, serial)
  local counts, busy, is_busy = {}, {}, {}
  for state, name in pairs(names) do
    counts[state], is_busy[state] = 0, BUSY[name] and not (serial and name == "RUNNING")
  end
  for i = fold.first, fold.last do
    local state = bytes:byte(i)
    counts[state] = counts[state] + 1
    if is_busy[state] and #busy < M.BUSY_SHOWN then
      busy[#busy + 1] = i
    end
  end
  local by_name, done, total = {}, 0, fold.last - fold.first + 1
  for state, name in pairs(names) do
    local ran = serial and name == "RUNNING"
    by_name[name] = not ran and counts[state] or 0
    done = done + ((DONE[name] or ran) and counts[state] or 0)
  end
  local full = math.floor(BAR * done / total)
  local parts = {
    ("%s%s %3d %%  %s of %s"):format(
      ("█"):rep(full), ("░"):rep(BAR - full), math.floor(100 * done / total), thousands(done), thousands(total)
    ),
  }
  for _, pair in ipairs(WORDS) do
    local count = by_name[pair[1]] or 0
    if count > 0 then
      parts[#parts + 1] = ("%s %s"):format(thousands(count), pair[2])
    end
  end
  return table.concat(parts, "  "), busy
end

---Whether the children of a flow fold: many, in any order, all of them tasks.
---@param flow taskflow.Flow
---@param is_flow fun(value: any): boolean
---@return boolean
function M.folds(flow, is_flow)
  if flow.pattern ~= "unordered" or flow:len() <= M.FOLD_AT then
    return false
  end
  for _, node in flow:iter_nodes() do
    if is_flow(node) then
      return false
    end
  end
  return true
end

return M
