-- A targeted flow: the documentation is left out when only the executable is wanted.
local gf = require "taskflow.patterns.graph_flow"
local task = require "taskflow.task"
local taskflow = require "taskflow"

local CompileTask = task.Task {
  default_provides = "object_filename",
  execute = function(_self, source_filename)
    local object_filename = source_filename:gsub("%.%w+$", "") .. ".o"
    print(("Compiling %s into %s"):format(source_filename, object_filename))
    return object_filename
  end,
}

local function sorted(map)
  local out = {}
  for _, value in pairs(map) do
    out[#out + 1] = value
  end
  table.sort(out)
  return out
end

local LinkTask = task.Task {
  default_provides = "executable",
  kwargs = true,
  execute = function(_self, executable_path, kwargs)
    print(("Linking executable %s from files %s"):format(executable_path, table.concat(sorted(kwargs), ", ")))
    return executable_path
  end,
}

local BuildDocsTask = task.Task {
  default_provides = "docs",
  kwargs = true,
  execute = function(_self, kwargs)
    for _, source_filename in ipairs(sorted(kwargs)) do
      print("Building docs for " .. source_filename)
    end
    return "docs"
  end,
}

local function make_flow_and_store(source_files, executable_only)
  local flow, objects, sources, store = gf.TargetedFlow "build flow", {}, {}, {}
  for i, source in ipairs(source_files) do
    sources[i], objects[i] = source .. "-source", source .. "-object"
    store[sources[i]] = source
    flow:add(CompileTask {
      name = "compile-" .. source,
      rebind = { source_filename = sources[i] },
      provides = objects[i],
    })
  end
  flow:add(BuildDocsTask { name = "build-docs", requires = sources })
  local link = LinkTask { name = "link", requires = objects, inject = { executable_path = "build/executable" } }
  flow:add(link)
  if executable_only then
    flow:set_target(link)
  end
  return flow, { store = store }
end

local SOURCE_FILES = { "first.c", "second.cpp", "main.cpp" }

print "Running all tasks:"
taskflow.engines.run(make_flow_and_store(SOURCE_FILES))
print "\nBuilding executable, no docs:"
taskflow.engines.run(make_flow_and_store(SOURCE_FILES, true))
