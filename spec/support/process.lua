-- Real processes for specs: start, watch, signal, and never leave one behind.
--
--   local p = process.spawn { "tfhost", "worker", "tasks.lua", env = { HOME = dir } }
--   p:wait_for("serving", 10)          output so far matches, or an error that shows all of it
--   p:kill("KILL"); local how = p:wait(5)
--
-- Every wait has a limit in seconds. A child dies with the spec's process, even by SIGKILL.
local ffi = require "ffi"

ffi.cdef [[
typedef struct { char opaque[80]; } tfspec_actions;
typedef struct { char opaque[336]; } tfspec_attr;
struct tfspec_timespec { long sec, nsec; };
int posix_spawn_file_actions_init(tfspec_actions *);
int posix_spawn_file_actions_addopen(tfspec_actions *, int, const char *, int, unsigned);
int posix_spawn_file_actions_destroy(tfspec_actions *);
int posix_spawnattr_init(tfspec_attr *);
int posix_spawnattr_setflags(tfspec_attr *, short);
int posix_spawnattr_setpgroup(tfspec_attr *, int);
int posix_spawnattr_destroy(tfspec_attr *);
int posix_spawnp(int *, const char *, const tfspec_actions *, const tfspec_attr *, char *const *,
  char *const *);
int getpid(void);
int waitpid(int, int *, int);
int kill(int, int);
int poll(void *, unsigned long, int);
int clock_gettime(int, struct tfspec_timespec *);
extern char **environ;
]]

local C = ffi.C
local O_RDONLY, O_WRONLY, O_CREAT, O_APPEND, WNOHANG, SETPGROUP, MONOTONIC = 0, 1, 64, 1024, 1, 2, 1
local SIGNALS = { HUP = 1, INT = 2, KILL = 9, TERM = 15, STOP = 19, CONT = 18, SEGV = 11 }
local POLL_MS = 10

local M = {}
local Process = {}
Process.__index = Process
local living = {} -- pid -> Process

---Seconds of the monotonic clock.
function M.now()
  local t = ffi.new("struct tfspec_timespec")
  C.clock_gettime(MONOTONIC, t)
  return tonumber(t.sec) + tonumber(t.nsec) / 1e9
end

function M.pid()
  return C.getpid()
end

function M.sleep(seconds)
  C.poll(nil, 0, seconds * 1000)
end

---Call `f` until it gives something true, and return that; nil after `seconds`.
function M.poll(seconds, f)
  local limit = M.now() + seconds
  repeat
    local found = f()
    if found then
      return found
    end
    M.sleep(POLL_MS / 1000)
  until M.now() > limit
  return nil
end

---The content of a file, "" if there is none.
function M.read(path)
  local handle = io.open(path, "rb")
  if not handle then
    return ""
  end
  local text = handle:read("*a")
  handle:close()
  return text
end

function M.write(path, text)
  local handle = assert(io.open(path, "wb"))
  assert(handle:write(text))
  assert(handle:close())
  return path
end

