-- usage: tfhost lua doc/manual/generate.lua 1|bash|zsh TFHOST
--
-- The manual page (of section 1) and the shells' completions, from what TFHOST's own --help says: an option of a
-- command is in all of them as soon as the command knows it. What no --help says is in tfhost.1.in beside this script.
local what, tfhost = arg[1], arg[2]
local here = arg[0]:match "^(.*/)" or ""

-- argp folds its text; with no margin each paragraph, and the text of each option, is one line.
local function lines_of(words)
  local out = {}
  local pipe = assert(io.popen(("ARGP_HELP_FMT=rmargin=10000,dup-args-note=0 '%s' %s"):format(tfhost, words)))
  for line in pipe:lines() do
    out[#out + 1] = line
  end
  pipe:close()
  assert(#out > 0, tfhost .. " " .. words .. " printed nothing")
  return out
end

---An option as --help shows it.
---@class Option
---@field short string? a letter
---@field long string?
---@field value string? name of its argument
---@field text string

---@return Option?
local function option_of(line)
  if not line:match "^ +%-" then
    return nil
  end
  local names, text = line:match "^ +(%-.-)  +(.*)$"
  if not names then
    names, text = line:match "^ +(%-.-)%s*$", ""
  end
  local option = { text = text, short = names:match "^%-([^-])" }
  option.long, option.value = names:match "%-%-([%w-]+)=?(.*)$"
  if option.value == "" then
    option.value = nil
  end
  return option
end

---What --help of a command says.
---@class Command
---@field name string
---@field line string what `tfhost --help` says of it
---@field usages string[]
---@field about string[] paragraphs before the options
---@field groups { title: string?, options: Option[] }[]
---@field notes string[] paragraphs after them

---@return Command
local function command_of(name, line)
  local command = { name = name, line = line, usages = {}, about = {}, groups = {}, notes = {} }
  local group
  for _, text in ipairs(lines_of(name .. " --help")) do
    local usage = text:match "^Usage: (.*)" or text:match "^  or:  (.*)"
    local option = option_of(text)
    local last = group and group.options[#group.options]
    if usage then
      command.usages[#command.usages + 1] = usage
    elseif option then
      if not group then
        group = { options = {} }
        command.groups[1] = group
      end
      group.options[#group.options + 1] = option
    elseif last and last.text == "" and text:match "^ +%S" then -- a long name has its text below it
      last.text = text:match "^ +(.*)"
    elseif text:match "^ %S.*:$" then
      group = { title = text:match "^ (.*):$", options = {} }
      command.groups[#command.groups + 1] = group
    elseif text:match "%S" then
      local paragraphs = group and command.notes or command.about
      paragraphs[#paragraphs + 1] = text
    end
  end
  assert(#command.usages > 0 and #command.groups > 0, "tfhost " .. name .. " --help is not as argp writes it")
  return command
end

---@return Command[]
local function commands_of()
  local out = {}
  for _, line in ipairs(lines_of "--help") do
    local name, text = line:match "^  (%l[%w-]*) +(.*)"
    if name then
      out[#out + 1] = command_of(name, text)
    end
  end
  assert(#out > 0, "tfhost --help names no command")
  return out
end

local function each_option(command, f)
  for _, group in ipairs(command.groups) do
    for _, option in ipairs(group.options) do
      f(option, group)
    end
  end
end

---Words that a command takes as they are: `list` in "tfhost flow [OPTION...] list".
local function actions_of(command)
  local out = {}
  for _, usage in ipairs(command.usages) do
    local action = usage:match "^tfhost %S+ %[OPTION%.%.%.%] (%l+)"
    out[#out + 1] = action
  end
  return out
end

-- ---- the manual page --------------------------------------------------------------------------

local function roff(text)
  text = text:gsub("\\", "\\e"):gsub("%-", "\\-")
  return (text:gsub("^([.'])", "\\&%1"))
end

local function roff_option(option)
  local names = {}
  if option.short then
    names[#names + 1] = "\\fB\\-" .. roff(option.short) .. "\\fR"
  end
  if option.long then
    names[#names + 1] = "\\fB\\-\\-" .. roff(option.long) .. "\\fR"
  end
  return table.concat(names, ", ") .. (option.value and "=\\fI" .. roff(option.value) .. "\\fR" or "")
end

local function roff_command(command, out)
  local function add(...)
    out[#out + 1] = table.concat { ... }
  end
  add(".SS tfhost ", command.name)
  for i, usage in ipairs(command.usages) do
    add(i == 1 and ".PP" or ".br")
    add("\\fB", roff(usage:match "^tfhost %S+"), "\\fR", roff((usage:gsub("^tfhost %S+", ""))))
  end
  for _, text in ipairs(command.about) do
    add ".PP"
    add(roff(text))
  end
  for _, group in ipairs(command.groups) do
    if group.title then
      add ".PP"
      add(roff(group.title), ":")
    end
    for _, option in ipairs(group.options) do
      if option.long ~= "help" and option.long ~= "usage" then
        add ".TP"
        add(roff_option(option))
        add(roff(option.text))
      end
    end
  end
  for _, text in ipairs(command.notes) do
    add ".PP"
    add(roff(text))
  end
end

local function man()
  local file = assert(io.open(here .. "tfhost.1.in"))
  local page = file:read "*a"
  file:close()
  local sections = {}
  for _, command in ipairs(commands_of()) do
    roff_command(command, sections)
  end
  local version = lines_of("--version")[1]:match "^tfhost (%S+)"
  return (page:gsub("@(%u+)@\n?", { VERSION = version, COMMANDS = table.concat(sections, "\n") .. "\n" }))
end

-- ---- completions ------------------------------------------------------------------------------

local function takes_file(option)
  return option.value == "FILE" or option.value == "PATH" or option.value == "DIR"
end

local function flags(option)
  local out = {}
  if option.short then
    out[#out + 1] = "-" .. option.short
  end
  if option.long then
    out[#out + 1] = "--" .. option.long
  end
  return out
end

local BASH = [==[
# bash completion of tfhost, made from its --help.
_tfhost() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local options= values= files= actions= i
	# "=" is a word of its own in bash: --backend=FILE is three.
	if [[ $cur == "=" ]]; then
		cur=
	elif [[ $prev == "=" && $COMP_CWORD -gt 1 ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "@COMMANDS@ --help --version" -- "$cur")
		return
	fi
	case ${COMP_WORDS[1]} in
@CASES@
	*) return ;;
	esac
	if [[ " $files " == *" $prev "* ]]; then
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	elif [[ " $values " == *" $prev "* ]]; then
		return
	elif [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
		[[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null
	elif [[ -n $actions ]]; then
		for ((i = 2; i < COMP_CWORD; i++)); do
			[[ " $actions " != *" ${COMP_WORDS[i]} "* ]] || return
		done
		mapfile -t COMPREPLY < <(compgen -W "$actions" -- "$cur")
	else
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	fi
}
complete -F _tfhost tfhost
]==]

local function bash()
  local names, cases = {}, {}
  for _, command in ipairs(commands_of()) do
    local options, values, files = {}, {}, {}
    each_option(command, function(option)
      for _, flag in ipairs(flags(option)) do
        options[#options + 1] = flag .. (option.value and flag:match "^%-%-" and "=" or "")
        if option.value then
          local kind = takes_file(option) and files or values
          kind[#kind + 1] = flag
        end
      end
    end)
    names[#names + 1] = command.name
    cases[#cases + 1] = ("\t%s)\n\t\toptions='%s'\n\t\tvalues='%s'\n\t\tfiles='%s'\n\t\tactions='%s'\n\t\t;;"):format(
      command.name, table.concat(options, " "), table.concat(values, " "), table.concat(files, " "),
      table.concat(actions_of(command), " "))
  end
  return (BASH:gsub("@(%u+)@", { COMMANDS = table.concat(names, " "), CASES = table.concat(cases, "\n") }))
end

local ZSH = [==[
#compdef tfhost
# zsh completion of tfhost, made from its --help.
_tfhost() {
  local -a commands
  commands=(
@COMMANDS@
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
@CASES@
  esac
}
if [ "$funcstack[1]" = "_tfhost" ]; then
  _tfhost "$@"
else
  compdef _tfhost tfhost
fi
]==]

-- Inside '...' of a shell, and inside [...] of _arguments.
local function zsh_text(text)
  return (text:gsub("'", "'\\''"):gsub("([%[%]:])", "\\%1"))
end

local function zsh_option(option)
  local value = option.value and (":%s:%s"):format(zsh_text(option.value), takes_file(option) and "_files" or " ") or ""
  local out = {}
  for _, flag in ipairs(flags(option)) do
    local joint = option.value and (flag:match "^%-%-" and "=" or "+") or ""
    out[#out + 1] = ("      '*%s%s[%s]%s'"):format(flag, joint, zsh_text(option.text), value)
  end
  return table.concat(out, " \\\n")
end

local function zsh()
  local names, cases = {}, {}
  for _, command in ipairs(commands_of()) do
    local specs = {}
    each_option(command, function(option)
      specs[#specs + 1] = zsh_option(option)
    end)
    local actions = table.concat(actions_of(command), " ")
    specs[#specs + 1] = actions ~= "" and ("      '1:action:(%s)'"):format(actions) or "      '*:file:_files'"
    names[#names + 1] = ("    '%s:%s'"):format(command.name, zsh_text(command.line))
    cases[#cases + 1] = ("  %s)\n    _arguments \\\n%s\n    ;;"):format(command.name, table.concat(specs, " \\\n"))
  end
  return (ZSH:gsub("@(%u+)@", { COMMANDS = table.concat(names, "\n"), CASES = table.concat(cases, "\n") }))
end

local makers = { ["1"] = man, bash = bash, zsh = zsh }
if not makers[what] or not tfhost then
  io.stderr:write "usage: tfhost lua doc/manual/generate.lua 1|bash|zsh TFHOST\n"
  os.exit(64)
end
io.write(makers[what]())
