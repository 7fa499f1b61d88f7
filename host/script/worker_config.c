#include "script/worker_config.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/mem.h"
#include "script/bind.h"
#include "script/state.h"
#include "script/transport_lua.h"
#include "script/value_lua.h"

/* A table from class to number, or none. */
TF_RAISES static void read_concurrency(lua_State *L, int index, struct tf_worker_config *out)
{
	lua_getfield(L, index, "concurrency");
	int table = lua_gettop(L);
	lua_pushnil(L);
	while (lua_istable(L, table) && lua_next(L, table)) {
		if (lua_type(L, -2) == LUA_TSTRING)
			tf_worker_add_concurrency(out, lua_tostring(L, -2), (unsigned)lua_tonumber(L, -1));
		lua_pop(L, 1);
	}
	lua_settop(L, table - 1);
}

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
			.memory = (uint64_t)tf_bind_number(L, index, "memory_limit", 0),
			.arguments = (uint64_t)tf_bind_number(L, index, "argument_limit", 0),
			.result = (uint64_t)tf_bind_number(L, index, "result_limit", 0)};
	out->max_tasks = (unsigned)tf_bind_number(L, index, "max_tasks_per_slot", 0);
	out->max_growth = (uint64_t)tf_bind_number(L, index, "max_memory_growth", 0);
	out->metrics = tf_strdup(tf_bind_string(L, index, "metrics"));
	out->log_format = tf_strdup(tf_bind_string(L, index, "log_format"));
	out->log_level = tf_strdup(tf_bind_string(L, index, "log_level"));
	read_concurrency(L, index, out);
	out->drain_timeout = tf_bind_number(L, index, "drain_timeout", 0);
	out->journal = tf_strdup(tf_bind_string(L, index, "journal"));
	out->journal_after = tf_bind_number(L, index, "journal_after", 0);
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

struct config_resolve {
	const struct tf_value *given;
	struct tf_worker_config *out;
	bool *usage;
	struct tf_err *err;
	int rc;
};

/* (resolve) */
TF_RAISES static int config_resolve(lua_State *L)
{
	struct config_resolve *r = lua_touserdata(L, 1);
	lua_getglobal(L, "require");
	lua_pushliteral(L, "tfhost.settings");
	lua_call(L, 1, 1);
	lua_getfield(L, -1, "worker"); /* resolve, module, worker */
	r->rc = tf_value_lua_push(L, tf_value_json(r->given), "settings", r->err);
	if (r->rc < 0)
		return 0;
	lua_call(L, 1, 3); /* resolve, module, config or nil, message, usage */
	if (lua_istable(L, 3)) {
		tf_worker_config_read(L, 3, r->out);
		return 0;
	}
	*r->usage = lua_toboolean(L, 5);
	r->rc = tf_err_set(r->err, TF_EINVAL, "%s", lua_tostring(L, 4));
	return 0;
}

int tf_worker_config_resolve(const struct tf_value *given, const char *file, struct tf_worker_config *out,
	bool *usage, struct tf_err *err)
{
	struct config_resolve r = {.given = given, .out = out, .usage = usage, .err = err};
	struct lua_State *L;
	int rc = tf_state_new(NULL, &L, err);
	if (rc < 0)
		return rc;
	if (file) {
		const char *slash = strrchr(file, '/');
		char *dir =
			slash ? tf_strndup(file, slash == file ? 1 : (size_t)(slash - file)) : tf_strdup(".");
		tf_state_add_dir(L, dir);
		tf_worker_add_dir(out, dir);
		free(dir);
	}
	lua_pushcfunction(L, config_resolve);
	lua_pushlightuserdata(L, &r);
	rc = tf_call(L, 1, 0, err);
	tf_state_delete(L);
	return rc < 0 ? rc : r.rc;
}
