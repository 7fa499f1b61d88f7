-- `tfhost workers`: all workers of a topic answer, of both languages, also behind a long queue with every slot busy.
local cjson = require "cjson"
local flows = require "flows"
local peers = require "peers"
local process = require "process"

local SLOTS, TASKS = 2, 40

for _, transport in ipairs { "filesystem", "amqp" } do
  describe("tfhost workers over " .. transport, function()
    local side, lua_workers

    setup(function()
      side = peers.environment(transport)
      lua_workers = {}
      for i = 1, 3 do
        local more = { slots = SLOTS, words = { "--control", "none" } }
        lua_workers[i] = side:worker("lua", i == 3 and "other" or "work", more)
      end
      local python = side:worker("python", "snake")
      for _, worker in ipairs(lua_workers) do
        peers.ready(worker)
      end
      peers.ready(python)
    end)
    teardown(process.cleanup)

    local function workers(...)
      local words = { peers.tfhost, "workers", timeout = 60, ... }
      for _, word in ipairs(side:words()) do
        words[#words + 1] = word
      end
      return process.run(words)
    end

    -- By pid, or by topic for those that do not say theirs.
    local function answered(said)
      local out = {}
      for line in said.stdout:gmatch "[^\n]+" do
        local w = cjson.decode(line)
        out[w.pid or w.topic] = w
      end
      return out
    end

    it("names host, process, slots, classes and scripts of each", function()
      local said = workers("--topics", "work,other,snake", "--json")
      assert.equal(0, said.code, said.story)
      local found = answered(said)
      for i, worker in ipairs(lua_workers) do
        local w = assert(found[worker.pid], said.story)
        assert.same({ i == 3 and "other" or "work", "tfhost", SLOTS, 0, 0, 1 },
          { w.topic, w.kind, w.slots, w.busy, w.waiting, w.generation })
        assert.matches("^%x+$", w.hash)
        assert.is_true(#w.host > 0 and #w.classes > 3 and w.answered < 5)
      end
      assert.same({ "other", "snake" }, { found.snake.kind, found.snake.topic })
      assert.is_true(#found.snake.classes > 3)
      local shown = workers("--topics", "other,snake", "--classes").stdout
      assert.matches("^TOPIC +WORKER +SLOTS.*\nother +%S+:" .. lua_workers[3].pid .. " +2 +0 +0 ", shown)
      assert.matches("\n  %S+%.Slow\n", shown)
      assert.matches("\nsnake +Python %(one or more%) +%-", shown)
    end)

    it("is answered while every slot is busy and a queue stands", function()
      local flow = { pattern = "unordered", name = "full", children = {} }
      for i = 1, TASKS do
        flow.children[i] = flows.task("Slow", "slow-" .. i, { inject = { seconds = 60 } })
      end
      side:start_engine("lua", { "work" }, { flow = flow })
      assert(process.poll(20, function()
        return #side:journal "start" == 2 * SLOTS
      end), "the slots are not busy")
      local said, found
      process.poll(10, function() -- what one has given back the other may not have yet
        said = workers("--topics", "work", "--json")
        found = answered(said)
        return found[lua_workers[1].pid] and found[lua_workers[2].pid]
      end)
      assert.equal(0, said.code, said.story)
      for i = 1, 2 do
        local w = assert(found[lua_workers[i].pid], said.story)
        assert.equal(SLOTS, w.busy)
        assert.is_true(w.answered < 1, "answered after " .. w.answered .. " s")
      end
      assert.equal(2 * SLOTS, #side:journal "start")
    end)

    it("says where nobody answers, and why there is no connection", function()
      local said = workers("--topics", "other,nothing")
      assert.equal(1, said.code, said.story)
      assert.matches("^tfhost workers: nobody answers on topic \"nothing\"\n$", said.stderr)
      assert.matches("other", said.stdout)
      assert.equal(64, workers("--timeout", "soon").code)
      if transport == "amqp" then
        said = process.run { peers.tfhost, "workers", "--url", "amqp://guest:secret@127.0.0.1:1//", "--timeout", "1" }
        assert.equal(2, said.code, said.story)
        assert.matches("no connection within 1 s: .*refused", said.stderr)
        assert.is_nil(said.stderr:find("secret", 1, true))
      end
    end)
  end)
end
