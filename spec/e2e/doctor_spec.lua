-- `tfhost doctor` on a real broker and on real directories, well and broken in several ways.
local broker = require "broker"
local json = require "cjson"
local peers = require "peers"
local process = require "process"

local dir

-- Findings of a doctor with these options, by what they are: { problem = { "check: text" } }; its exit code; and
-- all that it printed.
local function doctor(...)
  local done = process.run { peers.tfhost, "doctor", "--json", timeout = 30, ... }
  local found = { ok = {}, unseen = {}, warning = {}, problem = {} }
  for line in done.stdout:gmatch "[^\n]+" do
    local row = json.decode(line)
    local advice = row.advice ~= json.null and " -> " .. row.advice or ""
    table.insert(found[row.finding], row.check .. ": " .. row.text .. advice)
  end
  return found, done.code, done.story
end

local function has(list, pattern)
  for _, text in ipairs(list) do
    if text:find(pattern) then
      return true
    end
  end
  return false
end

local function assert_found(pattern, found, what, story)
  assert(has(found[what], pattern), ("no %s '%s' in %s"):format(what, pattern, story))
end

describe("tfhost doctor", function()
  before_each(function()
    dir = process.directory()
    process.write(dir .. "/tasks.lua", "return { T = require('taskflow.task').Task { execute = function() end } }")
  end)
  after_each(process.cleanup)

  it("has help with an example, and a summary for people", function()
    local help = process.run { peers.tfhost, "doctor", "--help" }
    assert.matches("Example: tfhost doctor tasks.lua %-%-url", help.stdout)
    assert.matches("Exit codes: 0 no problem; 1 problems; 64", help.stdout)
    local done = process.run { peers.tfhost, "doctor", "--transport", "memory" }
    assert.equal(0, done.code, done.story)
    assert.matches("0 problems, %d+ warnings\n$", done.stdout)
    assert.equal(64, process.run({ peers.tfhost, "doctor", "--slots", "many" }).code)
  end)

  it("loads the scripts as a worker does", function()
    local found, code, story = doctor(dir .. "/tasks.lua", "--transport", "memory")
    assert.equal(0, code, story)
    assert_found("^scripts: 1 task classes load", found, "ok", story)
    process.write(dir .. "/broken.lua", "local x = 1\nreturn { x. }")
    found, code, story = doctor(dir .. "/broken.lua", "--transport", "memory")
    assert.equal(1, code)
    assert_found("broken.lua:2: .*>    2 | return { x. }", found, "problem", story)
    process.write(dir .. "/hangs.lua", "while true do end")
    found, code, story = doctor(dir .. "/hangs.lua", "--transport", "memory", "--load-timeout", "0.5")
    assert.equal(1, code)
    assert_found("not loaded after 0.5 s", found, "problem", story)
    found, code, story = doctor("--config", dir .. "/none.lua")
    assert.equal(1, code)
    assert_found("^settings: configuration .*No such file", found, "problem", story)
  end)

  describe("looks at a directory", function()
    local function at(path, ...)
      return doctor(
        "--transport", "filesystem", "--transport-option", "data_folder_in=" .. path,
        "--transport-option", "data_folder_out=" .. path, ...
      )
    end

    local function listing(path)
      local pipe = io.popen(("find '%s' | sort"):format(path))
      local text = pipe:read "*a"
      pipe:close()
      return text
    end

    it("that is well, and leaves nothing there", function()
      local found, code, story = at(dir)
      assert.equal(0, code, story)
      for _, pattern in ipairs { "^rename: ", "^inotify: .*kernel tells", "^lock: .*keep others out", "^space: " } do
        assert_found(pattern, found, "ok", story)
      end
      assert.equal(dir .. "\n" .. dir .. "/tasks.lua\n", listing(dir))
      found, code, story = at(dir .. "/to/be/made")
      assert.equal(0, code, story)
      assert_found("does not exist yet, and will be made", found, "ok", story)
    end)

    it("that is none, or cannot be used", function()
      local found, code, story = at(dir .. "/tasks.lua")
      assert.equal(1, code, story)
      assert_found("^folder: .*Not a directory %->", found, "problem", story)
      found, code, story = at "/proc" -- nothing can be made there, not even by root
      assert.equal(1, code, story)
      assert(has(found.problem, "in /proc: ") or has(found.problem, "/proc .owner"), story)
      found, code, story = at "/proc/nothing/there"
      assert(code == 1 or has(found.ok, "will be made"), story)
      found, code, story = doctor("--transport", "filesystem", "--transport-option", "data_foldr_in=x")
      assert.equal(1, code, story)
      assert_found('did you mean "data_folder_in"', found, "problem", story)
    end)

    it("with what others left there", function()
      local uuid = "0123abcd-0123-0123-0123-0123456789ab"
      assert(os.execute(([[
        cd '%s' && chmod 0777 . && mkdir -p .tfhost-spool/%s .tfhost-quarantine &&
        touch .tfhost-spool/%s/lock .tfhost-spool/%s/1_%s.ex_t.taken .tfhost-spool/%s/7.part \
          .tfhost-quarantine/x.ex_t.msg &&
        touch -d '2 days ago' 1_%s.ex_t.msg]]):format(dir, uuid, uuid, uuid, uuid, uuid, uuid)) == 0)
      local before = listing(dir)
      local found, code, story = at(dir)
      assert.equal(0, code, story)
      assert_found("^leftovers: .*1 messages in .* processes that died, and 1 were", found, "warning", story)
      assert_found("^leftovers: .*1 files that are no messages", found, "warning", story)
      assert_found("^messages: .*1 messages wait .*more than a day", found, "warning", story)
      assert_found("^permissions: .*everybody", found, "warning", story)
      assert.equal(before, listing(dir))
    end)

    it("with a worker in it", function()
      local side = peers.environment "filesystem"
      peers.ready(side:worker("lua", "work", { tasks = { dir .. "/tasks.lua" } }))
      local found, code, story = at(side.spool)
      assert.equal(0, code, story)
      assert_found("0 messages wait in .* 0 are with 1 processes", found, "ok", story)
      assert.is_false(has(found.warning, "^leftovers"), story)
    end)
  end)

  describe("looks at a broker", function()
    local node, before

    -- rabbitmqctl takes its time to begin, so it is asked for much at once.
    local function there()
      local list = [[{rabbit_amqqueue:list_names(), [element(2, X) || X <- rabbit_exchange:list(<<"/">>)]}.]]
      return node:ctl("eval", list)
    end

    -- User -> what he may configure, write, read.
    local USERS = {
      none = { "^no", "^no", "^no" },
      queueless = { "^ex$", "^ex", "^ex" },
      deaf = { ".*", ".*", "^ex$" }, -- what is published cannot be read
      dumb = { ".*", "^ex_", ".*" }, -- queues can be bound, and nothing be published
      enough = { "^ex", "^ex", "^ex" },
    }

    setup(function()
      node = broker.start()
      local steps = {}
      for user, may in pairs(USERS) do
        steps[#steps + 1] = ([[
          rabbit_auth_backend_internal:add_user(<<"%s">>, <<"pw">>, <<"spec">>),
          rabbit_auth_backend_internal:set_permissions(<<"%s">>, <<"/">>, <<"%s">>, <<"%s">>, <<"%s">>, <<"spec">>),
        ]]):format(user, user, may[1], may[2], may[3])
      end
      node:ctl("eval", table.concat(steps) .. "ok.")
      before = there()
    end)

    teardown(function()
      node:remove()
    end)

    local function at(user, password, ...)
      local url = node.url:gsub("guest:guest", user .. ":" .. password)
      return doctor("--url", url, "--exchange", "ex", "--topic", "t", ...)
    end

    it("that is well, and leaves nothing there", function()
      for _, words in ipairs { {}, { "--transport-option", "topology=durable" } } do
        local found, code, story = at("guest", "guest", unpack(words))
        assert.equal(0, code, story)
        assert_found("^broker: .*: RabbitMQ %d+%.%d+", found, "ok", story)
        assert_found("^heartbeat: .*10 s", found, "ok", story)
        assert_found('^exchange: .*"ex" is not there yet', found, "ok", story)
        assert_found('^queue: .*"ex_t" is not there yet', found, "ok", story)
        assert_found("^messages: .*a message to ourselves took", found, "ok", story)
        assert_found("^consumer timeout: ", found, "unseen", story)
      end
      assert.equal(before, there())
    end)

    it("that refuses the login, has no such vhost, or is not there", function()
      local found, code, story = at("guest", "s3cret")
      assert.equal(1, code, story)
      assert_found("^broker: .*login", found, "problem", story)
      assert.is_nil(story:gsub("%-%-url %S+", ""):find("s3cret", 1, true))
      found, code, story = doctor("--url", (node.url:gsub("//$", "/nowhere")))
      assert.equal(1, code, story)
      assert_found("^broker: .*vhost", found, "problem", story)
      found, code, story = doctor("--url", "amqp://127.0.0.1:1//")
      assert.equal(1, code, story)
      assert_found("^broker: .*Connection refused %-> is the broker running", found, "problem", story)
    end)

    it("on which the user may not do what peers do", function()
      for user, pattern in pairs {
        none = "^permissions: .*exchange 'ex'",
        queueless = "^permissions: .*queue 'ex_t'",
        deaf = "^permissions: .*basic.consume",
        dumb = "^permissions: ",
      } do
        local found, code, story = at(user, "pw")
        assert.equal(1, code, user .. story)
        assert_found(pattern, found, "problem", user .. story)
        assert_found("rabbitmqctl set_permissions", found, "problem", story)
      end
      local _, code, story = at("enough", "pw")
      assert.equal(0, code, story)
      assert.equal(before, there())
    end)

    it("that has the exchange and the queue of another topology", function()
      local worker = peers.ready(process.spawn {
        peers.tfhost, "worker", dir .. "/tasks.lua", "--url", node.url, "--exchange", "ex", "--topic", "t",
        "--transport-option", "topology=durable", "--control", "none",
      })
      worker:wait_for("connected", 10)
      local found, code, story = at("guest", "guest")
      assert.equal(1, code, story)
      assert_found("^exchange: .*inequivalent arg.*topology", found, "problem", story)
      assert_found("^queue: .*inequivalent arg.*topology", found, "problem", story)
      found, code, story = at("guest", "guest", "--transport-option", "topology=durable")
      assert.equal(0, code, story)
      assert_found('"ex_t" is as this topology has it: 0 messages wait, 1 consumers', found, "ok", story)
      worker:kill "KILL"
    end)

    it("that has an alarm", function()
      node:ctl("eval", "rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []}).")
      local found, code, story = at("guest", "guest", "--exchange", "other")
      node:ctl("eval", "rabbit_alarm:clear_alarm({resource_limit, memory, node()}).")
      assert.equal(1, code, story)
      assert_found("^alarm: .*memory or disk", found, "problem", story)
      assert.is_nil(there():find("other", 1, true))
    end)
  end)
end)
