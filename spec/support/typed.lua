-- Types commands into a shell, one after the other, and compares what they print with what a document shows.
local process = require "process"

local M = {}
local Shell = {}
Shell.__index = Shell

local COMMAND_SECONDS = 90

---A shell that reads what is typed. It ends with the spec.
---@param dir string where it begins
---@param env table<string, string>
---@return table
function M.shell(dir, env)
  local pipe = process.directory() .. "/typed"
  assert(process.run({ "mkfifo", pipe }).code == 0)
  env.PWD = dir
  local self = setmetatable({ count = 0, at = 0, uuids = {} }, Shell)
  self.process = process.spawn {
    "bash", "-c", ("cd '%s' && exec bash '%s' 2>&1"):format(dir, pipe), env = env,
  }
  self.pipe = assert(io.open(pipe, "w"))
  return self
end

---Type one command. What it prints, on both streams, and its exit code.
---@param command string
---@return string
---@return integer
function Shell:type(command)
  self.count = self.count + 1
  local mark = ("\n@@%d "):format(self.count)
  self.pipe:write(command, ("\nprintf '\\n@@%%d %%d\\n' %d $?\n"):format(self.count))
  self.pipe:flush()
  local text, code, after
  local found = process.poll(COMMAND_SECONDS, function()
    text = self.process:stdout():sub(self.at + 1)
    local at = text:find(mark, 1, true)
    if at then
      code, after = text:match("^(%d+)\n()", at + #mark)
      text = text:sub(1, at - 1)
    end
    return code
  end)
  if not found then
    error(("no end after %d s: %s\n%s"):format(COMMAND_SECONDS, command, text), 0)
  end
  self.at = self.at + after - 1
  return text, tonumber(code)
end

-- What differs from run to run.
local function plain(line)
  line = line:gsub("%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-" .. ("%x"):rep(12), "UUID")
  line = line:gsub("%d%d%d%d%-%d%d%-%d%d[T ]%d%d:%d%d:%d%d[%d.]*Z?", "DATE"):gsub("%d%d:%d%d:%d%d", "CLOCK")
  line = line:gsub("%d+%.%d+ ?m?s%f[%A]", "TIME"):gsub("%f[%w]" .. ("%x"):rep(16) .. "%f[%W]", "HASH")
  line = line:gsub("%f[%w]pid %d+", "pid N"):gsub("([Ww]orker[-_ ])%d+", "%1N")
  line = line:gsub("%d+ ms%f[%A]", "TIME"):gsub("%f[%S][%w-]+:%d%d%d+%f[%W]", "HOST:N"):gsub("█", ""):gsub("░", "")
  line = line:gsub("amqp://[^@%s]*@[%w.:]+/[%w/]*", "BROKER") -- the one of the test
  return (line:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

local function uuid_of(line)
  return line:match("%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-" .. ("%x"):rep(12))
end

-- Lines that are not empty. What the log tells of connections comes when it likes: left out.
local function lines_of(text)
  local out = {}
  for line in text:gmatch "[^\n]+" do
    if not line:find "^%d+%-%d+%-%d+T[%d:.]+Z INFO " then
      out[#out + 1] = line
    end
  end
  return out
end

-- A line "..." stands for any number of lines.
local function matches(shown, printed, i, j, uuids)
  if i > #shown then
    return j > #printed
  elseif shown[i]:find "^%s*%.%.%.%s*$" then
    return matches(shown, printed, i + 1, j, uuids)
      or (j <= #printed and matches(shown, printed, i, j + 1, uuids))
  elseif j > #printed or plain(shown[i]) ~= plain(printed[j]) then
    return false
  end
  if uuid_of(shown[i]) then
    uuids[uuid_of(shown[i])] = uuid_of(printed[j])
  end
  return matches(shown, printed, i + 1, j + 1, uuids)
end

---Whether a command printed what is shown, line by line.
---@param shown string
---@param printed string
---@return boolean
function Shell:printed(shown, printed)
  return matches(lines_of(shown), lines_of(printed), 1, 1, self.uuids)
end

---A command with the UUIDs of this run in place of those that were shown, whole or their beginning.
---@param command string
---@return string
function Shell:with_uuids(command)
  return (command:gsub("%f[%w]%x%x%x%x[%x-]*%f[^%w-]", function(word)
    for shown, real in pairs(self.uuids) do
      if shown:sub(1, #word) == word then
        return real:sub(1, #word)
      end
    end
  end))
end

---Another terminal: commands of which the last one goes on.
---@param dir string
---@param env table<string, string>
---@param commands { command: string }[]
---@return table
function M.terminal(dir, env, commands)
  local words = { "set -e" }
  for i, one in ipairs(commands) do
    words[#words + 1] = (i == #commands and "exec " or "") .. one.command
  end
  local command = ("cd '%s'\n%s"):format(dir, table.concat(words, "\n"))
  return setmetatable({
    at = 0, uuids = {}, process = process.spawn { "bash", "-c", "exec 2>&1\n" .. command, env = env },
  }, Shell)
end

---Wait until a terminal has shown this since the last time. What it has shown instead, if it does not.
---@param shown string
---@return boolean
---@return string printed
function Shell:shows(shown)
  local text
  local found = process.poll(30, function()
    text = self.process:stdout():sub(self.at + 1)
    return self:printed(shown, text)
  end)
  if found then
    self.at = self.at + #text
  end
  return found or false, text
end

---Commands of a session, each with what is shown below it. A line that begins with `> ` goes on with its command.
---@param session string
---@return { command: string, shown: string }[]
function M.commands(session)
  local out = {}
  for line in session:gmatch "([^\n]*)\n" do
    local command, more = line:match "^%$ (.*)", line:match "^> (.*)"
    local last = out[#out]
    if command then
      out[#out + 1] = { command = command, shown = "" }
    elseif more and last and last.shown == "" then
      last.command = last.command .. "\n" .. more
    elseif line ~= "" then
      assert(last, "a session begins with a command: " .. line)
      last.shown = last.shown .. line .. "\n"
    end
  end
  return out
end

return M
