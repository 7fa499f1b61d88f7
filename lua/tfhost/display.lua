-- How `tfhost run` shows a flow while it runs: lines, a tree on a terminal that is redrawn, or JSON lines.
-- A display has: start(engine, flow), flow(state, old), atom(name, state, old, result), progress(name, fraction),
-- event(name, type, details), finish(summary).
local fold_module = require "tfhost.display_fold"
local flow_module = require "taskflow.flow"
local failure = require "taskflow.failure"
local host = require "tfhost.host"
local json = require "tfhost.json"
local shorten = require("tfhost.text").shorten
local values = require "taskflow.values"

local M = {}

local function text_of(result)
  if failure.is_failure(result) then
    return ("%s: %s"):format(result.exc_type_names[1], result.exception_str)
  end
  return json.readable(json.encode(result))
end

-- Characters of a result that are shown to people; --json gives all.
local RESULT_WIDTH = 200

-- What people see at the end, in every form but JSON.
local function print_summary(out, summary)
  for _, entry in ipairs(summary.results) do
    out:write(("%s = %s\n"):format(entry.name, shorten(json.readable(entry.text), RESULT_WIDTH)))
  end
  for _, f in ipairs(summary.failures) do
    local story = f:describe()
    -- The error names the place best; if it does not, the last frame of the traceback does.
    local excerpt = host.excerpt(f.exception_str)
    out:write(story, "\n", excerpt ~= "" and excerpt or host.excerpt(story))
  end
  out:write(("flow '%s': %s (%.2f s)\n"):format(summary.name, summary.state, summary.seconds))
end

-- ---- lines ----

local Lines = {}
Lines.__index = Lines

---@param now fun(): number
---@param out file*
---@param output (fun(): string)? what workers have said since the last call
function M.lines(now, out, output)
  local self = setmetatable({ now = now, out = out, began = now(), shown = {} }, Lines)
  if output then
    function self.tick()
      out:write(output())
    end
  end
  return self
end

function Lines:line(name, what)
  self.out:write(("%8.2fs  %s  %s\n"):format(self.now() - self.began, name, what))
  self.out:flush()
end

function Lines:start(_engine, _flow) end

function Lines:flow(state)
  self:line("flow", state)
end

function Lines:atom(name, state, _, result)
  local what = state
  if failure.is_failure(result) then
    what = what .. "  " .. shorten(text_of(result), 200)
  end
  self.shown[name] = nil
  self:line(name, what)
end

-- A line for each tenth is enough.
function Lines:progress(name, fraction)
  local tenth = math.floor(fraction * 10)
  if tenth > (self.shown[name] or 0) and tenth < 10 then
    self.shown[name] = tenth
    self:line(name, ("%d %%"):format(tenth * 10))
  end
end

function Lines:event(name, event_type, details)
  self:line(name, ("event %s %s"):format(event_type, shorten(json.readable(json.encode(details)), 200)))
end

function Lines:finish(summary)
  if self.tick then
    self.tick()
  end
  print_summary(self.out, summary)
  self.out:flush()
end

-- ---- JSON lines ----

local Json = {}
Json.__index = Json

function M.json(now, out)
  return setmetatable({ now = now, out = out, began = now() }, Json)
end

function Json:emit(event, members)
  members.event = event
  members.time = math.floor((self.now() - self.began) * 1000) / 1000
  self.out:write(json.encode(members), "\n")
  self.out:flush()
end

function Json:start(engine, _flow)
  self:emit("start", { flow = engine.flow_name, engine = engine.kind, uuid = engine.storage:flow_uuid() })
end

function Json:flow(state, old)
  self:emit("flow", { state = state, old_state = old })
end

local function plain(result)
  return failure.is_failure(result) and result:to_dict() or result
end

function Json:atom(name, state, old, result)
  self:emit("atom", {
    name = name,
    state = state,
    old_state = old,
    result = state == "SUCCESS" and plain(result) or nil,
    failure = failure.is_failure(result) and plain(result) or nil,
  })
end

function Json:progress(name, fraction)
  self:emit("progress", { name = name, progress = fraction })
end

function Json:event(name, event_type, details)
  self:emit("task_event", { name = name, type = event_type, details = details })
end

-- Results are spliced as they came: integers of any size, and numbers as they were written.
function Json:finish(summary)
  local failures = values.list {}
  for i, f in ipairs(summary.failures) do
    failures[i] = f:to_dict()
  end
  self.out:write(
    ('{"event": "end", "state": %s, "exit": %d, "seconds": %.3f, "results": %s, "failures": %s}\n'):format(
      json.encode(summary.state),
      summary.exit,
      summary.seconds,
      summary.results_text,
      json.encode(failures)
    )
  )
  self.out:flush()
end

-- ---- a tree on a terminal ----

