-- The Mandelbrot set in tiles, computed by as many workers as there are, put together by one of them.
--
--   tfhost worker tasks.mandelbrot --topic pixels &
--   tfhost run flows:mandelbrot --engine worker-based --topics pixels --store output=/tmp/m.ppm
local lf = require "taskflow.patterns.linear_flow"
local mandelbrot = require "tasks.mandelbrot"
local uf = require "taskflow.patterns.unordered_flow"

return function(store)
  local width, height = store.width or 512, store.height or 512
  local tiles = math.min(store.tiles or 8, height)
  local drawing, names = uf.Flow "tiles", {}
  for i = 1, tiles do
    names[i] = "tile" .. i
    drawing:add(mandelbrot.Tile {
      name = names[i],
      provides = names[i],
      inject = {
        first = math.floor((i - 1) * height / tiles),
        last = math.floor(i * height / tiles) - 1,
      },
    })
  end
  local flow = lf.Flow("mandelbrot"):add(drawing, mandelbrot.Assemble { name = "assemble", requires = names })
  return flow,
    { store = { width = width, height = height, tiles = tiles, limit = 200, output = "mandelbrot.ppm" } }
end
