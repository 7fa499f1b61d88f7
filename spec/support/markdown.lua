-- What specs need to know of a Markdown file: its code blocks, headings, links, and text outside of code.
local M = {}

---@class markdown.Block
---@field language string
---@field text string
---@field line integer of its fence
---@field not_run string? the reason that a comment above gives: <!-- not run: REASON -->
---@field terminal string? the name that a comment above gives: <!-- terminal: NAME -->

local function above(lines, at, what)
  return (lines[at - 1] or ""):match("^%s*<!%-%- " .. what .. ": (.-) %-%->")
end

-- Lines that only their indentation makes code, outside of lists.
local function is_indented_code(lines, at, in_list)
  return not in_list and lines[at]:find "^    %s*%S" and (lines[at - 1] or ""):find "^%s*$" ~= nil
end

---@param text string
---@return { blocks: markdown.Block[], prose: string, indented: integer[] } indented: lines of code without a fence
function M.parse(text)
  local lines, blocks, prose, indented, in_list, open = {}, {}, {}, {}, false, nil
  for line in (text .. "\n"):gmatch "(.-)\n" do
    lines[#lines + 1] = line
  end
  for i, line in ipairs(lines) do
    local indent, fence = line:match "^(%s*)```(.*)$"
    if open and fence then
      open.text, open = table.concat(open, "\n") .. "\n", nil
    elseif open then
      local same = line:sub(1, #open.indent) == open.indent
      open[#open + 1] = same and line:sub(#open.indent + 1) or line
    elseif fence then
      open = {
        language = fence, indent = indent, line = i,
        not_run = above(lines, i, "not run"), terminal = above(lines, i, "terminal"),
      }
      blocks[#blocks + 1] = open
    else
      if line:find "^%s?%s?%s?[%-*] " or line:find "^%s?%s?%s?%d+%. " then
        in_list = true
      elseif line:find "^%S" then
        in_list = false
      end
      if is_indented_code(lines, i, in_list) then
        indented[#indented + 1] = i
      end
      prose[#prose + 1] = line
    end
  end
  assert(not open, "a code block does not end")
  return { blocks = blocks, prose = table.concat(prose, "\n") .. "\n", indented = indented }
end

---Anchors as GitHub makes them from headings.
---@param prose string
---@return table<string, true>
function M.anchors(prose)
  local out = {}
  for heading in ("\n" .. prose):gmatch "\n#+ ([^\n]+)" do
    out[(heading:lower():gsub("[^%w _-]", ""):gsub(" ", "-"))] = true
  end
  return out
end

---Targets of links, in order.
---@param prose string
---@return string[]
function M.links(prose)
  local out = {}
  for target in prose:gmatch "%]%(([^)%s]+)%)" do
    out[#out + 1] = target
  end
  return out
end

---Code inside the text, in order.
---@param prose string
---@return string[]
function M.spans(prose)
  local out = {}
  for span in prose:gmatch "`([^`\n]+)`" do
    out[#out + 1] = span
  end
  return out
end

return M
