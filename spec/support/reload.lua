-- A tfhost worker whose scripts change while it serves, for the specs of hot reload.
--
--   local w = reload.worker(side, { slots = 2, words = {} })     serves DIR/work.lua on topic "work"
--   w:save("work.lua", text); w:serves(2)                        wait for generation 2
--   w:status().scripts.load_error
local cjson = require "cjson"
local peers = require "peers"
local process = require "process"

local M = {}
local Worker = {}
Worker.__index = Worker

-- A script with one class `Version`, which takes `n` ms and says which version of the script ran and when it began.
M.VERSION = [[
local ffi = require "ffi"
local task = require "taskflow.task"
pcall(ffi.cdef, "int poll(void *, unsigned long, int); struct soak_time { long s, n; }; "
  .. "int clock_gettime(int, struct soak_time *);")
local VERSION = %d
local function now()
  local t = ffi.new "struct soak_time"
  ffi.C.clock_gettime(1, t)
  return tonumber(t.s) + tonumber(t.n) / 1e9
end
return {
  Version = task.Task {
    execute = function(self, n)
      local began = now()
      ffi.C.poll(nil, 0, n)
      return { version = VERSION, began = began }
    end,
  },
]]

function M.version(n, more)
  return M.VERSION:format(n) .. (more or "") .. "}\n"
end

---Rename a complete file over `path`: what most editors and all deployments do.
---@return number seconds of the monotonic clock, before the rename
function M.save(path, text)
  process.write(path .. ".new", text)
  local before = process.now()
  assert(os.rename(path .. ".new", path))
  return before
end

---@param side table an environment of peers
---@param more { script: string?, slots: integer?, words: string[]?, dir: string?, env: table? }?
function M.worker(side, more)
  more = more or {}
  local self = setmetatable({ side = side, dir = more.dir or process.directory() }, Worker)
  self.path = self.dir .. "/" .. (more.script or "work.lua")
  if process.read(self.path) == "" then
    process.write(self.path, M.version(1))
  end
  self.control = process.directory() .. "/control"
  local words = { "--control", self.control }
  for _, word in ipairs(more.words or {}) do
    words[#words + 1] = word
  end
  self.process = peers.ready(side:worker("lua", "work", {
    tasks = more.tasks or { self.path },
    slots = more.slots or 2,
    words = words,
    env = more.env,
  }))
  return self
end

---Run `tfhost COMMAND ... --control` about this worker.
function Worker:command(...)
  local words = { peers.tfhost, ... }
  words[#words + 1] = "--control"
  words[#words + 1] = self.control
  return process.run(words)
end

function Worker:status()
  local done = self:command("status", "--json")
  assert(done.code == 0, done.story)
  return cjson.decode(done.stdout)
end

function Worker:generation()
  return self:status().scripts.current
end

---Wait until this generation serves.
function Worker:serves(generation, seconds)
  local found = process.poll(seconds or 10, function()
    return self:generation() == generation
  end)
  if not found then
    error(("generation %d does not serve: %s %s"):format(
      generation, cjson.encode(self:status()), self.process:story()), 2)
  end
end

---Wait until the last load failed; the message.
function Worker:refuses(seconds)
  local message = process.poll(seconds or 10, function()
    local failed = self:status().scripts.load_error
    return failed ~= cjson.null and failed.message
  end)
  return message or error("no load error: " .. self.process:story(), 2)
end

return M
