-- `tfhost new DIR`: the files of a project that works at once. They are templates below, each by its path; @NAME@ is
-- the project's name.
local host = require "tfhost.host"

local M = {}

---Exit codes, as --help lists them.
M.EXIT = { OK = 0, ERROR = 1, TAKEN = 2 }

local FILES = {}

FILES["tasks.lua"] = [==[
-- Tasks: what workers serve. The parameters of `execute` are what a task needs, by name; what it returns goes by the
-- name in `default_provides`.
local task = require "taskflow.task"

return {
  Greet = task.Task {
    default_provides = "greeting",
    execute = function(self, name)
      return "Hello, " .. name
    end,
  },

  Shout = task.Task {
    default_provides = "loud",
    execute = function(self, greeting)
      self:update_progress(0.5)
      return greeting:upper() .. "!"
    end,
    -- Called if something after this task fails; `result` is what execute gave.
    revert = function(self, result)
      print("never mind: " .. tostring(result))
    end,
  },
}
]==]

FILES["flow.lua"] = [==[
-- The flow: which tasks, in which order. `name` comes from the store: tfhost run flow.lua --store name=Ada
local linear_flow = require "taskflow.patterns.linear_flow"
local tasks = require "tasks"

return function(store)
  local flow = linear_flow.Flow("@NAME@"):add(tasks.Greet { name = "greet" }, tasks.Shout { name = "shout" })
  return flow, { store = { name = store.name or "world" } }
end
]==]

FILES["worker.lua"] = [==[
-- A worker of this project: tfhost worker --config worker.lua
-- Without a broker messages travel over the directory spool. For RabbitMQ write its URL here, or set the variable
-- TFHOST_URL=amqp://guest:guest@localhost:5672//, which wins over this file.
return {
  url = "filesystem://" .. os.getenv "PWD" .. "/spool",
  topic = "@NAME@",
  tasks = { "tasks" },
  slots = 2,
}
]==]

FILES["spec/flow_spec.lua"] = [==[
-- Run by busted: tfhost lua /usr/bin/busted
local build = require "flow"
local tasks = require "tasks"
local testing = require "taskflow.testing"

describe("@NAME@", function()
  it("greets loudly", function()
    local run = testing.flow(build { name = "Ada" })
    assert.same("SUCCESS", run.state)
    assert.same("HELLO, ADA!", run.results.loud)
  end)

  it("takes back what it said when something fails", function()
    local flow, options = build {}
    options.fakes = { shout = testing.fails "no voice" }
    local run = testing.flow(flow, options)
    assert.same("REVERTED", run.state)
    assert.same({ "greet", "shout" }, run.executed)
  end)

  it("has a task that works alone", function()
    assert.same("Hello, Bob", testing.task(tasks.Greet, { name = "Bob" }).result)
  end)
end)
]==]

FILES["README.md"] = [==[
# @NAME@

    tfhost dev flow.lua               run it, and again on each save
    tfhost lint flow.lua              look for mistakes
    tfhost graph flow.lua             draw it (--svg, --dot, --mermaid)
    tfhost lua /usr/bin/busted        run the specs (Debian: apt install lua-busted)

With a worker, over the directory `spool`; for RabbitMQ set TFHOST_URL=amqp://guest:guest@localhost:5672//:

    export TFHOST_URL=filesystem://$PWD/spool
    tfhost worker --config worker.lua &
    tfhost run flow.lua --engine worker-based --topics @NAME@
]==]

FILES[".busted"] = [==[
return { default = { ROOT = { "spec" }, lpath = "./?.lua;./?/init.lua" } }
]==]

FILES[".luarc.json"] = [==[
{
  "runtime.version": "LuaJIT",
  "workspace.library": ["/usr/share/tfhost/lua", "/usr/local/share/tfhost/lua"],
  "diagnostics.globals": ["describe", "it", "before_each", "after_each"]
}
]==]

FILES[".gitignore"] = "spool/\n"

local function fail(code, message)
  io.stderr:write("tfhost new: ", message, "\n")
  return code
end

-- Topics, exchanges and file names take these characters.
local function project_name(directory)
  local name = directory:gsub("/+$", ""):match "[^/]*$"
  if name == "" or name == "." or name == ".." then
    name = (host.directory() .. (name == ".." and "/.." or "")):match "[^/]*$"
  end
  name = name:gsub("[^%w_.-]", "-")
  return name:find "%w" and name or "flow"
end

local function write(path, text)
  local file, message = io.open(path, "wb")
  if not file then
    return nil, message
  end
  local ok
  ok, message = file:write(text)
  local closed, later = file:close()
  return ok and closed, message or later
end

---@param given { directory: string }
---@return integer exit code
function M.main(given)
  local directory = given.directory
  local ok, message = host.mkdir(directory)
  if not ok then
    return fail(M.EXIT.ERROR, message)
  end
  local entries
  entries, message = host.entries(directory)
  if not entries then
    return fail(M.EXIT.ERROR, message)
  end
  for _, entry in ipairs(entries) do
    if entry ~= ".git" then
      return fail(M.EXIT.TAKEN, ("%s is not empty (it has %s): name a new directory"):format(directory, entry))
    end
  end
  local paths, name = {}, project_name(directory)
  for path in pairs(FILES) do
    paths[#paths + 1] = path
  end
  table.sort(paths)
  ok, message = host.mkdir(directory .. "/spec")
  for _, path in ipairs(paths) do
    if ok then
      ok, message = write(directory .. "/" .. path, (FILES[path]:gsub("@NAME@", name)))
    end
  end
  if not ok then
    return fail(M.EXIT.ERROR, message)
  end
  io.write(("%s: %s\n"):format(directory, table.concat(paths, "  ")))
  io.write(("next: cd %s && tfhost dev flow.lua\n"):format(directory))
  return M.EXIT.OK
end

return M
