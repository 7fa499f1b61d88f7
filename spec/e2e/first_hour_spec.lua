-- A new user, from `tfhost new` to the trace of a run over RabbitMQ, on a terminal.
local cjson = require "cjson"
local peers = require "peers"
local process = require "process"

describe("a new user", function()
  local dir, env

  setup(function()
    local home = process.directory()
    dir = home .. "/shop"
    assert(os.execute(("mkdir -m 700 '%s/ctl' '%s/state'"):format(home, home)) == 0)
    env = {
      HOME = home, XDG_STATE_HOME = home .. "/state", TFHOST_CONTROL_DIR = home .. "/ctl", TERM = "xterm",
      TFHOST_URL = assert(os.getenv "TFHOST_TEST_AMQP_URL", "run inside: spec/support/rabbitmq run ..."),
      TFHOST_EXCHANGE = "first-hour-" .. process.pid(),
    }
  end)
  teardown(process.cleanup)

  -- A command line in the project, on a terminal of 80 by 24.
  local function type_in(command)
    local line = ("cd %s && stty rows 24 cols 80 && exec %s %s"):format(dir, peers.tfhost, command)
    return process.spawn { "script", "-qfec", line, "/dev/null", env = env }
  end

  local function shows(command, seconds)
    local p = type_in(command)
    local how = p:wait(seconds or 60)
    return p:stdout():gsub("\r\n", "\n"), how.code
  end

  local function edit(file, from, to)
    local path = dir .. "/" .. file
    local text, count = process.read(path):gsub(from:gsub("%p", "%%%0"), (to:gsub("%%", "%%%%")))
    assert.equal(1, count, ("'%s' is not once in %s"):format(from, file))
    process.write(path .. ".new", text)
    assert(os.rename(path .. ".new", path))
  end

  -- What the terminal shows after a change, until it matches.
  local function after(screen, change, pattern)
    local at = #screen:stdout()
    change()
    return assert(process.poll(30, function()
      local text = screen:stdout():sub(at + 1)
      return text:find(pattern) and text
    end), pattern .. " is not in " .. screen:story())
  end

  it("gets from nothing to the trace of a run over RabbitMQ", function()
    -- new
    local made = process.run { peers.tfhost, "new", dir, env = env }
    assert.equal(0, made.code, made.story)
    assert.matches("next: cd .* && tfhost dev flow.lua", made.stdout)

    -- edit: one more task
    edit("tasks.lua", "return {\n", [[
return {
  Count = task.Task {
    default_provides = "letters",
    execute = function(self, loud)
      return #loud
    end,
  },

]])
    local shout = 'tasks.Shout { name = "shout" }'
    edit("flow.lua", shout .. ")", shout .. ', tasks.Count { name = "count" })')

    -- dev
    local dev = type_in "dev flow.lua"
    dev:wait_for("waiting for a change", 60)
    assert.is_truthy(dev:stdout():find("✔ count", 1, true), dev:story())
    assert.matches("letters = 13", dev:stdout())

    -- break a task, read the error, fix it, see it reload
    local text = after(dev, function()
      edit("tasks.lua", "return #loud", "return #lowd")
    end, "waiting for a change")
    assert.is_truthy(text:find("✘ count", 1, true), text)
    assert.matches("attempt to get length of global 'lowd'", text)
    assert.matches("> +%d+ | +return #lowd", text)
    text = after(dev, function()
      edit("tasks.lua", "return #lowd", "return #loud")
    end, "waiting for a change")
    assert.matches("letters = 13", text)
    dev:kill "INT"

    -- over RabbitMQ
    local worker = type_in "worker --config worker.lua"
    worker:wait_for("serving 3 tasks on topic \"shop\"", 60)
    local out, code = shows "workers --topics shop"
    assert.equal(0, code, out)
    assert.matches("shop +%S+:%d+ +2 +0 +0 +3 +1 ", out)
    out, code = shows "run flow.lua --engine worker-based --topics shop --store name=Ada"
    assert.equal(0, code, out)
    assert.is_truthy(out:find("✔ greet  SUCCESS", 1, true), out)
    assert.matches('loud = "HELLO, ADA!"', out)

    -- break it while the worker serves: it goes on with what it had
    edit("tasks.lua", "return #loud", "return #loud +")
    out = assert(process.poll(30, function()
      local shown = shows "status"
      return shown:find "last load error" and shown
    end), worker:story())
    assert.matches("last load error .*tasks.lua:%d+: unexpected symbol", out)
    out, code = shows "run flow.lua --engine worker-based --topics shop"
    assert.equal(2, code, out) -- the engine reads the script, too: what it says is what there is
    assert.matches("tasks.lua:%d+: unexpected symbol", out)
    edit("tasks.lua", "return #loud +", "return 100 + #loud")
    assert(process.poll(30, function()
      return shows("status"):find "generation 2 +CURRENT"
    end), worker:story())
    out, code = shows "run flow.lua --engine worker-based --topics shop"
    assert.equal(0, code, out)
    assert.matches("letters = 113", out)

    -- the trace
    out, code = shows "trace last"
    assert.equal(0, code, out)
    assert.matches("^flow 'shop' [%x-]+: SUCCESS, [%d.]+ m?s, 3 runs\n", out)
    for _, atom in ipairs { "greet", "shout", "count" } do
      assert.matches("\n  " .. atom .. " +SUCCESS +%+.- %S+:%d+ +", out)
    end
    assert.is_truthy(out:find("█", 1, true), out)
    local json = process.run { peers.tfhost, "trace", "last", "--json", env = env }
    local flow = cjson.decode(json.stdout:match "[^\n]+")
    assert.same({ 3, 1 }, { flow.runs, #flow.workers })

    -- and home
    out, code = shows "drain"
    assert.equal(0, code, out)
    assert.matches("worker %d+ has ended", out)
    assert.equal(0, worker:wait(10).code, worker:story())
  end)
end)
