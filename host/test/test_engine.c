/* The run: worked sequences of ENGINE.md 18, suspend, reset and rerun. */
#include <string.h>

#include "cmocka_all.h"
#include "flow_text.h"

/* 1: the failed task is reverted first, with its failure as result; flow_failures is the same for all. */
static void test_linear_fails(void **state)
{
	(void)state;
	struct fixture *f = flow_ran(
		FLOW("linear", "f", "", TASK("a"), "{\"name\": \"b\", \"result\": 5}", FAILS("c", "true")),
		"{}");
	const char *calls = fixture_calls(f);
	const char *c = strstr(calls, "revert c {} failed  {\"c\": {"),
		   *b = strstr(calls, "revert b {} 5 {\"c\": {"),
		   *a = strstr(calls, "revert a {} null {\"c\": {");
	assert_true(a && b && c && c < b && b < a);
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-c");
	unsigned atom;
	tf_engine_failure(f->engine, 0, &atom);
	assert_int_equal(atom, fixture_atom(f, "c"));
	assert_int_equal(f->starts, 1);
	assert_int_equal(f->stops, 1);
	fixture_delete(f);
}

/* 2 */
static void test_revert_fails(void **state)
{
	(void)state;
	struct fixture *f = flow_ran(FLOW("linear", "f", "", TASK("a"),
					     "{\"name\": \"b\", \"revert_fail\": true}", FAILS("c", "true")),
		"{}");
	flow_assert_ends_in(fixture_log(f),
		"task c REVERTED; task b REVERTING; revert b; task b REVERT_FAILURE; flow FAILURE");
	flow_assert_state(f, "a", "SUCCESS/REVERT");
	assert_string_equal(fixture_raised(f), "ValueError: rboom-b");
	/* Running again without a reset does nothing and tells of all. */
	flow_go(f);
	assert_string_equal(fixture_log(f), "flow RUNNING; flow REVERTED");
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-c; ValueError: rboom-b");
	/* After a reset everything runs anew. */
	assert_int_equal(tf_engine_reset(f->engine, NULL), 0);
	assert_string_equal(fixture_log(f), "task a PENDING; task b PENDING; task c PENDING; flow PENDING");
	f->failures_left[fixture_atom(f, "c")] = 0;
	flow_go(f);
	flow_assert_ends_in(fixture_log(f), "flow SUCCESS");
	assert_int_equal(tf_engine_failure_count(f->engine), 0);
	assert_int_equal(f->starts, f->stops);
	fixture_delete(f);
}

/* reset from FAILURE itself: the flow does not pass PENDING. */
static void test_reset_after_failure(void **state)
{
	(void)state;
	struct fixture *f = flow_ran(FLOW("linear", "f", "", FAILS("a", "1")), "{\"never_resolve\": true}");
	fixture_log(f);
	assert_int_equal(tf_engine_reset(f->engine, NULL), 0);
	assert_string_equal(fixture_log(f), "task a PENDING");
	flow_go(f);
	assert_string_equal(
		fixture_log(f), "flow RUNNING; task a RUNNING; execute a; task a SUCCESS; flow SUCCESS");
	fixture_delete(f);
}

/* 3, 4: see the scenarios. Here: what the tasks are given, and rounds. */
static void test_retry_arguments(void **state)
{
	(void)state;
	struct fixture *f =
		flow_ran(FLOW("linear", "f", RETRY("Times", "r", ", \"attempts\": 3, \"provides\": \"n\""),
				 "{\"name\": \"a\", \"requires\": [\"n\"]}", FAILS("b", "1")),
			"{}");
	const char *calls = fixture_calls(f);
	assert_non_null(
		strstr(calls, "execute a {\"n\": 1}; execute b {}; on_failure r 1; revert b {} failed"));
	flow_assert_ends_in(calls, "execute a {\"n\": 2}; execute b {}");
	assert_int_equal(tf_engine_flow_state(f->engine), TF_SUCCESS);
	assert_int_equal(tf_engine_failure_count(f->engine), 0);
	fixture_delete(f);
}

/* 7: the inner retry is asked, then the outer one, whose RETRY holds; the inner's history is cleared. */
static void test_nested_retries(void **state)
{
	(void)state;
	struct fixture *f = flow_ran(
		FLOW("linear", "f", RETRY("Times", "outer", ", \"attempts\": 2"), TASK("z"),
			FLOW("linear", "g", RETRY("Times", "inner", ", \"attempts\": 2"), FAILS("a", "3"))),
		"{}");
	const char *log = fixture_calls(f);
	assert_non_null(strstr(log, "on_failure inner 1; "));
	assert_non_null(strstr(log, "on_failure inner 2; on_failure outer 1; "));
	assert_non_null(strstr(log, "revert inner 2; revert z"));
	assert_int_equal(tf_engine_flow_state(f->engine), TF_SUCCESS);
	fixture_delete(f);
}

