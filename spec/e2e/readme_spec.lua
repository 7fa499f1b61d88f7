-- The quick start of the README, run as it stands: its files are written, its commands typed, and what it shows
-- has to be what is printed.
local peers = require "peers"
local process = require "process"

local function blocks(text, language)
  local out = {}
  for block in text:gmatch("```" .. language .. "\n(.-)```") do
    out[#out + 1] = block
  end
  return out
end

-- Times differ from run to run.
local function without_times(text)
  return (text:gsub("%d+%.%d%d?%d?s", "T"):gsub("%d+%.%d+ s", "T"))
end

describe("the README", function()
  after_each(process.cleanup)

  it("shows what its commands print", function()
    local text = process.read "README.md"
    local dir = process.directory()
    for _, block in ipairs(blocks(text, "lua")) do
      process.write(dir .. "/" .. assert(block:match "^%-%- (%S+)\n"), block)
    end
    local host = peers.tfhost:match "^/" and peers.tfhost or (os.getenv "PWD" .. "/" .. peers.tfhost)
    local sessions = blocks(text, "console")
    assert.equal(2, #sessions)
    for _, session in ipairs(sessions) do
      local script, shown = {}, {}
      for line in session:gmatch "[^\n]+" do
        local command = line:match "^%$ (.*)"
        if command then
          script[#script + 1] = command
        else
          shown[#shown + 1] = line
        end
      end
      local done = process.run {
        "sh",
        "-c",
        ("cd '%s'\nPATH='%s':$PATH\n%s"):format(dir, host:match "^(.*)/", table.concat(script, "\n")),
        timeout = 60,
      }
      local said = without_times(done.stdout)
      for _, line in ipairs(shown) do
        assert.is_truthy(said:find(without_times(line), 1, true), line .. "\n-- is not in\n" .. done.story)
      end
    end
  end)
end)
