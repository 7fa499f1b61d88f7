/* Module `taskflow.values`: what JSON has and Lua has not (ARCHITECTURE 2). */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/json.h"
#include "base/mem.h"
#include "script/call.h"
#include "script/modules.h"
#include "script/value_lua.h"

/* list(t) -> t, marked; without t a new empty list */
TF_RAISES static int values_list(lua_State *L)
{
	if (lua_isnoneornil(L, 1)) {
		lua_settop(L, 0);
		lua_newtable(L);
	}
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	tf_value_lua_mark_list(L, 1);
	return 1;
}

TF_RAISES static int values_is_list(lua_State *L)
{
	lua_pushboolean(L, tf_value_lua_is_list(L, 1));
	return 1;
}

/* int64(number or text) -> number up to 2^53, else int64_t or uint64_t cdata */
TF_RAISES static int values_int64(lua_State *L)
{
	char text[32];
	struct tf_json v;
	if (lua_type(L, 1) == LUA_TNUMBER) {
		double d = lua_tonumber(L, 1);
		if (d != floor(d) || d < -9223372036854775808.0 || d >= 18446744073709551616.0)
			return luaL_argerror(L, 1, "expected an integer of 64 bits");
		snprintf(text, sizeof(text), "%.0f", d == 0 ? 0.0 : d);
	} else {
		size_t n;
		const char *s = luaL_checklstring(L, 1, &n);
		if (n >= sizeof(text) || strlen(s) != n)
			return luaL_argerror(L, 1, "expected an integer of 64 bits");
		memcpy(text, s, n + 1);
	}
	struct tf_err err;
	if (tf_json_validate(text, strlen(text), 0, &v, NULL) < 0 || tf_json_type(v) != TF_JSON_INTEGER)
		return luaL_argerror(L, 1, "expected an integer of 64 bits");
	if (tf_value_lua_push(L, v, "int64", &err) < 0)
		return luaL_error(L, "%s", err.message);
	return 1;
}

/* encode(v) -> text | nil, message */
TF_RAISES static int values_encode(lua_State *L)
{
	struct tf_err err;
	luaL_checkany(L, 1);
	struct tf_value *v = tf_value_lua_get(L, 1, "value", &err);
	if (!v) {
		lua_pushnil(L);
		lua_pushstring(L, err.message);
		return 2;
	}
	lua_pushlstring(L, tf_value_text(v), tf_value_len(v));
	tf_value_unref(v);
	return 1;
}

/* decode(text) -> v | nil, message */
TF_RAISES static int values_decode(lua_State *L)
{
	size_t n;
	const char *text = luaL_checklstring(L, 1, &n);
	struct tf_err err;
	struct tf_json v;
	if (tf_json_validate(text, n, 0, &v, &err) == 0 && tf_value_lua_push(L, v, "value", &err) == 0)
		return 1;
	lua_pushnil(L);
	lua_pushstring(L, err.message);
	return 2;
}

int tf_bind_values_open(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"list", values_list},
		{"is_list", values_is_list},
		{"int64", values_int64},
		{"encode", values_encode},
		{"decode", values_decode},
		{NULL, NULL},
	};
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	lua_pushlightuserdata(L, NULL);
	lua_setfield(L, -2, "null");
	return 1;
}
