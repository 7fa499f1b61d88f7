#include "script/bind.h"

#include <stdarg.h>

#include <lauxlib.h>
#include <lua.h>

#include "script/value_lua.h"

/* Name of a code without the prefix. */
static const char *bind_code_name(int code)
{
	static const char *const names[] = {
#define X(name, text) #name,
		TF_ERR_CODES(X)
#undef X
	};
	int index = -code - 1;
	return index >= 0 && index < TF_ERR_COUNT ? names[index] + sizeof("TF_") - 1 : "EUNKNOWN";
}

int tf_bind_fail(lua_State *L, const struct tf_err *err)
{
	lua_pushnil(L);
	lua_pushstring(L, err->message);
	lua_pushstring(L, bind_code_name(err->code));
	return 3;
}

void tf_bind_raise(lua_State *L, const char *class, const char *format, ...)
{
	va_list args;
	lua_getglobal(L, "require");
	lua_pushliteral(L, "taskflow.exceptions");
	lua_call(L, 1, 1);
	lua_getfield(L, -1, "raise");
	lua_getfield(L, -2, class); /* exceptions, raise, class */
	va_start(args, format);
	lua_pushvfstring(L, format, args);
	va_end(args);
	lua_call(L, 2, 0);
	__builtin_unreachable(); /* raise does not return */
}

/* Push the member; false if it is nil. */
TF_RAISES static bool bind_field(lua_State *L, int index, const char *key, int type)
{
	lua_getfield(L, index, key);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return false;
	}
	if (lua_type(L, -1) != type)
		luaL_error(
			L, "%s: expected a %s, got a %s", key, lua_typename(L, type), luaL_typename(L, -1));
	return true;
}

const char *tf_bind_string(lua_State *L, int index, const char *key)
{
	if (!bind_field(L, index, key, LUA_TSTRING))
		return NULL;
	const char *s = lua_tostring(L, -1);
	lua_pop(L, 1);
	return s;
}

double tf_bind_number(lua_State *L, int index, const char *key, double absent)
{
	if (!bind_field(L, index, key, LUA_TNUMBER))
		return absent;
	double d = lua_tonumber(L, -1);
	lua_pop(L, 1);
	return d;
}

bool tf_bind_boolean(lua_State *L, int index, const char *key)
{
	lua_getfield(L, index, key);
	bool b = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return b;
}

struct tf_value *tf_bind_value(lua_State *L, int index, const char *key, const char *what)
{
	struct tf_err err;
	lua_getfield(L, index, key);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return NULL;
	}
	struct tf_value *v = tf_value_lua_get(L, -1, what, &err);
	lua_pop(L, 1);
	if (!v)
		tf_bind_raise(L, "TypeError", "%s", err.message);
	return v;
}

const char **tf_bind_strings(lua_State *L, int index, const char *key)
{
	size_t n = 0;
	if (bind_field(L, index, key, LUA_TTABLE))
		n = lua_objlen(L, -1);
	else
		lua_pushnil(L);
	const char **out = lua_newuserdata(L, (n + 1) * sizeof(*out)); /* table, array */
	for (size_t i = 0; i < n; i++) {
		lua_rawgeti(L, -2, (int)i + 1);
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "%s: entry %d: expected a string, got a %s", key, (int)i + 1,
				luaL_typename(L, -1));
		out[i] = lua_tostring(L, -1);
		lua_pop(L, 1);
	}
	out[n] = NULL;
	lua_remove(L, -2); /* array */
	return out;
}
