-- Types as the Lua language server writes them: string|nil, table<string, any>, { x: number }, fun(a: T): R.
--
--   local type_, rest = types.parse "string? a name"     -- rest = "a name"
--   type_.text == "string?", type_.names == { "string" }
local M = {}

local Parser = {}
Parser.__index = Parser

function Parser:skip()
  self.at = self.text:match("^%s*()", self.at)
end

-- The next characters, if they match; white space before them is skipped.
function Parser:take(pattern)
  self:skip()
  local found, after = self.text:match("^(" .. pattern .. ")()", self.at)
  if found then
    self.at = after
  end
  return found
end

function Parser:expect(pattern, what)
  return self:take(pattern)
    or error { message = ("%s expected at '%s'"):format(what, self.text:sub(self.at, self.at + 20)) }
end

-- name: T, name: T ... until the closing pattern. A parameter of a function may have no type.
function Parser:members(close)
  while not self:take(close) do
    if self:take "%[" then
      self:union()
      self:expect("%]", "]")
    else
      self:expect("[%w_.]+", "a name")
    end
    self:take "%?"
    if close == "}" or self.text:find("^%s*:", self.at) then
      self:expect(":", ":")
      self:union()
    end
    self:take ","
  end
end

function Parser:call()
  self:expect("%(", "(")
  self:members "%)"
  if self:take ":" then
    repeat
      self:union()
    until not self:take ","
  end
end


function Parser:primary()
  if self:take "%(" then
    self:union()
    self:expect("%)", ")")
  elseif self:take "{" then
    self:members "}"
  elseif self:take '"[^"]*"' or self:take "%-?%d+" or self:take "%.%.%." then
    return
  elseif self:take "fun%f[(]" then
    self:call()
  else
    local name = self:expect("[%a_][%w_.]*%*?", "a type")
    self.names[#self.names + 1] = name
    if self:take "<" then
      repeat
        self:union()
      until not self:take ","
      self:expect(">", ">")
    end
  end
end

function Parser:union()
  repeat
    self:primary()
    while self.text:find("^%[%]", self.at) or self.text:find("^%?", self.at) do
      self.at = self.at + (self.text:find("^%?", self.at) and 1 or 2)
    end
  until not (self.text:find("^%s*|", self.at) and self:take "|")
end

---Read one type from the beginning of a text.
---@param text string
---@return { text: string, names: string[] }? nil if there is none
---@return string what follows it, or what is wrong
function M.parse(text)
  local self = setmetatable({ text = text, at = 1, names = {} }, Parser)
  local ok, err = pcall(self.union, self)
  if not ok then
    if type(err) ~= "table" then
      error(err, 0)
    end
    return nil, err.message
  end
  return { text = text:sub(1, self.at - 1):match "^(.-)%s*$", names = self.names }, (text:sub(self.at):gsub("^%s+", ""))
end

---Names that every program knows.
M.BUILTIN = {}
for name in ([[nil any boolean string number integer function table thread userdata lightuserdata file* true false
  type self cdata ffi.cdata*]]):gmatch "%S+" do
  M.BUILTIN[name] = true
end

return M
