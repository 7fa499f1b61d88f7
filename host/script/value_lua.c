#include "script/value_lua.h"

#include <lauxlib.h>
#include <lua.h>

#include "script/value_job.h"

static char value_tools[TF_VALUE_SPLIT64 + 1]; /* registry keys, by address */

/* There is no C API for cdata: 64-bit integers pass in halves. */
static const char value_ffi[] =
	"local ffi, bit = require 'ffi', require 'bit'\n"
	"local i64, u64 = ffi.typeof 'int64_t', ffi.typeof 'uint64_t'\n"
	"local function make(unsigned, high, low)\n"
	"  local u = bit.bor(bit.lshift(u64(high), 32), u64(low))\n"
	"  return unsigned and u or i64(u)\n"
	"end\n"
	"local function split(v)\n"
	"  local signed = ffi.istype(i64, v)\n"
	"  if not signed and not ffi.istype(u64, v) then return nil end\n"
	"  local u = ffi.cast(u64, v)\n"
	"  return signed, tonumber(bit.rshift(u, 32)), tonumber(bit.band(u, 0xffffffffULL))\n"
	"end\n"
	"return make, split\n";

TF_RAISES void tf_value_lua_open(struct lua_State *L)
{
	lua_pushlightuserdata(L, &value_tools[TF_VALUE_MARKER]);
	luaL_newmetatable(L, "taskflow.list"); /* key, marker */
	lua_rawset(L, LUA_REGISTRYINDEX);
	if (luaL_loadbuffer(L, value_ffi, sizeof(value_ffi) - 1, "=values"))
		lua_error(L);
	lua_call(L, 0, 2); /* make, split */
	lua_pushlightuserdata(L, &value_tools[TF_VALUE_SPLIT64]);
	lua_insert(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX); /* make */
	lua_pushlightuserdata(L, &value_tools[TF_VALUE_MAKE64]);
	lua_insert(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

void tf_value_tool_push(struct lua_State *L, enum tf_value_tool tool)
{
	lua_pushlightuserdata(L, &value_tools[tool]);
	lua_rawget(L, LUA_REGISTRYINDEX);
}

TF_RAISES void tf_value_lua_mark_list(struct lua_State *L, int index)
{
	lua_pushvalue(L, index);
	tf_value_tool_push(L, TF_VALUE_MARKER); /* table, marker */
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
}

int tf_value_lua_is_list(struct lua_State *L, int index)
{
	if (!lua_istable(L, index) || !lua_getmetatable(L, index))
		return 0;
	tf_value_tool_push(L, TF_VALUE_MARKER);
	int same = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return same;
}
