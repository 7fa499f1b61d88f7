-- TaskFlow's own examples, ported: each prints what the original prints.
local peers = require "peers"
local process = require "process"

-- What differs from run to run.
local function normal(text)
  return (text:gsub("%x+%-%x+%-%x+%-%x+%-%x+", "UUID"):gsub("%d%.%d%d seconds", "N seconds"))
end

local function lines(...)
  return table.concat({ ... }, "\n") .. "\n"
end

local function heading(text)
  return ("-"):rep(#text) .. "\n" .. text .. "\n" .. ("-"):rep(#text)
end

-- Lines with numbers from..to.
local function counted(from, to, line)
  local out = {}
  for i = from, to do
    out[#out + 1] = line(i)
  end
  return table.concat(out, "\n")
end

local SUMS = "{'x1': 4, 'x2': 12, 'x3': 16, 'x4': 21, 'x5': 20, 'x6': 41, 'x7': 82, "
  .. "'y1': 1, 'y2': 3, 'y3': 5, 'y4': 7, 'y5': 9}"

-- "['A', 'B', ...]" from the i-th letter on.
local function letters(i)
  local out = {}
  for code = i, ("Z"):byte() do
    out[#out + 1] = ("'%c'"):format(code)
  end
  return "[" .. table.concat(out, ", ") .. "]"
end

local function compile(...)
  return lines(
    "Compiling first.c into first.o",
    "Compiling second.cpp into second.o",
    "Compiling main.cpp into main.o",
    ...
  )
end

local LINKED = "Linking executable build/executable from files first.o, main.o, second.o"

local function transition(what, state, old)
  return ("DEBUG:taskflow.listeners.logging:%s (UUID) transitioned into state '%s' from state '%s'"):format(
    what,
    state,
    old
  )
end

local function echoed(name)
  local what = ("Task '%s'"):format(name)
  local success = transition(what, "SUCCESS", "RUNNING") .. " with result 'None'"
  return transition(what, "RUNNING", "PENDING") .. "\n" .. name .. "\n" .. success
end

local function timed(name)
  return ("'%s' task started.\nIt took task '%s' N seconds to finish."):format(name, name)
end

-- "name STATE result" of atoms, as resume_from_backend shows them.
local function states(title, flow_state, ...)
  local out = { heading(title), "Flow 'resume from backend example' state: " .. flow_state }
  for i, atom in ipairs { ... } do
    out[i + 2] = (" %s==1.0: %s, result=%s"):format(atom:match "^(%S+) (%S+) (%S+)$")
  end
  return table.concat(out, "\n")
end

local RUN_FLOW = 'Running flow example UUID\nexecuting "first==1.0"\nexecuting "boom==1.0"'
local RESUME_FLOW =
  'Resuming flow example UUID\nexecuting "boom==1.0"\n> this time not exiting\nexecuting "second==1.0"'

local OUTPUT = {
  simple_linear = lines("Calling jim 555.", "Calling joe 444."),
  simple_linear_pass = lines(
    "Constructing...",
    "Loading...",
    "Compiling...",
    "Preparing...",
    "Running...",
    "Executing 'a'",
    "Executing 'b'",
    "Got input 'a'",
    "Done..."
  ),
  simple_linear_listening = lines(
    "Flow => RUNNING",
    "Task __main__.call_jim => RUNNING",
    "Calling jim.",
    "Context = [('jim_number', 555), ('joe_number', 444)]",
    "Task __main__.call_jim => SUCCESS",
    "Task __main__.call_joe => RUNNING",
    "Calling joe.",
    "Context = [('jim_number', 555), ('joe_number', 444)]",
    "Task __main__.call_joe => SUCCESS",
    "Flow => SUCCESS"
  ),
  reverting_linear = lines(
    "Calling jim 555.",
    "Calling joe 444.",
    "Calling 444 and apologizing.",
    "Calling 555 and apologizing.",
    "Flow failed: Suzzie not home right now."
  ),
  graph_flow = lines("Single threaded engine result " .. SUMS, "Multi threaded engine result " .. SUMS),
  calculate_linear = "{'x': 2, 'y': 3, 'd': 5, 'z': 5, 'a': 10, 'r': 30}\n",
  calculate_in_parallel = "{'x1': 2, 'y1': 3, 'x2': 5, 'y2': 8, 'z1': 5, 'z2': 13, 'r': 18}\n",
  retry_flow = lines(
    "Calling jim 333.",
    "Wrong number, apologizing.",
    "Calling jim 444.",
    "Wrong number, apologizing.",
    "Calling jim 555.",
    "Hello Jim!"
  ),
  switch_graph_flow = lines(
    "Running r-a",
    "{'r-a': None}",
    heading "After run",
    "r-a: SUCCESS, intention EXECUTE",
    "r-b: IGNORE, intention IGNORE"
  ),
  wrapped_exception = lines(
    heading "Raise and catch first exception only",
    "Got FirstException: First task failed",
    heading "Raise and catch both exceptions",
    "Got FirstException: First task failed",
    "Got SecondException: Second task failed",
    heading "Handle one exception, and re-raise another",
    "Got FirstException: First task failed",
    "Unknown failure: Failure: TypeError: Bad raise2 value: 'boom'",
    "As expected, TypeError is here: Bad raise2 value: 'boom'"
  ),
  buildsystem = "Running all tasks:\n"
    .. compile(
      "Building docs for first.c",
      "Building docs for main.cpp",
      "Building docs for second.cpp",
      LINKED,
      "",
      "Building executable, no docs:"
    )
    .. compile(LINKED),
  run_by_iter = lines(
    "RESUMING",
    counted(("A"):byte(), ("Z"):byte(), function(i)
      return ("SCHEDULING\n%c\nWAITING\nANALYZING"):format(i)
    end),
    "SUCCESS"
  ),
  run_by_iter_enumerate = lines(
    "Transition 1: RESUMING",
    counted(1, 10, function(i)
      local line = "Transition %d: SCHEDULING\necho_%d\nTransition %d: WAITING\nTransition %d: ANALYZING"
      return line:format(3 * i - 1, i, 3 * i, 3 * i + 1)
    end),
    "Transition 32: SUCCESS"
  ),
  resume_from_backend = lines(
    states("At the beginning, there is no state", "None"),
    heading "Running",
    'executing "first==1.0"',
    states("After running", "SUSPENDED", "boom SUCCESS None", "first SUCCESS ok", "second PENDING None"),
    heading "Resuming and running again",
    'executing "second==1.0"',
    states("At the end", "SUCCESS", "boom SUCCESS None", "first SUCCESS ok", "second SUCCESS ok")
  ),
  resume_many_flows = lines(
    "Run flow:",
    RUN_FLOW,
    "> this time not exiting",
    'executing "second==1.0"',
    "\n\nRun flow, something happens:",
    RUN_FLOW,
    "> Critical error: boom = exit please",
    "\n\nRun flow, something happens again:",
    RUN_FLOW,
    "> Critical error: boom = exit please",
    "\n\nResuming all failed flows",
    RESUME_FLOW,
    RESUME_FLOW,
    ""
  ),
  simple_map_reduce = lines(
    "Running a parallel engine with options: {'max_workers': 4}",
    "Calculated result = 49995000"
  ),
  timing_listener = lines(
    "'root' flow started.",
    timed "a",
    timed "b",
    timed "c",
    "It took flow 'root' N seconds to finish."
  ),
  echo_listener = lines(
    transition("Flow 'abc'", "RUNNING", "PENDING"),
    echoed "a",
    echoed "b",
    echoed "c",
    transition("Flow 'abc'", "SUCCESS", "RUNNING")
  ),
  wbe_simple_linear = lines(
    "Running 2 workers.",
    "Executing some work.",
    "Execution finished.",
    'Result = {"result1": 1, "result2": 666, "x": 111, "y": 222, "z": 333}',
    "Stopping workers."
  ),
  wbe_event_sender = lines(
    "Running 1 workers.",
    "Executing some work.",
    "Recieved event 'update_progress'",
    "Details = {'progress': 0.0}",
    counted(("A"):byte(), ("Z"):byte(), function(i)
      return ("Recieved event '%c'\nDetails = {'leftover': %s}"):format(i, letters(i))
    end),
    "Recieved event 'update_progress'",
    "Details = {'progress': 1.0}",
    "Execution finished.",
    "Stopping workers."
  ),
  wbe_mandelbrot = lines(
    "Calculating your mandelbrot fractal of size 512x512.",
    "Running 2 workers.",
    "Execution finished.",
    "Stopping workers.",
    "Writing image...",
    "Gathered 262144 results that represents a mandelbrot image"
      .. " (using 8 chunks that are computed jointly by 2 workers)."
  ),
}

local function run(name)
  local done = process.run {
    peers.tfhost, "lua", ("flows/examples/%s.lua"):format(name), timeout = 60,
    -- Some leave with os.exit from inside a task: nothing is given back then.
    env = { ASAN_OPTIONS = "detect_leaks=0" },
  }
  assert.equal(0, done.code, done.story)
  return normal(done.stdout)
end

describe("TaskFlow's example", function()
  after_each(process.cleanup)

  for name, output in pairs(OUTPUT) do
    it(name, function()
      assert.equal(output, run(name))
    end)
  end

  it("build_a_car", function()
    local good, wrong = run("build_a_car"):match "^(.-)(%-+\nBuilding a wrong car.*)$"
    assert.truthy(good:find("^" .. heading("Building a car"):gsub("%p", "%%%0")))
    assert.truthy(good:find "\nTask __main__.verify => SUCCESS\nFlow => SUCCESS\n$")
    assert.truthy(wrong:find("\n" .. heading "Throwing away pieces of car!" .. "\n", 1, true))
    assert.truthy(wrong:find("\nFlow => REVERTED\n" .. heading "Flow failed: Car doesn't match spec!" .. "\n", 1, true))
    -- who needs what, whatever the order
    local function before(first, second)
      local a = assert(good:find(("Task __main__.%s => SUCCESS"):format(first), 1, true))
      local b = assert(good:find(("Task __main__.%s => RUNNING"):format(second), 1, true))
      assert.is_true(a < b, first .. " before " .. second)
    end
    before("startup", "build_frame")
    before("install_windows", "install_doors")
    before("install_engine", "install_wheels")
    before("install_doors", "verify")
  end)

  -- Killed in the middle of a task; run again with the tracking id that it printed.
  local function interrupted(name, at)
    local database = "sqlite:///" .. process.directory() .. "/flows.db"
    local command = { peers.tfhost, "lua", ("flows/examples/%s.lua"):format(name), database }
    command.env = { SLOW_DOWN = "20" }
    local first = process.spawn(command)
    first:wait_for(at, 20)
    local id = first:stdout():match "Your tracking id is: '(%S+)'"
    first:kill "KILL"
    first:wait(10)
    command[5], command.env = id, { SLOW_DOWN = "0.01" }
    local second = process.run(command)
    assert.equal(0, second.code, second.story)
    return first:stdout(), second.stdout
  end

  it("resume_volume_create", function()
    local nap = "I need a nap, it took me a while to build those specs."
    local first, second = interrupted("resume_volume_create", "%*%* Ctrl%-c me please!!! %*%*")
    assert.truthy(first:find(heading "Starting volume create" .. "\n" .. heading(nap), 1, true))
    assert.is_nil(second:find("tracking id", 1, true))
    assert.truthy(second:find("^" .. heading(nap):gsub("%p", "%%%0"))) -- what was under way runs again
    assert.truthy(second:find "Your drive {'location': '/dev/vda1', 'type': 'disk'} has been certified.\n")
    assert.truthy(second:find("\n" .. heading("Finished volume create"):gsub("%p", "%%%0") .. "\n$"))
  end)

  it("resume_vm_boot", function()
    local first, second = interrupted("resume_vm_boot", "Downloading from")
    assert.truthy(first:find(heading "Starting vm creation.", 1, true))
    assert.is_nil(second:find("Starting vm creation.", 1, true))
    assert.truthy(second:find("Downloading from http://www.yahoo.com/images/0 => /tmp/0.img", 1, true))
    assert.truthy(second:find("Mounting /tmp/0.img to /tmp/0", 1, true))
    local spec = "{'type': 'kvm', 'disks': 2, 'vcpu': 1, 'ips': 1, 'volumes': 3}"
    assert.truthy(second:find("Starting vm!\nCreated: " .. spec, 1, true))
    assert.truthy(second:find("\n" .. heading("Instance is running!"):gsub("%p", "%%%0") .. "\n$"))
  end)

  it("is in this spec, for each that there is", function()
    local spec = process.read "spec/flows/examples_spec.lua"
    local pipe = assert(io.popen "ls flows/examples")
    for name in pipe:read("*a"):gmatch "([%w_]+)%.lua" do
      assert(name == "example" or OUTPUT[name] or spec:find('it("' .. name .. '"', 1, true), name)
    end
    pipe:close()
  end)
end)
