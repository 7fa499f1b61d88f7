/* One action of a task, execute or revert, in this process's Lua state: with its hooks before and after, its arguments,
 * its limits, and what it returns or raises as a value.
 *
 * What it asks of the Lua library: a task has fields execute, revert, pre_execute, post_execute, pre_revert, post_revert
 * (by index, functions or nil, `self` first) and `name`. One whose metatable has an `example` shares all of these with
 * it; what is found out about them is kept in the metatable. `taskflow.failure` from_dict(table) -> Failure.
 *
 * Arguments reach parameters BY NAME (debug.getlocal on the function), as Python's keywords do: an unknown
 * name or a missing one that is not optional is a TypeError failure in Python's words. A parameter is optional
 * if the instance's table `optional_parameters` (name -> true) has it, or, that absent, never. With a true field
 * `kwargs` on the class, a parameter named `kwargs` takes a table of all arguments no other parameter names.
 */
#ifndef TF_SCRIPT_TASK_ACTION_H
#define TF_SCRIPT_TASK_ACTION_H

#include <stdbool.h>

#include "pool/runner.h"
#include "script/call.h"

struct lua_State;

/* Perform the action of `r` on the task instance at `index` (r->task_cls is not looked at). Calls
 * sink->started just before the action. As tf_runner.run otherwise: what the action raises is its failure. */
TF_RAISES struct tf_value *tf_task_action_perform(struct lua_State *L, int index, const struct tf_request *r,
	const struct tf_runner_sink *sink, bool *failed);

/* A lua_CFunction: (task, type, details) -> true if an action of that task is under way here: the event has gone to its
 * sink; else false. */
TF_RAISES int tf_task_action_notify(struct lua_State *L);

#endif
