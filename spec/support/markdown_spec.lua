local markdown = require "markdown"

describe("markdown", function()
  it("finds code blocks with their language, indentation and marks", function()
    local parsed = markdown.parse [[
# Title

```lua
-- a.lua
return 1
```
<!-- not run: needs root -->
```sh
reboot
```
1. A step

   ```python
   if x:
       y()
   ```
<!-- terminal: two -->
```console
$ top
```
]]
    local seen = {}
    for i, block in ipairs(parsed.blocks) do
      seen[i] = { block.language, block.line, block.text, block.not_run or block.terminal }
    end
    assert.same({
      { "lua", 3, "-- a.lua\nreturn 1\n" },
      { "sh", 8, "reboot\n", "needs root" },
      { "python", 13, "if x:\n    y()\n" },
      { "console", 18, "$ top\n", "two" },
    }, seen)
  end)

  it("finds code that only its indentation shows, but no paragraphs of lists", function()
    assert.same({ 3 }, markdown.parse("text\n\n    make\n\nmore\n").indented)
    assert.same({}, markdown.parse("- item\n\n    goes on\n\n1. one\n    still\n").indented)
    assert.has.errors(function()
      markdown.parse "```sh\nnever ends\n"
    end)
  end)

  it("finds anchors, links and code in text, not in blocks", function()
    local prose = markdown.parse("## What `x_y` is, then?\n\n[a](b.md#c) `make`\n```sh\n[no](no) `no`\n```\n").prose
    assert.same({ ["what-x_y-is-then"] = true }, markdown.anchors(prose))
    assert.same({ "b.md#c" }, markdown.links(prose))
    assert.same({ "x_y", "make" }, markdown.spans(prose))
  end)
end)
