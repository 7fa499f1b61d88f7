-- Engines and workers of both languages as processes, on either transport, for the e2e specs.
--
--   local side = peers.environment "filesystem"
--   side:worker("python", "work")
--   local run = side:engine("lua", { "work" }, scenario)
--   run.state, run.results.name (a node of json_text), run.atoms, run.failures, run.events
--
-- A scenario is { flow = node, store = map }; a node is { task = "module.Class", name, provides, requires,
-- rebind, inject } or { pattern = "linear" | "unordered" | "graph", name, children }.
local cjson = require "cjson"
local json_text = require "json_text"
local process = require "process"

local M = {}
local Environment = {}
Environment.__index = Environment

M.tfhost = os.getenv "TFHOST" or "build/tfhost"
M.support = "spec/support"
local PYTHON = { "/usr/bin/python3" }
-- Python reads with one-second sleeps unless told otherwise.
local POLLING = 0.05

local count = 0

---@param transport "amqp"|"filesystem"
---@param url string? of a broker other than the one of the test run
function M.environment(transport, url)
  count = count + 1
  local self = setmetatable({ transport = transport, dir = process.directory() }, Environment)
  self.exchange = ("spec-%d-%d"):format(process.pid(), count)
  self.journal_path = self.dir .. "/journal"
  self.patched = nil -- true: Python peers write files as peer.py says, and survive each other
  if transport == "amqp" then
    self.url = url or assert(os.getenv "TFHOST_TEST_AMQP_URL", "run inside: spec/support/rabbitmq run ...")
  else
    self.spool = self.dir .. "/spool"
    assert(os.execute(("mkdir '%s'"):format(self.spool)) == 0)
  end
  return self
end

---The options of one peer as TaskFlow names them.
function Environment:options(more)
  local out = { exchange = self.exchange }
  if self.transport == "amqp" then
    out.url = self.url
  else
    out.transport = "filesystem"
    out.transport_options =
      { data_folder_in = self.spool, data_folder_out = self.spool, polling_interval = POLLING }
  end
  for key, value in pairs(more or {}) do
    out[key] = value
  end
  return out
end

---The same as words of tfhost's command line.
function Environment:words()
  if self.transport == "amqp" then
    return { "--exchange", self.exchange, "--url", self.url }
  end
  return {
    "--exchange", self.exchange,
    "--transport", "filesystem",
    "--transport-option", "data_folder_in=" .. self.spool,
    "--transport-option", "data_folder_out=" .. self.spool,
  }
end

function Environment:file(name, content)
  count = count + 1
  return process.write(("%s/%d-%s"):format(self.dir, count, name), content)
end

function Environment:env(more)
  local out = { PEER_JOURNAL = self.journal_path, PYTHONPATH = M.support .. "/python" }
  for key, value in pairs(more or {}) do
    out[key] = value
  end
  return out
end

---A worker of that language on that topic, serving peer_tasks or what `more` says:
---{ module = "peer_more", tasks = { references }, slots = 4, env = {}, words = {} }
function Environment:worker(language, topic, more)
  more = more or {}
  local module = more.module or "peer_tasks"
  local command
  if language == "python" then
    local options = self:options { topic = topic, threads_count = more.slots }
    options.patched = self.patched
    options.tasks = more.tasks or more.module and { module } or nil
    local config = self:file("worker.json", cjson.encode(options))
    command = { PYTHON[1], M.support .. "/python/peer_worker.py", config }
  else
    command = { M.tfhost, "worker", "--topic", topic }
    for _, reference in ipairs(more.tasks or { ("%s/%s.lua"):format(M.support, module) }) do
      command[#command + 1] = reference
    end
    for _, word in ipairs(self:words()) do
      command[#command + 1] = word
    end
    if more.slots then
      command[#command + 1] = "--slots"
      command[#command + 1] = tostring(more.slots)
    end
    for _, word in ipairs(more.words or {}) do
      command[#command + 1] = word
    end
  end
  command.env = self:env(more.env)
  return process.spawn(command)
end

---Wait until a worker consumes its topic.
function M.ready(worker, seconds)
  worker:wait_for("serving", seconds or 20)
  return worker
end

---Start an engine of that language; `result` waits for it. `more`: options of engines.load.
function Environment:start_engine(language, topics, scenario, more)
  local options = self:options(more)
  options.topics = topics
  options.patched = language == "python" and self.patched or nil
  local config = self:file("engine.json", cjson.encode(options))
  local flow = self:file("scenario.json", cjson.encode(scenario))
  local command = language == "python" and { PYTHON[1], M.support .. "/python/peer_engine.py", config, flow }
    or { M.tfhost, "lua", M.support .. "/scenario_engine.lua", config, flow }
  command.env = self:env()
  return process.spawn(command)
end

---What the engine printed, as { state, raised, results, atoms, failures, revert_failures, events }.
function M.result(engine, seconds)
  local how = engine:wait(seconds or 60)
  local line = engine:stdout():match("(%b{})%s*$")
  if how.code ~= 0 or not line then
    error("the engine did not end well: " .. cjson.encode(how) .. " " .. engine:story(), 2)
  end
  local out = cjson.decode(line)
  out.results = json_text.parse(line).value.results.value
  out.story = engine:story()
  return out
end

function Environment:engine(language, topics, scenario, more)
  return M.result(self:start_engine(language, topics, scenario, more), more and more.seconds)
end

---Lines of the journal so far, optionally only those that `did` this.
function Environment:journal(did)
  local out = {}
  for line in process.read(self.journal_path):gmatch("[^\n]+") do
    local entry = cjson.decode(line)
    if not did or entry.did == did then
      out[#out + 1] = entry
    end
  end
  return out
end

function Environment:clear_journal()
  process.write(self.journal_path, "")
end

return M
