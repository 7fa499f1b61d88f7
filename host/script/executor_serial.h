/* The serial engine's executor: tasks run in the engine's own Lua state, one after the other.
 *
 * A task runs inside submit, to its end, and its completion waits for tf_executor_serial_step: so of several atoms
 * that are ready all run before any outcome is looked at, as in the reference (ENGINE.md 9.1). Events of a running
 * task are delivered while it runs. */
#ifndef TF_SCRIPT_EXECUTOR_SERIAL_H
#define TF_SCRIPT_EXECUTOR_SERIAL_H

#include <stdbool.h>

#include "engine/executor.h"

struct lua_State;

struct tf_serial_host {
	void *arg;
	/* Push the task instance of this name on the state returned, where its action then runs. NULL with err:
	 * there is none, nothing is pushed. */
	struct lua_State *(*push_task)(void *arg, const char *name, struct tf_err *err);
	/* The action raised; its error value is at the top of L (popped by the caller). May be NULL. */
	void (*raised)(void *arg, const char *name, struct lua_State *L);
};

struct tf_executor *tf_executor_serial_new(const struct tf_serial_host *host);
/* Deliver the completions that wait. True if there were any. */
bool tf_executor_serial_step(struct tf_executor *x);

#endif
