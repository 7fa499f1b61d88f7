-- What the e2e specs lean on must be able to fail, and must leave nothing behind.
local process = require "process"

describe("process", function()
  after_each(process.cleanup)

  it("tells exit codes, signals and both streams", function()
    local done = process.run { "sh", "-c", "echo out; echo err >&2; exit 7" }
    assert.same({ 7, "out\n", "err\n" }, { done.code, done.stdout, done.stderr })
    local p = process.spawn { "sleep", "60" }
    p:kill("KILL")
    assert.same({ signal = 9 }, p:wait(5))
  end)

  it("passes words unchanged and adds to the environment", function()
    local done = process.run { "sh", "-c", 'printf %s "$1/$X"', "-", "a b'\"$", env = { X = "y z" } }
    assert.equal("a b'\"$/y z", done.stdout)
  end)

  it("gives up waiting, and shows what there was", function()
    local p = process.spawn { "sh", "-c", "echo started; sleep 60" }
    p:wait_for("started", 5)
    assert.has_error(function()
      local ok, err = pcall(p.wait, p, 0.05)
      assert.is_false(ok)
      error(err:match("still running") or err, 0)
    end, "still running")
    local ok, err = pcall(p.wait_for, p, "never", 0.05)
    assert.is_false(ok)
    assert.matches("started", err)
  end)

  it("leaves no process and no directory", function()
    local dir = process.directory()
    local p = process.spawn { "sh", "-c", "sleep 60 & wait" }
    process.poll(5, function()
      return process.children(p.pid)[1]
    end)
    local child = process.children(p.pid)[1]
    process.cleanup()
    assert.is_false(process.is_running(p.pid))
    assert.is_nil(io.open(dir))
    assert.is_truthy(process.poll(5, function()
      return not process.is_running(child)
    end))
  end)
end)
