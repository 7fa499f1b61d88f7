-- A task suspends its own engine; another engine goes on with what was kept.
--
--   tfhost lua flows/examples/resume_from_backend.lua [BACKEND]        default: memory
local backends = require "taskflow.persistence.backends"
local example = require "example"
local lf = require "taskflow.patterns.linear_flow"
local persistence = require "taskflow.persistence"
local task = require "taskflow.task"
local taskflow = require "taskflow"

local engine

local InterruptTask = task.Task {
  execute = function(_self)
    engine:suspend()
  end,
}

local TestTask = task.Task {
  execute = function(self)
    print("executing " .. tostring(self))
    return "ok"
  end,
}

local function flow_factory()
  return lf.Flow("resume from backend example"):add(
    TestTask { name = "first" },
    InterruptTask { name = "boom" },
    TestTask { name = "second" }
  )
end

local backend = backends.fetch(arg[1] or "memory")
local detail = persistence.create_flow_detail("resume from backend example", nil, backend)

local function print_task_states(text)
  example.heading(text)
  local found = backend:get_connection():get_flow_details(detail.uuid)
  print(("Flow '%s' state: %s"):format(found.name, found.state or "None"))
  local lines = {}
  for atom in found:iter() do
    lines[#lines + 1] = (" %s==%s: %s, result=%s"):format(atom.name, atom.version, atom.state, atom.results or "None")
  end
  table.sort(lines)
  if lines[1] then
    print(table.concat(lines, "\n"))
  end
end

print_task_states "At the beginning, there is no state"
example.heading "Running"
engine = taskflow.engines.load(flow_factory(), { flow_detail = detail, backend = backend })
engine:run()
print_task_states "After running"

example.heading "Resuming and running again"
local stored = backend:get_connection():get_flow_details(detail.uuid)
engine = taskflow.engines.load(flow_factory(), { flow_detail = stored, backend = backend })
engine:run()
print_task_states "At the end"
