/* Map atoms: their items are scheduled, fail, are reverted, retried and suspended like atoms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "engine_fixture.h"

#define MAP(more) "{\"name\": \"m\", \"requires\": [\"xs\"], \"each\": \"xs\", \"provides\": \"ys\"" more "}"
#define FLOW(children) "{\"kind\": \"linear\", \"name\": \"f\", \"children\": [" children "]}"
#define RETRIED(children) \
	"{\"kind\": \"linear\", \"name\": \"f\", \"retry\": {\"name\": \"r\", \"class\": \"Times\", " \
	"\"attempts\": 2}, " \
	"\"children\": [" children "]}"
#define XS(list) "{\"store\": {\"xs\": " list "}}"

static struct fixture *started(const char *flow, const char *options)
{
	struct tf_err err;
	struct fixture *f = fixture_new(flow, options, &err);
	assert_non_null(f);
	f->hold = true;
	assert_int_equal(fixture_run(f, &err), 0);
	return f;
}

static struct fixture *run(const char *flow, const char *options)
{
	struct fixture *f = started(flow, options);
	f->hold = false;
	fixture_go_on(f);
	return f;
}

static void fetched(struct fixture *f, const char *symbol, const char *expected)
{
	struct tf_value *v = tf_engine_fetch(f->engine, symbol, NULL);
	assert_non_null(v);
	assert_string_equal(tf_value_text(v), expected);
	tf_value_unref(v);
}

static void test_results_in_order(void **state)
{
	(void)state;
	struct fixture *f = started(FLOW(MAP("")), XS("[7, \"b\", null]"));
	fixture_deliver(f, "m[3]");
	fixture_deliver(f, "m[1]");
	fixture_go_on(f);
	assert_string_equal(fixture_state(f, "m[1]"), "SUCCESS/EXECUTE");
	assert_string_equal(fixture_state(f, "m[2]"), "RUNNING/EXECUTE");
	assert_true(tf_engine_atom_progress(f->engine, fixture_atom(f, "m")) > 0.6);
	fixture_deliver(f, "m[2]");
	fixture_go_on(f);
	fetched(f, "ys", "[7, \"b\", null]");
	assert_string_equal(fixture_log(f),
		"flow RUNNING; task m RUNNING; "
		"task m[1] RUNNING; execute m[1]; task m[2] RUNNING; execute m[2]; task m[3] RUNNING; "
		"execute m[3]; "
		"task m[3] SUCCESS; task m[1] SUCCESS; task m[2] SUCCESS; task m SUCCESS; flow SUCCESS");
	assert_string_equal(fixture_calls(f),
		"execute m[1] {\"xs\": 7}; execute m[2] {\"xs\": \"b\"}; execute m[3] {\"xs\": null}");
	assert_int_equal(tf_engine_find(f->engine, "m[0]"), -1);
	assert_int_equal(tf_engine_find(f->engine, "m[4]"), -1);
	assert_int_equal(tf_engine_find(f->engine, "m[1"), -1);
	fixture_delete(f);
}

static void test_limit(void **state)
{
	(void)state;
	struct fixture *f = started(FLOW(MAP(", \"limit\": 2")), XS("[1, 2, 3, 4]"));
	assert_int_equal(f->work_count, 2);
	fixture_deliver(f, "m[2]");
	fixture_go_on(f);
	assert_int_equal(f->work_count, 2);
	assert_string_equal(fixture_state(f, "m[3]"), "RUNNING/EXECUTE");
	assert_string_equal(fixture_state(f, "m[4]"), "PENDING/EXECUTE");
	f->hold = false;
	fixture_go_on(f);
	fetched(f, "ys", "[1, 2, 3, 4]");
	fixture_delete(f);
}

static void test_empty(void **state)
{
	(void)state;
	static const char *const nothing[] = {XS("[]"), XS("{}")};
	for (int i = 0; i < 2; i++) {
		struct fixture *f = run(FLOW(MAP("")), nothing[i]);
		fetched(f, "ys", "[]");
		assert_string_equal(
			fixture_log(f), "flow RUNNING; task m RUNNING; task m SUCCESS; flow SUCCESS");
		fixture_delete(f);
	}
}

static void test_no_list(void **state)
{
	(void)state;
	struct fixture *f = run(FLOW(MAP("")), XS("{\"a\": 1}"));
	assert_string_equal(
		fixture_raised(f), "TypeError: map 'm': 'xs' is a value of type object, not a list");
	assert_string_equal(fixture_log(f), "flow RUNNING; task m RUNNING; task m FAILURE; task m REVERTING; "
					    "task m REVERTED; flow REVERTED");
	fixture_delete(f);
}

/* Done items are reverted, the last one first, and running ones when they have ended. */
static void test_item_fails(void **state)
{
	(void)state;
	struct fixture *f =
		started(FLOW("{\"name\": \"a\"}, " MAP(", \"fail_elements\": [3]")), XS("[1, 2, 3, 4, 5]"));
	fixture_deliver(f, "a");
	fixture_go_on(f);
	fixture_deliver(f, "m[1]");
	fixture_deliver(f, "m[2]");
	fixture_deliver(f, "m[4]");
	fixture_go_on(f);
	fixture_log(f);
	fixture_deliver(f, "m[3]");
	fixture_go_on(f);
	assert_string_equal(fixture_log(f),
		"task m[3] FAILURE; task m FAILURE; task m REVERTING; task m[4] REVERTING; revert m[4]; "
		"task m[3] REVERTING; revert m[3]; task m[2] REVERTING; revert m[2]; task m[1] REVERTING; "
		"revert m[1]");
	fixture_deliver(f, "m[5]");
	fixture_go_on(f);
	assert_string_equal(fixture_log(f), "task m[5] SUCCESS; task m[5] REVERTING; revert m[5]");
	f->hold = false;
	fixture_go_on(f);
	assert_string_equal(fixture_log(f),
		"task m[4] REVERTED; task m[3] REVERTED; task m[2] REVERTED; task m[1] REVERTED; task m[5] "
		"REVERTED; "
		"task m REVERTED; task a REVERTING; revert a; task a REVERTED; flow REVERTED");
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-m[3]");
	assert_non_null(strstr(fixture_calls(f), "revert m[3] {\"xs\": 3} failed  {\"m[3]\": {"));
	fixture_delete(f);
}

