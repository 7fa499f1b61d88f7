-- For `luarocks make rocks/tfhost-scm-1.rockspec` in a checkout: builds the host and installs its binary.
rockspec_format = "3.0"
package = "tfhost"
version = "scm-1"
source = { url = "git+file://." }
description = {
  summary = "An orchestration host for task flows written in Lua, compatible with TaskFlow's worker-based engine",
  license = "MIT",
}
dependencies = { "lua == 5.1", "lua-cjson >= 2.1.0" }
external_dependencies = {
  LUAJIT = { header = "luajit-2.1/lua.h" },
  RABBITMQ = { header = "amqp.h" },
  UV = { header = "uv.h" },
}
build = {
  type = "make",
  build_target = "all",
  install_target = "install",
  install_variables = { PREFIX = "$(PREFIX)" },
}
