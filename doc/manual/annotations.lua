-- What the sources of the library say about themselves, for the language server and for the reference: `---` comments
-- with @class, @field, @alias, @param, @return, @type, @overload.
--
-- Read line by line, as the sources are laid out: what a comment is about stands in the line below it, and a function
-- at column 0 ends with `end` at column 0.
local types = require "types"

local M = {}

---@class annotations.Value
---@field name string
---@field type { text: string, names: string[] }
---@field optional boolean
---@field text string

---@class annotations.Doc
---@field text string what stands before the first tag
---@field params annotations.Value[]
---@field returns annotations.Value[] without names
---@field fields annotations.Value[] of a class
---@field overloads { text: string, names: string[] }[]
---@field type { text: string, names: string[] }?
---@field class string?
---@field parents string[]
---@field alias { name: string, type: { text: string, names: string[] } }?
---@field generics table<string, true>
---@field package boolean the library's own

---@class annotations.Subject: annotations.Doc
---@field file string
---@field line integer
---@field kind "function"|"value"|"class"|"alias"
---@field owner string? local variable that it belongs to: M, Task, ...
---@field name string?
---@field method boolean called with a colon
---@field given string[] parameters as the function has them
---@field gives boolean whether the function returns something

local function new_doc()
  return {
    text = "", params = {}, returns = {}, fields = {}, overloads = {}, parents = {}, generics = {}, package = false,
  }
end

local function parse_type(text, fail)
  local found, rest = types.parse(text)
  if not found then
    fail(rest)
    return { text = text, names = {} }, ""
  end
  return found, rest
end

local TAGS = {}

