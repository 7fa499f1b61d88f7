/* execute and revert of Lua tasks, and what becomes of everything that goes wrong in them. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "test/cmocka_all.h"

#include <lauxlib.h>
#include <lua.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "pool/pool.h"
#include "protocol/failure.h"
#include "script/call.h"
#include "script/state.h"
#include "script/task_runner.h"

/* Its line numbers are in the tests below. */
static const char script[] = "host/test/data/tasks.lua";

struct fixture {
	char dir[40];
	char *references[1];
	lua_State *L;
	struct tf_task_runner *runner;
	const struct tf_runner *r;
	unsigned started;
	struct tf_buf events;
	char *text; /* of the last outcome */
};

static void put_file(const char *dir, const char *name, const char *text)
{
	char path[100];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int setup(void **state)
{
	struct fixture *f = TF_NEW(struct fixture);
	struct tf_err err;
	char **names;
	snprintf(f->dir, sizeof(f->dir), "/tmp/tf-runner-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->references[0] = (char *)script;
	if (tf_state_new(NULL, &f->L, &err) < 0)
		fail_msg("%s", err.message);
	f->runner = tf_task_runner_new(f->L, f->references, 1);
	f->r = tf_task_runner_get(f->runner);
	if (f->r->load(f->r->arg, &names, &err) < 0)
		fail_msg("%s", err.message);
	bool private = false, add = false;
	for (char **n = names; *n; n++) {
		private |= !strcmp(*n, "tasks._Private") || !strcmp(*n, "tasks.helper");
		add |= !strcmp(*n, "tasks.Add");
		free(*n);
	}
	free(names);
	assert_true(add && !private);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char *command = tf_asprintf("rm -r %s", f->dir);
	assert_int_equal(lua_gettop(f->L), 0);
	tf_task_runner_delete(f->runner);
	tf_state_delete(f->L);
	assert_int_equal(system(command), 0);
	free(command);
	tf_buf_free(&f->events);
	free(f->text);
	free(f);
	return 0;
}

static void on_started(void *arg)
{
	struct fixture *f = arg;
	f->started++;
}

static void on_event(void *arg, const char *type, struct tf_value *details)
{
	struct fixture *f = arg;
	assert_int_equal(f->started, 1);
	tf_buf_printf(&f->events, "%s %s;", type, tf_value_text(details));
}

static struct tf_value *parse(const char *text)
{
	struct tf_err err;
	struct tf_value *v = tf_value_parse(text, strlen(text), 0, &err);
	if (!v)
		fail_msg("%s: %s", text, err.message);
	return v;
}

static bool run_request(struct fixture *f, struct tf_request *request)
{
	const struct tf_runner_sink sink = {.started = on_started, .event = on_event, .arg = f};
	bool failed;
	f->started = 0;
	f->events.len = 0;
	struct tf_value *v = f->r->run(f->r->arg, request, &sink, &failed);
	f->r->idle(f->r->arg);
	if (failed) {
		struct tf_err err;
		struct tf_json dict = tf_value_json(v);
		if (tf_failure_check_schema(dict, &err) < 0 || tf_failure_check_reconstruct(dict, &err) < 0)
			fail_msg("%s: %s", err.message, tf_value_text(v));
		assert_int_equal(tf_json_count(dict), 6);
	}
	free(f->text);
	f->text = tf_strdup(tf_value_text(v));
	tf_value_unref(v);
	assert_int_equal(lua_gettop(f->L), 0);
	return failed;
}

static bool execute(struct fixture *f, const char *cls, const char *arguments)
{
	struct tf_request r = {
		.task_cls = (char *)cls, .task_name = (char *)"the name", .action = TF_EXECUTE};
	r.arguments = parse(arguments);
	bool failed = run_request(f, &r);
	tf_value_unref(r.arguments);
	return failed;
}

static void assert_result(struct fixture *f, const char *cls, const char *arguments, const char *result)
{
	if (execute(f, cls, arguments))
		fail_msg("%s %s failed: %s", cls, arguments, f->text);
	assert_string_equal(f->text, result);
	assert_int_equal(f->started, 1);
}

static void assert_contains(struct fixture *f, const char *part)
{
	if (!strstr(f->text, part))
		fail_msg("no %s\nin %s", part, f->text);
}

/* The failure's first type and text. */
static void assert_failure(
	struct fixture *f, const char *cls, const char *arguments, const char *types, const char *text)
{
	if (!execute(f, cls, arguments))
		fail_msg("%s %s gave %s", cls, arguments, f->text);
	assert_contains(f, types);
	assert_contains(f, text);
}

#define LUA_ERROR "\"exc_type_names\": [\"tfhost.LuaError\", \"RuntimeError\", \"Exception\"]"
#define TYPE_ERROR "\"exc_type_names\": [\"TypeError\", \"Exception\"]"

static void arguments_by_name(void **state)
{
	struct fixture *f = *state;
	assert_result(f, "tasks.Add", "{\"b\": 2, \"a\": 40}", "42");
	assert_result(f, "tasks.Order", "{\"a\": 1, \"b\": 2, \"c\": 3}", "[1, 2, 3]");
	assert_result(f, "tasks.Optional", "{\"a\": 1}", "{\"a\": 1, \"b\": \"none\"}");
	assert_result(f, "tasks.Optional", "{\"a\": 1, \"b\": 0}", "{\"a\": 1, \"b\": 0}");
	assert_result(f, "tasks.Any", "{\"z\": 26, \"a\": 1, \"y\": []}",
		"{\"a\": 1, \"rest\": {\"y\": [], \"z\": 26}}");
	assert_result(f, "tasks.Any", "{\"a\": 1}", "{\"a\": 1, \"rest\": {}}");
	assert_result(f, "tasks.Name", "{}", "\"the name\"");
	assert_result(f, "tasks.Nothing", "{}", "null");
	assert_result(f, "tasks.Type", "{\"x\": null}", "\"userdata\"");
	assert_result(f, "tasks.Echo", "{\"x\": 9223372036854775807}", "9223372036854775807");
	assert_result(f, "tasks.Echo", "{\"x\": {\"e\": {}, \"l\": []}}", "{\"e\": {}, \"l\": []}");
	assert_failure(f, "tasks.Add", "{\"a\": 1}", TYPE_ERROR,
		"Add.execute() missing 1 required positional argument: 'b'");
	assert_failure(f, "tasks.Add", "{}", TYPE_ERROR,
		"Add.execute() missing 2 required positional arguments: 'a' and 'b'");
	assert_failure(f, "tasks.Order", "{}", TYPE_ERROR, "arguments: 'c', 'a', and 'b'");
	assert_failure(f, "tasks.Add", "{\"a\": 1, \"b\": 2, \"zz\": 3, \"z\": 3}", TYPE_ERROR,
		"Add.execute() got an unexpected keyword argument 'z'");
	assert_int_equal(f->started, 1); /* as in the reference, RUNNING comes first */
	assert_failure(f, "tasks.Echo", "{\"x\": {\"id\": 123456789012345678901}}", "exc_type_names",
		"arguments.x.id: integer of 21 digits");
}

static void unknown_class(void **state)
{
	struct fixture *f = *state;
	assert_failure(f, "tasks.Missing", "{}", "[\"KeyError\", \"LookupError\", \"Exception\"]",
		"\"exc_args\": [\"tasks.Missing\"]");
	assert_contains(f, "\"exception_str\": \"'tasks.Missing'\"");
	assert_int_equal(f->started, 0);
}

static void lua_errors(void **state)
{
	struct fixture *f = *state;
	char expected[300];
	assert_failure(f, "tasks.Boom", "{\"why\": \"it broke\"}", LUA_ERROR, "tasks.lua:17: it broke\"");
	snprintf(expected, sizeof(expected),
		"  File \\\"%s\\\", line 18, in execute\\n    inner()\\n"
		"  File \\\"%s\\\", line 17, in inner\\n    local function inner() error(why) end\\n\"",
		script, script);
	assert_contains(f, expected);
	assert_failure(f, "tasks.Raise", "{}", "[\"billing.CardRefused\", \"ValueError\", \"Exception\"]",
		"\"exception_str\": \"no money\"");
	assert_contains(f, "\"exc_args\": [\"no money\"]");
	assert_failure(f, "tasks.Reraise", "{}", LUA_ERROR, "\"traceback_str\": \"frames\\n\"");
	assert_failure(f, "tasks.Overflow", "{}", LUA_ERROR, "stack overflow");
	assert_failure(f, "tasks.Deep", "{}", LUA_ERROR, "deep");
	assert_contains(f, "more frames]");
	assert_failure(f, "tasks.Coroutine", "{}", LUA_ERROR, "inside");
	assert_failure(f, "tasks.Add", "{\"a\": {}, \"b\": 1}", LUA_ERROR, "attempt to perform arithmetic");
}

static void causes_are_flat(void **state)
{
	struct fixture *f = *state;
	struct tf_json causes, cause, inner, v;
	struct tf_err err;
	assert_true(execute(f, "tasks.Cause", "{}"));
	struct tf_value *dict = tf_value_parse(f->text, strlen(f->text), 0, &err);
	assert_true(tf_json_get(tf_value_json(dict), "causes", &causes));
	assert_int_equal(tf_json_count(causes), 2); /* b, c */
	assert_true(tf_json_at(causes, 0, &cause) && tf_json_get(cause, "exception_str", &v));
	assert_true(tf_json_string_is(v, "b"));
	assert_true(tf_json_get(cause, "causes", &inner));
	assert_int_equal(tf_json_count(inner), 1);
	assert_true(tf_json_at(causes, 1, &cause) && tf_json_get(cause, "causes", &inner));
	assert_int_equal(tf_json_count(inner), 0);
	tf_value_unref(dict);
}

static void odd_error_values(void **state)
{
	struct fixture *f = *state;
	assert_failure(f, "tasks.Odd", "{\"x\": \"nil\"}", LUA_ERROR, "\"exception_str\": \"nil\"");
	assert_failure(f, "tasks.Odd", "{\"x\": \"table\"}", LUA_ERROR,
		"(error value is a table: {\\\"code\\\": 5})");
	assert_failure(f, "tasks.Odd", "{\"x\": \"message\"}", LUA_ERROR, "\"exception_str\": \"said\"");
	assert_failure(f, "tasks.Odd", "{\"x\": \"true\"}", LUA_ERROR, "\"exception_str\": \"true\"");
	assert_failure(f, "tasks.Odd", "{\"x\": \"tostring\"}", LUA_ERROR, "\"exception_str\": \"spoken\"");
	assert_failure(f, "tasks.Odd", "{\"x\": \"liar\"}", LUA_ERROR, "cannot be read");
	assert_failure(f, "tasks.Odd", "{\"x\": \"index\"}", LUA_ERROR, "cannot be read");
	assert_failure(f, "tasks.Odd", "{\"x\": \"bytes\"}", LUA_ERROR, "exception_str\": \"??x\"");
	assert_failure(f, "tasks.Odd", "{\"x\": \"types\"}", "[\"A\", \"Exception\"]", "\"exc_args\": []");
	assert_failure(f, "tasks.Odd", "{\"x\": \"self\"}", "[\"A\", \"Exception\"]", "causes");
	assert_true(strlen(f->text) < 200000);
}

static void results_that_cannot_travel(void **state)
{
	struct fixture *f = *state;
	assert_failure(f, "tasks.Return", "{\"x\": \"fn\"}", TYPE_ERROR, "result.a[1]: a function cannot");
	assert_failure(f, "tasks.Return", "{\"x\": \"cycle\"}", TYPE_ERROR,
		"result[1]: a table that contains itself");
	assert_failure(
		f, "tasks.Return", "{\"x\": \"bytes\"}", TYPE_ERROR, "result.k: string is not valid UTF-8");
	assert_failure(f, "tasks.Return", "{\"x\": \"mixed\"}", TYPE_ERROR, "result: a table with both");
	assert_result(f, "tasks.Return", "{\"x\": \"nan\"}", "NaN");
	assert_result(f, "tasks.Return", "{\"x\": \"list\"}", "[]");
}

static void hooks(void **state)
{
	struct fixture *f = *state;
	assert_result(f, "tasks.Hooks", "{\"fail\": false}", "[\"pre\", \"execute\"]");
	assert_result(f, "tasks.Log", "{}", "[\"pre\", \"execute\", \"post\"]");
	assert_failure(f, "tasks.Hooks", "{\"fail\": true}", LUA_ERROR, "main");
	assert_result(f, "tasks.Log", "{}", "[\"pre\", \"execute\", \"post\"]");
	assert_failure(f, "tasks.PreFails", "{}", LUA_ERROR, "\"exception_str\": \"pre\"");
	assert_result(f, "tasks.Log", "{}", "[\"post\"]");
	assert_failure(f, "tasks.PostFails", "{\"fail\": false}", LUA_ERROR, "\"exception_str\": \"post\"");
	assert_contains(f, "\"causes\": []}");
	assert_failure(f, "tasks.PostFails", "{\"fail\": true}", LUA_ERROR, "{\"exception_str\": \"post\"");
	assert_contains(f, "\"causes\": [{\"exception_str\": \"main\"");
}

#define DICT(text) \
	"{\"exception_str\": \"" text "\", \"traceback_str\": \"\", \"exc_type_names\": [\"IOError\", " \
	"\"Exception\"], \"version\": 1, \"exc_args\": [], \"causes\": []}"

static void reverts(void **state)
{
	struct fixture *f = *state;
	struct tf_request r = {
		.task_cls = (char *)"tasks.Revert", .task_name = (char *)"n", .action = TF_REVERT};
	r.arguments = parse("{\"a\": 1}");
	r.has_result = true;
	r.result = parse("[5]");
	r.failures = parse("{\"t2\": " DICT("two") ", \"t1\": " DICT("one") "}");
	assert_false(run_request(f, &r));
	assert_string_equal(f->text,
		"{\"a\": 1, \"failures\": [\"t1=IOError:one\", \"t2=IOError:two\"], \"result\": [5]}");
	tf_value_unref(r.result);
	r.result = parse(DICT("own"));
	r.result_failed = true;
	assert_false(run_request(f, &r));
	assert_contains(f, "\"result\": \"failure own\"");
	tf_value_unref(r.result);
	tf_value_unref(r.failures);
	r.result = r.failures = NULL; /* a peer that leaves them out */
	r.has_result = r.result_failed = false;
	assert_false(run_request(f, &r));
	assert_string_equal(f->text, "{\"a\": 1, \"failures\": [], \"result\": null}");
	/* a dict of another version fails the request before it starts */
	r.failures = parse("{\"t\": {\"exception_str\": \"\", \"traceback_str\": \"\", \"exc_type_names\": "
			   "[\"Exception\"], \"version\": 2}}");
	assert_true(run_request(f, &r));
	assert_contains(f, "ValueError");
	assert_int_equal(f->started, 0);
	tf_value_unref(r.failures);
	tf_value_unref(r.arguments);
	/* what a revert does not name it does not get; no revert is no work */
	r.failures = NULL;
	r.arguments = parse("{}");
	r.task_cls = (char *)"tasks.RevertLess";
	assert_false(run_request(f, &r));
	assert_string_equal(f->text, "\"reverted\"");
	r.task_cls = (char *)"tasks.Add";
	assert_false(run_request(f, &r));
	assert_string_equal(f->text, "null");
	/* result on execute, as in the reference */
	r.action = TF_EXECUTE;
	r.has_result = true;
	r.result = parse("1");
	assert_true(run_request(f, &r));
	assert_contains(f, "unexpected keyword argument 'result'");
	tf_value_unref(r.result);
	tf_value_unref(r.arguments);
}

static void events(void **state)
{
	struct fixture *f = *state;
	assert_result(f, "tasks.Progress", "{}", "null");
	assert_string_equal(f->events.data,
		"update_progress {\"progress\": 0.25};custom {\"k\": [1, 2], \"s\": \"v\"};bare {};");
	assert_result(f, "tasks.Late", "{}", "\"told nobody\""); /* its own action is over */
	assert_failure(f, "tasks.BadEvent", "{\"x\": \"fn\"}", TYPE_ERROR, "details.f: a function cannot");
	assert_failure(
		f, "tasks.BadEvent", "{\"x\": \"list\"}", TYPE_ERROR, "must be a table with string keys");
}

static void load_errors(void **state)
{
	struct fixture *f = *state;
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
		put_file(f->dir, rows[i].file, rows[i].text);
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

/* Errors raised by finalizers, at any point of what the runner or a compiled loop does, end no process and no task. */
static void finalizers(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 40; i++) {
		assert_result(f, "tasks.Finalizer", "{}", "null");
		for (int k = 0; k < 20; k++)
			assert_result(f, "tasks.Garbage", "{}", "100");
	}
	assert_int_equal(execute(f, "tasks.Finalized", "{}"), 0);
	/* each way to set one, 20 objects a task; the last ones may still be there */
	double least = 3 * 20 * 30, count;
	assert_int_equal(sscanf(f->text, "%lf", &count), 1);
	if (count < least)
		fail_msg("%g finalizers ran, at least %g have to", count, least);
}

/* Modules beside the script, a class by name, the same file by two references. */
static void references(void **state)
{
	struct fixture *f = *state;
	put_file(f->dir, "beside.lua", "return { x = 5 }");
	put_file(f->dir, "two.lua",
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
	assert_result(f, "two.A", "{}", "6");
	tf_task_runner_delete(runner);
	f->r = tf_task_runner_get(before);
}

/* ---- in slots ---- */

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
	struct fixture *f = *state;
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
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {T(arguments_by_name), T(unknown_class), T(lua_errors),
		T(causes_are_flat), T(odd_error_values), T(results_that_cannot_travel), T(hooks), T(reverts),
		T(events), T(load_errors), T(references), T(finalizers), T(in_slots)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
