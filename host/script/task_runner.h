/* Runs execute and revert of tasks in this process's Lua state: the pool's runner (pool/runner.h) in a slot,
 * and what the serial executor calls in the engine itself.
 *
 * What it asks of the Lua library: `taskflow.task` is_class(x); a class is called as Class{name = n} and
 * gives an instance with fields execute, revert, pre_execute, post_execute, pre_revert, post_revert (by
 * index, functions or nil, `self` first) and `name`. An instance whose metatable has an `example` shares all of these
 * with it; what is found out about them is kept in the metatable. `taskflow.failure` from_dict(table) -> Failure.
 *
 * Arguments reach parameters BY NAME (debug.getlocal on the function), as Python's keywords do: an unknown
 * name or a missing one that is not optional is a TypeError failure in Python's words. A parameter is optional
 * if the instance's table `optional_parameters` (name -> true) has it, or, that absent, never. With a true field
 * `kwargs` on the class, a parameter named `kwargs` takes a table of all arguments no other parameter names.
 */
#ifndef TF_SCRIPT_TASK_RUNNER_H
#define TF_SCRIPT_TASK_RUNNER_H

#include "pool/runner.h"
#include "script/call.h"

struct lua_State;
struct tf_task_runner;

/* Worker: script references (state.h) whose classes are served, loaded by runner.load. `references` is
 * borrowed until load has run. L is borrowed. */
struct tf_task_runner *tf_task_runner_new(struct lua_State *L, char *const *references, size_t count);
/* Parallel engine: the tasks are instances of this state; the table at `index` maps atom name -> instance. */
struct tf_task_runner *tf_task_runner_new_tasks(struct lua_State *L, int index);
/* Limits of tasks that have none of their own. */
void tf_task_runner_set_defaults(struct tf_task_runner *r, const struct tf_limits *limits);
void tf_task_runner_delete(struct tf_task_runner *r);                       /* NULL allowed */
const struct tf_runner *tf_task_runner_get(const struct tf_task_runner *r); /* borrowed */

/* Perform the action of `r` on the task instance at `index` (r->task_cls is not looked at). Calls
 * sink->started just before the action. As tf_runner.run otherwise: what the action raises is its failure. */
TF_RAISES struct tf_value *tf_task_runner_perform(struct lua_State *L, int index, const struct tf_request *r,
	const struct tf_runner_sink *sink, bool *failed);

/* A lua_CFunction: (task, type, details) -> true if an action of that task is under way here: the event has gone to its
 * sink; else false. */
TF_RAISES int tf_task_runner_notify(struct lua_State *L);

#endif
