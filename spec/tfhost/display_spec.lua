local display = require "tfhost.display"
local failure = require "taskflow.failure"
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local uf = require "taskflow.patterns.unordered_flow"
local values = require "taskflow.values"

-- A terminal as far as the tree uses one: cursor up, erase below, newlines. Styles are dropped.
local function terminal()
  local screen = { lines = { "" }, row = 1 }
  local function put(char)
    screen.lines[screen.row] = (screen.lines[screen.row] or "") .. char
  end
  function screen:write(...)
    local text = table.concat({ ... }):gsub("\27%[[%d;]*m", "")
    local at = 1
    while at <= #text do
      local up = text:match("^\27%[(%d+)A", at)
      if up then
        self.row = self.row - tonumber(up)
        assert(self.row >= 1, "cursor above the screen")
        at = at + #up + 3
      elseif text:find("^\27%[J", at) then
        self.lines[self.row] = ""
        for i = self.row + 1, #self.lines do
          self.lines[i] = nil
        end
        at = at + 3
      elseif text:sub(at, at) == "\n" then
        self.row = self.row + 1
        self.lines[self.row] = self.lines[self.row] or ""
        at = at + 1
      elseif text:sub(at, at) == "\r" then
        at = at + 1
      else
        put(text:sub(at, at))
        at = at + 1
      end
    end
  end
  function screen.flush() end
  function screen:text()
    return (table.concat(self.lines, "\n"):gsub("\n$", ""))
  end
  return screen
end

local function flow()
  local function ref(name)
    return task.Reference("m:T", { name = name })
  end
  return lf.Flow("all"):add(ref "a", uf.Flow("both"):add(ref "b", ref "c"))
end

local summary = {
  name = "all",
  state = "REVERTED",
  seconds = 1.5,
  exit = 3,
  results = { { name = "x", text = "1" } },
  results_text = '{"x": 12345678901234567890123}',
  failures = { failure.from_exception "boom" },
}

