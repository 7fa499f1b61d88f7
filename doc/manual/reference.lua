-- usage: luajit doc/manual/reference.lua [ROOT] > doc/reference.md
--
-- The Lua reference, from the annotations of the library: `make reference`.
local root = arg and arg[1] or "."
package.path = root .. "/doc/manual/?.lua;" .. package.path
local annotations = require "annotations"

-- Modules for users, in the order in which they are met. `with`: modules that are the library's own, whose classes are
-- told here if something that is told names them.
local MODULES = {
  { "taskflow.task", with = { "taskflow.atom", "taskflow.map" } },
  { "taskflow.patterns.linear_flow", with = { "taskflow.flow" } },
  { "taskflow.patterns.unordered_flow" },
  { "taskflow.patterns.graph_flow" },
  { "taskflow.retry", with = { "taskflow.utils.backoff" } },
  { "taskflow.engines", with = { "taskflow.engines.engine", "taskflow.engines.storage" } },
  { "taskflow.notifier" },
  { "taskflow.listeners.base" },
  { "taskflow.listeners.printing" },
  { "taskflow.listeners.logging" },
  { "taskflow.listeners.timing" },
  { "taskflow.listeners.capturing" },
  { "taskflow.exceptions" },
  { "taskflow.failure" },
  { "taskflow.states" },
  { "taskflow.values" },
  { "taskflow.engines.worker_based.worker", with = { "taskflow.engines.worker_based.config" } },
  { "taskflow.persistence" },
  { "taskflow.persistence.backends" },
  { "taskflow.persistence.models" },
  { "taskflow.testing" },
}

local INTRO = [[
# Lua reference

Made by `make reference` from the annotations in `lua/taskflow`; [guide.md](guide.md) has examples. Types are written as
the Lua language server reads them: `T?` may be nil, `T[]` is a list, `table<K, V>` a table from K to V, `fun(a: A): R`
a function. A name like `taskflow.Task` is a class below. Options that do not exist are errors, which name the one that
was probably meant; a mistake of the caller raises at the caller's line.
]]

-- Lua modules have a file each; those written in C are told in lua/meta.
local function path_of(module)
  local base = module:gsub("%.", "/")
  for _, pattern in ipairs { "lua/%s.lua", "lua/%s/init.lua", "lua/meta/%s.lua" } do
    local path = pattern:format(base)
    local file = io.open(root .. "/" .. path)
    if file then
      file:close()
      return path
    end
  end
  error("no file for the module " .. module)
end

local function read(module)
  local path = path_of(module)
  return annotations.read(root .. "/" .. path, function(_, line, text)
    error(("%s:%d: %s"):format(path, line, text), 0)
  end)
end

local function is_public(subject)
  return not subject.package and not (subject.name or ""):find "^_"
end

