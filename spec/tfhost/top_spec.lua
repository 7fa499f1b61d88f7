-- tfhost.top: what it draws of workers that answered, in the room there is; and the command on a terminal.
local cjson = require "cjson"
local host = require "tfhost.host"
local process = require "process"
local text = require "tfhost.text"
local top = require "tfhost.top"
local values = require "taskflow.values"

local function status(pid, more)
  local out = {
    pid = pid, worker = "w" .. pid, topic = "work", seconds = 90, slots = 4, busy = 2, cpu = 1, memory = 2e6,
    connected = true, draining = false, queues = { waiting = 7 },
    counters = { succeeded = 10, failed = 1 }, scripts = { current = 3, load_error = values.null },
    processes = { { pid = pid + 1, cpu = 2, memory = 3e6, job = 5, job_cpu = 0.5, class = "t.Work" } },
    tasks = {
      { job = 5, task = "a", state = "running", action = "execute", waited = 0.1, ran = 4 },
      { job = 6, task = "b", state = "waiting", action = "revert", waited = 2, ran = values.null },
    },
  }
  for key, value in pairs(more or {}) do
    out[key] = value
  end
  out.rates, out.memory_all = { done = 0, failed = 0, cpu = 0 }, 5e6
  return out
end

local function picture(workers, height, width)
  return top.picture({ workers = workers, silent = {} }, height, width, false)
end

describe("top", function()
  it("shows workers and what they run, the longest first", function()
    local lines = picture({ status(100), status(200, { tasks = {} }) }, 24, 80)
    local all = table.concat(lines, "\n")
    assert.matches("^tfhost top %d%d:%d%d:%d%d  2 workers  4/8 slots busy  0.0 tasks/s  0.0 failed/s\n", all)
    assert.matches("\n   100  work   1m30s  ██░░ 2/4     7     0.0       1   0%%  4.8 MB  3\n", all)
    assert.matches("\n   100  101  running +100 ms  4.0 s  500 ms  2.9 MB  a  %(t.Work%)\n", all)
    assert.matches("\n   100 +%-  waiting %(revert%) +2.0 s +%- +%- +%-  b  %(%?%)$", all)
  end)

  it("says what is wrong with a worker", function()
    local wrong = { message = "tasks.lua:3: boom\nmore", at = 1 }
    local all = table.concat(picture({
      status(100, { connected = false, draining = true, scripts = { current = 1, load_error = wrong } }),
    }, 24, 120), "\n")
    assert.matches("\n +draining; not connected; its scripts do not load: tasks.lua:3: boom more\n", all)
    assert.matches("no worker answers", table.concat(picture({}, 24, 80), "\n"))
    local look = { workers = {}, silent = { "/a", "/b" } }
    assert.matches("2 DO NOT ANSWER", table.concat(top.picture(look, 24, 120, false), "\n"))
  end)

  it("fits the screen, however many workers and tasks there are", function()
    local workers, tasks = {}, {}
    for i = 1, 300 do
      tasks[i] = { job = i, task = ("é"):rep(100), state = "running", action = "execute", waited = 0, ran = i }
    end
    for i = 1, 50 do
      workers[i] = status(1000 * i, { topic = "ü" .. i, tasks = i == 7 and tasks or {} })
    end
    for _, size in ipairs { { 22, 79 }, { 48, 199 }, { 5, 20 }, { 3, 5 } } do
      local lines = picture(workers, size[1], size[2])
      assert.is_true(#lines <= math.max(size[1], 5), ("%d lines of %d"):format(#lines, size[1]))
      for _, line in ipairs(lines) do
        assert.is_true(text.width(line) <= size[2], line)
        assert.is_true(line:gsub("[\192-\255][\128-\191]+", ""):find "[\128-\255]" == nil, "half a character")
      end
    end
    local all = table.concat(picture(workers, 22, 79), "\n")
    assert.matches("%.%.%. %d+ more workers", all)
    assert.matches("%.%.%. %d+ more tasks", all)
  end)

  describe("the command", function()
    local tfhost, dir = os.getenv "TFHOST", nil

    setup(function()
      dir = process.directory()
      assert(os.execute(("mkdir -m 700 '%s/ctl'"):format(dir)) == 0)
      process.write(dir .. "/tasks.lua", [[
        local task = require "taskflow.task"
        return { Nap = task.Task { execute = function() os.execute "sleep 30" end } }
      ]])
      local worker = process.spawn { tfhost, "worker", dir .. "/tasks.lua", "--topic", "work", "--slots", "3",
        "--url", "filesystem://" .. dir .. "/spool", env = { TFHOST_CONTROL_DIR = dir .. "/ctl" } }
      worker:wait_for("serving", 20)
    end)
    teardown(process.cleanup)

    -- With keys typed into it, on a terminal of its own.
    local function on_terminal(keys, ...)
      local words = table.concat({ tfhost, "top", ... }, " ")
      return process.run {
        "sh", "-c", ("(sleep 0.7; printf '%s'; sleep 1.5) | script -qfec '%s; echo code $?; stty -a' /dev/null"):format(
          keys, "stty rows 24 cols 80; " .. words
        ),
        env = { TFHOST_CONTROL_DIR = dir .. "/ctl", TERM = "xterm" }, timeout = 30,
      }
    end

    it("draws over the whole screen until q, and leaves the terminal as it was", function()
      for keys, code in pairs { q = 0, ["\\003"] = 130 } do
        local said = on_terminal(keys, "--interval", "0.2").stdout
        assert.is_truthy(said:find("\27[?1049h", 1, true), said)
        assert.matches("1 worker  0/3 slots busy.*q: quit.*\27%[%?25h\27%[%?1049l.*code " .. code, said)
        assert.is_truthy(said:find("\27[?1049l", 1, true) < said:find("code", 1, true))
        assert.is_nil(said:match "code.*%-echo " or said:match "code.*%-icanon" or said:match "code.*%-isig")
      end
    end)

    it("prints text or JSON lines where there is no terminal", function()
      local env = { TFHOST_CONTROL_DIR = dir .. "/ctl" }
      local said = process.run { tfhost, "top", "-n", "3", "--interval", "0.1", env = env, timeout = 20 }
      assert.equal(0, said.code, said.story)
      assert.equal(3, select(2, said.stdout:gsub("tfhost top ", "")))
      assert.is_nil(said.stdout:find "\27")
      said = process.run { tfhost, "top", "--once", "--json", env = env, timeout = 20 }
      local look = cjson.decode(said.stdout)
      assert.same({ 1, 0, "work", 3 }, { #look.workers, #look.silent, look.workers[1].topic, look.workers[1].slots })
      assert.is_true(math.abs(look.at - host.time()) < 60)
      assert.equal(64, process.run({ tfhost, "top", "--interval", "0", env = env, timeout = 20 }).code)
      said = process.run { tfhost, "top", "--once", env = { TFHOST_CONTROL_DIR = dir }, timeout = 20 }
      assert.equal(1, said.code)
    end)
  end)
end)
