-- For `luarocks make rocks/tfhost-scm-1.rockspec` in a checkout: builds the host, which has the Lua library inside, and
-- installs what `make install` does, below the tree of the rock. Needs nothing from a rocks server.
rockspec_format = "3.0"
package = "tfhost"
version = "scm-1"
source = { url = "git+file://." }
description = {
  summary = "An orchestration host for task flows written in Lua, compatible with TaskFlow's worker-based engine",
  license = "MIT",
}
dependencies = { "lua == 5.1" }
external_dependencies = {
  LUAJIT = { header = "luajit-2.1/lua.h" },
  RABBITMQ = { header = "amqp.h" },
  UV = { header = "uv.h" },
  SQLITE = { header = "sqlite3.h" },
}
build = {
  type = "make",
  build_target = "all",
  install_target = "install",
  install_variables = { PREFIX = "$(PREFIX)", UNITDIR = "$(PREFIX)/share/tfhost/systemd" },
}