-- Each type that a subject names.
local function types_of(subject)
  local out = {}
  local function add(type_)
    for _, name in ipairs(type_ and type_.names or {}) do
      out[#out + 1] = name
    end
  end
  for _, list in ipairs { subject.params, subject.returns, subject.fields } do
    for _, value in ipairs(list) do
      if not value.hidden then
        add(value.type)
      end
    end
  end
  for _, overload in ipairs(subject.overloads) do
    add(overload)
  end
  add(subject.type)
  add(subject.alias and subject.alias.type)
  for _, parent in ipairs(subject.parents) do
    out[#out + 1] = parent
  end
  return out
end

-- ---- what is told ----

local sections, classes = {}, {} -- classes: name -> { subject, members, section }

-- Methods go with the class of the variable that they belong to.
local function sort_in(section, module, own)
  local source, by_variable = read(module), {}
  for _, subject in ipairs(source.subjects) do
    local name = subject.class or (subject.alias and subject.alias.name)
    if name then
      local entry = { subject = subject, members = {}, section = section, name = name, told = not own }
      classes[name] = entry
      section.classes[#section.classes + 1] = entry
      if subject.variable then
        by_variable[subject.variable] = entry
      end
    end
  end
  for _, subject in ipairs(source.subjects) do
    local entry = by_variable[subject.owner]
    if subject.owner == "M" then
      entry = not own and subject.documented and section
    end
    if entry and is_public(subject) then
      entry.members[#entry.members + 1] = subject
    end
  end
  return source
end

for _, row in ipairs(MODULES) do
  local section = { module = row[1], classes = {}, members = {} }
  sections[#sections + 1] = section
  section.about = sort_in(section, row[1], false).about
  for _, module in ipairs(row.with or {}) do
    sort_in(section, module, true)
  end
end

-- Classes of the library's own modules are told if something that is told names them.
local tell_whole
local function tell(subject)
  for _, name in ipairs(types_of(subject)) do
    local entry = classes[name]
    if entry and not entry.told then
      entry.told = true
      tell_whole(entry)
    end
  end
end
function tell_whole(entry)
  tell(entry.subject)
  for _, member in ipairs(entry.members) do
    tell(member)
  end
end
for _, section in ipairs(sections) do
  for _, member in ipairs(section.members) do
    tell(member)
  end
  for _, entry in ipairs(section.classes) do
    if entry.told then
      tell_whole(entry)
    end
  end
end

-- ---- Markdown ----

local out = {}
local function line(text, ...)
  out[#out + 1] = select("#", ...) > 0 and text:format(...) or text
end

local function anchor(heading)
  return (heading:lower():gsub("[^%w _-]", ""):gsub(" ", "-"))
end

-- A type as code; one that is a class told here is a link.
local function type_text(type_, optional)
  local text = type_.text .. (optional and "?" or "")
  local class = text:match "^([%w_.]+)%??%[?%]?%??$"
  local code = ("`%s`"):format(text)
  return class and classes[class] and classes[class].told and ("[%s](#%s)"):format(code, anchor(class)) or code
end

local function paragraph(text)
  if text ~= "" then
    line(text .. (text:find "[.:?!)]$" and "" or "."))
    line ""
  end
end

local function item(what, text)
  line("- %s%s", what, text ~= "" and ": " .. text or "")
end

local function signature(subject, prefix, mark)
  local names = {}
  for i, param in ipairs(subject.params) do
    local optional = param.optional or param.type.text:find "%?$" or param.type.text:find "|%s*nil$"
    names[i] = param.name .. (optional and "?" or "")
  end
  return ("%s%s%s(%s)"):format(prefix, mark, subject.name, table.concat(names, ", "))
end

local function tell_function(subject, prefix, mark)
  line("#### `%s`", signature(subject, prefix, mark))
  line ""
  paragraph(subject.text)
  for _, param in ipairs(subject.params) do
    item(("`%s` %s"):format(param.name, type_text(param.type, param.optional)), param.text)
  end
  for _, returned in ipairs(subject.returns) do
    item("returns " .. type_text(returned.type), returned.text)
  end
  if subject.params[1] or subject.returns[1] then
    line ""
  end
end

local function tell_value(subject, prefix)
  line("#### `%s.%s`", prefix, subject.name)
  line ""
  paragraph(subject.text)
  if subject.type then
    item(type_text(subject.type), "")
    line ""
  end
end

local function tell_members(members, prefix)
  for _, member in ipairs(members) do
    if member.kind == "function" then
      tell_function(member, prefix, member.method and ":" or ".")
    else
      tell_value(member, prefix)
    end
  end
end

local function tell_fields(subject)
  for _, field in ipairs(subject.fields) do
    if not field.hidden then
      item(("`%s` %s"):format(field.name, type_text(field.type, field.optional)), field.text)
    end
  end
  if out[#out] ~= "" then
    line ""
  end
end

local function tell_class(entry)
  local subject = entry.subject
  line("### %s", entry.name)
  line ""
  if subject.alias then
    paragraph(subject.text)
    item(type_text(subject.alias.type), "")
    line ""
    return
  end
  paragraph(subject.text)
  local parents = {}
  for i, parent in ipairs(subject.parents) do
    parents[i] = type_text { text = parent }
  end
  if parents[1] then
    line("Has what %s has.", table.concat(parents, " and "))
    line ""
  end
  for _, overload in ipairs(subject.overloads) do
    item("can be called: `" .. overload.text .. "`", "")
  end
  tell_fields(subject)
  tell_members(entry.members, entry.name:match "[^.]*$")
end

local function first_sentence(text)
  text = text:gsub("\n", " ")
  return text:match "^(.-%.)%s" or text
end

line(INTRO)
line "| module | |"
line "|---|---|"
for _, section in ipairs(sections) do
  line("| [`%s`](#%s) | %s |", section.module, anchor(section.module), first_sentence(section.about))
end
line ""
for _, section in ipairs(sections) do
  line("## %s", section.module)
  line ""
  paragraph(section.about)
  for _, entry in ipairs(section.classes) do
    if entry.subject.variable == "M" then -- what the module's table has
      paragraph(entry.subject.text)
      tell_fields(entry.subject)
    end
  end
  tell_members(section.members, section.module:match "[^.]*$")
  for _, entry in ipairs(section.classes) do
    if entry.told and entry.subject.variable ~= "M" then
      tell_class(entry)
    end
  end
end
while out[#out] == "" do
  out[#out] = nil
end
io.write(table.concat(out, "\n"), "\n")
