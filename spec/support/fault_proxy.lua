-- A TCP proxy before a broker, which spoils what passes: fault_proxy.c for specs.
--
--   local proxy = fault_proxy.start(url)       url of the broker
--   proxy.url                                  the same broker through the proxy
--   proxy:tell "cut"                           or refuse, accept, stall, flow, lose, "delay 50 20", "slice 100"
local peers = require "peers"
local process = require "process"

local M = {}
local Proxy = {}
Proxy.__index = Proxy

---@param url string amqp://... of one broker on this machine
function M.start(url)
  local program = peers.tfhost:match "^(.*/)" .. "fault_proxy"
  assert(process.read(program) ~= "", program .. " is missing: make spec-programs")
  local self = setmetatable({ fifo = process.directory() .. "/orders", count = 0 }, Proxy)
  local front, port, back = url:match "^(.-[^/:]):(%d+)(/.*)$"
  self.process = process.spawn { program, port, self.fifo }
  self.url = front .. ":" .. self.process:wait_for("port (%d+)", 5) .. back
  return self
end

---Change what it does; returns when it does so.
function Proxy:tell(order)
  self.count = self.count + 1
  local fifo = assert(io.open(self.fifo, "w"))
  fifo:write(order, "\n")
  fifo:close()
  self.process:wait_for(("done (%d)\n"):format(self.count), 5)
end

return M