/* 15: the failure is in the newest entry before the question; revert sees them all. */
static void test_history(void **state)
{
	(void)state;
	struct fixture *f = flow_ran(FLOW("linear", "f", RETRY("ForEach", "r", ", \"values\": [10, [20]]"),
					     FLOW("unordered", "u", "", FAILS("a", "true"), FAILS("b", "1"))),
		"{}");
	assert_string_equal(f->histories.data,
		"[[10,{\"a\":\"boom-a\"}]]; [[10,{\"a\":\"boom-a\",\"b\":\"boom-b\"}]]; "
		"[[10,{\"a\":\"boom-a\",\"b\":\"boom-b\"}],[[20],{\"a\":\"boom-a\"}]]; "
		"[[10,{\"a\":\"boom-a\",\"b\":\"boom-b\"}],[[20],{\"a\":\"boom-a\"}]]");
	fixture_delete(f);

	/* The outer controller blames the inner one, with the failure of the atom. */
	f = flow_ran(FLOW("linear", "f", RETRY("AlwaysRevert", "outer", ""),
			     FLOW("linear", "g", RETRY("AlwaysRevert", "inner", ""), FAILS("a", "true"))),
		"{\"defer_reverts\": true}");
	const char *expected = "[[null,{\"a\":\"boom-a\"}]]; [[null,{\"inner\":\"boom-a\"}]]; ";
	assert_memory_equal(f->histories.data, expected, strlen(expected));
	fixture_delete(f);
}

/* 10: a failure that was retried successfully is gone, unless the reference's memory is asked for. */
static void test_stale_failures(void **state)
{
	(void)state;
	const char *flow = FLOW("linear", "f", "",
		FLOW("linear", "g", RETRY("Times", "r", ", \"attempts\": 2"), FAILS("a", "1")),
		FAILS("c", "true"));
	struct fixture *f = flow_ran(flow, QUIRKS);
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-a; RuntimeError: boom-c");
	assert_non_null(strstr(fixture_calls(f), "revert a {} null {\"a\": {"));
	fixture_delete(f);
	f = flow_ran(flow, "{}");
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-c");
	assert_non_null(strstr(fixture_calls(f), "revert a {} null {\"c\": {"));
	fixture_delete(f);
}

/* 11: failures at the same time are reported together, in node order. */
static void test_two_failures(void **state)
{
	(void)state;
	struct fixture *f = flow_made(
		FLOW("unordered", "f", "", FAILS("a", "true"), FAILS("b", "true"), TASK("c")), "{}");
	f->hold = true;
	flow_go(f);
	fixture_deliver(f, "b");
	fixture_go_on(f);
	fixture_deliver(f, "a");
	fixture_go_on(f);
	fixture_deliver(f, "b");
	fixture_deliver(f, "c"); /* finishes after reverting was decided: reverted in turn */
	fixture_go_on(f);
	flow_assert_state(f, "c", "REVERTING/REVERT");
	f->hold = false;
	fixture_go_on(f);
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-a; RuntimeError: boom-b");
	flow_assert_state(f, "c", "REVERTED/REVERT");
	/* Reverting was decided when a failed: the reference files that under revert. */
	fixture_delete(f);
	f = flow_made(FLOW("unordered", "f", "", FAILS("a", "true"), FAILS("b", "true")), QUIRKS);
	f->hold = true;
	flow_go(f);
	fixture_deliver(f, "b");
	fixture_go_on(f);
	fixture_deliver(f, "a");
	f->hold = false;
	fixture_go_on(f);
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-b; RuntimeError: boom-a");
	fixture_delete(f);
}

/* 13: an ignored atom keeps its state, with the intention of the others. */
static void test_revert_past_ignored(void **state)
{
	(void)state;
	struct fixture *f = flow_ran(
		FLOW("graph", "f",
			"\"links\": [{\"from\": \"a\", \"to\": \"b\", \"decider\": false, \"depth\": "
			"\"ATOM\"},"
			"{\"from\": \"b\", \"to\": \"c\"}, {\"from\": \"c\", \"to\": \"d\"}], ",
			TASK("a"), TASK("b"), TASK("c"), FAILS("d", "true")),
		"{}");
	flow_assert_ends_in(fixture_log(f),
		"task d REVERTED; task c REVERTING; revert c; task c REVERTED; task a "
		"REVERTING; revert a; task a REVERTED; "
		"flow REVERTED");
	flow_assert_state(f, "b", "IGNORE/REVERT");
	fixture_delete(f);
}

