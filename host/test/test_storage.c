/* Results, names and arguments: the tables of ENGINE.md 2.3 and 6, and that values keep their text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/graph_internal.h"
#include "engine/item.h"
#include "engine_fixture.h"

static struct fixture *ran(const char *flow, const char *options)
{
	struct tf_err err;
	struct fixture *f = fixture_new(flow, options, &err);
	if (!f || fixture_run(f, &err) != 0)
		fail_msg("%s", err.message);
	return f;
}

/* Text of a fetched value, "?" if not found. Static until the next call. */
static const char *fetched(struct fixture *f, const char *symbol)
{
	static char text[1024];
	struct tf_value *v = tf_engine_fetch(f->engine, symbol, NULL);
	snprintf(text, sizeof text, "%s", v ? tf_value_text(v) : "?");
	tf_value_unref(v);
	return text;
}

static const char *fetched_all(struct fixture *f)
{
	static char text[1024];
	struct tf_value *v = tf_engine_fetch_all(f->engine);
	snprintf(text, sizeof text, "%s", tf_value_text(v));
	tf_value_unref(v);
	return text;
}

/* Outcome of one task: provides, exact result text, all named results. */
static void provides(const char *provides, const char *result, const char *expected)
{
	struct json_object *o = json_object_new_object();
	json_object_object_add(o, "name", json_object_new_string("a"));
	json_object_object_add(o, "provides", json_tokener_parse(provides));
	json_object_object_add(o, "result_text", json_object_new_string(result));
	char *flow;
	flow = tf_asprintf(
		"{\"kind\": \"linear\", \"name\": \"f\", \"children\": [%s]}", json_object_to_json_string(o));
	struct fixture *f = ran(flow, "{}");
	assert_string_equal(fetched_all(f), expected);
	fixture_delete(f);
	free(flow);
	json_object_put(o);
}

static void test_provides(void **state)
{
	(void)state;
	provides("\"x\"", "[1, 2]", "{\"x\": [1, 2]}");
	provides("[\"x\", \"y\"]", "[1, 2]", "{\"x\": 1, \"y\": 2}");
	provides("[\"x\", \"y\"]", "[1]", "{\"x\": 1}");
	provides("[\"x\"]", "[1, 2, 3]", "{\"x\": 1}");
	provides("{\"set\": [\"x\", \"y\"]}", "{\"x\": 1, \"y\": 2, \"z\": 3}", "{\"x\": 1, \"y\": 2}");
	provides("[\"x\", \"y\"]", "null", "{}");
	provides("[\"x\", \"y\"]", "true", "{}");
	provides("[\"x\", \"y\"]", "12", "{}");
	provides("{\"set\": [\"x\"]}", "[1]", "{}");
	provides("{\"set\": [\"x\"]}", "\"x\"", "{}");
	/* A list of names also reads characters of a string and integer keys of a map. */
	provides("[\"x\", \"y\"]", "\"ab\"", "{\"x\": \"a\", \"y\": \"b\"}");
	provides("[\"x\", \"y\"]", "\"a\"", "{\"x\": \"a\"}");
	provides("[\"x\", \"y\"]", "{\"0\": \"zero\", \"2\": 0}", "{\"x\": \"zero\"}");
	provides("[\"x\", \"y\", \"z\"]", "\"\\u00e9\\ud83d\\ude00\\n\"",
		"{\"x\": \"\\u00e9\", \"y\": \"\\ud83d\\ude00\", \"z\": \"\\n\"}");
	provides("[\"x\", \"y\", \"z\"]", "\"\\ud83d\\u0041\xc3\xa9\"",
		"{\"x\": \"\\ud83d\", \"y\": \"\\u0041\", \"z\": \"\xc3\xa9\"}");
	provides("[\"x\", \"y\"]", "\"\\\"\\\\\"", "{\"x\": \"\\\"\", \"y\": \"\\\\\"}");
}

/* Nothing between two tasks touches the text of a value. */
static void test_exact_text(void **state)
{
	(void)state;
	const char *text =
		"{\"big\": 123456789012345678901234567890, \"r\": 1.0, \"e\": 1E+2, \"n\": [NaN, -Infinity], "
		"\"empty\": [[], {}], \"s\": \"\\u00e9\\/\"}";
	struct json_object *result = json_object_new_string(text);
	char *flow = tf_asprintf("{\"kind\": \"linear\", \"name\": \"f\", \"children\": ["
				 "{\"name\": \"a\", \"provides\": \"x\", \"result_text\": %s},"
				 "{\"name\": \"b\", \"requires\": [\"x\"]}]}",
		json_object_to_json_string(result));
	struct fixture *f = ran(flow, "{}");
	char *expected = tf_asprintf("execute a {}; execute b {\"x\": %s}", text);
	assert_string_equal(fixture_calls(f), expected);
	assert_string_equal(fetched(f, "x"), text);
	free(expected);
	free(flow);
	json_object_put(result);
	fixture_delete(f);
}

