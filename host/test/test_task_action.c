/* execute and revert of Lua tasks, and what becomes of everything that goes wrong in them. */
#include <stdio.h>
#include <string.h>

#include "test/cmocka_all.h"

#include <lua.h>

#include "task_rig.h"

static void arguments_by_name(void **state)
{
	struct task_rig *f = *state;
	task_rig_assert_result(f, "tasks.Add", "{\"b\": 2, \"a\": 40}", "42");
	task_rig_assert_result(f, "tasks.Order", "{\"a\": 1, \"b\": 2, \"c\": 3}", "[1, 2, 3]");
	task_rig_assert_result(f, "tasks.Optional", "{\"a\": 1}", "{\"a\": 1, \"b\": \"none\"}");
	task_rig_assert_result(f, "tasks.Optional", "{\"a\": 1, \"b\": 0}", "{\"a\": 1, \"b\": 0}");
	task_rig_assert_result(f, "tasks.Any", "{\"z\": 26, \"a\": 1, \"y\": []}",
		"{\"a\": 1, \"rest\": {\"y\": [], \"z\": 26}}");
	task_rig_assert_result(f, "tasks.Any", "{\"a\": 1}", "{\"a\": 1, \"rest\": {}}");
	task_rig_assert_result(f, "tasks.Name", "{}", "\"the name\"");
	task_rig_assert_result(f, "tasks.Nothing", "{}", "null");
	task_rig_assert_result(f, "tasks.Type", "{\"x\": null}", "\"userdata\"");
	task_rig_assert_result(f, "tasks.Echo", "{\"x\": 9223372036854775807}", "9223372036854775807");
	task_rig_assert_result(f, "tasks.Echo", "{\"x\": {\"e\": {}, \"l\": []}}", "{\"e\": {}, \"l\": []}");
	task_rig_assert_failure(f, "tasks.Add", "{\"a\": 1}", TYPE_ERROR,
		"Add.execute() missing 1 required positional argument: 'b'");
	task_rig_assert_failure(f, "tasks.Add", "{}", TYPE_ERROR,
		"Add.execute() missing 2 required positional arguments: 'a' and 'b'");
	task_rig_assert_failure(f, "tasks.Order", "{}", TYPE_ERROR, "arguments: 'c', 'a', and 'b'");
	task_rig_assert_failure(f, "tasks.Add", "{\"a\": 1, \"b\": 2, \"zz\": 3, \"z\": 3}", TYPE_ERROR,
		"Add.execute() got an unexpected keyword argument 'z'");
	assert_int_equal(f->started, 1); /* as in the reference, RUNNING comes first */
	task_rig_assert_failure(f, "tasks.Echo", "{\"x\": {\"id\": 123456789012345678901}}", "exc_type_names",
		"arguments.x.id: integer of 21 digits");
}

static void unknown_class(void **state)
{
	struct task_rig *f = *state;
	task_rig_assert_failure(f, "tasks.Missing", "{}", "[\"KeyError\", \"LookupError\", \"Exception\"]",
		"\"exc_args\": [\"tasks.Missing\"]");
	task_rig_assert_contains(f, "\"exception_str\": \"'tasks.Missing'\"");
	assert_int_equal(f->started, 0);
}

static void lua_errors(void **state)
{
	struct task_rig *f = *state;
	char expected[300];
	task_rig_assert_failure(
		f, "tasks.Boom", "{\"why\": \"it broke\"}", LUA_ERROR, "tasks.lua:17: it broke\"");
	snprintf(expected, sizeof(expected),
		"  File \\\"%s\\\", line 18, in execute\\n    inner()\\n"
		"  File \\\"%s\\\", line 17, in inner\\n    local function inner() error(why) end\\n\"",
		task_rig_script, task_rig_script);
	task_rig_assert_contains(f, expected);
	task_rig_assert_failure(f, "tasks.Raise", "{}",
		"[\"billing.CardRefused\", \"ValueError\", \"Exception\"]",
		"\"exception_str\": \"no money\"");
	task_rig_assert_contains(f, "\"exc_args\": [\"no money\"]");
	task_rig_assert_failure(f, "tasks.Reraise", "{}", LUA_ERROR, "\"traceback_str\": \"frames\\n\"");
	task_rig_assert_failure(f, "tasks.Overflow", "{}", LUA_ERROR, "stack overflow");
	task_rig_assert_failure(f, "tasks.Deep", "{}", LUA_ERROR, "deep");
	task_rig_assert_contains(f, "more frames]");
	task_rig_assert_failure(f, "tasks.Coroutine", "{}", LUA_ERROR, "inside");
	task_rig_assert_failure(
		f, "tasks.Add", "{\"a\": {}, \"b\": 1}", LUA_ERROR, "attempt to perform arithmetic");
}