/* 14 */
static void test_priority(void **state)
{
	(void)state;
	struct fixture *f = flow_ran(
		FLOW("unordered", "f", "", "{\"name\": \"lo\", \"priority\": 1}",
			"{\"name\": \"hi\", \"priority\": 5}", "{\"name\": \"mid\", \"priority\": 3}",
			"{\"name\": \"also\", \"priority\": 3}", "{\"name\": \"less\", \"priority\": -1}"),
		"{}");
	assert_string_equal(fixture_calls(f),
		"execute hi {}; execute mid {}; execute also {}; execute lo {}; execute less {}");
	fixture_delete(f);
}

/* 16, and section 12. */
static void test_suspend(void **state)
{
	(void)state;
	struct fixture *f = flow_made(FLOW("linear", "f", "", TASK("a"), TASK("b")), "{}");
	tf_engine_suspend(f->engine); /* not running: nothing */
	f->suspend_at = "task a SUCCESS";
	flow_go(f);
	flow_assert_ends_in(fixture_log(f), "task a SUCCESS; flow SUSPENDING; flow SUSPENDED");
	assert_int_equal(tf_engine_failure_count(f->engine), 0);
	f->suspend_at = NULL;
	flow_go(f);
	assert_string_equal(
		fixture_log(f), "flow RUNNING; task b RUNNING; execute b; task b SUCCESS; flow SUCCESS");
	flow_go(f);
	assert_string_equal(fixture_log(f), "flow RUNNING; flow SUCCESS");
	assert_int_equal(tf_engine_reset(f->engine, NULL), 0);
	assert_string_equal(fixture_log(f), "task a PENDING; task b PENDING; flow PENDING");
	f->suspend_at = "task b SUCCESS"; /* nothing left: the natural end */
	flow_go(f);
	flow_assert_ends_in(fixture_log(f), "task b SUCCESS; flow SUSPENDING; flow SUCCESS");
	fixture_delete(f);
}

static void test_suspend_reverting(void **state)
{
	(void)state;
	struct fixture *f =
		flow_made(FLOW("linear", "f", "", TASK("a"), TASK("b"), FAILS("c", "true")), "{}");
	f->suspend_at = "task b REVERTED";
	flow_go(f);
	flow_assert_ends_in(fixture_log(f), "task b REVERTED; flow SUSPENDING; flow SUSPENDED");
	assert_int_equal(tf_engine_failure_count(f->engine), 0);
	flow_go(f);
	assert_string_equal(
		fixture_log(f), "flow RUNNING; task a REVERTING; revert a; task a REVERTED; flow REVERTED");
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-c");
	/* REVERTED: the next run resets by itself. */
	f->suspend_at = NULL;
	f->failures_left[fixture_atom(f, "c")] = 0;
	flow_go(f);
	const char *log = fixture_log(f);
	const char *start =
		"task a PENDING; task b PENDING; task c PENDING; flow PENDING; flow RUNNING; task a RUNNING";
	assert_memory_equal(log, start, strlen(start));
	flow_assert_ends_in(log, "flow SUCCESS");
	fixture_delete(f);
}

/* Running atoms finish, nothing new starts; suspending from the middle of a wide flow. */
static void test_suspend_while_running(void **state)
{
	(void)state;
	struct fixture *f = flow_made(
		FLOW("linear", "f", "", FLOW("unordered", "u", "", TASK("a"), TASK("b")), TASK("c")), "{}");
	f->hold = true;
	flow_go(f);
	tf_engine_suspend(f->engine);
	assert_int_equal(tf_engine_flow_state(f->engine), TF_SUSPENDING);
	fixture_deliver(f, "a");
	fixture_go_on(f);
	assert_false(tf_engine_finished(f->engine));
	fixture_deliver(f, "b");
	fixture_go_on(f);
	assert_true(tf_engine_finished(f->engine));
	assert_int_equal(tf_engine_flow_state(f->engine), TF_SUSPENDED);
	fixture_delete(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_linear_fails),
		cmocka_unit_test(test_revert_fails),
		cmocka_unit_test(test_reset_after_failure),
		cmocka_unit_test(test_retry_arguments),
		cmocka_unit_test(test_nested_retries),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_stale_failures),
		cmocka_unit_test(test_two_failures),
		cmocka_unit_test(test_revert_past_ignored),
		cmocka_unit_test(test_priority),
		cmocka_unit_test(test_suspend),
		cmocka_unit_test(test_suspend_reverting),
		cmocka_unit_test(test_suspend_while_running),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