/* --- section 6 --------------------------------------------------------------------------- */

static void last_call(const char *flow, const char *options, const char *expected)
{
	struct fixture *f = ran(flow, options);
	const char *calls = fixture_calls(f), *last = strstr(calls, expected);
	if (!last || strcmp(last, expected) != 0)
		fail_msg("%s does not end in %s", calls, expected);
	fixture_delete(f);
}

#define LINEAR(children) "{\"kind\": \"linear\", \"name\": \"f\", \"children\": [" children "]}"
#define GIVES(name, value) "{\"name\": \"" name "\", \"provides\": \"x\", \"result\": \"" value "\"}"
#define NEEDS(name) "{\"name\": \"" name "\", \"requires\": [\"x\"]}"

static void test_scoping(void **state)
{
	(void)state;
	last_call(
		LINEAR(GIVES("a", "1") "," GIVES("b", "2") "," NEEDS("c")), "{}", "execute c {\"x\": \"2\"}");
	last_call(LINEAR(GIVES("o", "outer") ",{\"kind\": \"linear\", \"name\": \"g\", \"children\": [" GIVES(
			  "i", "inner") "," NEEDS("c") "]}," NEEDS("d")),
		"{}", "execute c {\"x\": \"inner\"}; execute d {\"x\": \"inner\"}");
	last_call(LINEAR(GIVES("a", "1") "," NEEDS("c")), "{\"store\": {\"x\": \"s\"}}",
		"execute c {\"x\": \"s\"}");
	last_call(LINEAR("{\"name\": \"c\", \"requires\": [\"x\"], \"inject\": {\"x\": \"i\"}}"),
		"{\"store\": {\"x\": \"s\"}}", "execute c {\"x\": \"i\"}");
	last_call(LINEAR("{\"kind\": \"unordered\", \"name\": \"u\", \"children\": [" GIVES(
			  "a", "1") "," GIVES("b", "2") "]}," NEEDS("c")),
		"{}", "execute c {\"x\": \"2\"}");
}

/* Within a level the first that can be extracted; a level further out is not looked at. */
static void test_extraction_order(void **state)
{
	(void)state;
	last_call(LINEAR("{\"name\": \"a\", \"provides\": \"x\", \"result\": 1},"
			 "{\"name\": \"b\", \"provides\": [\"y\", \"x\"], \"result\": [5]}," NEEDS("c")),
		"{}", "execute c {\"x\": 1}");
	struct fixture *f = ran(
		LINEAR("{\"name\": \"a\", \"provides\": \"x\", \"result\": 1},"
		       "{\"kind\": \"linear\", \"name\": \"g\", \"children\": ["
		       "{\"name\": \"b\", \"provides\": [\"y\", \"x\"], \"result\": [5]}," NEEDS("c") "]}"),
		"{}");
	assert_int_equal(tf_engine_flow_state(f->engine), TF_FAILURE);
	assert_non_null(strstr(fixture_raised(f), "NotFound"));
	assert_non_null(strstr(fixture_raised(f), "'x'"));
	assert_non_null(strstr(fixture_raised(f), "'c'"));
	fixture_delete(f);
}

static void test_optional(void **state)
{
	(void)state;
#define WANTS(name) "{\"name\": \"" name "\", \"optional\": [\"x\"]}"
	last_call(LINEAR(WANTS("c")), "{}", "execute c {}");
	last_call(
		LINEAR(WANTS("c") "," GIVES("a", "1")), "{}", "execute c {}; execute a {}"); /* only later */
	last_call(LINEAR(GIVES("a", "1") "," WANTS("c")), "{}", "execute c {\"x\": \"1\"}");
	last_call(LINEAR(WANTS("c")), "{\"store\": {\"x\": 9}}", "execute c {\"x\": 9}");
	last_call(LINEAR("{\"name\": \"a\", \"provides\": [\"y\", \"x\"], \"result\": [1]}," WANTS("c")),
		"{}", "execute c {}");
}

static void test_fetch(void **state)
{
	(void)state;
	struct fixture *f = ran(LINEAR("{\"name\": \"a\", \"provides\": \"x\", \"result\": 1},"
				       "{\"name\": \"b\", \"provides\": \"x\", \"result\": 2},"
				       "{\"name\": \"c\", \"provides\": [\"z\"], \"result\": []}"),
		"{\"store\": {\"x\": 0, \"s\": \"only\"}}");
	assert_string_equal(fetched(f, "x"), "0");
	assert_string_equal(fetched(f, "s"), "\"only\"");
	assert_string_equal(fetched(f, "z"), "?");
	assert_string_equal(fetched(f, "nobody"), "?");
	assert_string_equal(fetched_all(f), "{\"x\": [0, 1, 2], \"s\": \"only\"}");
	struct tf_err err;
	assert_null(tf_engine_fetch(f->engine, "nobody", &err));
	assert_int_equal(err.code, TF_ENOTFOUND);
	assert_string_equal(err.message, "Name 'nobody' is not mapped as a produced output by any providers");
	fixture_delete(f);
}

