-- Flows whose processes exit in the middle, and one process that goes on with all of them.
local example = require "example"

local folder = arg[0]:match "^(.*)%.lua$"
local database = os.tmpname()

local function run_example(name, environment)
  local command = ("%s '%s' lua '%s/%s.lua' 'sqlite:///%s'"):format(
    environment or "",
    example.host(),
    folder,
    name,
    database
  )
  local pipe = assert(io.popen(command))
  print(pipe:read "*a")
  pipe:close()
end

print "Run flow:"
run_example "run_flow"
print "\nRun flow, something happens:"
run_example("run_flow", "BOOM='exit please'")
print "\nRun flow, something happens again:"
run_example("run_flow", "BOOM='exit please'")
print "\nResuming all failed flows"
run_example "resume_all"
os.execute(("rm -rf '%s'*"):format(database))