local Tree = {}
Tree.__index = Tree

local REDRAW_SECONDS = 0.05
-- A change is drawn at once as long as drawing takes no more than this share of the time, and these seconds: a large
-- flow of short tasks must not wait for its picture.
local DRAWING_SHARE, DRAWING_START = 0.1, 0.2
local MARKS = {
  PENDING = "·",
  RUNNING = "▶",
  SUCCESS = "✔",
  FAILURE = "✘",
  REVERTING = "◀",
  REVERTED = "↩",
  REVERT_FAILURE = "✘",
  IGNORE = "○",
  RETRYING = "↻",
}
local COLOURS = {
  RUNNING = "36",
  SUCCESS = "32",
  FAILURE = "31",
  REVERTING = "33",
  REVERTED = "33",
  REVERT_FAILURE = "31",
  RETRYING = "33",
  PENDING = "2",
  IGNORE = "2",
}

---@param now fun(): number
---@param out file*
---@param size fun(): integer, integer rows and columns
---@param logged (fun(all: boolean?): string)? whole lines that were logged since the last call; all: half ones, too
function M.tree(now, out, size, logged)
  return setmetatable({
    logged = logged or function()
      return ""
    end,
    now = now,
    out = out,
    size = size,
    began = now(),
    drawn = 0,
    last = -1,
    spent = 0,
    rows = {},
    atoms = {},
    notes = {}, -- of atoms without a row, by name
    count = 0,
    partial = "",
    colours = true,
    polls = false,
  }, Tree)
end

