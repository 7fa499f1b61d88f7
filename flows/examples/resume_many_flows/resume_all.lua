-- Goes on with every flow in a backend that has not come to its end.
local backends = require "taskflow.persistence.backends"
local taskflow = require "taskflow"

local FINISHED = { SUCCESS = true, FAILURE = true, REVERTED = true }

local backend = backends.fetch(arg[1])
for book in backend:get_connection():get_logbooks() do
  for detail in book:iter() do
    if not FINISHED[detail.state] then
      print(("Resuming flow %s %s"):format(detail.name, detail.uuid))
      local engine = taskflow.engines.load_from_detail(detail, { backend = backend })
      engine:run()
    end
  end
end