static void causes_are_flat(void **state)
{
	struct task_rig *f = *state;
	struct tf_json causes, cause, inner, v;
	struct tf_err err;
	assert_true(task_rig_execute(f, "tasks.Cause", "{}"));
	struct tf_value *dict = tf_value_parse(f->text, strlen(f->text), 0, &err);
	assert_true(tf_json_get(tf_value_json(dict), "causes", &causes));
	assert_int_equal(tf_json_count(causes), 2); /* b, c */
	assert_true(tf_json_at(causes, 0, &cause));
	assert_true(tf_json_get(cause, "exception_str", &v));
	assert_true(tf_json_string_is(v, "b"));
	assert_true(tf_json_get(cause, "causes", &inner));
	assert_int_equal(tf_json_count(inner), 1);
	assert_true(tf_json_at(causes, 1, &cause));
	assert_true(tf_json_get(cause, "causes", &inner));
	assert_int_equal(tf_json_count(inner), 0);
	tf_value_unref(dict);
}

static void odd_error_values(void **state)
{
	struct task_rig *f = *state;
	task_rig_assert_failure(f, "tasks.Odd", "{\"x\": \"nil\"}", LUA_ERROR, "\"exception_str\": \"nil\"");
	task_rig_assert_failure(f, "tasks.Odd", "{\"x\": \"table\"}", LUA_ERROR,
		"(error value is a table: {\\\"code\\\": 5})");
	task_rig_assert_failure(
		f, "tasks.Odd", "{\"x\": \"message\"}", LUA_ERROR, "\"exception_str\": \"said\"");
	task_rig_assert_failure(
		f, "tasks.Odd", "{\"x\": \"true\"}", LUA_ERROR, "\"exception_str\": \"true\"");
	task_rig_assert_failure(
		f, "tasks.Odd", "{\"x\": \"tostring\"}", LUA_ERROR, "\"exception_str\": \"spoken\"");
	task_rig_assert_failure(f, "tasks.Odd", "{\"x\": \"liar\"}", LUA_ERROR, "cannot be read");
	task_rig_assert_failure(f, "tasks.Odd", "{\"x\": \"index\"}", LUA_ERROR, "cannot be read");
	task_rig_assert_failure(f, "tasks.Odd", "{\"x\": \"bytes\"}", LUA_ERROR, "exception_str\": \"??x\"");
	task_rig_assert_failure(
		f, "tasks.Odd", "{\"x\": \"types\"}", "[\"A\", \"Exception\"]", "\"exc_args\": []");
	task_rig_assert_failure(f, "tasks.Odd", "{\"x\": \"self\"}", "[\"A\", \"Exception\"]", "causes");
	assert_true(strlen(f->text) < 200000);
}

static void results_that_cannot_travel(void **state)
{
	struct task_rig *f = *state;
	task_rig_assert_failure(
		f, "tasks.Return", "{\"x\": \"fn\"}", TYPE_ERROR, "result.a[1]: a function cannot");
	task_rig_assert_failure(f, "tasks.Return", "{\"x\": \"cycle\"}", TYPE_ERROR,
		"result[1]: a table that contains itself");
	task_rig_assert_failure(
		f, "tasks.Return", "{\"x\": \"bytes\"}", TYPE_ERROR, "result.k: string is not valid UTF-8");
	task_rig_assert_failure(
		f, "tasks.Return", "{\"x\": \"mixed\"}", TYPE_ERROR, "result: a table with both");
	task_rig_assert_result(f, "tasks.Return", "{\"x\": \"nan\"}", "NaN");
	task_rig_assert_result(f, "tasks.Return", "{\"x\": \"list\"}", "[]");
}

static void hooks(void **state)
{
	struct task_rig *f = *state;
	task_rig_assert_result(f, "tasks.Hooks", "{\"fail\": false}", "[\"pre\", \"execute\"]");
	task_rig_assert_result(f, "tasks.Log", "{}", "[\"pre\", \"execute\", \"post\"]");
	task_rig_assert_failure(f, "tasks.Hooks", "{\"fail\": true}", LUA_ERROR, "main");
	task_rig_assert_result(f, "tasks.Log", "{}", "[\"pre\", \"execute\", \"post\"]");
	task_rig_assert_failure(f, "tasks.PreFails", "{}", LUA_ERROR, "\"exception_str\": \"pre\"");
	task_rig_assert_result(f, "tasks.Log", "{}", "[\"post\"]");
	task_rig_assert_failure(
		f, "tasks.PostFails", "{\"fail\": false}", LUA_ERROR, "\"exception_str\": \"post\"");
	task_rig_assert_contains(f, "\"causes\": []}");
	task_rig_assert_failure(
		f, "tasks.PostFails", "{\"fail\": true}", LUA_ERROR, "{\"exception_str\": \"post\"");
	task_rig_assert_contains(f, "\"causes\": [{\"exception_str\": \"main\"");
}

