#include "script/worker_config.h"

#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/mem.h"
#include "script/bind.h"
#include "script/state.h"
#include "script/transport_lua.h"

void tf_worker_config_read(lua_State *L, int index, struct tf_worker_config *out)
{
	struct tf_transport_config transport;
	const char **tasks = tf_bind_strings(L, index, "tasks");
	for (size_t i = 0; tasks[i]; i++)
		tf_worker_add_task(out, tasks[i]);
	out->slots = (unsigned)tf_bind_number(L, index, "slots", 0);
	out->no_watch = tf_bind_boolean(L, index, "no_watch");
	out->control = tf_strdup(tf_bind_string(L, index, "control"));
	out->limits =
		(struct tf_limits){.time_ms = (uint64_t)(1000 * tf_bind_number(L, index, "time_limit", 0)),
			.warning_ms = (uint64_t)(1000 * tf_bind_number(L, index, "time_warning", 0)),
			.memory = (uint64_t)tf_bind_number(L, index, "memory_limit", 0)};
	out->drain_timeout = tf_bind_number(L, index, "drain_timeout", 0);
	out->load_timeout = tf_bind_number(L, index, "load_timeout", 0);
	out->topic = tf_strdup(tf_bind_string(L, index, "topic"));
	tf_transport_lua_read(L, index, &transport);
	out->url = tf_strdup(transport.url);
	out->transport = tf_strdup(transport.transport);
	out->exchange = tf_strdup(transport.exchange);
	out->options = transport.options;
	out->retry = transport.retry;
	lua_pop(L, 1);
}

struct config_load {
	const char *path;
	struct tf_worker_config *out;
};

/* (load) */
TF_RAISES static int config_load(lua_State *L)
{
	struct config_load *load = lua_touserdata(L, 1);
	if (luaL_loadfile(L, load->path))
		return lua_error(L);
	lua_call(L, 0, 1); /* load, config */
	lua_getglobal(L, "require");
	lua_pushliteral(L, "taskflow.engines.worker_based.config");
	lua_call(L, 1, 1);
	lua_getfield(L, -1, "check");
	lua_pushvalue(L, 2);
	lua_call(L, 1, 1); /* load, config, module, checked */
	tf_worker_config_read(L, 4, load->out);
	return 0;
}

int tf_worker_config_load(const char *path, struct tf_worker_config *out, struct tf_err *err)
{
	struct config_load load = {.path = path, .out = out};
	struct lua_State *L;
	int rc = tf_state_new(NULL, &L, err);
	if (rc < 0)
		return rc;
	const char *slash = strrchr(path, '/');
	char *dir = slash ? tf_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : tf_strdup(".");
	tf_state_add_dir(L, dir);
	tf_worker_add_dir(out, dir);
	free(dir);
	lua_pushcfunction(L, config_load);
	lua_pushlightuserdata(L, &load);
	rc = tf_call(L, 1, 0, err);
	tf_state_delete(L);
	return rc < 0 ? tf_err_prefix(err, "configuration %s", path) : 0;
}
