-- Numbers and tables as people read them on a terminal.
local M = {}

---A text in so many bytes, which are at least as many columns; a longer one ends in "...". Control characters become
---spaces.
---@param text string
---@param width integer
---@return string
function M.shorten(text, width)
  text = text:gsub("[%c]+", " ")
  if #text <= width then
    return text
  end
  -- Not in the middle of a character.
  local cut = text:sub(1, math.max(0, width - 3)):gsub("[\192-\255][\128-\191]*$", "")
  return cut .. "..."
end

---Columns of a text: its characters, each taken for one column.
---@param text string
---@return integer
function M.width(text)
  return select(2, text:gsub("[^\128-\191]", ""))
end

---@param seconds number?
---@return string "3 ms", "1.2 s", "2 m 03 s", "1 h 02 m", "3 d 04 h"; "-" for nil
function M.seconds(seconds)
  if not seconds then
    return "-"
  elseif seconds < 0.9995 then
    return ("%.0f ms"):format(seconds * 1000)
  elseif seconds < 59.95 then
    return ("%.1f s"):format(seconds)
  end
  local s = math.floor(seconds + 0.5)
  if s < 3600 then
    return ("%d m %02d s"):format(math.floor(s / 60), s % 60)
  elseif s < 86400 then
    return ("%d h %02d m"):format(math.floor(s / 3600), math.floor(s % 3600 / 60))
  end
  return ("%d d %02d h"):format(math.floor(s / 86400), math.floor(s % 86400 / 3600))
end

---@param bytes number?
---@return string "512 B", "1.5 MB"; "-" for nil
function M.bytes(bytes)
  if not bytes then
    return "-"
  end
  local unit = 1
  while bytes >= 1000 and unit < 5 do
    bytes, unit = bytes / 1024, unit + 1
  end
  return (unit == 1 or bytes >= 100) and ("%.0f %s"):format(bytes, ({ "B", "kB", "MB", "GB", "TB" })[unit])
    or ("%.1f %s"):format(bytes, ({ "B", "kB", "MB", "GB", "TB" })[unit])
end

---12345678 -> "12,345,678"
---@param n integer
---@return string
function M.thousands(n)
  local text = ("%d"):format(n)
  while text:find "^-?%d%d%d%d" do
    text = text:gsub("^(-?%d+)(%d%d%d)", "%1,%2")
  end
  return text
end

---@class tfhost.Column
---@field [1] string heading
---@field right boolean? numbers: aligned to the right

---Lines of a table; the first is the heading. The last column is as wide as its cells.
---@param columns tfhost.Column[]
---@param rows string[][]
---@return string[]
function M.table(columns, rows)
  local widths, lines = {}, {}
  local all = { {} }
  for i, column in ipairs(columns) do
    all[1][i], widths[i] = column[1], M.width(column[1])
  end
  for _, row in ipairs(rows) do
    all[#all + 1] = row
    for i, cell in ipairs(row) do
      widths[i] = math.max(widths[i], M.width(cell))
    end
  end
  for n, row in ipairs(all) do
    local cells = {}
    for i, column in ipairs(columns) do
      local gap = (" "):rep(widths[i] - M.width(row[i]))
      cells[i] = column.right and gap .. row[i] or row[i] .. gap
    end
    lines[n] = table.concat(cells, "  "):gsub("%s+$", "")
  end
  return lines
end

return M
