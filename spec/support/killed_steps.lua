-- usage: tfhost lua killed_steps.lua CONNECTION [FLOW]: run a, b, c, where b kills the process; with FLOW, run on from
-- what is kept there. The flow of spec/support/python/logbook.py.
local backends = require "taskflow.persistence.backends"
local engines = require "taskflow.engines"
local ffi = require "ffi"
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"

ffi.cdef "int getpid(void); int kill(int pid, int signal);"

local connection, resumed = arg[1], arg[2]
local function tell(name)
  io.write("execute ", name, "\n")
  io.flush()
  if name == "b" and not resumed then
    ffi.C.kill(ffi.C.getpid(), 9)
  end
  return name:upper()
end

local A = task.Task {
  execute = function()
    return tell "a"
  end,
}
local B = task.Task {
  execute = function(_, from_a)
    assert(from_a == "A")
    return tell "b"
  end,
}
local C = task.Task {
  execute = function(_, from_a, from_b)
    assert(from_a == "A" and from_b == "B")
    return tell "c"
  end,
}

local backend = backends.fetch(connection)
local flow = lf.Flow("steps"):add(
  A { name = "a", provides = "from_a" },
  B { name = "b", provides = "from_b" },
  C { name = "c", provides = "from_c" }
)
local eng = engines.load(flow, {
  backend = backend,
  flow_detail = resumed and backend:get_connection():get_flow_details(resumed),
})
eng:run()
local all = eng.storage:fetch_all()
print("results " .. table.concat({ all.from_a, all.from_b, all.from_c }, " "))
