/* Runs execute and revert of tasks in this process's Lua state: the pool's runner (pool/runner.h) in a slot,
 * and what the serial executor calls in the engine itself. One action of a task is task_action.h.
 *
 * What it asks of the Lua library: `taskflow.task` is_class(x); a class is called as Class{name = n} and gives an
 * instance, on which the action is performed; class_limits(class). */
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

#endif