#define DICT(text) \
	"{\"exception_str\": \"" text "\", \"traceback_str\": \"\", \"exc_type_names\": [\"IOError\", " \
	"\"Exception\"], \"version\": 1, \"exc_args\": [], \"causes\": []}"

static void reverts(void **state)
{
	struct task_rig *f = *state;
	struct tf_request r = {
		.task_cls = (char *)"tasks.Revert", .task_name = (char *)"n", .action = TF_REVERT};
	r.arguments = task_rig_value("{\"a\": 1}");
	r.has_result = true;
	r.result = task_rig_value("[5]");
	r.failures = task_rig_value("{\"t2\": " DICT("two") ", \"t1\": " DICT("one") "}");
	assert_false(task_rig_run(f, &r));
	assert_string_equal(f->text,
		"{\"a\": 1, \"failures\": [\"t1=IOError:one\", \"t2=IOError:two\"], \"result\": [5]}");
	tf_value_unref(r.result);
	r.result = task_rig_value(DICT("own"));
	r.result_failed = true;
	assert_false(task_rig_run(f, &r));
	task_rig_assert_contains(f, "\"result\": \"failure own\"");
	tf_value_unref(r.result);
	tf_value_unref(r.failures);
	r.result = r.failures = NULL; /* a peer that leaves them out */
	r.has_result = r.result_failed = false;
	assert_false(task_rig_run(f, &r));
	assert_string_equal(f->text, "{\"a\": 1, \"failures\": [], \"result\": null}");
	/* a dict of another version fails the request before it starts */
	r.failures = task_rig_value(
		"{\"t\": {\"exception_str\": \"\", \"traceback_str\": \"\", \"exc_type_names\": "
		"[\"Exception\"], \"version\": 2}}");
	assert_true(task_rig_run(f, &r));
	task_rig_assert_contains(f, "ValueError");
	assert_int_equal(f->started, 0);
	tf_value_unref(r.failures);
	tf_value_unref(r.arguments);
	/* what a revert does not name it does not get; no revert is no work */
	r.failures = NULL;
	r.arguments = task_rig_value("{}");
	r.task_cls = (char *)"tasks.RevertLess";
	assert_false(task_rig_run(f, &r));
	assert_string_equal(f->text, "\"reverted\"");
	r.task_cls = (char *)"tasks.Add";
	assert_false(task_rig_run(f, &r));
	assert_string_equal(f->text, "null");
	/* result on execute, as in the reference */
	r.action = TF_EXECUTE;
	r.has_result = true;
	r.result = task_rig_value("1");
	assert_true(task_rig_run(f, &r));
	task_rig_assert_contains(f, "unexpected keyword argument 'result'");
	tf_value_unref(r.result);
	tf_value_unref(r.arguments);
}

static void events(void **state)
{
	struct task_rig *f = *state;
	task_rig_assert_result(f, "tasks.Progress", "{}", "null");
	assert_string_equal(f->events.data,
		"update_progress {\"progress\": 0.25};custom {\"k\": [1, 2], \"s\": \"v\"};bare {};");
	task_rig_assert_result(f, "tasks.Late", "{}", "\"told nobody\""); /* its own action is over */
	task_rig_assert_failure(
		f, "tasks.BadEvent", "{\"x\": \"fn\"}", TYPE_ERROR, "details.f: a function cannot");
	task_rig_assert_failure(
		f, "tasks.BadEvent", "{\"x\": \"list\"}", TYPE_ERROR, "must be a table with string keys");
}

/* Errors raised by finalizers, at any point of what the runner or a compiled loop does, end no process and no task. */
static void finalizers(void **state)
{
	struct task_rig *f = *state;
	for (int i = 0; i < 40; i++) {
		task_rig_assert_result(f, "tasks.Finalizer", "{}", "null");
		for (int k = 0; k < 20; k++)
			task_rig_assert_result(f, "tasks.Garbage", "{}", "100");
	}
	assert_int_equal(task_rig_execute(f, "tasks.Finalized", "{}"), 0);
	/* each way to set one, 20 objects a task; the last ones may still be there */
	double least = 3 * 20 * 30, count;
	assert_int_equal(sscanf(f->text, "%lf", &count), 1);
	if (count < least)
		fail_msg("%g finalizers ran, at least %g have to", count, least);
}

int main(void)
{
	const struct CMUnitTest tests[] = {T(arguments_by_name), T(unknown_class), T(lua_errors),
		T(causes_are_flat), T(odd_error_values), T(results_that_cannot_travel), T(hooks), T(reverts),
		T(events), T(finalizers)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