---A new directory below the system's temporary one; gone after cleanup.
local state_home -- of the processes that are started
local directories = {}
function M.directory()
  local pipe = assert(io.popen("mktemp -d"))
  local path = pipe:read("*l")
  pipe:close()
  directories[#directories + 1] = assert(path)
  return path
end

local function argv_of(words)
  local argv = ffi.new("char *[?]", #words + 1)
  for i, word in ipairs(words) do
    argv[i - 1] = ffi.cast("char *", word)
  end
  argv[#words] = nil
  return argv
end

local function launch(words, stdout, stderr)
  local actions, attr, pid = ffi.new("tfspec_actions"), ffi.new("tfspec_attr"), ffi.new("int[1]")
  C.posix_spawn_file_actions_init(actions)
  C.posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0)
  local flags = bit.bor(O_WRONLY, O_CREAT, O_APPEND)
  C.posix_spawn_file_actions_addopen(actions, 1, stdout, flags, 384)
  C.posix_spawn_file_actions_addopen(actions, 2, stderr, flags, 384)
  C.posix_spawnattr_init(attr)
  C.posix_spawnattr_setflags(attr, SETPGROUP)
  C.posix_spawnattr_setpgroup(attr, 0)
  local argv = argv_of(words)
  local code = C.posix_spawnp(pid, words[1], actions, attr, argv, C.environ)
  C.posix_spawn_file_actions_destroy(actions)
  C.posix_spawnattr_destroy(attr)
  assert(code == 0, ("cannot start %s: error %d"):format(words[1], code))
  return pid[0]
end

---@param command string[] words; field `env`: name -> value, added to ours
function M.spawn(command)
  local words = { "setpriv", "--pdeathsig", "KILL", "env" }
  -- Flows of specs are not kept among those of who runs the specs.
  state_home = state_home or M.directory()
  words[#words + 1] = "XDG_STATE_HOME=" .. state_home
  for name, value in pairs(command.env or {}) do
    words[#words + 1] = name .. "=" .. value
  end
  for _, word in ipairs(command) do
    words[#words + 1] = word
  end
  local dir = M.directory()
  local self = setmetatable({
    command = table.concat(command, " "),
    out = dir .. "/stdout",
    err = dir .. "/stderr",
  }, Process)
  self.pid = launch(words, self.out, self.err)
  living[self.pid] = self
  return self
end

function Process:stdout()
  return M.read(self.out)
end

function Process:stderr()
  return M.read(self.err)
end

---All it said, for messages.
function Process:story()
  local out, err = self:stdout(), self:stderr()
  local limit = 3000
  return ("%s\n-- stdout\n%s\n-- stderr\n%s\n"):format(self.command, out:sub(-limit), err:sub(-limit))
end

---How it ended: { code = n } or { signal = n }; nil if it still runs.
function Process:ended()
  if not self.how then
    local status = ffi.new("int[1]")
    local got = C.waitpid(self.pid, status, WNOHANG)
    if got == self.pid then
      local signal = bit.band(status[0], 127)
      self.how = signal ~= 0 and { signal = signal } or { code = bit.band(bit.rshift(status[0], 8), 255) }
      living[self.pid] = nil
    elseif got < 0 then
      self.how = { code = -1 } -- somebody else reaped it
      living[self.pid] = nil
    end
  end
  return self.how
end

function Process:kill(signal)
  if not self:ended() then
    C.kill(self.pid, assert(SIGNALS[signal or "TERM"]))
  end
end

---Wait for its end; an error with all its output when it takes longer.
function Process:wait(seconds)
  local how = M.poll(seconds, function()
    return self:ended()
  end)
  if not how then
    error(("still running after %g s: %s"):format(seconds, self:story()), 2)
  end
  return how
end

---Wait until its output (both streams) matches a pattern; returns the captures.
function Process:wait_for(pattern, seconds)
  local found = M.poll(seconds, function()
    local match = { self:stdout():match(pattern) }
    if not match[1] then
      match = { self:stderr():match(pattern) }
    end
    return match[1] and match or self:ended() and {}
  end)
  if not (found and found[1]) then
    error(("no '%s' within %g s: %s"):format(pattern, seconds, self:story()), 2)
  end
  return unpack(found)
end

---TERM, then KILL for what does not go; how it ended.
function Process:stop(seconds)
  self:kill("TERM")
  local how = M.poll(seconds or 10, function()
    return self:ended()
  end)
  if how then
    return how
  end
  C.kill(-self.pid, SIGNALS.KILL)
  error("did not stop on TERM: " .. self:story(), 2)
end

---Run a command to its end: { code | signal, stdout, stderr }.
function M.run(command)
  local p = M.spawn(command)
  local how = p:wait(command.timeout or 30)
  return { code = how.code, signal = how.signal, stdout = p:stdout(), stderr = p:stderr(), story = p:story() }
end

---Kilobytes of private memory and file-backed pages that a process holds now.
function M.rss(pid)
  return tonumber(M.read(("/proc/%d/status"):format(pid)):match("VmRSS:%s*(%d+)"))
end

---Pids of the children of a process.
function M.children(pid)
  local out = {}
  for child in M.read(("/proc/%d/task/%d/children"):format(pid, pid)):gmatch("%d+") do
    out[#out + 1] = tonumber(child)
  end
  return out
end

function M.signal(pid, signal)
  return C.kill(pid, assert(SIGNALS[signal])) == 0
end

function M.is_running(pid)
  local state = M.read(("/proc/%d/status"):format(pid)):match("State:%s*(%a)")
  return state ~= nil and state ~= "Z" and state ~= "X"
end

---For teardown: kill what is left, remove the directories.
function M.cleanup()
  for pid, p in pairs(living) do
    C.kill(-pid, SIGNALS.KILL)
    M.poll(5, function()
      return p:ended()
    end)
  end
  for _, path in ipairs(directories) do
    os.execute(("rm -rf '%s'"):format(path))
  end
  directories, state_home = {}, nil
end

return M
