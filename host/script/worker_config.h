/* A worker's configuration from Lua: a table, or a file that returns one. */
#ifndef TF_SCRIPT_WORKER_CONFIG_H
#define TF_SCRIPT_WORKER_CONFIG_H

#include "script/call.h"
#include "wbe/worker.h"

struct lua_State;

/* Read the table at `index`, which lua/taskflow/engines/worker_based/config.lua has checked. `out` is the caller's to
 * free, also when this raises. */
TF_RAISES void tf_worker_config_read(struct lua_State *L, int index, struct tf_worker_config *out);

/* What command line, environment and file say together (lua/tfhost/settings.lua): `given` is { flags, file }, `file` the
 * latter again or NULL. The file is evaluated in a state of its own, which is closed again: user code never runs beside a
 * server. Its directory is where its tasks are looked for. *usage: the command line or the environment is to blame. */
int tf_worker_config_resolve(const struct tf_value *given, const char *file, struct tf_worker_config *out,
	bool *usage, struct tf_err *err);

#endif
