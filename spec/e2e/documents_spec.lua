-- Every code block of the documents is run as it stands. Lua blocks that begin with the name of a file are that file;
-- the others of a document are one script, in order. Commands are typed; what is shown has to be what is printed.
local peers = require "peers"
local process = require "process"

local DOCUMENTS = {
  "README.md",
  "CONTRIBUTING.md",
  "doc/guide.md",
  "doc/limits.md",
  "doc/lua-api.md",
  "doc/persistence.md",
  "doc/reload.md",
}
local LANGUAGES = { lua = true, console = true, sh = true, python = true }

local function blocks(text, language)
  local out = {}
  for name, block in text:gmatch "\n```(%w*)\n(.-)```" do
    if not language or name == language then
      out[#out + 1] = { language = name, text = block }
    end
  end
  return out
end

-- Brokers of the documents are the one of the test.
local function here(text)
  local url = assert(os.getenv "TFHOST_TEST_AMQP_URL", "run inside: spec/support/rabbitmq run ...")
  return (text:gsub("amqp://%w+:%w+@[%w:]+//", (url:gsub("%%", "%%%%"))))
end

-- Write the files of a document; the rest of its Lua, as one text.
local function write_files(dir, text)
  local script = {}
  for _, block in ipairs(blocks(text, "lua")) do
    local name = block.text:match "^%-%- ([%w_]+%.lua)%s"
    if name then
      process.write(dir .. "/" .. name, here(block.text))
    else
      script[#script + 1] = block.text
    end
  end
  return here(table.concat(script))
end

local host = peers.tfhost:match "^/" and peers.tfhost or (os.getenv "PWD" .. "/" .. peers.tfhost)

-- A command as a user types it, in a directory.
local function shell(dir, command)
  return { "sh", "-c", ("cd '%s'\nPATH='%s':$PATH\nexport TFHOST_CONTROL_DIR='%s/control'\n%s"):format(
    dir, host:match "^(.*)/", dir, command), timeout = 60 }
end

local function serve(dir, command)
  local worker = process.spawn(shell(dir, "exec " .. command))
  worker:wait_for("serving", 20)
  return worker
end

-- Times differ from run to run.
local function without_times(text)
  return (text:gsub("%d+%.%d%d?%d?s", "T"):gsub("%d+%.%d+ s", "T"))
end

describe("the documents", function()
  local dir

  before_each(function()
    dir = process.directory()
  end)

  after_each(process.cleanup)

  it("have no code that is not run", function()
    for _, path in ipairs(DOCUMENTS) do
      for _, block in ipairs(blocks(process.read(path))) do
        assert(LANGUAGES[block.language], ("%s: a block of '%s'"):format(path, block.language))
        assert(block.language == "lua" or path ~= "doc/lua-api.md", path .. " has Lua only")
      end
    end
    local found = process.run { "sh", "-c", "ls doc/*.md *.md" }
    for path in found.stdout:gmatch "%S+" do
      local known = path == "CHANGELOG.md"
      for _, document in ipairs(DOCUMENTS) do
        known = known or document == path
      end
      assert(known or #blocks(process.read(path)) == 0, path .. " has code: add it to this spec")
    end
  end)

  it("README: the console shows what its commands print", function()
    local text = process.read "README.md"
    write_files(dir, text)
    local sessions = blocks(text, "console")
    assert.equal(3, #sessions)
    for _, session in ipairs(sessions) do
      local script, shown = {}, {}
      for line in session.text:gmatch "[^\n]+" do
        local command = line:match "^%$ (.*)"
        if command then
          script[#script + 1] = command
        else
          shown[#shown + 1] = line
        end
      end
      local done = process.run(shell(dir, table.concat(script, "\n")))
      local said = without_times(done.stdout)
      for _, line in ipairs(shown) do
        assert.is_truthy(said:find(without_times(line), 1, true), line .. "\n-- is not in\n" .. done.story)
      end
    end
  end)

  it("README: a Python engine runs the flow on the worker", function()
    local text = process.read "README.md"
    write_files(dir, text)
    local python = blocks(text, "python")
    assert.equal(1, #python)
    -- "Python classes of the same names and parameters"
    local classes = [[
from taskflow import task
class Reserve(task.Task):
    default_provides = "seat"
    def execute(self, show): pass
    def revert(self, show, result, **kwargs): pass
class Charge(task.Task):
    default_provides = "receipt"
    def execute(self, seat, amount): pass
]]
    local python_dir = process.directory()
    process.write(python_dir .. "/tasks.py", classes)
    local again = here(python[1].text):gsub("taskflow.engines.run", "results = taskflow.engines.run")
    process.write(python_dir .. "/engine.py", again .. "print(results['receipt'])\n")
    serve(dir, "tfhost worker tasks.lua --topic booking --url " .. here "'amqp://a:b@c//'")
    local done = process.run { "/usr/bin/python3", python_dir .. "/engine.py", timeout = 60 }
    assert.equal(0, done.code, done.story)
    assert.equal("Hamlet/row 7", done.stdout:match "'seat': '([^']*)'")
  end)

  it("README and CONTRIBUTING: make has the targets that they name", function()
    local makefile = process.read "Makefile"
    for _, path in ipairs { "README.md", "CONTRIBUTING.md" } do
      local count = 0
      for target in process.read(path):gmatch "\n    make ([%a-]+)%f[%s]" do
        count = count + 1
        assert.is_truthy(makefile:find("\n" .. target:gsub("%-", "%%-") .. ":"), path .. ": make " .. target)
      end
      assert.is_true(count > 0)
    end
  end)

  it("guide", function()
    local text = process.read "doc/guide.md"
    write_files(dir, process.read "README.md") -- tasks.lua
    process.write(dir .. "/script.lua", write_files(dir, text))
    local done = process.run(shell(dir, "tfhost lua script.lua"))
    assert.equal(0, done.code, done.story)
    assert.equal(0, serve(dir, "tfhost worker --config worker.lua"):stop().code)
    for _, block in ipairs(blocks(text, "sh")) do
      for command in block.text:gmatch "[^\n]+" do
        assert.equal(0, serve(dir, here(command)):stop().code)
      end
    end
  end)

  it("lua-api: the blocks are one script", function()
    process.write(dir .. "/script.lua", write_files(dir, process.read "doc/lua-api.md"))
    serve(dir, "tfhost worker --config worker.lua")
    local done = process.run(shell(dir, "tfhost lua script.lua"))
    assert.equal(0, done.code, done.story)
    assert.equal("a.png.small", done.stdout:match "^[^\n]*")
    assert.is_truthy(done.stdout:find "has moved flow 'resize'")
    local specs = process.run(shell(dir, "tfhost lua /usr/bin/busted -o TAP images_spec.lua"))
    assert.equal(0, specs.code, specs.story)
    assert.is_truthy(specs.stdout:find "ok 2 ", specs.story)
  end)

  it("persistence: a killed flow is listed and resumed, and so in Lua", function()
    local text = process.read "doc/persistence.md"
    local script = write_files(dir, text)
    write_files(dir, process.read "README.md") -- flow.lua, tasks.lua
    local run, list, resume = blocks(text, "console")[1].text:match "%$ ([^\n]*)\n%$ ([^\n]*)\n.-\n%$ ([^\n]*)\n"
    local tasks = process.read(dir .. "/tasks.lua")
    -- A card that is slow, the first time: the flow is killed while it is charged.
    local slow, count = tasks:gsub("if amount > 100", "os.execute 'test -e go || sleep 5' %0")
    assert.equal(1, count)
    process.write(dir .. "/tasks.lua", slow)
    local state = ("export XDG_STATE_HOME='%s/state'\n"):format(dir)
    process.run(shell(dir, state .. run:gsub("sleep 0.1", "sleep 1.5")))
    process.write(dir .. "/go", "")
    local done = process.run(shell(dir, state .. list))
    local id = done.stdout:match "\n(%x+)%S+ +booking +RUNNING +.* +none: can be resumed"
    assert(id, done.story)
    done = process.run(shell(dir, state .. resume:gsub("20df", id)))
    assert.equal(0, done.code, done.story)
    assert.is_truthy(done.stdout:find("flow 'booking': SUCCESS", 1, true), done.story)
    assert.is_nil(done.stdout:find("reserve  RUNNING", 1, true), done.story) -- it was done
    process.write(dir .. "/script.lua", script)
    done = process.run(shell(dir, "tfhost lua script.lua"))
    assert.equal(0, done.code, done.story)
  end)

  it("limits: the task sees its time", function()
    write_files(dir, process.read "doc/limits.md")
    process.write(dir .. "/flow.lua", [[
      return require("taskflow.patterns.linear_flow").Flow("f"):add(require("convert").Convert { name = "c" })
    ]])
    local done = process.run(shell(dir, "tfhost run flow.lua --store 'pages=[1, 2]' --engine parallel --backend none"))
    assert.equal(0, done.code, done.story)
  end)

  it("reload: the script is served, set up and torn down", function()
    write_files(dir, process.read "doc/reload.md")
    local worker = serve(dir, "tfhost worker stock.lua --url filesystem://$PWD/spool")
    process.write(dir .. "/flow.lua", [[
      return require("taskflow.patterns.linear_flow").Flow("f"):add(require("stock").Count { name = "c" })
    ]])
    local done = process.run(shell(dir,
      "tfhost run flow.lua --store item=abc --engine worker-based --url filesystem://$PWD/spool"))
    assert.equal(0, done.code, done.story)
    assert.is_truthy(done.stdout:find("count = 3", 1, true), done.story)
    assert.equal(0, worker:stop().code)
    assert.is_nil(worker:stderr():find("ERROR", 1, true), worker:story())
  end)
end)
