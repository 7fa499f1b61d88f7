-- Every code block of the documents is run as it stands, a document from its top to its bottom in a directory of its
-- own, where the files of the README are.
--
--   console   `$ ` lines are typed into one shell; what is shown is what is printed, `...` stands for any lines. Times,
--             dates, UUIDs, process ids, empty lines and log lines of level INFO are not compared.
--             Every command ends with exit code 0. Below <!-- terminal: NAME --> commands are typed into another
--             terminal, in the directory of the document, and the last one goes on; a later block of that name
--             without a command is what it shows meanwhile
--   sh        commands of which nothing is shown
--   lua, python, ini, json, toml: a block that begins with a comment of a file's name is that file, which something in
--             the document uses. Lua without a name is one script, run at the end
--
-- A block that cannot be run here has the comment <!-- not run: REASON --> above it. It is looked at all the same, by
-- what reads its language, and listed.
local cjson = require "cjson"
local markdown = require "markdown"
local peers = require "peers"
local process = require "process"
local typed = require "typed"

local function output(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

local DOCUMENTS = {}
for path in output("ls README.md CONTRIBUTING.md CHANGELOG.md doc/*.md"):gmatch "%S+" do
  DOCUMENTS[#DOCUMENTS + 1] = path
end

local parsed = {}
for _, path in ipairs(DOCUMENTS) do
  parsed[path] = markdown.parse(process.read(path))
end

-- The broker of the documents is the one of the test.
local function here(text)
  local url = assert(os.getenv "TFHOST_TEST_AMQP_URL", "run inside: spec/support/rabbitmq run ...")
  return (text:gsub("localhost:5672", (assert(url:match "^amqp://guest:guest@([%w.]+:%d+)//$", url))))
end

-- Commands for the administrator of the broker reach that one, too.
local function write_administrator(dir)
  process.run { "mkdir", dir .. "/.bin" }
  for name, command in pairs {
    sudo = 'exec "$@"',
    rabbitmqctl = ("exec '%s/spec/support/rabbitmq' ctl '%s' \"$@\""):format(
      os.getenv "PWD", os.getenv "TFHOST_TEST_AMQP_DIR"
    ),
  } do
    process.write(dir .. "/.bin/" .. name, "#!/bin/sh\n" .. command .. "\n")
    process.run { "chmod", "+x", dir .. "/.bin/" .. name }
  end
end

-- "-- tasks.lua", "# tasks.py        how it is started"
local function file_name(block)
  return block.text:match "^%-%-+ ([%w_./-]+%.%w+)%f[%s]" or block.text:match "^[#;] ([%w_./@-]+%.%w+)%f[%s]"
end

-- ---- by language: what checks a block without running it ----

local function parses_with(block, ...)
  local path = process.write(process.directory() .. "/block", here(block.text))
  local words = { ... }
  words[#words + 1] = path
  local done = process.run(words)
  assert(done.code == 0, done.story)
end

local function session_parses(block)
  local commands = {}
  if block.terminal and not block.text:find "^%$ " then
    return
  end
  for _, one in ipairs(typed.commands(block.text)) do
    commands[#commands + 1] = one.command
  end
  parses_with({ text = table.concat(commands, "\n") .. "\n" }, "bash", "-n")
end

local PARSERS = {
  lua = function(block)
    assert(loadstring(block.text, "=block"))
  end,
  python = function(block)
    parses_with(block, "/usr/bin/python3", "-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())")
  end,
  sh = function(block)
    parses_with(block, "bash", "-n")
  end,
  console = session_parses,
  json = function(block)
    cjson.decode(block.text)
  end,
  ini = function(block)
    for line in block.text:gmatch "[^\n]+" do
      assert(line:find "^[#;]" or line:find "^%[[^%]]+%]$" or line:find "^[%w_.-]+%s*=", line)
    end
  end,
  toml = function(block)
    parses_with(block, "/usr/bin/python3", "-c", "import sys, tomllib; tomllib.load(open(sys.argv[1], 'rb'))")
  end,
  yaml = function(block)
    parses_with(block, "/usr/bin/python3", "-c", "import sys, yaml; yaml.safe_load(open(sys.argv[1]))")
  end,
  conf = function() end, -- of rabbitmq.conf and the like: no parser at hand
  text = function() end,
}

-- ---- running ----

local function environment(dir)
  local host = peers.tfhost:match "^/" and peers.tfhost or (os.getenv "PWD" .. "/" .. peers.tfhost)
  return {
    PATH = dir .. "/.bin:" .. host:match "^(.*)/" .. ":/usr/bin:/bin:/usr/sbin",
    TFHOST_CONTROL_DIR = dir .. "/.control",
    XDG_STATE_HOME = dir .. "/.state",
    HOME = dir,
    NO_COLOR = "1",
    PYTHONPATH = dir,
  }
end

local function write_file(dir, name, text)
  local folder = name:match "^(.*)/"
  if folder then
    process.run { "mkdir", "-p", dir .. "/" .. folder }
  end
  process.write(dir .. "/" .. name, here(text))
end

local function run_session(shell, block, is_console)
  local commands = is_console and typed.commands(block.text) or {}
  if not is_console then
    commands[1] = { command = block.text:gsub("\n$", ""), shown = "..." }
  end
  for _, one in ipairs(commands) do
    local printed, code = shell:type(here(shell:with_uuids(one.command)))
    local story = "$ %s\n-- shown:\n%s-- printed, with exit code %d:\n%s"
    story = story:format(one.command, one.shown, code, printed)
    assert(code == 0, story)
    assert(shell:printed(here(one.shown), printed), story)
  end
end

local function run_terminal(terminals, dir, block)
  local commands = block.text:find "^%$ " and typed.commands(block.text)
  local shown = commands and commands[#commands].shown or block.text
  if commands then
    for _, one in ipairs(commands) do
      one.command = here(one.command)
    end
    terminals[block.terminal] = typed.terminal(dir, environment(dir), commands)
  end
  local as_shown, printed = terminals[block.terminal]:shows(here(shown))
  assert(as_shown, ("-- shown:\n%s-- the terminal shows:\n%s"):format(shown, printed))
end

-- Whether something else in the document names a file, or the module that it is.
local function is_used(document, block, name)
  local stem = "%f[%w_]" .. name:match("([^/]+)%.%w+$"):gsub("%-", "%%-") .. "%f[^%w_]"
  for _, other in ipairs(document.blocks) do
    if other ~= block and file_name(other) ~= name and other.text:find(stem) then
      return true
    end
  end
  return false
end

local function run_document(path)
  local document, dir, script = parsed[path], process.directory(), {}
  for _, block in ipairs(parsed["README.md"].blocks) do
    if file_name(block) then
      write_file(dir, file_name(block), block.text)
    end
  end
  write_administrator(dir)
  local shell, terminals = typed.shell(dir, environment(dir)), {}
  for _, block in ipairs(document.blocks) do
    local name = file_name(block)
    local at = ("%s:%d: "):format(path, block.line)
    local ok, err = pcall(function()
      PARSERS[block.language](block)
      if block.not_run then
        return
      elseif block.terminal then
        run_terminal(terminals, dir, block)
      elseif block.language == "console" or block.language == "sh" then
        run_session(shell, block, block.language == "console")
      elseif name then
        assert(is_used(document, block, name), "nothing uses this file")
        write_file(dir, name, block.text)
      elseif block.language == "lua" then
        script[#script + 1] = here(block.text)
      else
        error("it is not run: begin it with a comment of its file's name, or say <!-- not run: REASON --> above", 0)
      end
    end)
    assert(ok, at .. tostring(err))
  end
  if script[1] then
    process.write(dir .. "/.script.lua", table.concat(script))
    local printed, code = shell:type "tfhost lua .script.lua"
    assert(code == 0, path .. ": its Lua, as one script:\n" .. printed)
  end
end

describe("the documents:", function()
  after_each(process.cleanup)

  for _, path in ipairs(DOCUMENTS) do
    if parsed[path].blocks[1] then
      it(path .. " does what it shows", function()
        run_document(path)
      end)
    end
  end

  it("each code block is of a language that is known, and has a fence", function()
    for path, document in pairs(parsed) do
      for _, block in ipairs(document.blocks) do
        local at = ("%s:%d: "):format(path, block.line)
        assert(PARSERS[block.language], at .. ("a block of '%s'"):format(block.language))
        if block.not_run then
          print(("# not run: %s%s"):format(at, block.not_run))
        end
      end
      assert(not document.indented[1], ("%s:%d: code without a fence"):format(path, document.indented[1] or 0))
    end
  end)

  it("no link is dead", function()
    for path, document in pairs(parsed) do
      for _, link in ipairs(markdown.links(document.prose)) do
        if not link:find "^%w+:" then
          local target, anchor = link:match "^([^#]*)#?(.*)$"
          local at = target == "" and path or (path:match "^(.*/)" or "") .. target
          at = at:gsub("[^/]+/%.%./", "")
          assert(os.rename(at, at), ("%s: a link to %s, which is not there"):format(path, link))
          if anchor ~= "" then
            local anchors = markdown.anchors((parsed[at] or markdown.parse(process.read(at))).prose)
            assert(anchors[anchor], ("%s: a link to %s: there is no such heading"):format(path, link))
          end
        end
      end
    end
  end)

  it("files, targets of make and commands that they name are there", function()
    local makefile, help = process.read "Makefile", {}
    local function help_of(command)
      help[command] = help[command] or process.run({ peers.tfhost, command, "--help" }).stdout
      return help[command]
    end
    local commands = process.run({ peers.tfhost, "--help" }).stdout
    for command in commands:gmatch "\n  (%l+) " do
      local is_told = parsed["README.md"].prose:find("`tfhost " .. command .. "%f[%A]")
      assert(is_told, ("README.md does not tell of tfhost %s"):format(command))
    end
    for path, document in pairs(parsed) do
      for _, span in ipairs(markdown.spans(document.prose)) do
        local file = span:match "^([%w_.-]+/[%w_./-]+)$"
        if file and os.rename(file:match "^[^/]*", file:match "^[^/]*") and not file:find "^build/" then
          assert(os.rename(file, file), ("%s: `%s` is not there"):format(path, span))
        end
        local target = (span .. " "):match "^make (%l[%w-]*)%s"
        if target then
          local rule = "\n" .. target:gsub("%-", "%%-") .. ":"
          assert(makefile:find(rule), ("%s: `%s`: no such target"):format(path, span))
        end
        local command = span:match "^tfhost (%l+)"
        if command then
          assert(commands:find("\n  " .. command .. " ", 1, true), ("%s: `%s`: no such command"):format(path, span))
          for option in span:gmatch "%s(%-%-[%l-]+)" do
            assert(help_of(command):find(option, 1, true), ("%s: `%s`: no such option"):format(path, span))
          end
        end
      end
    end
  end)
end)
