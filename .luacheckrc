-- Lua here is LuaJIT; specs run under busted.
std = "luajit"
max_line_length = 120
-- Methods need not use what they are handed: parameter names are a task's inputs.
ignore = { "212/self", "212/_.*" }
files["spec"] = { std = "luajit+busted" }
files[".ci"] = { std = "luajit" }
files["lua/meta"] = { ignore = { "212" } }
