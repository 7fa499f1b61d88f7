-- `tfhost workers`: who answers on topics, over the transport.
local census = require "tfhost.census"
local json = require "tfhost.json"
local settings = require "tfhost.settings"
local text = require "tfhost.text"
local values = require "taskflow.values"

local M = {}

M.EXIT = { OK = 0, NOBODY = 1, INVALID = 2, USAGE = 64 }

local TIMEOUT = 5

local COLUMNS = {
  { "TOPIC" }, { "WORKER" }, { "SLOTS", right = true }, { "BUSY", right = true }, { "WAITING", right = true },
  { "CLASSES", right = true }, { "SCRIPTS" }, { "ANSWERED", right = true },
}

local function number(n)
  return n and ("%d"):format(n) or "-"
end

local function row(w)
  return {
    text.shorten(w.topic, 30),
    w.host and ("%s:%d"):format(text.shorten(w.host, 30), w.pid or 0) or "Python (one or more)",
    number(w.slots),
    number(w.busy),
    number(w.waiting),
    number(#w.classes),
    w.generation and ("%d  %s"):format(w.generation, w.hash or "") or "-",
    text.seconds(w.answered),
  }
end

local function print_table(workers, with_classes)
  local rows = {}
  for i, w in ipairs(workers) do
    rows[i] = row(w)
  end
  local lines = text.table(COLUMNS, rows)
  for i, line in ipairs(lines) do
    io.write(line, "\n")
    for _, class in ipairs(with_classes and workers[i - 1] and workers[i - 1].classes or {}) do
      io.write("  ", class, "\n")
    end
  end
end

local function order(a, b)
  if a.topic ~= b.topic then
    return a.topic < b.topic
  elseif (a.host or "") ~= (b.host or "") then
    return (a.host or "") < (b.host or "")
  end
  return (a.pid or 0) < (b.pid or 0)
end

---@param given table flags, file (tfhost.settings); timeout, json, classes, command
---@return integer exit code
function M.main(given)
  local found, message, usage = settings.resolve("run", { flags = given.flags, file = given.file })
  local workers, silent
  if found then
    local options = { topics = found.values.topics or { "default" }, wait = given.timeout or TIMEOUT }
    for _, key in ipairs { "url", "exchange", "transport", "transport_options", "retry_options" } do
      options[key] = found.values[key]
    end
    workers, silent = census.take(options)
    message = silent
  end
  if not workers then
    io.stderr:write(given.command, ": ", message, "\n")
    return usage and M.EXIT.USAGE or M.EXIT.INVALID
  end
  table.sort(workers, order)
  for _, w in ipairs(given.json and workers or {}) do
    w.classes = values.list(w.classes)
    io.write(json.encode(w), "\n")
  end
  if not given.json and #workers > 0 then
    print_table(workers, given.classes)
  end
  io.stdout:flush()
  for _, topic in ipairs(silent) do
    io.stderr:write(given.command, ": nobody answers on topic ", json.encode(topic), "\n")
  end
  return #silent > 0 and M.EXIT.NOBODY or M.EXIT.OK
end

return M