describe("tfhost.display", function()
  local now
  local function clock()
    return now
  end

  before_each(function()
    now = 100
  end)

  describe("tree", function()
    local screen, tree

    local function size()
      return 24, 80
    end

    before_each(function()
      screen = terminal()
      tree = display.tree(clock, screen, size)
    end)

    it("is redrawn in place, with state, time and progress", function()
      tree:start(nil, flow())
      assert.equal("all\n  · a  PENDING\n  both\n    · b  PENDING\n    · c  PENDING", screen:text())
      tree:atom("a", "RUNNING", "PENDING")
      now = 103
      tree:progress("a", 0.5)
      assert.equal(
        "all\n  ▶ a  RUNNING  3 s  █████░░░░░  50 %\n  both\n    · b  PENDING\n    · c  PENDING",
        screen:text()
      )
      tree:atom("a", "FAILURE", "RUNNING", summary.failures[1])
      tree:atom("a", "REVERTING", "FAILURE")
      tree:atom("a", "REVERTED", "REVERTING", values.null)
      tree:finish(summary)
      assert.equal(
        "all\n  ↩ a  REVERTED  tfhost.LuaError: boom\n  both\n    · b  PENDING\n    · c  PENDING\n"
          .. "x = 1\ntfhost.LuaError: boom\nflow 'all': REVERTED (1.50 s)",
        screen:text()
      )
    end)

    it("shows the items of a map as its progress, and the one that failed", function()
      tree:start(nil, lf.Flow("all"):add(task.Map { task = "m:T", name = "m", over = "xs", as = "x" }))
      tree:atom("m", "RUNNING", "PENDING")
      tree:atom("m[1]", "RUNNING", "PENDING")
      tree:progress("m[1]", 0.9)
      now = 101
      tree:progress("m", 0.25)
      assert.equal("all\n  ▶ m  RUNNING  1 s  ███░░░░░░░  25 %", screen:text())
      tree:atom("m[2]", "FAILURE", "RUNNING", summary.failures[1])
      tree:atom("m", "REVERTING", "RUNNING")
      assert.equal("all\n  ◀ m  REVERTING  0 s  m[2] tfhost.LuaError: boom", screen:text())
      tree:event("m[1]", "said", { x = 1 })
      assert.equal('all\n  ◀ m  REVERTING  0 s  m[1] said {"x": 1}', screen:text())
    end)

    it("does not draw every change of a flow when that takes too long", function()
      local draws = 0
      tree = display.tree(clock, screen, function()
        draws, now = draws + 1, now + 0.01 -- what drawing costs here
        return 24, 80
      end)
      tree:start(nil, flow())
      for i = 1, 1000 do
        tree:atom("a", i % 2 == 1 and "RUNNING" or "PENDING", "PENDING")
      end
      assert.is_true(draws < 40, draws)
      now = now + 10 -- a long task: the time for drawing is there again
      draws = 0
      tree:atom("a", "RUNNING", "PENDING")
      tree:atom("a", "SUCCESS", "RUNNING")
      assert.equal(2, draws)
      tree:finish(summary)
      assert.truthy(screen:text():find "✔ a  SUCCESS")
    end)

    it("has no colours when told so", function()
      local plain, coloured = {}, {}
      local function writer(out)
        return { flush = function() end, write = function(_, ...)
          out[#out + 1] = table.concat { ... }
        end }
      end
      tree = display.tree(clock, writer(coloured), size)
      tree:start(nil, flow())
      tree = display.tree(clock, writer(plain), size)
      tree.colours = false
      tree:start(nil, flow())
      assert.truthy(table.concat(coloured):find("\27[2m", 1, true))
      assert.is_nil(table.concat(plain):find("\27[^m]*m"))
      assert.equal((table.concat(coloured):gsub("\27%[%d+m", "")), table.concat(plain))
    end)

    it("puts what tasks print, and what is logged, above itself", function()
      local log = "a warning\n"
      tree = display.tree(clock, screen, size, function()
        local text = log
        log = ""
        return text
      end)
      tree:start(nil, lf.Flow "f")
      tree:print "one"
      tree:print "\ntwo\nthr"
      tree:tick()
      assert.equal("a warning\none\ntwo\nf", screen:text())
      tree:finish { name = "f", state = "SUCCESS", seconds = 0, results = {}, failures = {} }
      assert.equal("a warning\none\ntwo\nthr\nf\nflow 'f': SUCCESS (0.00 s)", screen:text())
    end)

    it("counts instead when the screen is too low, and never wraps a line", function()
      tree = display.tree(clock, screen, function()
        return 6, 20
      end)
      local big = uf.Flow "big"
      for i = 1, 50 do
        big:add(task.Reference("m:T", { name = ("a-rather-long-name-%d"):format(i) }))
      end
      tree:start(nil, big)
      for i = 1, 10 do
        tree:atom(("a-rather-long-name-%d"):format(i), "RUNNING", "PENDING")
      end
      local lines = {}
      for line in screen:text():gmatch "[^\n]+" do
        lines[#lines + 1] = line
        assert.is_true(#line <= 20, line)
      end
      assert.is_true(#lines <= 5)
      assert.equal("· PENDING 40  ...", lines[1])
    end)
  end)

  it("lines: one a change, a tenth of progress at a time", function()
    local out = terminal()
    local lines = display.lines(clock, out)
    lines:start(nil, flow())
    lines:atom("a", "RUNNING", "PENDING")
    now = 101.25
    for i = 1, 99 do
      lines:progress("a", i / 400)
    end
    lines:event("a", "note", { text = "hi" })
    lines:atom("a", "FAILURE", "RUNNING", summary.failures[1])
    lines:finish(summary)
    assert.equal(
      [[
    0.00s  a  RUNNING
    1.25s  a  10 %
    1.25s  a  20 %
    1.25s  a  event note {"text": "hi"}
    1.25s  a  FAILURE  tfhost.LuaError: boom
x = 1
tfhost.LuaError: boom
flow 'all': REVERTED (1.50 s)]],
      out:text()
    )
  end)

  it("JSON: an object a line, results digit for digit", function()
    local out = terminal()
    local json = display.json(clock, out)
    json:atom("a", "SUCCESS", "RUNNING", { 1 })
    json:atom("a", "FAILURE", "RUNNING", summary.failures[1])
    json:finish(summary)
    local lines = {}
    for line in out:text():gmatch "[^\n]+" do
      lines[#lines + 1] = assert(values.decode(line) or line:find "12345678901234567890123")
    end
    assert.same({ 1 }, { unpack(lines[1].result) })
    assert.equal("boom", lines[2].failure.exception_str)
    assert.truthy(out:text():find('"exit": 3', 1, true))
    assert.truthy(out:text():find('"results": {"x": 12345678901234567890123}', 1, true))
  end)
end)
