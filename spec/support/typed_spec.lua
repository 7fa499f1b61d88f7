local process = require "process"
local typed = require "typed"

describe("typed commands", function()
  after_each(process.cleanup)

  local shell

  before_each(function()
    shell = typed.shell(process.directory(), { PATH = os.getenv "PATH" })
  end)

  it("are told apart from what is shown, over several lines too", function()
    assert.same({
      { command = "cat <<E\nx\nE", shown = "x\n" },
      { command = "true", shown = "" },
    }, typed.commands "$ cat <<E\n> x\n> E\nx\n\n$ true\n")
  end)

  it("share one shell, give their output and exit code", function()
    assert.same({ "", 0 }, { shell:type "a=1; cd /" })
    assert.same({ "1 /\nerr\n", 3 }, { shell:type "echo $a $PWD; echo err >&2; (exit 3)" })
    assert.same({ "no newline", 0 }, { shell:type "printf 'no newline'" })
  end)

  it("print what is shown, or do not", function()
    assert.is_true(shell:printed("a\n...\nc\n", "a\nb\n\nc\n"))
    assert.is_true(shell:printed("    0.10s  x  RUNNING\nended (1.00 s)\n", "    3.12s  x  RUNNING\nended (12.5 s)\n"))
    assert.is_true(shell:printed("a\n", "2026-11-24T16:35:53.001Z INFO amqp: connected\na\n"))
    assert.is_false(shell:printed("a\nc\n", "a\nb\nc\n"), "a line more")
    assert.is_false(shell:printed("a\nb\nc\n", "a\nc\n"), "a line less")
    assert.is_false(shell:printed("a\nb\n", "b\na\n"), "another order")
    assert.is_false(shell:printed("receipt = 40\n", "receipt = 41\n"), "another value")
    assert.is_false(shell:printed("", "2026-11-24T16:35:53.001Z ERROR amqp: refused\n"), "an error")
  end)

  it("name this run's flow where the document's was shown", function()
    local shown = "20df54ec-91e7-4df2-90f8-10a0b497cd67  RUNNING\n"
    assert.is_true(shell:printed(shown, "7d478f62-5b37-4946-856c-99c019e02090  RUNNING\n"))
    assert.same("tfhost flow show 7d47 --feed", shell:with_uuids "tfhost flow show 20df --feed")
  end)

  it("in another terminal go on", function()
    local other = typed.terminal("/", { PATH = os.getenv "PATH" }, {
      { command = "echo first" },
      { command = "sh -c 'echo second; sleep 0.3; echo third; sleep 60'" },
    })
    assert.is_true((other:shows "first\nsecond\n"))
    assert.is_true((other:shows "third\n"))
  end)
end)
