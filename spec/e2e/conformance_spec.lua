-- Raw messages to a worker of each language: what comes back has to be the same. Where the two differ on purpose, the
-- case says so and why.
local cjson = require "cjson"
local peers = require "peers"
local process = require "process"

local FAILURE = {
  exception_str = "x",
  traceback_str = "",
  exc_type_names = { "RuntimeError", "Exception" },
  version = 1,
  exc_args = setmetatable({}, cjson.empty_array_mt),
  causes = setmetatable({}, cjson.empty_array_mt),
}

local function with(base, more)
  local out = {}
  for key, value in pairs(base) do
    out[key] = value
  end
  for key, value in pairs(more) do
    out[key] = value
  end
  return out
end

local function request(class, more)
  local base = { task_cls = "peer_tasks." .. class, task_name = "t", task_version = { 1, 0 }, action = "execute" }
  base.arguments = cjson.decode "{}"
  return { type = "REQUEST", body = with(base, more or {}) }
end

local function revert(class, more)
  return request(class, with({ action = "revert", result = { "success", 3 }, failures = cjson.decode "{}" }, more))
end

local function without(message, key)
  message.body[key] = nil
  return message
end

local NULL = cjson.null

-- { what, message, ours }: `ours` are the answers of the Lua worker where they are not those of Python.
local CASES = {
  { "a task that returns nothing", request "Nothing" },
  { "an argument that goes and comes", request("Echo", { arguments = { value = { 1, "two", NULL } } }) },
  { "events between RUNNING and SUCCESS", request("Progress", { arguments = { steps = 2 } }) },
  { "a task that fails", request "Boom" },
  { "a class that is not served", request "Missing" },
  { "an argument missing", request "Echo" },
  { "an argument too many", request("Nothing", { arguments = { surplus = 1 } }) },
  { "an action that does not exist", request("Nothing", { action = "explode" }) },
  { "no action", without(request "Nothing", "action") },
  { "no class", without(request "Nothing", "task_cls") },
  { "no name", without(request "Nothing", "task_name") },
  { "no version", without(request "Nothing", "task_version") },
  { "a version that is a number", request("Nothing", { task_version = 1 }) },
  { "a version that is text", request("Nothing", { task_version = "1.0" }) },
  { "arguments that are null", request("Nothing", { arguments = NULL }) },
  { "arguments that are a list", request("Nothing", { arguments = { 1 } }) },
  { "no arguments", without(request "Nothing", "arguments") },
  { "a key that nobody knows", request("Nothing", { colour = "red" }) },
  { "a list for a body", { type = "REQUEST", body = { 1 } } },
  { "a type that nobody knows", { type = "QUESTION", body = cjson.decode "{}" } },
  { "a RESPONSE", { type = "RESPONSE", body = { state = "RUNNING", data = cjson.decode "{}" } } },
  { "a probe", { type = "NOTIFY", body = "{}" } },
  { "a probe that is not empty", { type = "NOTIFY", body = { a = 1 } } },
  { "a revert", revert("Undo", { arguments = { value = 1 }, failures = { boom = FAILURE } }) },
  { "a revert without failures in the flow", revert("Undo", { arguments = { value = 1 } }) },
  { "a revert of a failure", revert("Boom", { result = { "failure", FAILURE }, failures = { t = FAILURE } }) },
  { "a revert of a task that has none", revert("Nothing", {}) },
  { "a revert that fails", revert("RevertBoom", {}) },
  { "a revert with an argument missing", revert("Undo", {}) },
  {
    "a revert whose failure is of another version",
    revert("Undo", { result = { "failure", with(FAILURE, { version = 2 }) } }),
  },
  {
    "a revert whose failure is not rooted in Exception",
    revert("Undo", { result = { "failure", with(FAILURE, { exc_type_names = { "RuntimeError" } }) } }),
  },
  { "a failure without a traceback", revert("Undo", { failures = { t = with(FAILURE, { traceback_str = NULL }) } }) },
  {
    "an outcome that is neither success nor failure counts as success",
    revert("Undo", { arguments = { value = 1 }, result = { "whatever", 3 } }),
  },
  -- Python fails for want of an argument; the engine only left out what is empty.
  {
    "a revert that does not mention failures",
    without(revert("Undo", { arguments = { value = 1 } }), "failures"),
    { { "RUNNING" }, { "SUCCESS", "undone" } },
  },
}

-- An answer as { state, what it says }; texts of errors and tracebacks are each language's own.
local function shape(answer)
  local state, data = answer[1], answer[2]
  if state == "EVENT" then
    return { state, data.event_type, data.details.progress }
  elseif state == "FAILURE" then
    local names = data.result.exc_type_names
    -- A Lua error is a RuntimeError, under a name of its own before that.
    return { state, names[1] == "tfhost.LuaError" and names[2] or names[1] }
  end
  return { state, data.result }
end

local function ask(transport, language)
  local side = peers.environment(transport)
  peers.ready(side:worker(language, "work", { slots = 1 }))
  local messages = {}
  for i, case in ipairs(CASES) do
    messages[i] = case[2]
  end
  local config = { exchange = side.exchange, topic = "work", url = side.url, spool = side.spool, messages = messages }
  local done = process.run {
    "/usr/bin/python3",
    peers.support .. "/python/ask.py",
    side:file("ask.json", cjson.encode(config)),
    env = side:env(),
    timeout = 60,
  }
  assert(done.code == 0, done.story)
  local out = cjson.decode(done.stdout)
  for _, answers in ipairs(out.answers) do
    for i, answer in ipairs(answers) do
      answers[i] = shape(answer)
    end
  end
  return out
end

describe("a raw message gets the same answers from a Lua worker as from a Python worker:", function()
  local python, lua, over_files

  lazy_setup(function()
    python, lua, over_files = ask("amqp", "python"), ask("amqp", "lua"), ask("filesystem", "lua")
  end)

  lazy_teardown(process.cleanup)

  it("Python answered at all", function()
    assert.same({ { "RUNNING" }, { "SUCCESS", NULL } }, python.answers[1])
    assert.same({ { "FAILURE", "KeyError" } }, python.answers[5])
    assert.same({}, python.answers[8])
  end)

  for i, case in ipairs(CASES) do
    it(case[1], function()
      local wanted = case[3] or python.answers[i]
      assert.same(wanted, lua.answers[i])
      assert.same(wanted, over_files.answers[i])
    end)
  end

  it("one probe was answered, with topic and tasks", function()
    for _, side in ipairs { python, lua, over_files } do
      assert.equal(1, #side.notices)
      assert.equal("work", side.notices[1].topic)
      table.sort(side.notices[1].tasks)
    end
    assert.same(lua.notices, over_files.notices)
    -- Python's module has a few classes more than its namesake in Lua.
    local served = {}
    for _, name in ipairs(python.notices[1].tasks) do
      served[name] = true
    end
    for _, name in ipairs(lua.notices[1].tasks) do
      assert.is_true(served[name], name)
    end
  end)
end)
