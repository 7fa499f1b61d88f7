/* What classes a worker's scripts give, and tasks in slots. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/cmocka_all.h"

#include <lua.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "pool/pool.h"
#include "task_rig.h"

static void load_errors(void **state)
{
	struct task_rig *f = *state;
	static const struct {
		const char *file, *text, *reference, *story;
	} rows[] = {
		{"syntax.lua", "return {\n  1,\n", "syntax.lua", "syntax.lua:3: "},
		{"raises.lua", "local x\nerror('no luck')", "raises.lua", "raises.lua:2: no luck"},
		{"table.lua", "return {}", "table.lua", "another module is named 'table'"},
		{"none.lua", "return {}", "none.lua", "has no Task class"},
		{"number.lua", "return 7", "number.lua", "returns a number"},
		{"nothing.lua", "", "nothing.lua", "returns a boolean"},
		{"other.lua", "return { A = {} }", "other.lua:A", "is not a Task class but a table"},
		{"empty.lua", "return {}", "empty.lua:B", "has no field \"B\""},
		{"x.lua", "", "missing.lua", "missing.lua"},
		{"x.lua", "", "no_such_module", "module 'no_such_module' not found"},
		{"x.lua", "", "a:", "expected FILE.lua, MODULE"},
		{"x.lua", "", "", "expected FILE.lua, MODULE"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tf_err err;
		char **names, reference[100];
		task_rig_put_file(f->dir, rows[i].file, rows[i].text);
		bool file = strstr(rows[i].reference, ".lua") != NULL;
		snprintf(reference, sizeof(reference), "%s%s%s", file ? f->dir : "", file ? "/" : "",
			rows[i].reference);
		char *references[] = {reference};
		struct tf_task_runner *runner = tf_task_runner_new(f->L, references, 1);
		const struct tf_runner *r = tf_task_runner_get(runner);
		int rc = r->load(r->arg, &names, &err);
		if (rc == 0 || !strstr(err.message, rows[i].story))
			fail_msg("%s: %s", rows[i].reference, rc == 0 ? "loaded" : err.message);
		assert_int_equal(lua_gettop(f->L), 0);
		tf_task_runner_delete(runner);
	}
}

/* Modules beside the script, a class by name, the same file by two references. */
static void references(void **state)
{
	struct task_rig *f = *state;
	task_rig_put_file(f->dir, "beside.lua", "return { x = 5 }");
	task_rig_put_file(f->dir, "two.lua",
		"local task = require 'taskflow.task'\nlocal x = require('beside').x\n"
		"loads = (loads or 0) + 1\n"
		"return { A = task.Task { execute = function(self) return x + loads end }, B = task.Task { "
		"execute = function(self) end } }");
	char first[100], second[100];
	snprintf(first, sizeof(first), "%s/two.lua:A", f->dir);
	snprintf(second, sizeof(second), "%s/../%s/two.lua:A", f->dir, f->dir + 5);
	char *list[] = {first, second, (char *)"two:A"};
	struct tf_task_runner *runner = tf_task_runner_new(f->L, list, 3), *before = f->runner;
	struct tf_err err;
	char **names;
	f->r = tf_task_runner_get(runner);
	if (f->r->load(f->r->arg, &names, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(names[0], "two.A");
	assert_null(names[1]);
	free(names[0]);
	free(names);
	task_rig_assert_result(f, "two.A", "{}", "6");
	tf_task_runner_delete(runner);
	f->r = tf_task_runner_get(before);
}

struct slots {
	unsigned done, ready;
	bool failed;
	char text[4000];
};

static void slots_ready(void *arg, char *const *names, size_t count, const struct tf_err *err)
{
	struct slots *s = arg;
	(void)names;
	if (err)
		fail_msg("%s", err->message);
	s->ready = (unsigned)count;
}

static void slots_done(void *arg, uint64_t job, bool failed, struct tf_value *result)
{
	struct slots *s = arg;
	(void)job;
	s->done++;
	s->failed = failed;
	snprintf(s->text, sizeof(s->text), "%s", tf_value_text(result));
}

static void run_in_slot(struct tf_loop *loop, struct tf_pool *pool, struct slots *s, const char *cls)
{
	struct tf_err err;
	struct tf_request r = {.task_cls = (char *)cls, .task_name = (char *)"n", .action = TF_EXECUTE};
	r.arguments = tf_value_empty_object();
	unsigned before = s->done;
	while (tf_pool_free_slots(pool) == 0)
		tf_loop_turn(loop, true);
	if (tf_pool_submit(pool, 1, &r, &err) < 0)
		fail_msg("%s", err.message);
	tf_value_unref(r.arguments);
	while (s->done == before) {
		tf_loop_turn(loop, true);
		/* one that dies before it has begun is given to the next slot */
		pid_t slot = strcmp(cls, "tasks.Loop") ? 0 : tf_pool_job_pid(pool, 1);
		if (slot > 0) {
			usleep(20000);
			kill(slot, SIGKILL);
		}
	}
}

static void in_slots(void **state)
{
	struct task_rig *f = *state;
	static const struct tf_pool_events events = {.ready = slots_ready, .done = slots_done};
	struct tf_pool_config config = {.slots = 1, .runner = f->r};
	struct slots s = {0};
	struct tf_err err;
	struct tf_pool *pool;
	struct tf_loop *loop = tf_loop_new();
	if (tf_pool_new(loop, &config, &events, &s, &pool, &err) < 0)
		fail_msg("%s", err.message);
	run_in_slot(loop, pool, &s, "tasks.Name");
	assert_string_equal(s.text, "\"n\"");
	assert_true(s.ready > 10);
	run_in_slot(loop, pool, &s, "tasks.Exit");
	assert_true(s.failed && strstr(s.text, "running task 'n' (tasks.Exit) exited with code 3"));
	run_in_slot(loop, pool, &s, "tasks.Loop");
	assert_true(s.failed && strstr(s.text, "SIGKILL"));
	/* two slots of one loader draw different numbers */
	run_in_slot(loop, pool, &s, "tasks.Random");
	char *first = tf_strdup(s.text);
	run_in_slot(loop, pool, &s, "tasks.Exit");
	run_in_slot(loop, pool, &s, "tasks.Random");
	assert_string_not_equal(s.text, first);
	free(first);
	/* memory stays flat: what the slot needs at most after 300 tasks is what it needs after 3,000 */
	for (int i = 0; i < 300; i++)
		run_in_slot(loop, pool, &s, "tasks.Garbage");
	char path[64];
	struct tf_request r = {.task_cls = (char *)"tasks.Loop", .task_name = (char *)"n"};
	long peak[2];
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 2700 * round; i++)
			run_in_slot(loop, pool, &s, "tasks.Garbage");
		assert_false(s.failed);
		/* the slot's pid is known while a job runs */
		r.arguments = tf_value_empty_object();
		r.task_cls = (char *)"tasks.Garbage";
		assert_int_equal(tf_pool_submit(pool, 2, &r, &err), 0);
		snprintf(path, sizeof(path), "/proc/%d/statm", (int)tf_pool_job_pid(pool, 2));
		FILE *file = fopen(path, "r");
		assert_non_null(file);
		assert_int_equal(fscanf(file, "%*d %ld", &peak[round]), 1);
		fclose(file);
		tf_value_unref(r.arguments);
		unsigned before = s.done;
		while (s.done == before)
			tf_loop_turn(loop, true);
	}
	long page = sysconf(_SC_PAGESIZE);
	printf("resident after 300 tasks %ld KB, after 3,000 %ld KB\n", peak[0] * page / 1024,
		peak[1] * page / 1024);
	assert_true((peak[1] - peak[0]) * page < 8 << 20); /* all of it would be 30 MB */
	tf_pool_delete(pool);
	tf_loop_delete(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {T(load_errors), T(references), T(in_slots)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
