#include "script/hooks.h"

#include <stdbool.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/log.h"

/* Registry: the list of scripts. */
#define HOOKS_KEY "tfhost.hooks"

TF_RAISES static void hooks_check(lua_State *L, int script, const char *module, const char *name)
{
	lua_pushstring(L, name);
	lua_rawget(L, script);
	if (!lua_isnil(L, -1) && !lua_isfunction(L, -1))
		luaL_error(L, "%s: '%s' is what is called in each slot: it must be a function, not a %s",
			module, name, luaL_typename(L, -1));
	lua_pop(L, 1);
}

void tf_hooks_add(lua_State *L, const char *module)
{
	int top = lua_gettop(L);
	lua_getfield(L, LUA_REGISTRYINDEX, HOOKS_KEY);
	if (lua_isnil(L, -1)) {
		lua_newtable(L);
		lua_pushvalue(L, -1);
		lua_setfield(L, LUA_REGISTRYINDEX, HOOKS_KEY);
		lua_replace(L, top + 1);
	} /* list */
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	lua_getfield(L, -1, module); /* list, loaded, script */
	int script = lua_gettop(L), count = (int)lua_objlen(L, top + 1);
	bool known = !lua_istable(L, script);
	for (int i = 1; i <= count && !known; i++) {
		lua_rawgeti(L, top + 1, i);
		known = lua_rawequal(L, -1, script);
		lua_pop(L, 1);
	}
	if (!known) {
		hooks_check(L, script, module, "setup");
		hooks_check(L, script, module, "teardown");
		lua_pushvalue(L, script);
		lua_rawseti(L, top + 1, count + 1);
	}
	lua_settop(L, top);
}

/* (name, place) -> number of scripts, and the function of that name of the one at that place, or nil */
TF_RAISES static int hooks_get(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, HOOKS_KEY);
	if (!lua_istable(L, 3)) {
		lua_pushinteger(L, 0);
		lua_pushnil(L);
		return 2;
	}
	lua_pushinteger(L, (lua_Integer)lua_objlen(L, 3));
	lua_rawgeti(L, 3, (int)lua_tointeger(L, 2)); /* name, place, list, count, script */
	if (!lua_istable(L, 5))
		return 2;
	lua_pushvalue(L, 1);
	lua_rawget(L, 5);
	lua_replace(L, 5);
	return 2;
}

/* Call it if there is one. *count: of the scripts. */
static int hooks_call(lua_State *L, const char *name, int place, int *count, struct tf_err *err)
{
	*count = 0;
	lua_pushcfunction(L, hooks_get);
	lua_pushstring(L, name);
	lua_pushinteger(L, place);
	int rc = tf_call(L, 2, 2, err);
	if (rc < 0)
		return rc;
	*count = (int)lua_tointeger(L, -2);
	lua_remove(L, -2);
	if (lua_isfunction(L, -1))
		return tf_call(L, 0, 0, err);
	lua_pop(L, 1);
	return 0;
}

int tf_hooks_setup(lua_State *L, struct tf_err *err)
{
	int count = 1;
	for (int i = 1; i <= count; i++) {
		int rc = hooks_call(L, "setup", i, &count, err);
		if (rc < 0)
			return tf_err_prefix(err, "setup");
	}
	return 0;
}

void tf_hooks_teardown(lua_State *L)
{
	struct tf_err err;
	int count;
	if (hooks_call(L, "teardown", 0, &count, &err) < 0)
		return;
	for (int i = count; i > 0; i--) {
		if (hooks_call(L, "teardown", i, &count, &err) < 0)
			tf_error("script", "teardown: %s", err.message);
	}
}