static void test_two_items_fail(void **state)
{
	(void)state;
	struct fixture *f = run(FLOW(MAP(", \"fail_elements\": [2, 3]")), XS("[1, 2, 3]"));
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-m[2]; RuntimeError: boom-m[3]");
	assert_string_equal(fixture_state(f, "m"), "REVERTED/REVERT");
	fixture_delete(f);
}

static void test_item_revert_fails(void **state)
{
	(void)state;
	struct fixture *f = run(FLOW("{\"name\": \"a\"}, " MAP(", \"limit\": 1, \"fail_elements\": [3], "
							       "\"revert_fail_elements\": [2]")),
		XS("[1, 2, 3, 4]"));
	assert_string_equal(fixture_raised(f), "RuntimeError: rboom-m[2]");
	assert_string_equal(fixture_state(f, "m"), "REVERT_FAILURE/REVERT");
	assert_string_equal(fixture_state(f, "m[1]"), "SUCCESS/REVERT");
	assert_string_equal(fixture_state(f, "m[2]"), "REVERT_FAILURE/REVERT");
	assert_string_equal(fixture_state(f, "m[3]"), "REVERTED/REVERT");
	assert_string_equal(fixture_state(f, "m[4]"), "PENDING/REVERT");
	assert_string_equal(fixture_state(f, "a"), "SUCCESS/REVERT");
	assert_int_equal(tf_engine_flow_state(f->engine), TF_FAILURE);
	fixture_delete(f);
}

static void test_never_resolve(void **state)
{
	(void)state;
	struct fixture *f = run(FLOW(MAP(", \"fail_elements\": [2]")),
		"{\"never_resolve\": true, \"store\": {\"xs\": [1, 2, 3]}}");
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-m[2]");
	assert_string_equal(fixture_state(f, "m"), "FAILURE/EXECUTE");
	assert_string_equal(fixture_state(f, "m[3]"), "SUCCESS/EXECUTE");
	assert_int_equal(tf_engine_flow_state(f->engine), TF_FAILURE);
	fixture_delete(f);
}

/* Items that were done run again as well: a round is the whole map. */
static void test_retried(void **state)
{
	(void)state;
	struct fixture *f = run(RETRIED(MAP(", \"limit\": 1, \"fail_elements_once\": [2]")), XS("[1, 2, 3]"));
	assert_string_equal(fixture_log(f),
		"flow RUNNING; retry r RUNNING; retry r SUCCESS; task m RUNNING; "
		"task m[1] RUNNING; execute m[1]; task m[1] SUCCESS; task m[2] RUNNING; execute m[2]; "
		"task m[2] FAILURE; task m FAILURE; task m REVERTING; task m[2] REVERTING; revert m[2]; "
		"task m[2] REVERTED; task m[1] REVERTING; revert m[1]; task m[1] REVERTED; task m REVERTED; "
		"retry r RETRYING; task m PENDING; task m[1] PENDING; task m[2] PENDING; retry r RUNNING; "
		"retry r SUCCESS; task m RUNNING; "
		"task m[1] RUNNING; execute m[1]; task m[1] SUCCESS; task m[2] RUNNING; execute m[2]; "
		"task m[2] SUCCESS; task m[3] RUNNING; execute m[3]; task m[3] SUCCESS; task m SUCCESS; flow "
		"SUCCESS");
	fetched(f, "ys", "[1, 2, 3]");
	assert_string_equal(f->histories.data, "[[1,{\"m[2]\":\"boom-m[2]\"}]]");
	fixture_delete(f);
}

