-- The defects of the reference that tfhost was made without, by their names in doc/defects.md: each script runs
-- twice at a time, with Python TaskFlow on both sides and with tfhost on both sides.
local cjson = require "cjson"
local defects = require "defects"
local fault_proxy = require "fault_proxy"
local flows = require "flows"
local peers = require "peers"
local process = require "process"

local both, by_host, fan_out, started = defects.both, defects.by_host, defects.fan_out, defects.started

describe("defects of the reference:", function()
  after_each(process.cleanup)

  it("T1, T2: SIGKILL of a worker loses what it fetched, and the engine waits for ever", function()
    defects.assert_killed_worker("amqp")
  end)

  it("T3: a request that waits behind others expires, and is run all the same", function()
    local python, lua = both("amqp", function(run)
      run.worker { slots = 1 }
      run.engine = run.flow(fan_out(5, 1), { transition_timeout = 2 })
    end, function() end, 20)
    assert.is_not.equal("SUCCESS", python.state)
    assert.matches("RequestTimeout", cjson.encode(python.result and python.result.failures or {}))
    assert(process.poll(20, function() -- though three of them had failed
      return #python.side:journal "start" == 5
    end))
    assert.equal("SUCCESS", lua.state, lua.engine:story())
    assert.equal(5, #lua.side:journal "start")
  end)

  it("T4: a worker whose threads are all busy is not found", function()
    local python, lua = both("amqp", function(run)
      run.worker { slots = 1 }
      run.engine = run.flow(fan_out(1, 15))
      started(run, 1)
      local next_one = { flow = flows.linear("next", flows.task("Nothing", "nothing")) }
      run.engine = run.flow(next_one, { transition_timeout = 3 })
    end, function() end, 20)
    assert.is_not.equal("SUCCESS", python.state)
    assert.equal("SUCCESS", lua.state, lua.engine:story())
  end)

  it("T5: a broker that is away for some seconds leaves an engine that waits for ever", function()
    local python, lua = both("amqp", function(run)
      run.proxy = fault_proxy.start(run.side.url)
      run.side.url = run.proxy.url
      run.worker { slots = 1 }
      run.engine = run.flow({
        flow = flows.linear("two", flows.task("Slow", "a", { inject = { seconds = 1 } }), flows.task("Nothing", "b")),
      }, { transition_timeout = 3 })
      started(run, 1)
      run.proxy:tell "refuse"
      run.proxy:tell "cut"
    end, function(run)
      process.sleep(run.language == "python" and 6 or 0) -- Python's is called first
      run.proxy:tell "accept"
    end, 6)
    assert.is_nil(python.state, "Python carried on")
    assert.equal("SUCCESS", lua.state, lua.engine:story())
  end)

  it("T6: one worker fetches all there is, another one stays idle", function()
    local python, lua = both("amqp", function(run)
      run.first = run.worker { slots = 1 }
      run.engine = run.flow(fan_out(10, 0.5))
      started(run, 1)
      run.second = run.worker { slots = 1 }
    end, function() end, 20)
    assert.equal("SUCCESS", python.state)
    assert.equal("SUCCESS", lua.state, lua.engine:story())
    assert.is_nil(by_host(python)[python.second.pid])
    assert.is_true(by_host(lua)[lua.second.pid] >= 2)
  end)

  it("T6: the reply to an engine that died makes a queue that nobody ever reads", function()
    local dir = assert(os.getenv "TFHOST_TEST_AMQP_DIR", "run inside: spec/support/rabbitmq run ...")
    local python, lua = both("amqp", function(run)
      run.worker { slots = 1 }
      run.engine = run.flow(fan_out(1, 1.5))
      started(run, 1)
      run.engine:kill "KILL"
      run.engine:wait(5)
    end, function(run)
      assert(process.poll(10, function()
        return #run.side:journal "end" == 1
      end))
      process.sleep(1) -- and the reply is on its way
    end, 0)
    local command = { peers.support .. "/rabbitmq", "ctl", dir, "list_queues", "--silent", "name", "consumers" }
    local list = process.run(command)
    assert.equal(0, list.code, list.story)
    local function unread(run) -- queues of its exchange that nobody consumes
      return select(2, ("\n" .. list.stdout):gsub("\n" .. run.side.exchange:gsub("%-", "%%-") .. "_%S+%s+0%f[%s]", ""))
    end
    assert.equal(1, unread(python), list.stdout)
    assert.equal(0, unread(lua), list.stdout)
  end)
end)
