/* Tasks of host/test/data/tasks.lua in a state, run one at a time as a slot would. */
#ifndef TF_TEST_TASK_RIG_H
#define TF_TEST_TASK_RIG_H

#include <stdbool.h>

#include "base/buf.h"
#include "script/task_runner.h"

struct lua_State;

struct task_rig {
	char dir[40];
	char *references[1];
	struct lua_State *L;
	struct tf_task_runner *runner;
	const struct tf_runner *r;
	unsigned started;
	struct tf_buf events;
	char *text; /* of the last outcome */
};

extern const char task_rig_script[]; /* its line numbers are in the tests */

/* Of each test. The end asserts that Lua's stack is empty. */
int task_rig_setup(void **state);
int task_rig_teardown(void **state);
#define T(name) cmocka_unit_test_setup_teardown(name, task_rig_setup, task_rig_teardown)

void task_rig_put_file(const char *dir, const char *name, const char *text);
/* JSON; fails the test if it is none. The caller's. */
struct tf_value *task_rig_value(const char *text);

/* Whether it failed; the outcome is in `text`, and a failure is one that Python would accept. */
bool task_rig_run(struct task_rig *f, struct tf_request *request);
bool task_rig_execute(struct task_rig *f, const char *cls, const char *arguments);

/* It was begun and this is its result. */
void task_rig_assert_result(struct task_rig *f, const char *cls, const char *arguments, const char *result);
/* The last outcome has this in it. */
void task_rig_assert_contains(struct task_rig *f, const char *part);
/* The failure's first type and text. */
void task_rig_assert_failure(
	struct task_rig *f, const char *cls, const char *arguments, const char *types, const char *text);

#define LUA_ERROR "\"exc_type_names\": [\"tfhost.LuaError\", \"RuntimeError\", \"Exception\"]"
#define TYPE_ERROR "\"exc_type_names\": [\"TypeError\", \"Exception\"]"

#endif
