-- The task of the storm: it takes a moment, then has an effect: a line in a file, with when and where it had it.
local cjson = require "cjson"
local ffi = require "ffi"
local process = require "process"
local task = require "taskflow.task"

ffi.cdef "int getpid(void); int getppid(void);"

local M = {}

M.Effect = task.Task {
  execute = function(self, seconds)
    local effect = { task = self.name, slot = ffi.C.getpid(), worker = ffi.C.getppid(), began = process.now() }
    process.sleep(seconds)
    effect.at = process.now()
    local line = cjson.encode(effect)
    local handle = assert(io.open(os.getenv "CHAOS_EFFECTS", "ab"))
    handle:write(line .. "\n") -- one write, as the file is shared
    handle:close()
    return line
  end,
}

return M
