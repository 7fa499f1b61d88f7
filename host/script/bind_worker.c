/* Module tfhost.worker: run(config) -> signal or 0 | nil, message, code. */
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/mem.h"
#include "script/bind.h"
#include "script/modules.h"
#include "script/worker_config.h"

#define WORKER_TYPE "tfhost.worker.config"

static int worker_gc(lua_State *L)
{
	tf_worker_config_free(lua_touserdata(L, 1));
	return 0;
}

TF_RAISES static int worker_run(lua_State *L)
{
	struct tf_err err;
	int signo;
	luaL_checktype(L, 1, LUA_TTABLE);
	struct tf_worker_config *c = lua_newuserdata(L, sizeof(*c));
	memset(c, 0, sizeof(*c));
	luaL_getmetatable(L, WORKER_TYPE);
	lua_setmetatable(L, -2);
	tf_worker_config_read(L, 1, c);
	/* Its tasks are found where the script itself finds modules: beside it, say. */
	lua_getglobal(L, "package");
	c->path = tf_strdup(tf_bind_string(L, -1, "path"));
	lua_pop(L, 1);
	if (tf_worker_run(c, &signo, &err) < 0)
		return tf_bind_fail(L, &err);
	lua_pushinteger(L, signo);
	return 1;
}

int tf_bind_worker_open(lua_State *L)
{
	luaL_newmetatable(L, WORKER_TYPE);
	lua_pushcfunction(L, worker_gc);
	lua_setfield(L, -2, "__gc");
	lua_newtable(L);
	lua_pushcfunction(L, worker_run);
	lua_setfield(L, -2, "run");
	return 1;
}
