-- Metrics as Prometheus sees them: the one of Debian, which scrapes real processes; promtool checks the page.
local peers = require "peers"
local process = require "process"

local TASKS = [[
local task = require "taskflow.task"
return {
  Works = task.Task { execute = function() end },
  Fails = task.Task { execute = function() error("no", 0) end },
  Dies = task.Task { execute = function() os.execute("kill -9 $PPID") end },
  Sleeps = task.Task { execute = function() os.execute("sleep 30") end },
}]]

local FLOW = [[
local tasks, lf = require "tasks", require "taskflow.patterns.linear_flow"
local unordered = require "taskflow.patterns.unordered_flow"
local all = unordered.Flow("all")
for i = 1, 20 do all:add(tasks.Works { name = "works-" .. i }) end
return {
  works = all,
  fails = lf.Flow("fails"):add(tasks.Fails { name = "fails" }),
  dies = lf.Flow("dies"):add(tasks.Dies { name = "dies", attempts = 1 }),
  sleeps = lf.Flow("sleeps"):add(tasks.Sleeps { name = "sleeps" }),
}]]

-- The text of a page, or what urllib says.
local function fetch(url)
  local read = "import sys, urllib.request as u; sys.stdout.write(u.urlopen(sys.argv[1]).read().decode())"
  local done = process.run { "/usr/bin/python3", "-c", read, url, timeout = 10 }
  assert(done.code == 0, done.story)
  return done.stdout
end

local function page_of(peer)
  peer:wait_for("/metrics", 10)
  return assert(peer:stderr():match "http://[%d.]+:%d+/metrics")
end

local function check(side, text)
  local path = side:file("page", text)
  local done = process.run { "sh", "-c", ("promtool check metrics <'%s'"):format(path) }
  assert.equal(0, done.code, done.story)
  assert.equal("", done.stdout .. done.stderr) -- nothing to improve, either
end

-- A Prometheus that scrapes that address each second.
local function prometheus(side, address)
  local config = side:file("prometheus.yml", ([[
global: { scrape_interval: 1s, scrape_timeout: 900ms }
scrape_configs:
  - job_name: tfhost
    static_configs: [{ targets: ["%s"] }]
]]):format(address))
  for _ = 1, 5 do -- a port may be taken
    local port = math.random(20000, 32000)
    local server = process.spawn {
      "prometheus", "--config.file=" .. config, "--storage.tsdb.path=" .. side.dir .. "/tsdb",
      "--web.listen-address=127.0.0.1:" .. port, "--log.level=warn",
    }
    local up = process.poll(8, function()
      return server:ended() or pcall(fetch, ("http://127.0.0.1:%d/-/ready"):format(port))
    end)
    if up and not server:ended() then
      -- What it answers to a query: a line a series, as `name{label="value"} => 1 @[...]`.
      return function(query)
        local done = process.run { "promtool", "query", "instant", "http://127.0.0.1:" .. port, query, timeout = 10 }
        return done.stdout .. done.stderr
      end
    end
  end
  error "prometheus does not start"
end

