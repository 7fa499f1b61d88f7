/* The serial engine's executor: tasks run in the engine's own Lua state, one after the other.
 *
 * A task runs inside submit, to its end, and its completion waits for tf_executor_serial_step: so of several atoms
 * that are ready all run before any outcome is looked at, as in the reference (ENGINE.md 9.1). Events of a running
 * task are delivered while it runs. */
#ifndef TF_SCRIPT_EXECUTOR_SERIAL_H
#define TF_SCRIPT_EXECUTOR_SERIAL_H

#include <stdbool.h>

#include "engine/executor.h"
#include "script/call.h"

struct lua_State;

struct tf_serial_host {
	void *arg;
	struct lua_State *(*state)(void *arg); /* where actions run */
	/* Push the task instance of that number and name. Raises if there is none. */
	TF_RAISES void (*push_task)(void *arg, unsigned atom, const char *name, struct lua_State *L);
	/* The action raised; its error value is at the top of L (popped by the caller). May be NULL. */
	void (*raised)(void *arg, const char *name, struct lua_State *L);
};

struct tf_executor *tf_executor_serial_new(const struct tf_serial_host *host);
/* Deliver the completions that wait. True if there were any. */
bool tf_executor_serial_step(struct tf_executor *x);

#endif
