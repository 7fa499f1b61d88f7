/* Module tfhost.log: debug(area, message), info, warn, error: lines of the host's log; configure(format, level); about(flow uuid). */
#include <lauxlib.h>
#include <lua.h>

#include "base/log.h"
#include "script/call.h"
#include "script/modules.h"

/* Upvalue 1: level */
TF_RAISES static int log_line(lua_State *L)
{
	enum tf_log_level level = (enum tf_log_level)lua_tointeger(L, lua_upvalueindex(1));
	tf_log(level, luaL_checkstring(L, 1), NULL, "%s", luaL_checkstring(L, 2));
	return 0;
}

/* configure(format, level): names, or nil for what is */
TF_RAISES static int log_configure(lua_State *L)
{
	const char *format = luaL_optstring(L, 1, NULL), *level = luaL_optstring(L, 2, NULL);
	tf_log_configure(format, level);
	return 0;
}

/* about(flow): every line from now on is about that flow, unless it says otherwise */
TF_RAISES static int log_about(lua_State *L)
{
	tf_log_set_ids(&(struct tf_log_ids){.flow = luaL_checkstring(L, 1)});
	return 0;
}

int tf_bind_log_open(lua_State *L)
{
	static const struct {
		const char *name;
		enum tf_log_level level;
	} levels[] = {
		{"debug", TF_LOG_DEBUG},
		{"info", TF_LOG_INFO},
		{"warn", TF_LOG_WARN},
		{"error", TF_LOG_ERROR},
	};
	lua_newtable(L);
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		lua_pushinteger(L, levels[i].level);
		lua_pushcclosure(L, log_line, 1);
		lua_setfield(L, -2, levels[i].name);
	}
	lua_pushcfunction(L, log_about);
	lua_setfield(L, -2, "about");
	lua_pushcfunction(L, log_configure);
	lua_setfield(L, -2, "configure");
	return 1;
}
