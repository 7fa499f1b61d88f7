/* The arguments of a request as the parameters of a task's function, by name, as Python's keywords do. */
#ifndef TF_SCRIPT_TASK_ARGUMENTS_H
#define TF_SCRIPT_TASK_ARGUMENTS_H

#include <stdbool.h>

#include "protocol/message.h"
#include "script/call.h"

struct tf_task_arguments {
	const struct tf_request *request; /* borrowed */
	struct tf_value *failure;         /* out: the TypeError of arguments that do not fit; the caller's */
};

/* A lua_CFunction: (task, light userdata of the struct) -> function, self, a value for each parameter. Nothing if
 * the task has no function for the action, or if `failure` is set. Rules: task_action.h. */
TF_RAISES int tf_task_arguments(struct lua_State *L);

/* Whether the function at that index has a parameter besides self. */
TF_RAISES bool tf_task_takes_arguments(struct lua_State *L, int function);

/* Push field `name` of the task at `index`, as its class or what it shares with others of it says. */
TF_RAISES void tf_task_field(struct lua_State *L, int index, const char *name);

#endif
