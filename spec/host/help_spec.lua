-- Every command that `tfhost help` lists: help with an example, exit codes, --json where
-- data is printed, a place in README, manual and operations guide, and a spec.
local process = require "process"

local tfhost = os.getenv "TFHOST"

-- What these print is a program's own, or for people at a terminal.
local WITHOUT_JSON = { new = true, dev = true, lua = true, worker = true }

local function run(...)
  return process.run { tfhost, timeout = 20, ... }
end

local function read_all(pattern)
  local pipe = assert(io.popen(("cat %s"):format(pattern)))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

describe("tfhost help", function()
  local commands = {}
  for name in assert(io.popen(tfhost .. " help")):read("*a"):gmatch "\n  (%l[%w-]*) +%S" do
    commands[#commands + 1] = name
  end
  local specs = read_all "$(find spec -name '*_spec.lua')"

  it("lists the commands, and takes no others", function()
    assert.is_true(#commands >= 20, "only " .. #commands)
    assert.equal(0, run("--help").code)
    assert.equal(64, run().code)
    local said = run "bogus"
    assert.equal(64, said.code)
    assert.matches("unknown command 'bogus'", said.stderr)
  end)

  for _, name in ipairs(commands) do
    describe(name, function()
      local help

      setup(function()
        local said = run(name, "--help")
        assert.equal(0, said.code, said.story)
        help = said.stdout:gsub("%s+", " ")
      end)

      it("has an example and tells its exit codes", function()
        assert.matches("Example: .*tfhost " .. name .. " ", help)
        assert.matches("Exit code", help)
        assert.matches("64 wrong command line", help)
        assert.equal(0, run(name, "--usage").code)
      end)

      it("refuses an option that it does not know", function()
        local said = run(name, "--no-such-option")
        assert.equal(64, said.code, said.story)
        assert.matches("no%-such%-option", said.stderr)
        assert.equal("", said.stdout)
      end)

      -- Options are read before anything is done: what is wrong with one would be told.
      it("takes the options of its example", function()
        local example = help:match("Example: .-(tfhost " .. name .. " .-) Exit code") or ""
        for option in example:gmatch "%s(%-%-?[%w-]+)" do
          assert.is_truthy(help:find(option .. "[ =,%[]") or help:find(option, 1, true), option .. " is in no list")
        end
      end)

      it("prints JSON if it prints data, and waits so long if it asks", function()
        assert.equal(not WITHOUT_JSON[name], help:find(" --json ", 1, true) ~= nil)
        if help:find("Which worker", 1, true) then
          for _, option in ipairs { "--pid=PID", "--control=PATH", "--topic=NAME", "--all", "--timeout=SECONDS" } do
            assert.is_truthy(help:find(option, 1, true), option)
          end
        end
      end)

      it("is in a spec and in the documents", function()
        local called = specs:find(('"%s"'):format(name), 1, true) or specs:find("tfhost " .. name .. " ", 1, true)
        assert.is_truthy(called, "no spec calls it")
        assert.is_truthy(read_all("README.md doc/*.md doc/*/*.md 2>/dev/null"):find("tfhost " .. name, 1, true))
      end)
    end)
  end
end)
