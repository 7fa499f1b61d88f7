-- Lua here is LuaJIT; specs run under busted.
std = "luajit"
max_line_length = 110
files["spec"] = { std = "luajit+busted" }
files[".ci"] = { std = "luajit" }
