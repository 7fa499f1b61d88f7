-- The defects of the reference's transport over a directory, by their names in doc/defects.md: each script runs twice
-- at a time, with Python TaskFlow and with tfhost.
local cjson = require "cjson"
local defects = require "defects"
local flows = require "flows"
local peers = require "peers"
local process = require "process"

local both, by_host, fan_out = defects.both, defects.by_host, defects.fan_out

describe("defects of the reference over a directory:", function()
  after_each(process.cleanup)

  it("K2: SIGKILL of a worker loses what it fetched, and the engine waits for ever", function()
    defects.assert_killed_worker("filesystem", true) -- this is not about K1
  end)

  it("K1: a reader takes a file that is not written yet", function()
    local python, lua = both("filesystem", function(run)
      run.worker { slots = 1 }
      -- The engine is Python's in both cases: it is the one that writes so.
      run.engine = run.side:start_engine("python", { "work" }, {
        flow = flows.linear("one", flows.task("Nothing", "nothing")),
      }, { transition_timeout = 6, slow_publisher = 0.5 })
    end, function() end, 10)
    assert.is_not.equal("SUCCESS", python.state)
    assert.equal("SUCCESS", lua.state, lua.engine:story())
  end)

  it("K3: a consumer of queue b takes what is for a.b", function()
    local function steal(run)
      run.side.patched = true
      run.thief = run.worker { slots = 1 }
      -- The others are Python's in both cases: tfhost refuses a name with a dot.
      run.side.exchange = "other." .. run.side.exchange
      run.owner = peers.ready(run.side:worker("python", "work", { slots = 1 }))
      run.engine = run.side:start_engine("python", { "work" }, fan_out(48, 0.05), { transition_timeout = 6 })
    end
    local python, lua
    for _ = 1, 4 do -- who is quicker is chance
      python, lua = both("filesystem", steal, function() end, 30)
      if python.state ~= "SUCCESS" then
        break
      end
    end
    assert.is_not.equal("SUCCESS", python.state)
    assert.equal("SUCCESS", lua.state, lua.engine:story())
    assert.is_nil(by_host(lua)[lua.thief.pid])
  end)

  it("K3, K5, K6: what kombu itself does", function()
    local shown = process.run {
      "/usr/bin/python3",
      peers.support .. "/python/kombu_defects.py",
      process.directory(),
    }
    assert.equal(0, shown.code, shown.story)
    local kombu = cjson.decode(shown.stdout)
    assert.equal("for a.b", kombu.stolen)
    assert.same({ "second", "first" }, kombu.order)
    assert.equal(100, kombu.listings)
  end)
end)
