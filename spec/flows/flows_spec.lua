-- Every shipped flow is run as a user would, and its output looked at.
local cjson = require "cjson"
local peers = require "peers"
local process = require "process"

-- `tfhost run` with --json: exit code, results of the last line, events, text of tasks that print.
local function run(words)
  local command = { peers.tfhost, "run", "--json", timeout = 60 }
  for _, word in ipairs(words) do
    command[#command + 1] = word
  end
  local done = process.run(command)
  local events, printed = {}, {}
  for line in done.stdout:gmatch "[^\n]+" do
    if line:sub(1, 1) == "{" then
      events[#events + 1] = cjson.decode(line)
    else
      printed[#printed + 1] = line
    end
  end
  local last = table.remove(events)
  assert(last, done.story)
  return {
    code = done.code,
    results = last.results,
    state = last.state,
    events = events,
    printed = printed,
    last = last,
  }
end

local function results(flow, engine, ...)
  local done = run { "flows:" .. flow, "--engine", engine, ... }
  assert.equal(0, done.code)
  assert.equal("SUCCESS", done.state)
  return done.results, done
end

-- States of an atom, in order.
local function states(done, name)
  local out = {}
  for _, event in ipairs(done.events) do
    if event.event == "atom" and event.name == name then
      out[#out + 1] = event.state
    end
  end
  return table.concat(out, " ")
end

describe("shipped flows", function()
  after_each(process.cleanup)

  for _, engine in ipairs { "serial", "parallel" } do
    describe("on the " .. engine .. " engine", function()
      it("fan_out", function()
        local found, done = results("fan_out", engine, "--store", "words_a_page=5")
        assert.same({ 5, 5, 5, 5, 4 }, found.counts)
        assert.equal(24, found.words)
        assert.equal("RUNNING SUCCESS", states(done, "count[5]"))
      end)

      it("simple_linear", function()
        assert.same({ x = 1, a = 2, b = 4 }, (results("simple_linear", engine)))
        assert.same({ x = 20, a = 21, b = 42 }, (results("simple_linear", engine, "--store", "x=20")))
      end)

      it("calculate_linear", function()
        assert.same({ x = 2, y = 3, d = 5, z = 5, a = 10, r = 30 }, (results("calculate_linear", engine)))
      end)

      it("calculate_in_parallel", function()
        assert.equal(16, results("calculate_in_parallel", engine).sum)
      end)

      it("graph", function()
        local r = results("graph", engine)
        assert.same({ 4, 12, 16, 21, 20, 41, 82 }, { r.x1, r.x2, r.x3, r.x4, r.x5, r.x6, r.x7 })
      end)

      it("map_reduce", function()
        assert.equal(385, results("map_reduce", engine).sum)
        assert.equal(338350, results("map_reduce", engine, "--store", "count=100").sum)
      end)

      it("reverting", function()
        local done = run { "flows:reverting", "--engine", engine }
        assert.equal(3, done.code)
        assert.equal("REVERTED", done.state)
        assert.same({
          "Calling jim 555.",
          "Calling joe 444.",
          "Calling 444 and apologizing.",
          "Calling 555 and apologizing.",
        }, done.printed)
        assert.equal("RUNNING SUCCESS REVERTING REVERTED", states(done, "call-jim"))
        assert.equal("RUNNING FAILURE REVERTING REVERTED", states(done, "call-suzzie"))
        local failure = done.last.failures[1]
        assert.equal("Suzzie is not home right now.", failure.exception_str)
        assert.same({ "tasks.phone.NotHome", "OSError", "Exception" }, failure.exc_type_names)
      end)

      it("retrying", function()
        local r, done = results("retrying", engine)
        assert.equal(555, r.number)
        assert.same({
          "Calling Jim 333.",
          "Wrong number, apologizing.",
          "Calling Jim 444.",
          "Wrong number, apologizing.",
          "Calling Jim 555.",
          "Hello Jim!",
        }, done.printed)
        local failed = run { "flows:retrying", "--engine", engine, "--store", "right=1" }
        assert.equal(3, failed.code)
      end)

      it("switch", function()
        assert.equal(10, results("switch", engine).doubled)
        local r, done = results("switch", engine, "--store", "x=200")
        assert.is_nil(r.doubled)
        assert.equal("IGNORE", states(done, "double"))
      end)

      it("progress", function()
        local r, done = results("progress", engine)
        assert.same({ "a", "b", "c", "d" }, r.copy)
        local seen = {}
        for _, event in ipairs(done.events) do
          seen[#seen + 1] = event.event == "progress" and event.progress or nil
        end
        assert.same({ 0.25, 0.5, 0.75 }, seen)
      end)

      it("wbe_event_sender", function()
        local _, done = results("wbe_event_sender", engine)
        assert.equal(26, #done.printed)
        assert.equal("got A, 25 left", done.printed[1])
        assert.equal("got Z, 0 left", done.printed[26])
      end)

      it("by_reference", function()
        assert.same(
          { x = 111, y = 222, factor = 2, sum = 333, product = 666 },
          (results("by_reference", engine))
        )
      end)
    end)
  end

  describe("on workers", function()
    local side

    before_each(function()
      side = peers.environment "filesystem"
    end)

    -- A worker of these modules, and the words that lead the engine to it.
    local function serve(topic, ...)
      local worker = peers.ready(side:worker("lua", topic, { tasks = { ... }, slots = 2 }))
      local words = side:words()
      for _, word in ipairs { "--topics", topic } do
        words[#words + 1] = word
      end
      return words, worker
    end

    it("simple_linear, and by_reference without the code", function()
      local words = serve("work", "tasks", "tasks.calculate")
      assert.same({ x = 1, a = 2, b = 4 }, (results("simple_linear", "worker-based", unpack(words))))
      assert.equal(666, results("by_reference", "workers", unpack(words)).product)
    end)

    it("wbe_simple_linear", function()
      local words = serve("wbe", "tasks.wbe")
      local r = results("wbe_simple_linear", "worker-based", unpack(words))
      assert.same({ x = 111, y = 222, z = 333, result1 = 1, result2 = 666 }, r)
    end)

    it("wbe_event_sender: every event arrives, in order", function()
      local _, done = results("wbe_event_sender", "worker-based", unpack((serve("letters", "tasks.events"))))
      assert.equal(26, #done.printed)
      assert.equal("got A, 25 left", done.printed[1])
      assert.equal("got Z, 0 left", done.printed[26])
    end)

    it("reverting", function()
      local words, worker = serve("calls", "tasks.phone")
      local done = run { "flows:reverting", "--engine", "workers", unpack(words) }
      assert.equal(3, done.code)
      assert.equal("tasks.phone.NotHome", done.last.failures[1].exc_type_names[1])
      assert.truthy(process.poll(5, function()
        return worker:stdout():find("Calling 555 and apologizing.", 1, true)
      end))
    end)

    it("mandelbrot, by tiles of two workers", function()
      local words = serve("pixels", "tasks.mandelbrot")
      peers.ready(side:worker("lua", "pixels2", { tasks = { "tasks.mandelbrot" }, slots = 1 }))
      words[#words] = "pixels,pixels2"
      local output = side.dir .. "/m.ppm"
      for _, word in ipairs { "--store", "output=" .. output, "--store", "width=120", "--store", "height=90" } do
        words[#words + 1] = word
      end
      local r = results("mandelbrot", "worker-based", unpack(words))
      assert.equal(120 * 90, r.image.pixels)
      local image = process.read(output)
      local header = "P6\n120 90\n255\n"
      assert.equal(header, image:sub(1, #header))
      assert.equal(#header + 120 * 90 * 3, #image)
      local function pixel(x, y)
        local at = #header + (y * 120 + x) * 3
        return image:byte(at + 1, at + 3)
      end
      -- The middle of the set never leaves: black. The corner leaves at once. The set is its own mirror image.
      assert.same({ 0, 0, 0 }, { pixel(80, 45) })
      assert.are_not.same({ 0, 0, 0 }, { pixel(0, 0) })
      for y = 0, 44 do
        for x = 0, 119, 7 do
          assert.same({ pixel(x, y) }, { pixel(x, 89 - y) })
        end
      end
    end)

    it("mixed: Python, Lua, Python", function()
      local env = { PYTHONPATH = peers.support .. "/python:tasks" }
      local python = side:worker("python", "python", { tasks = { "report:Split", "report:Report" }, env = env })
      local words = serve("lua", "tasks.words")
      words[#words] = "python,lua"
      peers.ready(python)
      local r, done = results("mixed", "worker-based", unpack(words))
      assert.equal("the 3, and 2, cat 1, dog 1, fox 1, lazy 1, quick 1", r.report)
      assert.equal("RUNNING SUCCESS", states(done, "report"))
    end)
  end)

  it("are all in this spec", function()
    local spec = process.read "spec/flows/flows_spec.lua"
    local pipe = assert(io.popen "ls flows")
    for name in pipe:read("*a"):gmatch "([%w_]+)%.lua" do
      if name ~= "init" then
        assert(spec:find('results("' .. name .. '"', 1, true) or spec:find("flows:" .. name .. '"', 1, true), name)
      end
    end
    pipe:close()
  end)
end)
