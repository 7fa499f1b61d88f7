-- Random flows on the three engines and in Python TaskFlow (make conformance, on fewer flows); and that a change of
-- what a flow means is seen there.
local peers = require "peers"
local process = require "process"

-- Output of the comparison, and its exit code.
local function compare(...)
  local done = process.run {
    "/usr/bin/python3",
    "-B",
    "spec/conformance/conformance.py",
    "--seed",
    "spec",
    env = { TFHOST = peers.tfhost },
    timeout = 300,
    ...,
  }
  assert(done.code ~= nil, done.story)
  return done.stdout, done.code, done.story
end

describe("random flows", function()
  it("show no difference between tfhost and Python TaskFlow", function()
    local told, code, story = compare("--flows", "300", "--off", "serial")
    assert(code == 0, story)
    assert.is_truthy(told:find("300 flows, 1200 runs, 0 differences", 1, true))
  end)

  -- Flows that mean something else for tfhost than for Python.
  local MUTATIONS = {
    attempts = "60",
    ["decider-depth"] = "100",
    ["defer-reverts"] = "60",
    ["no-store"] = "60",
    priority = "60",
    ["revert-works"] = "60",
  }
  for mutation, flows in pairs(MUTATIONS) do
    it("show a change of meaning: " .. mutation, function()
      local told, code, story =
        compare("--flows", flows, "--engines", "serial", "--off", "", "--report", "0", "--mutate", mutation)
      assert(code == 1, story)
      assert.is_nil(told:find(" 0 differences", 1, true))
    end)
  end

  it("are made small when they differ, and say how to repeat it", function()
    local told, code, story =
      compare("--flows", "20", "--engines", "serial", "--off", "", "--report", "1", "--mutate", "attempts")
    assert(code == 1, story)
    assert.is_truthy(told:find "make conformance SEED=spec FIRST=%d+ FLOWS=1 ENGINES=serial")
    local smallest = told:match "smallest: ([^\n]+)"
    assert.is_truthy(smallest:find('"class": "Times"', 1, true))
    assert.equal(1, select(2, smallest:gsub('"result"', ""))) -- a task that fails, below a retry
  end)
end)
