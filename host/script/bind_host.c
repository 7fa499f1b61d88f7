/* Module tfhost.host: what the commands written in Lua need of the process. */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/clock.h"
#include "base/json.h"
#include "script/bind.h"
#include "script/modules.h"
#include "script/state.h"

/* load(reference) -> what the script reference names | nil, message, code */
TF_RAISES static int host_load(lua_State *L)
{
	const char *reference = luaL_checkstring(L, 1);
	struct tf_err err;
	if (tf_state_load(L, reference, NULL, NULL, &err) < 0)
		return tf_bind_fail(L, &err);
	return 1;
}

/* members(text of a JSON object) -> { name = text of its value } | nil, message, code */
TF_RAISES static int host_members(lua_State *L)
{
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);
	struct tf_json object, key, value;
	struct tf_err err;
	if (tf_json_validate(text, len, 0, &object, &err) < 0)
		return tf_bind_fail(L, &err);
	lua_newtable(L);
	if (tf_json_type(object) != TF_JSON_OBJECT)
		return 1;
	struct tf_json_iter it = tf_json_iter(object);
	while (tf_json_next(&it, &key, &value)) {
		char *name = tf_json_strdup(key, &err);
		if (!name)
			return tf_bind_fail(L, &err);
		lua_pushlstring(L, value.text, value.len);
		lua_setfield(L, -2, name);
		free(name);
	}
	return 1;
}

/* now() -> seconds that only go forward */
static int host_now(lua_State *L)
{
	lua_pushnumber(L, (double)tf_clock_ms(&tf_clock_real) / 1000);
	return 1;
}

/* terminal() -> rows, columns of the terminal on stdout; nothing if it is none */
static int host_terminal(lua_State *L)
{
	struct winsize size;
	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
		size = (struct winsize){.ws_row = 24, .ws_col = 80};
	lua_pushinteger(L, size.ws_row);
	lua_pushinteger(L, size.ws_col);
	return 2;
}

int tf_bind_host_open(lua_State *L)
{
	static const struct luaL_Reg functions[] = {
		{"load", host_load},
		{"members", host_members},
		{"now", host_now},
		{"terminal", host_terminal},
		{NULL, NULL},
	};
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	return 1;
}