function TAGS.class(doc, rest)
  doc.class = rest:match "^[%w_.]+"
  local parents = rest:match ":%s*(.*)$"
  for name in (parents or ""):gmatch "[%w_.]+" do
    doc.parents[#doc.parents + 1] = name
  end
end

function TAGS.field(doc, rest, fail)
  local scope, after = rest:match "^(%l+)%s+([%w_%[].*)$"
  local hidden = scope == "private" or scope == "package" or scope == "protected"
  if hidden or scope == "public" then
    rest = after
  end
  local name, optional, of = rest:match "^([%w_]+)(%??)%s+(.*)$"
  if not name then
    name, of = rest:match "^(%b[])%s+(.*)$"
  end
  if not name then
    fail "a @field has a name and a type"
    return
  end
  local type_, text = parse_type(of, fail)
  doc.fields[#doc.fields + 1] = { name = name, optional = optional == "?", type = type_, text = text, hidden = hidden }
  return doc.fields[#doc.fields]
end

function TAGS.param(doc, rest, fail)
  local name, optional, of = rest:match "^([%w_.]+)(%??)%s+(.*)$"
  if not name then
    fail "a @param has a name and a type"
    return
  end
  local type_, text = parse_type(of, fail)
  doc.params[#doc.params + 1] = { name = name, optional = optional == "?", type = type_, text = text }
  return doc.params[#doc.params]
end

TAGS["return"] = function(doc, rest, fail)
  local last
  repeat
    local type_, text = parse_type(rest, fail)
    last = { type = type_, text = text }
    doc.returns[#doc.returns + 1] = last
    rest = text:match "^,%s*(.*)$"
    if rest then
      last.text = ""
    end
  until not rest
  return last
end

function TAGS.type(doc, rest, fail)
  local text
  doc.type, text = parse_type(rest, fail)
  doc.text = doc.text == "" and text or doc.text
end

function TAGS.overload(doc, rest, fail)
  doc.overloads[#doc.overloads + 1] = parse_type(rest, fail)
end

function TAGS.alias(doc, rest, fail)
  local name, of = rest:match "^([%w_.]+)%s+(.*)$"
  if not name then
    fail "an @alias has a name and a type"
    return
  end
  doc.alias = { name = name, type = parse_type(of, fail) }
end

function TAGS.generic(doc, rest)
  doc.generics[rest:match "^[%w_]+"] = true
end

function TAGS.package(doc)
  doc.package = true
end

function TAGS.meta() end
function TAGS.cast() end

-- One block of `---` lines.
local function parse_block(lines, first, last, offence)
  local doc, current = new_doc(), nil
  for i = first, last do
    local function fail(text)
      offence(i, text)
    end
    local tag, rest = lines[i]:match "^%s*%-%-%-@(%l+)%s*(.*)$"
    if tag then
      if TAGS[tag] then
        current = TAGS[tag](doc, rest, fail) or {}
        current.text = current.text or ""
      else
        fail(("unknown tag @%s"):format(tag))
      end
    else
      local text = lines[i]:match "^%s*%-%-%-(.*)$"
      if not current then
        doc.text = doc.text == "" and text or doc.text .. "\n" .. text
      elseif text:find "^%s%s" then
        current.text = (current.text .. " " .. text:gsub("^%s+", "")):gsub("^%s+", "")
      else
        fail "text after a tag: put it before, or indent it by two"
      end
    end
  end
  return doc
end

-- Whether a function returns a value itself, not one of those inside it.
local function gives(lines, at)
  if lines[at]:find "end%s*$" then
    return lines[at]:find "%sreturn%s+[^%s]" ~= nil
  end
  local inside = {} -- indents of functions that are open
  for i = at + 1, #lines do
    local line = lines[i]
    if line:find "^end" then
      return false
    end
    local indent = #line:match "^%s*"
    while inside[1] and indent <= inside[#inside] do
      inside[#inside] = nil
    end
    local value = line:match "^%s*return%s+(%S.*)"
    if value and value ~= "nil" and not inside[1] then
      return true
    end
    if line:find "function%s*[%w_.:]*%b()%s*$" then
      inside[#inside + 1] = indent
    end
  end
  return false
end

local function names_of(params)
  local out = {}
  for name in params:gmatch "[%w_.]+" do
    out[#out + 1] = name
  end
  return out
end

-- What a line defines: a function, a member, a local.
local function subject_of(lines, at)
  local line = lines[at] or ""
  local owner, mark, name, params = line:match "^function ([%w_]+)([.:])([%w_]+)%s*%((.-)%)"
  if not owner then
    owner, name, params = line:match "^([%w_]+)%.([%w_]+)%s*=%s*function%s*%((.-)%)"
  end
  if owner then
    return {
      kind = "function", owner = owner, name = name, method = mark == ":", given = names_of(params),
      gives = gives(lines, at),
    }
  end
  owner, name = line:match "^([%w_]+)%.([%w_]+)%s*="
  if owner then
    return { kind = "value", owner = owner, name = name }
  end
  name = line:match "^local ([%w_]+)"
  if name then
    return { kind = "local", name = name }
  end
  name = line:match "^  ([%w_]+) = "
  return name and { kind = "value", owner = "M", name = name } or { kind = "none" }
end

-- The comment that a file begins with, up to its first example.
local function about(lines)
  local out = {}
  for _, line in ipairs(lines) do
    local text = line:match "^%-%- ?(.*)$"
    if line:find "^%-%-%-@meta" then
      text = nil
    elseif not text or text:find "^%s" or text:find "^%-" then
      break
    end
    if text == "" then
      break
    end
    out[#out + 1] = text
  end
  return (table.concat(out, "\n"):gsub(":$", "."))
end

local function read_lines(path)
  local lines = {}
  for line in assert(io.lines(path)) do
    lines[#lines + 1] = line
  end
  return lines
end

---Read one source file.
---@param path string
---@param offence fun(path: string, line: integer, text: string) is told of what cannot be read
---@return { about: string, subjects: annotations.Subject[], meta: string? }
function M.read(path, offence)
  local lines, out = read_lines(path), { subjects = {} }
  local function report(line, text)
    offence(path, line, text)
  end
  local at = 1
  while lines[at] do
    local first = at
    while (lines[at] or ""):find "^%s*%-%-%-" do
      at = at + 1
    end
    local subject = subject_of(lines, at)
    local doc = parse_block(lines, first, at - 1, report)
    for key, value in pairs(doc) do
      subject[key] = value
    end
    subject.file, subject.line, subject.documented = path, at, at > first
    if doc.class then
      subject.kind, subject.variable = "class", subject.name
    elseif doc.alias then
      subject.kind = "alias"
    elseif doc.fields[1] then
      report(first, "a @field without a @class above it")
    end
    if subject.kind ~= "none" and subject.kind ~= "local" and (at > first or subject.kind == "function") then
      out.subjects[#out.subjects + 1] = subject
    end
    at = at + 1
  end
  out.about = about(lines)
  out.meta = (lines[1] or ""):match "^%-%-%-@meta%s+([%w_.]+)"
  return out
end

return M
