-- States of flows, tasks and retries, and the intentions of atoms (ENGINE.md 8).
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
