-- Log lines of the library. Under tfhost they join the host's log; else they go to stderr.
local M = {}

local ok, host = pcall(require, "tfhost.log")

local function writer(level)
  return function(area, message)
    if ok then
      host[level](area, message)
    elseif level == "warn" or level == "error" then
      io.stderr:write(level:upper(), " ", area, ": ", message, "\n")
    end
  end
end

M.debug, M.info, M.warn, M.error = writer "debug", writer "info", writer "warn", writer "error"

return M
