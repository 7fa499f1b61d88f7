-- Measurements in rounds: every case is run once a round, in turn, so that what the machine does meanwhile hits all
-- alike. A case has a section, a name, a contestant and a function that gives one sample; the report gives medians,
-- spread, and the ratio to the contestant that its section is measured by.
local cjson = require "cjson"

local M = {}

---@class bench.Case
---@field section string "amqp chain"
---@field name string contestant: "tfhost"
---@field unit string of a sample: "us/task", "MB"
---@field run fun(): number, table? one sample, and more figures for the JSON
---@field rounds integer? at most so many samples
---@field parts string[]? of the further figures, those that the table shows, in the same unit
---@field samples number[]
---@field more table?

---@class bench.Contest
---@field cases bench.Case[]
local Contest = {}
Contest.__index = Contest

function M.new()
  return setmetatable({ cases = {} }, Contest)
end

---@param case bench.Case
function Contest:add(case)
  case.samples = {}
  self.cases[#self.cases + 1] = case
end

function Contest:play(rounds)
  for round = 1, rounds do
    for _, case in ipairs(self.cases) do
      if round <= (case.rounds or rounds) then
        local sample, more = case.run()
        case.samples[#case.samples + 1] = sample
        case.more = more
      end
    end
    io.stderr:write(("round %d of %d\n"):format(round, rounds))
  end
end

local function median(list)
  local sorted = { unpack(list) }
  table.sort(sorted)
  local middle = #sorted / 2
  return (sorted[math.ceil(middle)] + sorted[math.floor(middle) + 1]) / 2, sorted[1], sorted[#sorted]
end

-- The contestants' medians by section.
local function medians(self)
  local by = {}
  for _, case in ipairs(self.cases) do
    by[case.section] = by[case.section] or {}
    by[case.section][case.name] = median(case.samples)
  end
  return by
end

---Print the table and give what the JSON file has. A ratio above 1: it needs more than the other.
---@param beside string[] names that the others are compared with, where they are in the section
function Contest:report(beside)
  local by, results = medians(self), {}
  local head = "%-26s %-26s %12s %-8s %19s"
  print(head:format("", "", "median", "", "spread") .. "   ratio to")
  for _, case in ipairs(self.cases) do
    local middle, low, high = median(case.samples)
    local result = {
      section = case.section,
      name = case.name,
      unit = case.unit,
      median = middle,
      low = low,
      high = high,
      samples = case.samples,
      more = case.more,
      ratios = {},
    }
    local ratios = {}
    for _, other in ipairs(beside) do
      local reference = by[case.section][other]
      if reference and other ~= case.name then
        result.ratios[other] = middle / reference
        ratios[#ratios + 1] = ("%s %.3g"):format(other, middle / reference)
      end
    end
    results[#results + 1] = result
    for _, part in ipairs(case.parts or {}) do
      ratios[#ratios + 1] = ("%s %.3g"):format(part, case.more[part])
    end
    local spread = ("%.4g .. %.4g"):format(low, high)
    print((head:format(case.section, case.name, ("%.4g"):format(middle), case.unit, spread) .. "   " .. table.concat(
      ratios,
      ", "
    )):match "^(.-)%s*$")
  end
  return results
end

function M.write(path, content)
  local handle = assert(io.open(path, "w"))
  handle:write(cjson.encode(content), "\n")
  handle:close()
end

return M
