#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "pool/executor.h"
#include "script/bind.h"
#include "script/engine_handle.h"
#include "script/executor_serial.h"
#include "script/transport_lua.h"
#include "wbe/executor.h"

TF_RAISES static int executor_serial(lua_State *L, int index, struct tf_engine_handle *h, struct tf_err *err)
{
	(void)L;
	(void)index;
	(void)err;
	struct tf_serial_host host = {.arg = h,
		.state = tf_engine_handle_tasks,
		.push_task = tf_engine_handle_push_task,
		.raised = tf_engine_handle_raised};
	h->executor = tf_executor_serial_new(&host);
	h->serial = true;
	return 0;
}

TF_RAISES static int executor_parallel(
	lua_State *L, int index, struct tf_engine_handle *h, struct tf_err *err)
{
	unsigned workers = (unsigned)tf_bind_number(L, index, "max_workers", 1);
	tf_engine_handle_env(h->tasks, h);
	lua_getfield(h->tasks, -1, "tasks");
	h->runner = tf_task_runner_new_tasks(h->tasks, -1);
	lua_pop(h->tasks, 2);
	return tf_executor_parallel_new(h->loop, tf_task_runner_get(h->runner), workers, &h->executor, err);
}

/* Seconds of an option to milliseconds; `absent` stays as it is, endless is negative. */
TF_RAISES static int64_t executor_ms(lua_State *L, int index, const char *key)
{
	double seconds = tf_bind_number(L, index, key, 0);
	if (seconds < 0 || seconds > 1e12)
		return -1;
	return (int64_t)(seconds * 1000);
}

TF_RAISES static int executor_wbe(lua_State *L, int index, struct tf_engine_handle *h, struct tf_err *err)
{
	struct tf_wbe_config config = {.reply_topic = h->flow_uuid};
	config.topics = tf_bind_strings(L, index, "topics");
	config.worker_expiry_ms = executor_ms(L, index, "worker_expiry");
	config.transition_timeout_ms = executor_ms(L, index, "transition_timeout");
	config.probe_ms = (uint64_t)executor_ms(L, index, "probe_interval");
	config.silence_ms = (uint64_t)executor_ms(L, index, "silence_limit");
	config.attempts = (unsigned)tf_bind_number(L, index, "attempts", 0);
	tf_transport_lua_read(L, index, &config.transport);
	int rc = tf_executor_wbe_new(h->loop, &config, &h->executor, err);
	h->worker_based = rc == 0;
	tf_value_unref(config.transport.options);
	return rc;
}

int tf_engine_handle_executor(lua_State *L, int index, struct tf_engine_handle *h, struct tf_err *err)
{
	static const struct {
		const char *name;
		int (*make)(lua_State *L, int index, struct tf_engine_handle *h, struct tf_err *err);
	} kinds[] = {
		{"serial", executor_serial},
		{"parallel", executor_parallel},
		{"worker-based", executor_wbe},
	};
	const char *kind = tf_bind_string(L, index, "engine");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!strcmp(kinds[i].name, kind))
			return kinds[i].make(L, index, h, err);
	}
	return tf_err_set(err, TF_ENOTFOUND, "Could not find engine '%s'", kind);
}
