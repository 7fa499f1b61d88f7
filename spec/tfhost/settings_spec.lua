-- Where settings come from, and what wins.
local conf = require "tfhost.conf"
local process = require "process"
local settings = require "tfhost.settings"

local function file(text)
  local path = os.tmpname()
  process.write(path, text)
  finally(function()
    os.remove(path)
  end)
  return path
end

local function by_key(found)
  local out = {}
  for _, origin in ipairs(found.origins) do
    out[origin.key] = origin
  end
  return out
end

describe("settings", function()
  it("name the line of a file, whatever else is in it", function()
    local source = table.concat({
      "-- slots = 1", -- 1
      "--[[ slots = 2", -- 2
      "]] local url = 'slots = 3'", -- 3
      "local t = { nslots = 4, slots_max = 5, [==[", -- 4
      " slots = 6 ]==] }", -- 5
      "if t.slots == 7 then t.x = t.slots end", -- 6
      "t.topic = 'it\\'s' t.slots   = 8", -- 7
      "t['watch'] = false", -- 8
      "return t", -- 9
    }, "\n")
    assert.equal(7, settings.line_of(source, "slots"))
    assert.equal(7, settings.line_of(source, "topic"))
    assert.equal(8, settings.line_of(source, "watch"))
    assert.equal(3, settings.line_of(source, "url"))
    assert.is_nil(settings.line_of(source, "exchange"))
    assert.equal(1, settings.line_of("return {slots=1}", "slots"))
  end)

  it("of the command line win over those of a file, member by member in tables", function()
    local path = file [[return {
      tasks = { "tasks" }, slots = 3, topic = "from-file",
      transport_options = { heartbeat = 20, topology = "durable" },
      concurrency = { ["tasks:A"] = 1, ["tasks.B"] = 2 },
    }]]
    local found = assert(settings.resolve("worker", {
      file = path,
      flags = {
        topic = "from-flag", slots = "5", watch = false, transport_options = { heartbeat = 5 },
        concurrency = "tasks.B=3,tasks.C=4",
      },
    }))
    assert.same({ ["tasks.A"] = 1, ["tasks.B"] = 3, ["tasks.C"] = 4 }, found.values.concurrency)
    assert.same({ heartbeat = 5, topology = "durable" }, found.values.transport_options)
    assert.equal(5, found.values.slots)
    assert.is_false(found.values.watch)
    local origins = by_key(found)
    assert.same({ "flag", "--topic", "from-flag" }, { origins.topic.origin, origins.topic.where, origins.topic.value })
    assert.same({ "flag", "--no-watch" }, { origins.watch.origin, origins.watch.where })
    assert.same({ "file", path .. ":2" }, { origins.tasks.origin, origins.tasks.where })
    assert.equal("default", origins.exchange.origin)
    assert.is_nil(found.values.exchange)
  end)

  it("say where a wrong value stands, and whose mistake it is", function()
    for _, case in ipairs {
      { "worker", { flags = { slots = "many" } }, "^%-%-slots: expected an integer", true },
      { "worker", { flags = { metrics = "no port" } }, "^%-%-metrics: expected PORT", true },
      { "worker", { flags = { log_format = "yaml" } }, "^%-%-log%-format: expected text, logfmt or json", true },
      { "worker", { file = file "return { slots = 0 }" }, ":1: slots: expected an integer", false },
      { "worker", { file = file "\n\nreturn {\n slotz = 1 }" }, ":4: unknown option 'slotz', did you mean", false },
      { "worker", { file = file "return {" }, "unexpected", false },
      { "worker", { file = "/nonexistent/w.lua" }, "No such file", false },
      { "run", { file = file "return { engin = 'serial' }" }, "did you mean 'engine'", false },
      { "run", { flags = { attempts = "x" } }, "^%-%-option attempts: expected", true },
    } do
      local found, message, usage = settings.resolve(case[1], case[2])
      assert.is_nil(found)
      assert.matches(case[3], message)
      assert.equal(case[4], usage)
    end
  end)

  it("of run that others give are kept apart from those that its command line gives", function()
    local path = file "return { engine = 'worker-based', url = 'amqp://h', backend = 'none', attempts = 2 }"
    local chosen = assert(settings.run { file = path, flags = { url = "amqp://other", anything = 1 } })
    assert.same({ url = "amqp://other", anything = 1 }, chosen.engine)
    assert.same({ engine = "worker-based", attempts = 2 }, chosen.general)
    assert.same({ backend = "none" }, chosen.host)
  end)

  it("are all that a worker takes", function()
    for key in pairs(require("taskflow.engines.worker_based.config").KNOWN) do
      if key ~= "threads_count" then -- TaskFlow's name of slots
        assert.truthy(settings.KINDS.worker.by_key[key], key)
      end
    end
  end)

  it("know variables that are none", function()
    assert.same(
      { "unknown variable 'TFHOST_SLOST', did you mean 'TFHOST_SLOTS'?" },
      settings.unknown_variables { "HOME", "TFHOST_SLOTS", "TFHOST_SLOST", "TFHOST_LUA_DIR", "TFHOST_BACKEND" }
    )
  end)

  it("are shown without passwords", function()
    for given, shown in pairs {
      ["amqp://u:s3cret@h//;amqp://v:a@b:c@i//"] = "amqp://u:**@h//;amqp://v:**@i//",
      ["postgresql://u:p@h/db?password=p&x=1"] = "postgresql://u:**@h/db?password=**&x=1",
      ["amqp://u:a/b@h//"] = "amqp://u:**@h//",
      ["amqp://h:5672//"] = "amqp://h:5672//",
    } do
      assert.equal(shown, conf.redact(given))
    end
    local shown = conf.shown { password = "x", list = { "amqp://u:p@h" } }
    assert.same({ password = "**", list = { "amqp://u:**@h" } }, shown)
  end)
end)