static void test_suspended(void **state)
{
	(void)state;
	struct tf_err err;
	struct fixture *f = started(FLOW(MAP(", \"limit\": 2")), XS("[1, 2, 3, 4]"));
	fixture_deliver(f, "m[1]");
	fixture_go_on(f);
	tf_engine_suspend(f->engine);
	f->hold = false;
	fixture_go_on(f);
	assert_int_equal(tf_engine_flow_state(f->engine), TF_SUSPENDED);
	assert_string_equal(fixture_state(f, "m"), "RUNNING/EXECUTE");
	assert_string_equal(fixture_state(f, "m[3]"), "SUCCESS/EXECUTE");
	assert_string_equal(fixture_state(f, "m[4]"), "PENDING/EXECUTE");
	fixture_log(f);
	assert_int_equal(fixture_run(f, &err), 0);
	assert_string_equal(fixture_log(f),
		"flow RUNNING; task m[4] RUNNING; execute m[4]; task m[4] SUCCESS; "
		"task m SUCCESS; flow SUCCESS");
	fetched(f, "ys", "[1, 2, 3, 4]");
	fixture_delete(f);
}

static void test_suspended_while_reverting(void **state)
{
	(void)state;
	struct tf_err err;
	struct fixture *f =
		fixture_new(FLOW(MAP(", \"limit\": 1, \"fail_elements\": [3]")), XS("[1, 2, 3]"), &err);
	f->suspend_at = "task m[2] REVERTED";
	assert_int_equal(fixture_run(f, &err), 0);
	assert_int_equal(tf_engine_flow_state(f->engine), TF_SUSPENDED);
	assert_string_equal(fixture_state(f, "m"), "REVERTING/REVERT");
	fixture_log(f);
	assert_int_equal(fixture_run(f, &err), 0);
	assert_string_equal(fixture_log(f),
		"flow RUNNING; task m[1] REVERTING; revert m[1]; task m[1] REVERTED; "
		"task m REVERTED; flow REVERTED");
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-m[3]");
	fixture_delete(f);
}

/* A failure elsewhere: the map begins no more items, ends with those that ran, and is reverted. */
static void test_cut_short(void **state)
{
	(void)state;
	struct fixture *f = started("{\"kind\": \"unordered\", \"name\": \"f\", \"children\": ["
				    "{\"name\": \"b\", \"fail\": true}, " MAP(", \"limit\": 1") "]}",
		XS("[1, 2, 3]"));
	fixture_deliver(f, "b");
	fixture_go_on(f);
	fixture_log(f);
	f->hold = false;
	fixture_go_on(f);
	assert_string_equal(fixture_log(f),
		"task m[1] SUCCESS; task m SUCCESS; task b REVERTED; task m REVERTING; task m[1] REVERTING; "
		"revert m[1]; task m[1] REVERTED; task m REVERTED; flow REVERTED");
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-b");
	fixture_delete(f);
}

/* A later round may have another list. */
static void test_reset(void **state)
{
	(void)state;
	struct tf_err err;
	struct fixture *f = run(FLOW(MAP("")), XS("[1, 2, 3]"));
	static const char *const lists[] = {"{\"xs\": [5]}", "{\"xs\": [6, 7, 8, 9]}"};
	static const char *const results[] = {"[5]", "[6, 7, 8, 9]"};
	for (int i = 0; i < 2; i++) {
		struct tf_value *store = tf_value_parse(lists[i], strlen(lists[i]), 0, NULL);
		assert_int_equal(tf_engine_reset(f->engine, &err), 0);
		assert_int_equal(tf_engine_item_count(f->engine, fixture_atom(f, "m")), 0);
		tf_engine_inject(f->engine, store, false);
		tf_value_unref(store);
		assert_int_equal(fixture_run(f, &err), 0);
		fetched(f, "ys", results[i]);
	}
	fixture_delete(f);
}

/* What comes twice, or for a round that is over, changes nothing. */
static void test_late_completion(void **state)
{
	(void)state;
	struct tf_err err;
	struct fixture *f = run(FLOW(MAP("")), XS("[1]"));
	unsigned item = fixture_atom(f, "m[1]");
	struct tf_value *result = tf_value_null();
	struct tf_completion late = {.atom = item, .round = 0, .action = TF_EXECUTE, .result = result};
	assert_int_equal(tf_engine_reset(f->engine, &err), 0);
	f->hold = true;
	assert_int_equal(fixture_run(f, &err), 0);
	f->executor.events.done(f->executor.arg, &late);
	fixture_go_on(f);
	assert_string_equal(fixture_state(f, "m[1]"), "RUNNING/EXECUTE");
	f->hold = false;
	fixture_go_on(f);
	fetched(f, "ys", "[1]");
	tf_value_unref(result);
	fixture_delete(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_results_in_order),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_no_list),
		cmocka_unit_test(test_item_fails),
		cmocka_unit_test(test_two_items_fail),
		cmocka_unit_test(test_item_revert_fails),
		cmocka_unit_test(test_never_resolve),
		cmocka_unit_test(test_retried),
		cmocka_unit_test(test_suspended),
		cmocka_unit_test(test_suspended_while_reverting),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_late_completion),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
