-- How long a retry waits before it begins anew: options of the retry controllers that decide for themselves.
local check = require "taskflow.utils.check"
local host = require "tfhost.host"

local M = {}

M.OPTIONS = { delay = true, backoff = true, max_delay = true, jitter = true }

---Waiting before the next attempt. It counts from the decision, and everything else goes on meanwhile. A flow that is
---suspended waits for the rest when it goes on; one that another process resumes retries at once.
---@class taskflow.BackoffOptions
---@field delay number? seconds before the second attempt; default 0
---@field backoff number? factor from one delay to the next, at least 1; default 1
---@field max_delay number? seconds that no delay is longer than
---@field jitter number|boolean? part of each delay, from 0 to 1, of which a random piece is left out; true is 1

local function number(value, low, high, what, bounds)
  if value ~= nil and not (check.is(value, "number", what) >= low and value <= high) then
    local exceptions = require "taskflow.exceptions"
    exceptions.raise(exceptions.ValueError, ("%s must be %s, not %s"):format(what, bounds, value))
  end
  return value
end

---Check the options, once.
---@param options table may have others besides
---@param title string "Times"
function M.check(options, title)
  number(options.delay, 0, 1e9, title .. ": delay", "seconds from 0 to 1e9")
  number(options.backoff, 1, 1e9, title .. ": backoff", "a factor of at least 1")
  number(options.max_delay, 0, 1e9, title .. ": max_delay", "seconds from 0 to 1e9")
  if type(options.jitter) ~= "boolean" then
    number(options.jitter, 0, 1, title .. ": jitter", "from 0 to 1")
  end
end

---Seconds to wait after a failed attempt.
---@param options taskflow.BackoffOptions
---@param attempt integer that failed, from 1
---@param random (fun(): number)? from 0 up to 1
---@return number
function M.delay(options, attempt, random)
  check.is(options, "table", "delay: the options")
  if not options.delay or options.delay == 0 then
    return 0
  end
  local seconds = options.delay * (options.backoff or 1) ^ (check.is(attempt, "number", "delay: the attempt") - 1)
  seconds = math.min(seconds, options.max_delay or 1e9)
  local jitter = options.jitter == true and 1 or options.jitter or 0
  return seconds * (1 - jitter * (jitter > 0 and (random or host.random)() or 0))
end

return M
