-- .ci/setup for somebody who is not root, on a machine that misses packages.
local process = require "process"

describe(".ci/setup", function()
  local bin

  before_each(function()
    bin = process.directory()
    process.write(bin .. "/id", "#!/bin/sh\necho 1000\n")
    -- Everything is installed but what MISSING names.
    process.write(
      bin .. "/dpkg-query",
      [[
#!/bin/sh
for last; do :; done
case " $MISSING " in *" $last "*) exit 1 ;; esac
printf 'ii '
]]
    )
    process.write(bin .. "/apt-get", "#!/bin/sh\necho apt-get was called >&2\nexit 1\n")
    assert(os.execute(("chmod +x '%s'/*"):format(bin)) == 0)
  end)

  after_each(process.cleanup)

  local function setup(missing, ...)
    local env = { PATH = bin .. ":" .. os.getenv "PATH", MISSING = missing }
    return process.run { ".ci/setup", env = env, ... }
  end

  it("is silent when nothing is missing", function()
    local done = setup("", "build", "test")
    assert.same({ 0, "", "" }, { done.code, done.stdout, done.stderr })
  end)

  it("says in one line which command installs what is missing", function()
    local done = setup("libuv1-dev lua-busted valgrind", "build", "test")
    assert.equal(1, done.code)
    assert.equal(
      "setup: missing packages, run: sudo apt-get install --no-install-recommends libuv1-dev lua-busted valgrind\n",
      done.stderr
    )
  end)

  it("asks for the packages of the named groups alone", function()
    assert.equal(0, setup("lua-busted", "build").code)
    assert.equal(1, setup("lua-busted", "test").code)
    assert.equal(2, setup("", "everything").code)
  end)
end)
