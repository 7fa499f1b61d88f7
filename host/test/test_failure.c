#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "json_text.h"
#include "protocol/failure.h"
#include "vectors.h"

/* The two outcomes that Python TaskFlow was seen to have, case by case. */
static void check_case(struct json_object *c)
{
	struct json_object *failure;
	const char *name = tf_vector_text(c, "case"), *want_schema = tf_vector_text(c, "schema_validation"),
		   *want_rebuilt = tf_vector_text(c, "from_dict");
	struct tf_err err;

	json_object_object_get_ex(c, "failure", &failure);
	struct tf_json dict =
		json_text_parse(json_object_to_json_string_ext(failure, JSON_C_TO_STRING_PLAIN));
	bool schema_ok = tf_failure_check_schema(dict, &err) == 0;
	if (schema_ok != !strcmp(want_schema, "ok"))
		fail_msg("%s: schema: want %s, have %s", name, want_schema, schema_ok ? "ok" : err.message);
	const char *const *type = tf_failure_reconstruct_error(dict, &err);
	if (strcmp(type ? type[0] : "ok", want_rebuilt) != 0)
		fail_msg("%s: rebuilt: want %s, have %s", name, want_rebuilt, type ? type[0] : "ok");
	assert_int_equal(tf_failure_check_reconstruct(dict, &err), type ? TF_EFORMAT : 0);
	if (!type) {
		struct tf_value *v = tf_failure_normalise(dict);
		struct tf_json j = tf_value_json(v);
		if (tf_failure_check_schema(j, &err) < 0 || tf_failure_check_reconstruct(j, &err) < 0)
			fail_msg("%s: normalised it is still refused: %s", name, err.message);
		assert_int_equal(tf_json_count(j), 6);
		tf_value_unref(v);
	}
}

static void outcomes_are_those_of_python(void **state)
{
	(void)state;
	struct json_object *file = tf_vector_read("failure-validation.json"), *cases;
	assert_true(json_object_object_get_ex(file, "cases", &cases));
	assert_int_equal(json_object_array_length(cases), 19);
	for (size_t i = 0; i < json_object_array_length(cases); i++)
		check_case(json_object_array_get_idx(cases, i));
	json_object_put(file);
}

