-- `tfhost conf`: show the settings that a command would have, and where each comes from.
local host = require "tfhost.host"
local json = require "tfhost.json"
local settings = require "tfhost.settings"
local values = require "taskflow.values"

local M = {}

---Exit codes, as the manual lists them.
M.EXIT = { OK = 0, FILE = 1, USAGE = 64 }

---A text without the passwords of the URLs in it.
---@param text string
---@return string
function M.redact(text)
  local parts = {}
  for part in (text .. ";"):gmatch "([^;]*);" do
    part = part:gsub("^(%s*[%w+.-]+://[^:@/]*):.*@", "%1:**@")
    parts[#parts + 1] = part:gsub("([?&][%w_]*[Pp][Aa][Ss][Ss]w?o?r?d?=)[^&]*", "%1**")
  end
  return table.concat(parts, ";")
end

---A value as it may be shown: texts without passwords, and nothing of a member that is one.
---@param value any
---@return any
function M.shown(value)
  if type(value) == "string" then
    return M.redact(value)
  elseif type(value) ~= "table" then
    return value
  end
  local out = setmetatable({}, getmetatable(value))
  for key, member in pairs(value) do
    local secret = type(key) == "string" and key:lower():find "passw" or key == "secret" or key == "token"
    out[key] = secret and "**" or M.shown(member)
  end
  return out
end

local function text_of(value)
  return type(value) == "string" and value or type(value) == "table" and json.encode(value) or tostring(value)
end

local function show_json(origin)
  io.write(
    json.encode {
      key = origin.key,
      value = origin.origin == "default" and values.null or M.shown(origin.value),
      origin = origin.origin,
      where = origin.where or values.null,
      default = origin.origin == "default" and M.shown(origin.value) or nil,
    },
    "\n"
  )
end

local function show(origins, with_origin)
  local width = { 0, 0 }
  local lines = {}
  for _, origin in ipairs(origins) do
    local value = origin.value == nil and "-" or text_of(M.shown(origin.value))
    lines[#lines + 1] = { origin.key, value, origin.where or "default" }
    width[1] = math.max(width[1], #origin.key)
    width[2] = math.max(width[2], math.min(#value, 60))
  end
  for _, line in ipairs(lines) do
    local text = ("%-" .. width[1] .. "s  "):format(line[1])
    text = text .. (with_origin and ("%-" .. width[2] .. "s  %s"):format(line[2], line[3]) or line[2])
    io.write(text, "\n")
  end
end

---@param given { kind: "worker"|"run", given: table, origin: boolean, json: boolean }
---@return integer exit code
function M.main(given)
  local found, message, usage = settings.resolve(given.kind, given.given)
  if not found then
    io.stderr:write("tfhost conf: ", message, "\n", host.excerpt(message))
    return usage and M.EXIT.USAGE or M.EXIT.FILE
  end
  if given.json then
    for _, origin in ipairs(found.origins) do
      show_json(origin)
    end
  else
    show(found.origins, given.origin)
  end
  for _, line in ipairs(settings.unknown_variables(host.environment())) do
    io.stderr:write("tfhost conf: warning: ", line, "\n")
  end
  return M.EXIT.OK
end

return M
