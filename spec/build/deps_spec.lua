-- The guard of the layers has to see each kind of offence, and nothing else.
local process = require "process"

describe(".ci/deps", function()
  local root

  before_each(function()
    root = process.directory()
    assert(os.execute(("mkdir -p '%s'/host/base '%s'/host/wbe '%s'/host/test"):format(root, root, root)) == 0)
    process.write(root .. "/host/base/err.h", "#include <stddef.h>\n")
  end)

  after_each(process.cleanup)

  local function deps(file, text)
    process.write(root .. "/host/" .. file, text)
    local done = process.run { "luajit", ".ci/deps", root }
    return done.code, done.stderr
  end

  it("lets through what the rules allow", function()
    local code, said = deps(
      "wbe/server.c",
      [[
#include <stdio.h>
#include "wbe/server.h"
#include "engine/executor.h"
#include "pool/pool.h"
/* assert(never) in a comment, */ // assert(here)
static const char *s = "assert(1)";
TF_ASSERT(1); static_assert(1, "x"); my_assert(2); tf_assert (3);
]]
    )
    assert.same({ 0, "" }, { code, said })
    assert.equal(0, (deps("test/test_x.c", '#include <assert.h>\n#include "cmd/run.h"\nint x(void) { assert(1); }\n')))
  end)

  local OFFENCES = {
    { "base/up.c", '#include "loop/loop.h"\n', "base may not include loop/loop.h" },
    { "wbe/up.c", '#include "engine/engine.h"\n', "wbe may not include engine/engine.h" },
    { "wbe/x.c", "#include <lua.h>\n", "<lua.h> belongs in host/script" },
    { "wbe/x.c", "  #  include <uv.h>\n", "<uv.h> belongs in host/loop" },
    { "wbe/x.c", "#include <amqp_tcp_socket.h>\n", "<amqp_tcp_socket.h> belongs in host/transport" },
    { "base/x.c", "#include <json-c/json.h>\n", "<json-c/json.h> belongs in tests alone" },
    { "base/x.c", "#include <assert.h>\n", "<assert.h> belongs in tests alone" },
    { "base/x.c", "void f(int a)\n{\n\tassert(a);\n}\n", "x.c:3: bare assert" },
    { "base/x.c", "int a = 4 / 2; assert (a);\n", "bare assert" },
    { "base/x.c", '#include "err.h"\n', "write the layer too" },
    { "base/x.c", '#include "../loop/loop.h"\n', "no relative includes" },
    { "wbe/x.c", '#include "test/clock_fake.h"\n', "test is no layer" },
  }
  for _, offence in ipairs(OFFENCES) do
    it("refuses " .. offence[3], function()
      local code, said = deps(offence[1], offence[2])
      assert.equal(1, code)
      assert.is_truthy(said:find(offence[3], 1, true), said)
    end)
  end

  it("refuses a folder that it does not know", function()
    assert(os.execute(("mkdir '%s/host/extra'"):format(root)) == 0)
    assert.equal(1, (deps("extra/x.c", "\n")))
  end)
end)
