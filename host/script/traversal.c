#include "script/traversal.h"

#include <lauxlib.h>
#include <lua.h>

static int traversal_next(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 2);
	if (lua_next(L, 1))
		return 2;
	lua_pushnil(L);
	return 1;
}

/* Upvalue 1: next. */
static int traversal_pairs(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_pushnil(L);
	return 3;
}

void tf_traversal_open(lua_State *L)
{
	lua_pushcfunction(L, traversal_next);
	lua_pushvalue(L, -1);
	lua_setglobal(L, "next");
	lua_pushcclosure(L, traversal_pairs, 1);
	lua_setglobal(L, "pairs");
}
