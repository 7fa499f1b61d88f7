-- One flow, workers of both languages: the first task in Python, the second in Lua, the third in Python.
local flows = require "flows"
local json_text = require "json_text"
local peers = require "peers"
local process = require "process"

-- What crosses both borders.
local CROSSING = {
  int64_max = "9223372036854775807",
  list = '[1,[2,[3,[]]],{},null,"x"]',
  map = '{"a":{"empty":[],"null":null},"b":1,"":"no name"}',
  unicode = [["\u00e9 \u4e2d\u6587 \ud83d\ude00 \u2028 \ufeff"]],
}

describe("a flow over Python, Lua, and Python again", function()
  after_each(process.cleanup)

  local function play(transport, engine)
    local side = peers.environment(transport)
    side:worker("python", "python", { tasks = { "peer_tasks:Give", "peer_tasks:Describe", "peer_tasks:Boom" } })
    side:worker("lua", "lua", { tasks = { peers.support .. "/peer_tasks.lua:Echo", "peer_tasks:Undo" } })
    local children = {}
    for kind in pairs(CROSSING) do
      children[#children + 1] = flows.linear(
        "flow " .. kind,
        flows.task("Give", "give " .. kind, { inject = { kind = kind }, provides = "give_" .. kind }),
        flows.task("Echo", "echo " .. kind, { rebind = { value = "give_" .. kind }, provides = "echo_" .. kind }),
        flows.task("Describe", "see " .. kind, { rebind = { value = "echo_" .. kind }, provides = "see_" .. kind })
      )
    end
    local run = side:engine(engine, { "python", "lua" }, { flow = flows.unordered("mixed", unpack(children)) })
    assert.equal("SUCCESS", run.state)
    for kind, text in pairs(CROSSING) do
      assert.equal(json_text.describe(text), json_text.parse(run.results["see_" .. kind].text).value)
      assert.equal(json_text.describe(text), json_text.describe(run.results["echo_" .. kind].text))
    end
    return side
  end

  for _, transport in ipairs { "amqp", "filesystem" } do
    it("hands values through unchanged, " .. transport, function()
      play(transport, "lua")
    end)
  end

  it("hands values through unchanged, a Python engine over amqp", function()
    play("amqp", "python")
  end)

  it("a failure in Python reverts the task in Lua, which sees it", function()
    local side = play("amqp", "lua")
    local run = side:engine("lua", { "python", "lua" }, {
      flow = flows.linear(
        "reverting",
        flows.task("Undo", "undo", { rebind = { value = "n" }, provides = "twice" }),
        flows.task("Boom", "boom")
      ),
      store = { n = 21 },
    })
    assert.equal("REVERTED", run.state)
    assert.equal("RuntimeError", run.failures.boom.exc_type_names[1])
    local reverts = side:journal "revert"
    assert.same({ "python", "boom" }, { reverts[1].language, reverts[1].task })
    assert.same({ "lua", "undo", "n42" }, { reverts[2].language, reverts[2].task, reverts[2].result })
    assert.same({ "boom=Woot!" }, reverts[2].failures)
  end)
end)