/* Beyond the recorded cases: what iterates in Python and what does not. */
static void odd_members_are_told_apart(void **state)
{
	(void)state;
	static const struct {
		const char *text, *type;
	} cases[] = {
		{"null", "TypeError"},
		{"5", "TypeError"},
		{"\"x\"", "ValueError"},
		{"[]", "ValueError"},
		{"{}", "ValueError"},
		{"{\"version\": 1}", "KeyError"},
		{"{\"version\": 1, \"exception_str\": 5}", NULL},
		{"{\"version\": 2, \"version\": 1, \"exception_str\": \"last wins\"}", NULL},
		{"{\"version\": 1, \"exception_str\": \"x\", \"exc_args\": 5}", "TypeError"},
		{"{\"version\": 1, \"exception_str\": \"x\", \"exc_args\": {}}", NULL},
		{"{\"version\": 1, \"exception_str\": \"x\", \"exc_type_names\": null}", "TypeError"},
		{"{\"version\": 1, \"exception_str\": \"x\", \"causes\": true}", "TypeError"},
		{"{\"version\": 1, \"exception_str\": \"x\", \"causes\": \"\"}", NULL},
		{"{\"version\": 1, \"exception_str\": \"x\", \"causes\": \"abc\"}", "ValueError"},
		{"{\"version\": 1, \"exception_str\": \"x\", \"causes\": [{\"version\": 1}]}", "KeyError"},
		{"{\"version\": 1, \"exception_str\": \"x\", \"causes\": [null]}", "TypeError"},
		{"{\"version\": 1e0, \"exception_str\": \"x\"}", NULL},
		{"{\"version\": NaN, \"exception_str\": \"x\"}", "ValueError"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tf_err err;
		const char *const *type = tf_failure_reconstruct_error(json_text_parse(cases[i].text), &err);
		if (strcmp(type ? type[0] : "ok", cases[i].type ? cases[i].type : "ok") != 0)
			fail_msg("%s: want %s, have %s", cases[i].text, cases[i].type, type ? type[0] : "ok");
	}
}

static void stories_name_the_path(void **state)
{
	(void)state;
	struct tf_err err;
	const char *cause =
		"{\"exception_str\": \"x\", \"traceback_str\": \"\", \"exc_type_names\": [\"Exception\"], "
		"\"causes\": [{\"exception_str\": 1}]}";
	assert_int_equal(tf_failure_check_schema(json_text_parse(cause), &err), TF_EFORMAT);
	assert_string_equal(err.message, "causes[0]: exception_str: expected a string, found integer");
}

static void written_as_python_writes_it(void **state)
{
	(void)state;
	struct tf_value *v = tf_failure_format(tf_types_worker_lost, "worker %s \"quoted\" \xc3\xa9\n", "W");
	assert_string_equal(tf_value_text(v),
		"{\"exception_str\": \"worker W \\\"quoted\\\" \\u00e9\\n\", \"traceback_str\": \"\", "
		"\"exc_type_names\": [\"tfhost.WorkerLost\", \"RuntimeError\", \"Exception\"], \"version\": "
		"1, "
		"\"exc_args\": [\"worker W \\\"quoted\\\" \\u00e9\\n\"], \"causes\": []}");
	assert_int_equal(tf_failure_check_schema(tf_value_json(v), NULL), 0);
	assert_true(tf_failure_is(tf_value_json(v), "RuntimeError"));
	assert_false(tf_failure_is(tf_value_json(v), "ValueError"));
	char *s = tf_failure_summary(tf_value_json(v));
	assert_string_equal(s, "tfhost.WorkerLost: worker W \"quoted\" \xc3\xa9\n");
	free(s);
	struct tf_value *same = tf_failure_normalise(tf_value_json(v));
	assert_string_equal(tf_value_text(same), tf_value_text(v));
	tf_value_unref(same);
	tf_value_unref(v);
}

/* A listener written for TaskFlow asks check("ExecutionFailure"): the chains are those of its classes. */
static void hosts_own_failures_have_the_chains_of_taskflow(void **state)
{
	(void)state;
	static const struct {
		const char *const *types;
		const char *name;
	} cases[] = {
		{tf_types_request_timeout, "taskflow.exceptions.RequestTimeout"},
		{tf_types_request_timeout, "taskflow.exceptions.ExecutionFailure"},
		{tf_types_request_timeout, "taskflow.exceptions.TaskFlowException"},
		{tf_types_not_found, "taskflow.exceptions.TaskFlowException"},
		{tf_types_key_error, "LookupError"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tf_value *v = tf_failure_format(cases[i].types, "x");
		if (!tf_failure_is(tf_value_json(v), cases[i].name))
			fail_msg("%s lacks %s", tf_value_text(v), cases[i].name);
		tf_value_unref(v);
	}
}

static void bytes_that_are_no_text_are_replaced(void **state)
{
	(void)state;
	struct tf_value *v = tf_failure_value(&(struct tf_failure){.exception_str = "a\xff"
										    "b\xc3",
		.traceback_str = "\xf0\x9f",
		.exc_type_names = tf_types_lua_error});
	struct tf_err err;
	if (tf_json_validate(tf_value_text(v), tf_value_len(v), 0, NULL, &err) < 0)
		fail_msg("%s", err.message);
	char *s = tf_failure_summary(tf_value_json(v));
	assert_string_equal(s, "tfhost.LuaError: a?b?");
	free(s);
	tf_value_unref(v);
}

static void what_a_python_engine_takes_is_made_fit_to_send_on(void **state)
{
	(void)state;
	struct tf_value *v = tf_failure_normalise(json_text_parse(
		"{\"version\": 1.0, \"exception_str\": \"x\", \"exc_type_names\": [\"X\", 1], "
		"\"traceback_str\": null, "
		"\"exc_args\": \"ab\", \"causes\": [{\"version\": true, \"exception_str\": \"c\"}]}"));
	assert_string_equal(tf_value_text(v),
		"{\"exception_str\": \"x\", \"traceback_str\": \"\", \"exc_type_names\": [\"X\", "
		"\"Exception\"], "
		"\"version\": 1, \"exc_args\": [], \"causes\": [{\"exception_str\": \"c\", "
		"\"traceback_str\": \"\", "
		"\"exc_type_names\": [\"Exception\"], \"version\": 1, \"exc_args\": [], \"causes\": []}]}");
	tf_value_unref(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outcomes_are_those_of_python),
		cmocka_unit_test(odd_members_are_told_apart),
		cmocka_unit_test(stories_name_the_path),
		cmocka_unit_test(written_as_python_writes_it),
		cmocka_unit_test(hosts_own_failures_have_the_chains_of_taskflow),
		cmocka_unit_test(bytes_that_are_no_text_are_replaced),
		cmocka_unit_test(what_a_python_engine_takes_is_made_fit_to_send_on),
	};
	return cmocka_run_group_tests_name("failure", tests, NULL, NULL);
}
