-- A graph inside a linear flow, plain functions as tasks, and a revert when the car is not what was ordered.
local example = require "example"
local gf = require "taskflow.patterns.graph_flow"
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"
local taskflow = require "taskflow"

local PARTS = { "frame", "engine", "doors", "wheels" }
local INSTALLED = { "engine_installed", "doors_installed", "windows_installed", "wheels_installed" }

local function build(part, made)
  return task.FunctorTask(function()
    return made
  end, { name = "__main__.build_" .. part, provides = part })
end

local function install(part, requires)
  return task.MapFunctorTask(function(_part)
    return true
  end, { name = "__main__.install_" .. part, requires = requires, provides = part .. "_installed" })
end

local function startup()
  return true
end

local function trash()
  example.heading "Throwing away pieces of car!"
end

local Verify = task.Task {
  kwargs = true,
  execute = function(_self, spec, kwargs)
    for part, made in pairs(kwargs) do
      if type(made) ~= "table" and spec[part] ~= made then
        error("Car doesn't match spec!", 0)
      end
    end
    return true
  end,
}

local function make_flow()
  local all = {}
  for _, list in ipairs { PARTS, INSTALLED } do
    for _, part in ipairs(list) do
      all[#all + 1] = part
    end
  end
  return lf.Flow("make-auto"):add(
    task.FunctorTask(startup, { name = "__main__.startup", revert = trash, provides = "ran" }),
    gf.Flow("install-parts"):add(
      build("frame", "steel"),
      build("engine", "honda"),
      build("doors", "2"),
      build("wheels", "4"),
      -- These are not used by anybody: who needs them waits for the work, not for a value.
      install("engine", { "frame", "engine" }),
      install("doors", { "frame", "windows_installed", "doors" }),
      install("windows", { "frame", "doors" }),
      install("wheels", { "frame", "engine", "engine_installed", "wheels" })
    ),
    Verify { name = "__main__.verify", requires = all }
  )
end

local function run(spec)
  local engine = taskflow.engines.load(make_flow(), { store = { spec = spec } })
  engine.notifier:register("*", function(state)
    print("Flow => " .. state)
  end)
  engine.atom_notifier:register("*", function(state, details)
    print(("Task %s => %s"):format(details.task_name, state))
  end)
  return pcall(engine.run, engine)
end

example.heading "Building a car"
run { frame = "steel", engine = "honda", doors = "2", wheels = "4" }

example.heading "Building a wrong car that doesn't match specification"
local _, err = run { frame = "steel", engine = "honda", doors = 5, wheels = "4" }
example.heading("Flow failed: " .. tostring(err))
