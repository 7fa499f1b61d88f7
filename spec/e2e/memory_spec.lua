-- Tasks that run out of memory without a limit of their own: of the process (ulimit), of its control group. The engine
-- hears which it was, whatever the task does about it, and that it was neither when somebody else killed it.
local cjson = require "cjson"
local flows = require "flows"
local peers = require "peers"
local process = require "process"

local TASKS = [[
local task = require "taskflow.task"
local ffi = require "ffi"
ffi.cdef "void *malloc(unsigned long); void *memset(void *, int, unsigned long); int kill(int, int); int getpid(void);"
local function burn(seconds)
  local till = os.clock() + seconds
  while os.clock() < till do end
end
return {
  Swallows = task.Task { execute = function()
    local t = {}
    while true do
      pcall(function() t[#t + 1] = ("x"):rep(1024 * 1024) .. #t end)
    end
  end },
  Garbage = task.Task { execute = function()
    for i = 1, 600 do
      assert(#(("x"):rep(1024 * 1024) .. i) > 0)
    end
    return "done"
  end },
  Result = task.Task { execute = function()
    return { ("x"):rep(30 * 1024 * 1024), ("y"):rep(30 * 1024 * 1024) }
  end },
  Foreign = task.Task { execute = function()
    while true do
      ffi.C.memset(ffi.C.malloc(1048576), 1, 1048576)
    end
  end },
  Burns = task.Task { execute = function(self, seconds) burn(seconds) return ffi.C.getpid() end },
  Killed = task.Task { execute = function(self) burn(0.3) ffi.C.kill(ffi.C.getpid(), 9) end },
  Exits = task.Task { execute = function() os.exit(7) end },
}
]]

-- The directory of the control group of memory that this process is in, and the name of the file with its limit.
local function own_group()
  local text = process.read "/proc/self/cgroup"
  local one, two = text:match "%d+:memory:(/[^\n]*)", text:match "0::(/[^\n]*)"
  if one then
    return "/sys/fs/cgroup/memory" .. one, "memory.limit_in_bytes"
  end
  return "/sys/fs/cgroup" .. (two or "/"), "memory.max"
end

-- A group below it with this limit, or why there can be none.
local function make_group(bytes)
  local parent, limit = own_group()
  local dir = ("%s/tfhost-spec-%d"):format(parent:gsub("/$", ""), process.pid())
  if os.execute(("mkdir '%s' 2>/dev/null"):format(dir)) ~= 0 then
    return nil, "no control group can be made below " .. parent
  end
  if os.execute(("echo %d 2>/dev/null > '%s/%s'"):format(bytes, dir, limit)) ~= 0 then
    os.execute(("rmdir '%s'"):format(dir))
    return nil, ("%s has no %s to set"):format(dir, limit)
  end
  return dir
end

describe("out of memory:", function()
  local side, group
  after_each(function()
    process.cleanup()
    if group then
      process.poll(5, function()
        return os.execute(("rmdir '%s' 2>/dev/null"):format(group)) == 0
      end)
      group = nil
    end
  end)

  -- A worker begun by these words of a shell, which end in the words after them.
  local function worker(shell)
    side = peers.environment "filesystem"
    local path = process.write(side.dir .. "/tasks.lua", TASKS)
    local command = {
      "sh", "-c", shell .. ' exec "$@"', "sh",
      peers.tfhost, "worker", "--topic", "work", "--slots", "1", "--control", "none", path,
      env = side:env(),
    }
    for _, word in ipairs(side:words()) do
      command[#command + 1] = word
    end
    return peers.ready(process.spawn(command))
  end

  local function task(class, inject)
    return { task = "tasks." .. class, name = class, provides = class, inject = inject }
  end

  local function failure(class, language)
    local run = side:engine(language or "lua", { "work" }, { flow = flows.linear("f", task(class)) })
    assert.equal("REVERTED", run.state, run.story)
    return run.failures[class]
  end

  -- AddressSanitizer reserves terabytes of addresses, and starts under no limit of them.
  local limited = os.getenv "TFHOST_TEST_SANITIZED" and pending or it

  limited("the limit of the process, which no pcall can swallow", function()
    local w = worker "ulimit -v 400000;"
    local f = failure "Swallows"
    assert.equal(
      "tfhost.OutOfMemory tfhost.MemoryLimitExceeded tfhost.LimitExceeded tfhost.WorkerLost RuntimeError Exception",
      table.concat(f.exc_type_names, " ")
    )
    assert.matches(
      "task 'Swallows' .*SIGKILL.*out of memory %(rlimit%): it could not have %d+.%d MB more, beyond the limit "
        .. "of 390.6 MB",
      f.exception_str
    )
    -- What is garbage is no reason to die, and nothing of the task before is left.
    local run = side:engine("lua", { "work" }, { flow = flows.linear("f", task "Garbage") })
    assert.equal("SUCCESS", run.state, run.story)
    assert.is_nil(w:ended())
  end)

  limited("the limit of the process, met in C", function()
    worker "ulimit -v 170000;"
    local f = failure "Result"
    assert.equal("tfhost.OutOfMemory", f.exc_type_names[1], f.exception_str)
  end)

  it("the failure says signal, exit code, and what the task used, not the tasks before it", function()
    worker ""
    for _ = 1, 2 do
      side:engine("lua", { "work" }, { flow = flows.linear("f", task("Burns", { seconds = 0.4 })) })
    end
    local f = failure "Killed"
    assert.equal("tfhost.WorkerLost", f.exc_type_names[1], f.exception_str)
    local use = f.exc_args[2]
    assert.equal(f.exception_str, f.exc_args[1])
    assert.equal(9, use.signal)
    assert.equal(cjson.null, use.exit_code)
    assert.is_true(use.cpu_seconds >= 0.25 and use.cpu_seconds < 0.6, cjson.encode(use)) -- and not 1.1
    assert.is_true(use.seconds >= 0.25)
    assert.is_true(use.peak_memory > 1024 * 1024)
    f = failure "Exits"
    assert.matches("exited with code 7", f.exception_str)
    assert.equal(7, f.exc_args[2].exit_code)
    assert.equal(cjson.null, f.exc_args[2].signal)
  end)

  it("the limit of the control group", function()
    local why
    group, why = make_group(150 * 1024 * 1024)
    if not group then
      print("# not here: " .. why .. "; test_oom has the files")
      return
    end
    worker(("echo $$ > '%s/cgroup.procs';"):format(group))
    for _, class in ipairs { "Foreign", "Swallows" } do
      local f = failure(class)
      assert.equal("tfhost.OutOfMemory", f.exc_type_names[1], f.exception_str)
      assert.matches(
        "out of memory %(cgroup%): the kernel killed it in control group /.*, memory limit 150.0 MB",
        f.exception_str
      )
      assert.equal(9, f.exc_args[2].signal)
    end
    -- Who is killed by somebody else is not blamed for what the kernel did before.
    assert.equal("tfhost.WorkerLost", failure("Killed").exc_type_names[1])
  end)
end)
