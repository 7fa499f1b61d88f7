-- `make demo` is the first thing that anybody sees: it works, and leaves nothing behind.
local peers = require "peers"
local process = require "process"

describe("the demo", function()
  local tmp

  before_each(function()
    tmp = process.directory()
  end)

  after_each(process.cleanup)

  local function entries(dir)
    local pipe = io.popen(("ls -A '%s'"):format(dir))
    local text = pipe:read "*a"
    pipe:close()
    return text
  end

  it("counts the primes, shows progress, and cleans up", function()
    local done = process.run { "doc/demo/run", peers.tfhost, env = { TMPDIR = tmp }, timeout = 60 }
    assert(done.code == 0, done.story)
    assert.matches("17984 primes up to 200000", done.stdout)
    for _, name in ipairs { "split", "count%-low", "count%-high", "add", "report" } do
      assert.matches(name .. "[^\n]*SUCCESS", done.stdout .. done.stderr)
    end
    assert.equal("", entries(tmp))
  end)

  it("cleans up and says so with its exit code when it is interrupted", function()
    local demo = process.spawn { "doc/demo/run", peers.tfhost, env = { TMPDIR = tmp } }
    demo:wait_for("== engine", 20)
    local children = process.children(demo.pid)
    assert.is_truthy(children[1])
    process.signal(-demo.pid, "INT") -- as a terminal does: the whole group
    local how = demo:wait(20)
    assert.is_not.equal(0, how.code)
    for _, pid in ipairs(children) do
      assert.is_truthy(process.poll(5, function()
        return not process.is_running(pid)
      end))
    end
    assert.equal("", entries(tmp))
  end)
end)
