-- An image in tiles: each tile is a task, and one task puts them together.
local ffi = require "ffi"
local task = require "taskflow.task"

local M = {}

-- Iterations until a point leaves, on a scale of one printable character a pixel: a tile is a string.
local SCALE = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/"

-- The part of the complex plane that is shown.
local LEFT, RIGHT, TOP, BOTTOM = -2.2, 0.8, -1.25, 1.25

local function iterations(cx, cy, limit)
  local x, y = 0, 0
  for i = 1, limit do
    local xx, yy = x * x, y * y
    if xx + yy > 4 then
      return i - 1
    end
    x, y = xx - yy + cx, 2 * x * y + cy
  end
  return limit
end

local function row(y, width, height, limit)
  local out = ffi.new("char[?]", width)
  local cy = TOP + (BOTTOM - TOP) * (y + 0.5) / height
  for x = 0, width - 1 do
    local n = iterations(LEFT + (RIGHT - LEFT) * (x + 0.5) / width, cy, limit)
    -- Square root: most of the picture leaves early.
    local level = n == limit and 0 or 1 + math.floor(math.sqrt(n / limit) * (#SCALE - 2))
    out[x] = SCALE:byte(level + 1)
  end
  return ffi.string(out, width)
end

---Rows first..last of the image, as one string.
M.Tile = task.Task {
  execute = function(self, first, last, width, height, limit)
    local rows = {}
    for y = first, last do
      rows[#rows + 1] = row(y, width, height, limit)
      self:update_progress(#rows / (last - first + 1))
    end
    return table.concat(rows)
  end,
}

-- Dark blue over orange to white; what never leaves is black.
local function colour(level)
  if level == 0 then
    return "\0\0\0"
  end
  local t = level / (#SCALE - 1)
  local function channel(from, middle, to)
    local value = t < 0.5 and from + (middle - from) * t * 2 or middle + (to - middle) * (t - 0.5) * 2
    return string.char(math.floor(value + 0.5))
  end
  return channel(10, 235, 255) .. channel(20, 120, 250) .. channel(70, 40, 220)
end

---Put the tiles, in order of their names, together and write a PPM image where this task runs.
M.Assemble = task.Task {
  default_provides = "image",
  kwargs = true,
  execute = function(_self, output, width, height, tiles, kwargs)
    local palette = {}
    for level = 0, #SCALE - 1 do
      palette[SCALE:byte(level + 1)] = colour(level)
    end
    local file = assert(io.open(output, "wb"))
    file:write(("P6\n%d %d\n255\n"):format(width, height))
    local pixels = 0
    for i = 1, tiles do
      local tile = kwargs["tile" .. i]
      local out = {}
      for at = 1, #tile do
        out[at] = palette[tile:byte(at)]
      end
      file:write(table.concat(out))
      pixels = pixels + #tile
    end
    assert(file:close())
    return { path = output, pixels = pixels }
  end,
}

return M
