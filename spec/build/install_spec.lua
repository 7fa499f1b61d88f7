-- `make install`: what is put where, and that manual page and completions say all that the commands know.
local process = require "process"

local build = os.getenv("TFHOST"):match "^(.*)/tfhost$"

local function sh(script)
  return process.run { "bash", "-c", script, timeout = 120 }
end

local function succeeds(script)
  local done = sh(script)
  assert.equal(0, done.code, done.story)
  return done.stdout
end

local function has_program(name)
  return sh("command -v " .. name).code == 0
end

describe("make install", function()
  local root, prefix

  setup(function()
    root = process.directory()
    prefix = root .. "/usr"
    -- As make test was told: its compiler and flags are no business of this spec, so nothing is built again.
    succeeds(("make -s B='%s' -o '%s/tfhost' install PREFIX='%s'"):format(build, build, prefix))
  end)

  teardown(process.cleanup)

  it("installs binary, library, documents, examples", function()
    for _, file in ipairs {
      "bin/tfhost",
      "share/man/man1/tfhost.1",
      "share/bash-completion/completions/tfhost",
      "share/zsh/site-functions/_tfhost",
      "share/tfhost/lua/taskflow/task.lua",
      "share/tfhost/lua/taskflow/task.lua",
      "share/tfhost/lua/meta/taskflow/values.lua",
      "share/doc/tfhost/README.md",
      "share/doc/tfhost/doc/guide.md",
      "share/doc/tfhost/examples/flows/examples/retry_flow.lua",
      "share/doc/tfhost/examples/tasks/init.lua",
    } do
      succeeds(("test -s '%s/%s'"):format(prefix, file))
    end
  end)

  it("installs a demo that runs", function()
    local said = succeeds(("cd / && HOME='%s' PATH='%s/bin':$PATH '%s/share/doc/tfhost/demo/run'"):format(
      root, prefix, prefix))
    assert.is_truthy(said:find("flow 'primes': SUCCESS", 1, true), said)
  end)

  -- Every option of every command, as getopt knows them: read from --usage, which the generator does not read.
  local function each_option(f)
    local tfhost = prefix .. "/bin/tfhost"
    local commands, options = 0, 0
    for command in succeeds(tfhost .. " --help"):gmatch "\n  (%l[%w-]*) " do
      commands = commands + 1
      for option in succeeds(("%s %s --usage"):format(tfhost, command)):gmatch "%-%-(%l[%w-]+)" do
        options = options + 1
        f(command, option)
      end
    end
    assert.is_true(commands >= 7 and options > 50)
  end

  it("installs a manual page without warnings, with every option", function()
    local page = prefix .. "/share/man/man1/tfhost.1"
    if has_program "man" then
      assert.equal("", succeeds(("LC_ALL=C.UTF-8 man --warnings -l -P cat '%s' 2>&1 >/dev/null"):format(page)))
    end
    local text = process.read(page)
    each_option(function(command, option)
      local section = text:match("%.SS tfhost " .. command:gsub("%-", "%%-") .. "\n(.-)\n%.S[SH]")
      assert(section, "no section of " .. command)
      if option ~= "help" and option ~= "usage" then
        local name = ("\\fB\\-\\-%s\\fR"):format((option:gsub("%-", "\\-")))
        assert.is_truthy(section:find(name, 1, true), command .. " --" .. option)
      end
    end)
  end)

  -- What bash offers for lines of words, the last word of each not finished.
  local function completed(lines)
    local script = { ("cd '%s/share/doc/tfhost/demo'; source '%s/share/bash-completion/completions/tfhost'"):format(
      prefix, prefix) }
    for _, line in ipairs(lines) do
      script[#script + 1] = ('COMP_WORDS=(tfhost %s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _tfhost; '
        .. 'echo "${COMPREPLY[*]}"'):format(line)
    end
    local out = {}
    for said in succeeds(table.concat(script, "\n")):gmatch "([^\n]*)\n" do
      out[#out + 1] = said
    end
    return out
  end

  it("installs completions for bash: commands, options, actions, files", function()
    local lines, expected = {}, {}
    local function offers(line, words)
      lines[#lines + 1], expected[#expected + 1] = line, line .. " -> " .. words
    end
    offers("rol", "rollback")
    offers("worker --no-w", "--no-watch")
    offers("worker --conf", "--config=")
    offers("flow ''", "list show resume cancel delete")
    offers("flow --json re", "resume")
    offers("flow show re", "")
    offers("worker pri", "primes.lua")
    offers("worker --config = pri", "primes.lua")
    offers("worker -c pri", "primes.lua")
    offers("worker --slots = ''", "")
    offers("nonsense ''", "")
    local found = {}
    for i, words in ipairs(completed(lines)) do
      found[i] = lines[i] .. " -> " .. words
    end
    assert.same(expected, found)
  end)

  it("installs completions for bash that name every option", function()
    local lines, options = {}, {}
    each_option(function(command, option)
      lines[#lines + 1], options[#options + 1] = command .. " --" .. option, "--" .. option
    end)
    for i, words in ipairs(completed(lines)) do
      local found = " " .. words:gsub("=", "") .. " "
      assert.is_truthy(found:find(" " .. options[i] .. " ", 1, true), lines[i] .. ": " .. found)
    end
  end)

  it("installs completions for zsh that name every option", function()
    local file = prefix .. "/share/zsh/site-functions/_tfhost"
    if has_program "zsh" then
      succeeds(("zsh -n '%s'"):format(file))
    end
    local text = process.read(file)
    each_option(function(command, option)
      local case = text:match("\n  " .. command:gsub("%-", "%%-") .. "%)\n(.-);;")
      assert(case and case:find("'*--" .. option, 1, true), command .. " --" .. option)
    end)
  end)

  it("installs units that systemd understands", function()
    local units = prefix .. "/lib/systemd/system"
    for _, unit in ipairs { "tfhost-worker", "tfhost-resume" } do
      local text = process.read(("%s/%s@.service"):format(units, unit))
      assert.is_truthy(text:find("ExecStart=" .. prefix .. "/bin/tfhost", 1, true), text)
      if has_program "systemd-analyze" then
        local one = ("%s/%s@root.service"):format(root, unit)
        process.write(one, text)
        local done = sh(("systemd-analyze verify --man=no '%s' 2>&1"):format(one))
        assert.equal(0, done.code, done.story)
        assert.is_nil(done.stdout:find(unit, 1, true), done.story)
      end
    end
  end)

  it("is undone by uninstall", function()
    -- A relative DESTDIR is one, too.
    local other = succeeds(("realpath --relative-to=. '%s'"):format(process.directory())):match "[^\n]+"
    local words = ("make -s B='%s' -o '%s/tfhost' DESTDIR='%s' PREFIX=/opt"):format(build, build, other)
    succeeds(words .. " install")
    succeeds(("test -x '%s/opt/bin/tfhost' && test -s '%s/opt/share/doc/tfhost/demo/flow.lua'"):format(other, other))
    assert.is_truthy(process.read(other .. "/opt/lib/systemd/system/tfhost-worker@.service"):find(
      "ExecStart=/opt/bin/tfhost", 1, true))
    succeeds(words .. " uninstall")
    assert.equal("", succeeds(("find '%s' -type f"):format(other)))
  end)
end)
