-- The Mandelbrot set in chunks of rows, calculated by two workers.
local example = require "example"
local mandelbrot = require "tasks.mandelbrot"
local taskflow = require "taskflow"
local uf = require "taskflow.patterns.unordered_flow"

local WIDTH, HEIGHT, CHUNKS, WORKERS = 512, 512, 8, 2

local gathered = 0
print(("Calculating your mandelbrot fractal of size %dx%d."):format(WIDTH, HEIGHT))
example.with_workers(WORKERS, "tasks.mandelbrot", function(options)
  local flow, names = uf.Flow "mandelbrot", {}
  for i = 1, CHUNKS do
    names[i] = "calculation_" .. i
    local rows = { first = (i - 1) * HEIGHT / CHUNKS, last = i * HEIGHT / CHUNKS - 1 }
    flow:add(mandelbrot.Tile { name = names[i], inject = rows })
  end
  options.store = { width = WIDTH, height = HEIGHT, limit = 25 }
  local engine = taskflow.engines.load(flow, options)
  engine:run()
  for _, name in ipairs(names) do
    gathered = gathered + #engine.storage:get(name) -- one character a point
  end
  print "Execution finished."
end)
print "Writing image..."
local text = "Gathered %d results that represents a mandelbrot image"
  .. " (using %d chunks that are computed jointly by %d workers)."
print(text:format(gathered, CHUNKS, WORKERS))