/* A retry comes after what it controls, also in lists of values. */
static void test_fetch_order(void **state)
{
	(void)state;
	struct fixture *f = ran(
		"{\"kind\": \"linear\", \"name\": \"f\", \"children\": [" GIVES("a",
			"task") "],"
				"\"retry\": {\"class\": \"Times\", \"name\": \"r\", \"provides\": \"x\"}}",
		"{}");
	assert_string_equal(fetched_all(f), "{\"x\": [\"task\", 1]}");
	fixture_delete(f);
}

static const char *result_of(struct fixture *f, const char *name, bool revert)
{
	static char text[1024];
	struct tf_err err;
	bool failed;
	struct tf_value *v = revert ? tf_engine_revert_result(f->engine, fixture_atom(f, name), &failed, &err)
				    : tf_engine_result(f->engine, fixture_atom(f, name), &failed, &err);
	if (!v)
		assert_int_equal(err.code, TF_ENOTFOUND);
	struct json_object *o = v ? json_tokener_parse(tf_value_text(v)) : NULL;
	snprintf(text, sizeof text, "%s",
		!v       ? err.message
		: failed ? json_object_get_string(json_object_object_get(o, "exception_str"))
			 : tf_value_text(v));
	json_object_put(o);
	tf_value_unref(v);
	return text;
}

static void test_results(void **state)
{
	(void)state;
	struct fixture *f = ran(LINEAR("{\"name\": \"a\", \"result\": 7}, {\"name\": \"b\", \"fail\": true, "
				       "\"provides\": \"x\"},"
				       "{\"name\": \"c\"}"),
		"{\"never_resolve\": true}");
	assert_string_equal(result_of(f, "a", false), "7");
	assert_string_equal(result_of(f, "b", false), "boom-b");
	assert_string_equal(result_of(f, "c", false), "Result for atom 'c' execution is not known");
	assert_string_equal(result_of(f, "a", true), "Result for atom 'a' revert is not known");
	assert_non_null(strstr(fetched(f, "x"), "boom-b")); /* the failure itself */
	fixture_delete(f);

	f = ran(LINEAR("{\"name\": \"a\", \"result\": 7, \"provides\": \"x\"}, {\"name\": \"b\", \"fail\": "
		       "true}"),
		"{}");
	assert_string_equal(result_of(f, "a", false), "Result for atom 'a' execution is not known");
	assert_string_equal(result_of(f, "a", true), "\"reverted-a\"");
	assert_string_equal(fetched(f, "x"), "?");
	fixture_delete(f);

	f = ran(LINEAR("{\"name\": \"a\", \"revert_fail\": true}, {\"name\": \"b\", \"fail\": true}"), "{}");
	assert_string_equal(result_of(f, "a", true), "rboom-a");
	fixture_delete(f);

	f = ran("{\"kind\": \"graph\", \"name\": \"f\", \"children\": [{\"name\": \"a\"}, " GIVES(
			"b", "1") "],"
				  "\"links\": [{\"from\": \"a\", \"to\": \"b\", \"decider\": false}]}",
		"{}");
	assert_string_equal(
		result_of(f, "b", false), "Result for atom 'b' execution is not known (as it was ignored)");
	assert_string_equal(fetched_all(f), "{}");
	fixture_delete(f);
}

static void test_inject(void **state)
{
	(void)state;
	struct tf_err err;
	struct fixture *f = fixture_new(LINEAR(NEEDS("a")), "{}", &err);
	assert_int_equal(fixture_run(f, &err), TF_EMISSING);
	assert_int_equal(f->starts, 0);
	struct tf_value *more = tf_value_parse("{\"x\": 1, \"x\": 2, \"\\ud800\": 3}", 29, 0, NULL);
	assert_non_null(more);
	tf_engine_inject(f->engine, more, false);
	tf_value_unref(more);
	assert_int_equal(fixture_run(f, &err), 0);
	assert_string_equal(fixture_calls(f), "execute a {\"x\": 2}");
	fixture_delete(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_provides),
		cmocka_unit_test(test_exact_text),
		cmocka_unit_test(test_scoping),
		cmocka_unit_test(test_extraction_order),
		cmocka_unit_test(test_optional),
		cmocka_unit_test(test_fetch),
		cmocka_unit_test(test_fetch_order),
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_inject),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
