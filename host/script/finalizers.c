#include "script/finalizers.h"

#include <lauxlib.h>
#include <lua.h>

#include "base/log.h"

/* Upvalue 1: the script's finalizer. */
static int finalizer_run(lua_State *L)
{
	struct tf_err err;
	lua_settop(L, 1);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	if (tf_call(L, 1, 0, &err) < 0)
		tf_warn("script", "a finalizer raised an error: %s", err.message);
	return 0;
}

/* Put what runs it protected in the place of the finalizer at the top of the stack, unless it is none. */
TF_RAISES static void finalizer_protect(lua_State *L)
{
	if (lua_isfunction(L, -1))
		lua_pushcclosure(L, finalizer_run, 1);
}

/* A proxy's metatable, key, value. */
static int metatable_newindex(lua_State *L)
{
	lua_settop(L, 3);
	if (lua_type(L, 2) == LUA_TSTRING && lua_rawequal(L, 2, lua_upvalueindex(1)))
		finalizer_protect(L);
	lua_rawset(L, 1);
	return 0;
}

/* Upvalue 1: newproxy as it was, 2: the metatable of metatables. */
static int wrapped_newproxy(lua_State *L)
{
	bool new_metatable = lua_isboolean(L, 1) && lua_toboolean(L, 1);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, 1); /* proxy */
	if (new_metatable && lua_getmetatable(L, -1)) {
		lua_pushvalue(L, lua_upvalueindex(2));
		lua_setmetatable(L, -2);
		lua_pop(L, 1);
	}
	return 1;
}

/* Upvalue 1: ffi.gc as it was. */
static int wrapped_ffi_gc(lua_State *L)
{
	lua_settop(L, 2);
	finalizer_protect(L);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, 2, 1);
	return 1;
}

/* Upvalue 1: ffi.metatype as it was. */
static int wrapped_ffi_metatype(lua_State *L)
{
	lua_settop(L, 2);
	if (lua_istable(L, 2)) {
		lua_pushliteral(L, "__gc");
		lua_pushliteral(L, "__gc");
		lua_rawget(L, 2);
		finalizer_protect(L);
		lua_rawset(L, 2);
	}
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, 2, 1);
	return 1;
}

/* Table at the top of the stack: t[name] = wrapper with t[name] as its upvalue. */
TF_RAISES static void wrap(lua_State *L, const char *name, lua_CFunction wrapper)
{
	lua_getfield(L, -1, name);
	lua_pushcclosure(L, wrapper, 1);
	lua_setfield(L, -2, name);
}

void tf_finalizers_open(lua_State *L)
{
	lua_getglobal(L, "newproxy");
	lua_createtable(L, 0, 1); /* newproxy, metatable of metatables */
	lua_pushliteral(L, "__gc");
	lua_pushcclosure(L, metatable_newindex, 1);
	lua_setfield(L, -2, "__newindex");
	lua_pushcclosure(L, wrapped_newproxy, 2);
	lua_setglobal(L, "newproxy");
	lua_getglobal(L, "require");
	lua_pushliteral(L, "ffi");
	lua_call(L, 1, 1);
	wrap(L, "gc", wrapped_ffi_gc);
	wrap(L, "metatype", wrapped_ffi_metatype);
	lua_pop(L, 1);
}
