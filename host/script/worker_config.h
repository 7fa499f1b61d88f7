/* A worker's configuration from Lua: a table, or a file that returns one. */
#ifndef TF_SCRIPT_WORKER_CONFIG_H
#define TF_SCRIPT_WORKER_CONFIG_H

#include "script/call.h"
#include "wbe/worker.h"

struct lua_State;

/* Read the table at `index`, which lua/taskflow/engines/worker_based/config.lua has checked. `out` is the caller's to
 * free, also when this raises. */
TF_RAISES void tf_worker_config_read(struct lua_State *L, int index, struct tf_worker_config *out);

/* Evaluate a Lua file in a state of its own, which is closed again: user code never runs beside a server. The
 * directory of the file is where its tasks are looked for. */
int tf_worker_config_load(const char *path, struct tf_worker_config *out, struct tf_err *err);

#endif
