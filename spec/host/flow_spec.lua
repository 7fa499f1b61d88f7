-- `tfhost flow`: what run keeps can be listed, shown, resumed, cancelled and deleted; what cannot be done is told.
local peers = require "peers"
local process = require "process"
local values = require "taskflow.values"

local SCRIPT = [[
local host = require "tfhost.host"
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local Step = task.Task {
  execute = function(self, seconds)
    host.sleep(seconds)
    return self.name
  end,
  revert = function(self, result) -- luacheck: ignore
    print("reverting " .. self.name)
  end,
}
return lf.Flow("steps"):add(
  Step { name = "first", inject = { seconds = 0 } },
  lf.Flow("inner"):add(Step { name = "second", provides = "second" }),
  Step { name = "third", inject = { seconds = 0 }, provides = "third" }
)
]]

describe("tfhost flow", function()
  local dir, db

  before_each(function()
    dir = process.directory()
    db = dir .. "/flows.db"
    process.write(dir .. "/steps.lua", SCRIPT)
  end)

  after_each(process.cleanup)

  local function flow(...)
    return process.run { peers.tfhost, "flow", "--backend", db, ... }
  end

  local function begin(seconds)
    return process.spawn {
      peers.tfhost, "run", dir .. "/steps.lua", "--backend", db, "--plain", "--store", "seconds=" .. seconds,
    }
  end

  -- A flow whose engine was killed while `second` ran; its uuid.
  local function killed()
    local p = begin(30)
    p:wait_for("second  RUNNING", 10)
    p:kill "KILL"
    p:wait(10)
    return values.decode(flow("list", "--unfinished", "--json").stdout:match "[^\n]+").uuid
  end

  it("lists and shows", function()
    assert.equal("no flows\n", flow("list").stdout)
    assert.equal(0, begin(0):wait(10).code)
    local uuid = killed()
    local list = flow("list", "--unfinished")
    assert.equal(0, list.code)
    assert.matches("steps%s+RUNNING", list.stdout)
    assert.matches("none: can be resumed", list.stdout)
    assert.is_nil(list.stdout:find "SUCCESS")
    local shown = flow("show", uuid:sub(1, 13))
    assert.equal(0, shown.code, shown.story)
    local tree = '  first  SUCCESS [^\n]+ = "first"\n  inner\n    second  RUNNING [^\n]+\n  third  PENDING\n'
    assert.matches(tree, shown.stdout)
    local json = values.decode(flow("show", uuid, "--json").stdout)
    assert.equal("RUNNING", json.state)
    assert.is_true(json.unfinished)
    assert.equal(4, #json.atoms)
  end)

  it("resumes what a killed engine left, and only that", function()
    local uuid = killed()
    local p = process.spawn { peers.tfhost, "flow", "resume", uuid:sub(1, 8), "--backend", db, "--plain" }
    p:wait_for("flow  RUNNING", 10)
    assert.is_nil(p:stdout():find "first")
    for _, action in ipairs { "resume", "delete" } do
      local refused = flow(action, uuid, "--force")
      assert.equal(7, refused.code, refused.story)
      assert.matches(("process %d on "):format(p.pid), refused.stderr)
    end
    p:kill "KILL"
    p:wait(10)
    local cancelled = flow("cancel", uuid, "--plain")
    assert.equal(3, cancelled.code, cancelled.story)
    assert.matches("reverting second.*reverting first", cancelled.stdout)
    assert.matches("tfhost.Cancelled: 'second' was running when its flow was cancelled", cancelled.stdout)
    assert.equal(2, flow("resume", uuid).code)
    assert.matches("has ended: REVERTED", flow("resume", uuid).stderr)
  end)

  it("cancels a flow that an engine runs: that is asked to stop first", function()
    local p = begin(0.5)
    p:wait_for("second  RUNNING", 10)
    local uuid = values.decode(flow("list", "--json").stdout:match "[^\n]+").uuid
    local cancelled = flow("cancel", uuid, "--plain")
    assert.equal(143, p:wait(10).code, p:story())
    assert.equal(3, cancelled.code, cancelled.story)
    assert.matches("reverting second.*reverting first", cancelled.stdout)
  end)

  it("resumes all, each in a process of its own", function()
    local quick = SCRIPT:gsub("host.sleep%(seconds%)", "host.sleep(os.getenv 'QUICK' and 0 or seconds)")
    process.write(dir .. "/steps.lua", quick)
    killed()
    killed()
    local observed = { "--metrics", "0", "--log-format", "logfmt" }
    local words = { peers.tfhost, "flow", "resume", "--all", "--plain", "--backend", db, unpack(observed) }
    words.env = { QUICK = "1" }
    local all = process.run(words)
    assert.equal(0, all.code, all.story)
    local pages = select(2, all.stderr:gsub('level=info area=metrics msg="at http://127.0.0.1:%d+/metrics', ""))
    assert.equal(2, pages, all.stderr)
    assert.equal(2, select(2, all.stdout:gsub("flow 'steps': SUCCESS", "")))
    assert.equal(0, #flow("list", "--unfinished", "--json").stdout)
    assert.equal(0, flow("delete", "--all").code)
    assert.equal("no flows\n", flow("list").stdout)
  end)

  it("reports changed scripts, and accepts them when told to", function()
    local uuid = killed()
    process.write(dir .. "/steps.lua", (SCRIPT:gsub("host.sleep%(seconds%)", "")))
    local refused = flow("resume", uuid)
    assert.equal(2, refused.code)
    assert.matches("steps.lua %(changed%); %-%-force goes on with what is there now", refused.stderr)
    assert.matches("since then: .-steps.lua %(changed%)", flow("show", uuid).stdout)
    local forced = flow("resume", uuid, "--force", "--plain")
    assert.equal(0, forced.code, forced.story)
    assert.matches('third = "third"', forced.stdout)
  end)

  it("tells what is wrong", function()
    local uuid = killed()
    for _, case in ipairs {
      { 2, "no flow 0123", "show", "0123" },
      { 2, "'x' is no uuid", "show", "x" },
      { 2, "has not ended %(RUNNING%): resume or cancel it first", "delete", uuid },
      { 64, "which flow%?", "show" },
      { 64, "unknown action", "dance" },
      { 64, "%-%-wait: expected seconds", "cancel", uuid, "--wait", "x" },
    } do
      local done = flow(unpack(case, 3))
      assert.equal(case[1], done.code, done.story)
      assert.matches(case[2], done.stderr)
    end
    local nowhere = process.run { peers.tfhost, "flow", "list", "--backend", "none" }
    assert.equal(2, nowhere.code)
    process.write(dir .. "/text.db", ("this is no database\n"):rep(100))
    local damaged = process.run { peers.tfhost, "run", dir .. "/steps.lua", "--backend", dir .. "/text.db" }
    assert.equal(2, damaged.code, damaged.story)
    assert.matches("the file is damaged or no database, and was left as it is", damaged.stderr)
  end)
end)