local function add_row(self, name, depth, is_flow)
  local row = { name = name, depth = depth, is_flow = is_flow, state = not is_flow and "PENDING" or nil, fraction = 0 }
  self.rows[#self.rows + 1] = row
  if not is_flow then
    self.count = self.count + 1
    row.number = self.count
    self.atoms[name] = row
  end
  return row
end

-- Rows in the order of the flow, which is that of the engine's atoms, without recursion: nesting may be deep.
local function collect(self, root)
  local stack = { { node = root, depth = 0 } }
  while #stack > 0 do
    local item = table.remove(stack)
    local flow = flow_module.is_flow(item.node) and item.node
    local row = add_row(self, item.node.name, item.depth, flow ~= false)
    local folds = flow and self.handle and fold_module.folds(flow, flow_module.is_flow)
    if flow and flow.retry and folds then
      add_row(self, flow.retry.name, item.depth + 1, false)
    end
    if folds then
      row.fold = { first = self.count + 1, last = self.count + flow:len() }
      self.count = row.fold.last
      self.has_folds = true
    elseif flow then
      local children = flow:nodes()
      for i = #children, 1, -1 do
        stack[#stack + 1] = { node = children[i], depth = item.depth + 1 }
      end
      if flow.retry then
        stack[#stack + 1] = { node = flow.retry, depth = item.depth + 1 }
      end
    end
  end
end

---@param engine taskflow.Engine
---@param flow taskflow.Flow|taskflow.Task
---@param polls boolean? nothing will be told: states are asked for when something is drawn
function Tree:start(engine, flow, polls)
  self.handle, self.polls, self.count = engine and engine._handle, polls, 0
  self.serial = engine and engine.kind == "serial"
  collect(self, flow)
  self:draw()
end

local function bar(fraction)
  local full = math.floor(fraction * 10 + 0.5)
  return ("█"):rep(full) .. ("░"):rep(10 - full)
end

local function styled(text, style, colours)
  return colours and ("\27[%sm%s\27[0m"):format(style, text) or text
end

local function row_text(row, columns, now, colours)
  local indent = ("  "):rep(math.min(row.depth, 20))
  if row.is_flow and row.text then
    local name = shorten(row.name, 30)
    return indent .. styled(name, "1", colours) .. "  " .. shorten(row.text, columns + 2 * 20 - #indent - #name - 3)
  elseif row.is_flow then
    return indent .. styled(shorten(row.name, columns - #indent - 1), "1", colours)
  end
  local text = ("%s %s  %s"):format(MARKS[row.state] or " ", shorten(row.name, 40), row.state)
  if row.began then
    text = ("%s  %.0f s"):format(text, now - row.began)
  end
  if row.state == "RUNNING" and row.fraction > 0 then
    text = ("%s  %s %3d %%"):format(text, bar(row.fraction), math.floor(row.fraction * 100))
  elseif row.note then
    text = text .. "  " .. row.note
  end
  -- A line that wraps would be two to erase. Bytes are at least as many as columns.
  return indent .. styled(shorten(text, columns - #indent - 1), COLOURS[row.state] or "0", colours)
end

-- An atom that has no row of its own, or none that is told of, as it is now.
local function polled(self, number, depth, state)
  self.names = self.names or self.handle:atoms()
  local name = self.names[number]
  local fraction = state == "RUNNING" and select(4, self.handle:atom(name)) or 0
  return { name = name, depth = depth, state = state, fraction = fraction, note = self.notes[name] }
end

-- Rows as they are drawn now: folded flows with what is busy in them.
local function present(self)
  if not self.has_folds and not self.polls then
    return self.rows
  end
  local bytes, names = self.handle:states()
  local out = {}
  for _, row in ipairs(self.rows) do
    out[#out + 1] = row
    if row.fold then
      local busy
      row.text, busy = fold_module.describe(row.fold, bytes, names, self.serial)
      for _, number in ipairs(busy) do
        out[#out + 1] = polled(self, number, row.depth + 1, names[bytes:byte(number)])
      end
    elseif row.number and self.polls then
      row.state = names[bytes:byte(row.number)]
    end
  end
  return out
end

-- Where the screen is too low: counts, and what is going on.
local function crowded(self, shown, lines, columns, now)
  local counts, busy = {}, {}
  for _, row in ipairs(shown) do
    if row.state then
      counts[row.state] = (counts[row.state] or 0) + 1
      if row.state ~= "PENDING" and row.state ~= "SUCCESS" and row.state ~= "IGNORE" then
        busy[#busy + 1] = row
      end
    end
  end
  local out, parts = {}, {}
  for state, n in pairs(counts) do
    parts[#parts + 1] = ("%s %s %d"):format(MARKS[state] or " ", state, n)
  end
  table.sort(parts)
  out[1] = shorten(table.concat(parts, "  "), columns - 1)
  for i = 1, math.min(#busy, lines - 1) do
    out[#out + 1] = row_text({
      name = busy[i].name,
      depth = 1,
      state = busy[i].state,
      fraction = busy[i].fraction,
      note = busy[i].note,
      began = busy[i].began,
    }, columns, now, self.colours)
  end
  return out
end

function Tree:erase()
  if self.drawn > 0 then
    self.out:write(("\27[%dA\r\27[J"):format(self.drawn))
    self.drawn = 0
  end
end

---@param all boolean? it is the last time
function Tree:draw(all)
  local lines, now = {}, self.now()
  local rows, columns = self.size()
  local shown = present(self)
  if #shown > rows - 2 then
    lines = crowded(self, shown, rows - 2, columns, now)
  else
    for i, row in ipairs(shown) do
      lines[i] = row_text(row, columns, now, self.colours)
    end
  end
  self:erase()
  self.out:write(self.logged(all), table.concat(lines, "\n"), "\n")
  self.out:flush()
  self.drawn = #lines
  self.last = self.now()
  self.spent = self.spent + self.last - now
end

local function draw_change(self)
  local now = self.now()
  local allowed = DRAWING_START + DRAWING_SHARE * (now - self.began)
  if self.spent <= allowed or now - self.last >= REDRAW_SECONDS then
    self:draw()
  end
end

---Text that a task printed in this process: it goes above the tree, line by line.
function Tree:print(text)
  self.partial = self.partial .. text
  local lines, rest = self.partial:match "^(.*\n)(.-)$"
  if lines then
    self.partial = rest
    self:erase()
    self.out:write(lines)
    self:draw()
  end
end

---Called now and then while the engine waits.
function Tree:tick()
  self:draw()
end

function Tree:flow(_state) end

-- An item of a map has no row of its own: its map's shows how many are done, and the last failure.
function Tree:item(name, note)
  local row = self.atoms[name:gsub("%[%d+%]$", "")]
  if row and note then
    row.note = name .. " " .. note
  elseif note then
    self.notes[name] = note
  end
  draw_change(self)
end

function Tree:atom(name, state, _, result)
  local row = self.atoms[name]
  if not row then
    return self:item(name, failure.is_failure(result) and text_of(result) or nil)
  end
  row.state, row.fraction = state, 0
  row.began = (state == "RUNNING" or state == "REVERTING") and self.now() or nil
  if failure.is_failure(result) then
    row.note = text_of(result)
  elseif state == "PENDING" or state == "RUNNING" then
    row.note = nil
  end
  draw_change(self)
end

function Tree:progress(name, fraction)
  local row = self.atoms[name]
  if not row then
    return
  end
  row.fraction = fraction
  if self.now() - self.last >= REDRAW_SECONDS then
    self:draw()
  end
end

function Tree:event(name, event_type, details)
  local note = event_type .. " " .. json.readable(json.encode(details))
  if not self.atoms[name] then
    return self:item(name, note)
  end
  self.atoms[name].note = note
  if self.now() - self.last >= REDRAW_SECONDS then
    self:draw()
  end
end

function Tree:finish(summary)
  if self.partial ~= "" then
    self:print "\n"
  end
  self:draw(true)
  print_summary(self.out, summary)
  self.out:flush()
end

return M
