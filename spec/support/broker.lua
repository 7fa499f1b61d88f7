-- A RabbitMQ node of a spec's own, to be stopped, killed and reconfigured; the script rabbitmq starts it.
--
--   local node = broker.start()      node.url
--   node:kill9(); node:again()       dead, and back with the same ports
--   node:ctl("delete_queue", name)   rabbitmqctl; what it printed
--   node:remove()
--
-- It dies with the spec's process. Its directory is none of process.cleanup's.
local peers = require "peers"
local process = require "process"

local M = {}
local Node = {}
Node.__index = Node

function Node:call(command, ...)
  local words = { peers.support .. "/rabbitmq", command, self.dir, ... }
  words.timeout, words.env = 90, { RABBIT_OWNER = tostring(process.pid()) }
  local done = process.run(words)
  assert(done.code == 0, done.story)
  return done.stdout
end

function M.start()
  local pipe = assert(io.popen "mktemp -d")
  local node = setmetatable({ dir = assert(pipe:read "*l") }, Node)
  pipe:close()
  node:again()
  node.url = process.read(node.dir .. "/url"):match "%S+"
  return node
end

---Start it again after `stop` or `kill9`.
function Node:again()
  self:call "start"
end

function Node:stop()
  self:call "stop"
end

function Node:kill9()
  self:call "kill9"
end

function Node:ctl(...)
  return self:call("ctl", ...)
end

function Node:remove()
  self:kill9()
  os.execute(("rm -rf '%s'"):format(self.dir))
end

return M
