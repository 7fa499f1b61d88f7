-- Creates volumes, slowly. Interrupt it, and run it again with the tracking id that it printed: it goes on.
--
--   tfhost lua flows/examples/resume_volume_create.lua sqlite:////tmp/volumes.db [TRACKING-ID]
local example = require "example"
local gf = require "taskflow.patterns.graph_flow"
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"

local function print_text(name, text, slow)
  return task.FunctorTask(function()
    example.heading(text)
    if slow then
      example.slow_down(0.5)
    end
  end, { name = "Print: " .. name })
end

local CreateSpecForVolumes = task.Task {
  default_provides = "volume_specs",
  execute = function(_self)
    local volumes = {}
    for i = 1, math.random(1, 3) do
      volumes[i] = { type = "disk", location = "/dev/vda" .. i }
    end
    return volumes
  end,
}

local PrepareVolumes = task.Task {
  execute = function(_self, volume_specs)
    for _, spec in ipairs(volume_specs) do
      print("Dusting off your hard drive " .. example.dict(spec))
      example.slow_down(0.5)
      print "Taking a well deserved break."
      example.slow_down(0.5)
      print(("Your drive %s has been certified."):format(example.dict(spec)))
    end
  end,
}

local function create_flow()
  return lf.Flow("root"):add(
    print_text("start", "Starting volume create"),
    gf.Flow("maker"):add(
      CreateSpecForVolumes { name = "volume_specs" },
      print_text("nap", "I need a nap, it took me a while to build those specs.", true),
      PrepareVolumes { name = "prepare_volumes" }
    ),
    print_text("end", "Finished volume create")
  )
end

math.randomseed(os.time())
local engine = example.tracked(create_flow, { engine = "serial" }, arg[1], arg[2])
engine:run()
