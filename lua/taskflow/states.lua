-- States of flows, tasks and retries, and the intentions of atoms.

---Each name is its own value: states.SUCCESS == "SUCCESS".
---@class taskflow.states
---@field PENDING "PENDING" an atom that has not begun
---@field RUNNING "RUNNING" a flow; an atom that executes
---@field SUCCESS "SUCCESS"
---@field FAILURE "FAILURE" a flow that could not be reverted; an atom whose execute failed
---@field REVERTING "REVERTING" a flow; an atom whose revert runs
---@field REVERTED "REVERTED"
---@field REVERT_FAILURE "REVERT_FAILURE" an atom whose revert failed
---@field IGNORE "IGNORE" an atom that a decider left out
---@field RETRYING "RETRYING" a retry controller that tries its flow again
---@field SUSPENDING "SUSPENDING" a flow that finishes what runs
---@field SUSPENDED "SUSPENDED" a flow that can go on
---@field RESUMING "RESUMING" a flow that goes on
---@field EXECUTE "EXECUTE" an intention of an atom, as are the next two
---@field REVERT "REVERT"
---@field RETRY "RETRY"
local M = {}

for _, name in ipairs {
  "PENDING",
  "RUNNING",
  "SUCCESS",
  "FAILURE",
  "REVERTING",
  "REVERTED",
  "REVERT_FAILURE",
  "IGNORE",
  "RETRYING",
  "SUSPENDING",
  "SUSPENDED",
  "RESUMING",
} do
  M[name] = name
end

M.EXECUTE, M.REVERT, M.RETRY = "EXECUTE", "REVERT", "RETRY"

---States that end a run of a flow.
M.FINISHED = { SUCCESS = true, FAILURE = true, REVERTED = true, SUSPENDED = true }

---States of an atom that carry a result in their notification.
M.WITH_RESULT = { SUCCESS = true, FAILURE = true, REVERTED = true, REVERT_FAILURE = true }

return M
