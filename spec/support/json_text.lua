-- JSON as text, for comparing what two programs wrote without losing what a decoder would lose: integers of
-- any size, the difference of 1 and 1.0, of [] and {}. Strict but for the NaN and Infinity that Python writes;
-- written for tests and independent of the host.
local M = {}

local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }

local function utf8(code)
  if code < 0x80 then
    return string.char(code)
  elseif code < 0x800 then
    return string.char(0xC0 + math.floor(code / 64), 0x80 + code % 64)
  elseif code < 0x10000 then
    return string.char(0xE0 + math.floor(code / 4096), 0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
  end
  return string.char(
    0xF0 + math.floor(code / 262144),
    0x80 + math.floor(code / 4096) % 64,
    0x80 + math.floor(code / 64) % 64,
    0x80 + code % 64
  )
end

local function bad(text, at, what)
  error(("not JSON at byte %d (%s): %s"):format(at, what, text:sub(at, at + 40)), 0)
end

local function skip(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

-- The string whose opening quote is at `at`: its bytes, and where it ends.
local function string_at(text, at)
  local out, from = {}, at + 1
  while true do
    local stop = text:find('["\\%c]', from)
    local char = stop and text:sub(stop, stop)
    if not stop or (char ~= '"' and char ~= "\\" and char ~= "\127") then
      bad(text, at, "string")
    end
    out[#out + 1] = text:sub(from, stop - 1)
    from = stop + 1
    if char == '"' then
      return table.concat(out), from
    elseif char == "\127" then
      out[#out + 1] = char
    else
      local letter = text:sub(from, from)
      local hex = letter == "u" and text:match("^%x%x%x%x", from + 1)
      if hex then
        local code = tonumber(hex, 16)
        from = from + 5
        local low = code >= 0xD800 and code < 0xDC00 and text:match("^\\u([dD][c-fC-F]%x%x)", from)
        if low then
          code = 0x10000 + (code - 0xD800) * 1024 + tonumber(low, 16) - 0xDC00
          from = from + 6
        end
        out[#out + 1] = utf8(code)
      elseif ESCAPES[letter] then
        out[#out + 1] = ESCAPES[letter]
        from = from + 1
      else
        bad(text, stop, "escape")
      end
    end
  end
end

local node_at

-- Items of an array or members of an object, each through `item`; where it ends.
local function sequence(text, at, close, item)
  at = skip(text, at + 1)
  if text:sub(at, at) == close then
    return at + 1
  end
  while true do
    at = skip(text, item(skip(text, at)))
    local char = text:sub(at, at)
    if char == close then
      return at + 1
    elseif char ~= "," then
      bad(text, at, "separator")
    end
    at = at + 1
  end
end

-- The value at `at` as a node { kind, value, text }, and where it ends.
function node_at(text, at)
  local char = text:sub(at, at)
  local node, stop = {}
  if char == "{" then
    node.kind, node.value = "object", {}
    stop = sequence(text, at, "}", function(from)
      local key, colon = string_at(text, from)
      colon = skip(text, colon)
      if text:sub(colon, colon) ~= ":" then
        bad(text, colon, "colon")
      end
      local member, after = node_at(text, skip(text, colon + 1))
      node.value[key] = member
      return after
    end)
  elseif char == "[" then
    node.kind, node.value = "array", {}
    stop = sequence(text, at, "]", function(from)
      local item, after = node_at(text, from)
      node.value[#node.value + 1] = item
      return after
    end)
  elseif char == '"' then
    node.kind = "string"
    node.value, stop = string_at(text, at)
  else
    local word = text:match("^[%w%.%+%-]+", at) or ""
    node.value, stop = word, at + #word
    if word == "null" or word == "true" or word == "false" then
      node.kind = word
    elseif word:match("^%-?%d+$") then
      node.kind = "integer"
    elseif word == "NaN" or word == "Infinity" or word == "-Infinity" then
      node.kind = "token"
    elseif word:match("^%-?%d") and tonumber(word) then
      node.kind = "real"
    else
      bad(text, at, "value")
    end
  end
  node.text = text:sub(at, stop - 1)
  return node, stop
end

---The tree of a text: nodes { kind, value, text }; the value of an object is a map of nodes.
function M.parse(text)
  local node, stop = node_at(text, skip(text, 1))
  if skip(text, stop) <= #text then
    bad(text, stop, "trailing text")
  end
  return node
end

local function describe(node)
  local kind = node.kind
  if kind == "integer" then
    return "n" .. node.value
  elseif kind == "real" then
    return ("n%.17g"):format(tonumber(node.value))
  elseif kind == "string" then
    local raw = node.value
    if #raw > 64 then
      local sum = 0
      for i = 1, #raw do
        sum = sum + raw:byte(i)
      end
      return ("s%d:%d"):format(#raw, sum % 65521)
    end
    return "s" .. raw:gsub(".", function(c)
      return ("%02x"):format(c:byte())
    end)
  elseif kind == "array" then
    local out = {}
    for i, item in ipairs(node.value) do
      out[i] = describe(item)
    end
    return "[" .. table.concat(out, ",") .. "]"
  elseif kind == "object" then
    local keys, out = {}, {}
    for key in pairs(node.value) do
      keys[#keys + 1] = key
    end
    table.sort(keys)
    for i, key in ipairs(keys) do
      out[i] = describe({ kind = "string", value = key }) .. ":" .. describe(node.value[key])
    end
    return "{" .. table.concat(out, ",") .. "}"
  end
  return kind
end

---What task Describe of the peers says of this value.
function M.describe(text)
  return describe(type(text) == "string" and M.parse(text) or text)
end

-- The JSON text of a string.
function M.quote(raw)
  return '"' .. raw:gsub('[%c"\\]', function(c)
    return ("\\u%04x"):format(c:byte())
  end) .. '"'
end

return M