describe("metrics", function()
  local side, worker, dir

  local function run(flow, ...)
    local words = { peers.tfhost, "run", "--plain", "--backend", "none", dir .. "/flow.lua:" .. flow, "-e", "workers" }
    for _, word in ipairs { ... } do
      words[#words + 1] = word
    end
    for _, word in ipairs(side:words()) do
      words[#words + 1] = word
    end
    return words
  end

  local function start(transport)
    side = peers.environment(transport)
    dir = side.dir
    process.write(dir .. "/tasks.lua", TASKS)
    process.write(dir .. "/flow.lua", FLOW)
    worker = peers.ready(side:worker("lua", "default", {
      tasks = { dir .. "/tasks.lua" }, slots = 2, words = { "--metrics", "0", "--no-watch" },
    }))
  end

  after_each(process.cleanup)

  it("of a worker are scraped by Prometheus", function()
    start "filesystem"
    local address = page_of(worker):match "//(.*)/metrics"
    local query = prometheus(side, address)
    assert.equal(0, process.run(run "works").code)
    assert.equal(3, process.run(run "fails").code)
    assert.equal(3, process.run(run "dies").code)
    local sleeping = process.spawn(run "sleeps")
    sleeping:wait_for("sleeps  RUNNING", 10)
    process.write(dir .. "/tasks.lua", TASKS .. "oops")
    worker:kill "HUP"
    local wanted = { -- two of the outcomes are those of reverts
      'tfhost_worker_requests_total{class="tasks.Works", outcome="success"} => 20',
      'tfhost_worker_requests_total{class="tasks.Fails", outcome="failure"} => 1',
      'tfhost_worker_requests_total{class="tasks.Dies", outcome="failure"} => 1',
      'tfhost_worker_slot_deaths_total{cause="signal"} => 1',
      'tfhost_worker_slot_deaths_total{cause="exit"} => 0',
      "tfhost_worker_queue_wait_seconds_count{} => 25",
      "tfhost_worker_run_seconds_count{} => 24",
      'tfhost_worker_run_seconds_bucket{le="+Inf"} => 24',
      'tfhost_worker_slots{state="busy"} => 1',
      'tfhost_worker_slots{state="idle"} => 1',
      'tfhost_worker_reloads_total{outcome="failed"} => 1',
      "tfhost_worker_ready{} => 1",
      "up{} => 1",
    }
    local missing, all
    assert(process.poll(15, function()
      all = query '{__name__=~"tfhost_.*|up"}'
      missing = nil
      local seen = all:gsub('instance="[^"]*",? ?', ""):gsub('job="tfhost",? ?', ""):gsub(", }", "}")
      for _, line in ipairs(wanted) do
        missing = not seen:find(line .. " @", 1, true) and line or missing
      end
      return not missing
    end), ("%s is not in %s"):format(tostring(missing), all))
    check(side, fetch(page_of(worker)))
    sleeping:kill "KILL"
  end)

  it("of a worker and an engine know the broker", function()
    start "amqp"
    local engine = process.spawn(run("sleeps", "--metrics", "127.0.0.1:0"))
    local url, text = page_of(engine), nil
    assert(process.poll(10, function()
      text = fetch(url)
      return text:find 'tfhost_engine_atoms{state="RUNNING"} 1\n'
    end), text)
    check(side, text)
    assert.matches("\ntfhost_engine_workers 1\n", text)
    assert.matches("\ntfhost_engine_requests_in_flight 1\n", text)
    assert.matches("\ntfhost_engine_oldest_unstarted_seconds 0\n", text)
    assert.matches('\ntfhost_engine_flow_state{state="RUNNING"} 1\n', text)
    assert.is_true(tonumber(text:match "\ntfhost_transport_confirm_seconds_count (%d+)") > 0)
    text = fetch(page_of(worker))
    check(side, text)
    assert.is_true(tonumber(text:match "\ntfhost_transport_confirm_seconds_count (%d+)") > 0)
    assert.matches("\ntfhost_transport_connected 1\n", text)
    engine:kill "INT"
    assert.equal(130, engine:wait(10).code)
  end)

  it("of a parallel engine know its processes", function()
    start "filesystem"
    local engine = process.spawn {
      peers.tfhost, "run", "--plain", dir .. "/flow.lua:sleeps", "-e", "parallel", "-o", "max_workers=3",
      "--metrics", "0", env = { XDG_STATE_HOME = dir },
    }
    local url, text = page_of(engine), nil
    assert(process.poll(10, function()
      text = fetch(url)
      return text:find 'tfhost_engine_slots{state="busy"} 1\n'
    end), text)
    check(side, text)
    assert.matches('\ntfhost_engine_slots{state="idle"} 2\n', text)
    assert.matches("\ntfhost_engine_queue_wait_seconds_count 1\n", text)
    assert.is_true(tonumber(text:match "\ntfhost_engine_commit_seconds_count (%d+)") > 0)
  end)

  it("cannot be had at an address that is taken", function()
    start "filesystem"
    local taken = page_of(worker):match "//(.*)/metrics"
    local second = process.run {
      peers.tfhost, "worker", dir .. "/tasks.lua", "--metrics", taken, unpack(side:words()),
    }
    assert.equal(1, second.code)
    assert.matches("metrics: cannot listen at " .. taken:gsub("%p", "%%%0"), second.stderr)
  end)
end)
