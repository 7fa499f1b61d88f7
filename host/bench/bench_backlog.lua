-- usage: tfhost lua bench_backlog.lua FOLDER EXCHANGE N MARK
--
-- Leaves N requests for topic "work" in a folder, as engines do that went away. The last is for a task that makes the
-- file MARK.
local cjson = require "cjson"

local folder, exchange, count, mark = arg[1], arg[2], tonumber(arg[3]), arg[4]
local reply_to = "1789a41e-fd6c-4f13-b6dc-aac587e90ed3"
local now = os.time() * 1000 - count

local function uuid(kind, n)
  return ("%08d-0000-4000-8000-%012d"):format(kind, n)
end

for i = 1, count do
  local last = i == count
  local body = cjson.encode {
    task_cls = last and "bench_tasks.Mark" or "bench_tasks.Nothing",
    task_name = "t" .. i,
    task_version = { 1, 0 },
    action = "execute",
    arguments = last and { path = mark } or { x = 1 },
  }
  local text = cjson.encode {
    body = (body:gsub('{"x":1}', "{}")), -- cjson knows no empty object
    ["content-encoding"] = "utf-8",
    ["content-type"] = "application/json",
    headers = { ["x-tfhost"] = '{"v":1,"round":0,"dispatch":1}' },
    properties = {
      type = "REQUEST",
      reply_to = reply_to,
      correlation_id = uuid(1, i),
      delivery_mode = 2,
      delivery_info = { exchange = exchange, routing_key = "work" },
      priority = 0,
      delivery_tag = uuid(2, i),
    },
  }
  local handle = assert(io.open(("%s/%d_%s.%s_work.msg"):format(folder, now + i, uuid(3, i), exchange), "w"))
  handle:write(text)
  handle:close()
end
