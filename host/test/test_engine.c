/* The run: worked sequences of ENGINE.md 4.1 and 18, suspend, reset and rerun, progress, late messages,
 * and random flows where only rules that hold for every run are checked. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/graph_internal.h"
#include "engine_fixture.h"
#include "protocol/failure.h"
#include "random_flow.h"

/* Children, up to seven, with commas between. */
#define J1(a) a
#define J2(a, ...) a ", " J1(__VA_ARGS__)
#define J3(a, ...) a ", " J2(__VA_ARGS__)
#define J4(a, ...) a ", " J3(__VA_ARGS__)
#define J5(a, ...) a ", " J4(__VA_ARGS__)
#define J6(a, ...) a ", " J5(__VA_ARGS__)
#define J7(a, ...) a ", " J6(__VA_ARGS__)
#define PICK(j1, j2, j3, j4, j5, j6, j7, j, ...) j
#define JOIN(...) PICK(__VA_ARGS__, J7, J6, J5, J4, J3, J2, J1, 0)(__VA_ARGS__)
#define FLOW(kind, name, rest, ...) \
	"{\"kind\": \"" kind "\", \"name\": \"" name "\", " rest "\"children\": [" JOIN(__VA_ARGS__) "]}"
#define TASK(name) "{\"name\": \"" name "\"}"
#define FAILS(name, n) "{\"name\": \"" name "\", \"fail\": " n "}"
#define RETRY(cls, name, rest) "\"retry\": {\"class\": \"" cls "\", \"name\": \"" name "\"" rest "}, "
#define QUIRKS "{\"reference_quirks\": true}"

static struct fixture *made(const char *flow, const char *options)
{
	struct tf_err err;
	struct fixture *f = fixture_new(flow, options, &err);
	if (!f)
		fail_msg("%s", err.message);
	return f;
}

static void go(struct fixture *f)
{
	struct tf_err err;
	if (fixture_run(f, &err) != 0)
		fail_msg("%s", err.message);
}

static struct fixture *ran(const char *flow, const char *options)
{
	struct fixture *f = made(flow, options);
	go(f);
	return f;
}

static bool ends_in(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);
	return n >= m && strcmp(text + n - m, end) == 0;
}

static void assert_ends_in(const char *text, const char *end)
{
	if (!ends_in(text, end))
		fail_msg("\"%s\" does not end in \"%s\"", text, end);
}

static void assert_state(const struct fixture *f, const char *atom, const char *expected)
{
	assert_string_equal(fixture_state(f, atom), expected);
}

/* --- section 18 -------------------------------------------------------------------------- */

/* 1: the failed task is reverted first, with its failure as result; flow_failures is the same for all. */
static void test_linear_fails(void **state)
{
	(void)state;
	struct fixture *f = ran(
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
	struct fixture *f = ran(FLOW("linear", "f", "", TASK("a"), "{\"name\": \"b\", \"revert_fail\": true}",
					FAILS("c", "true")),
		"{}");
	assert_ends_in(fixture_log(f),
		"task c REVERTED; task b REVERTING; revert b; task b REVERT_FAILURE; flow FAILURE");
	assert_state(f, "a", "SUCCESS/REVERT");
	assert_string_equal(fixture_raised(f), "ValueError: rboom-b");
	/* Running again without a reset does nothing and tells of all. */
	go(f);
	assert_string_equal(fixture_log(f), "flow RUNNING; flow REVERTED");
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-c; ValueError: rboom-b");
	/* After a reset everything runs anew. */
	assert_int_equal(tf_engine_reset(f->engine, NULL), 0);
	assert_string_equal(fixture_log(f), "task a PENDING; task b PENDING; task c PENDING; flow PENDING");
	f->failures_left[fixture_atom(f, "c")] = 0;
	go(f);
	assert_ends_in(fixture_log(f), "flow SUCCESS");
	assert_int_equal(tf_engine_failure_count(f->engine), 0);
	assert_int_equal(f->starts, f->stops);
	fixture_delete(f);
}

/* reset from FAILURE itself: the flow does not pass PENDING. */
static void test_reset_after_failure(void **state)
{
	(void)state;
	struct fixture *f = ran(FLOW("linear", "f", "", FAILS("a", "1")), "{\"never_resolve\": true}");
	fixture_log(f);
	assert_int_equal(tf_engine_reset(f->engine, NULL), 0);
	assert_string_equal(fixture_log(f), "task a PENDING");
	go(f);
	assert_string_equal(
		fixture_log(f), "flow RUNNING; task a RUNNING; execute a; task a SUCCESS; flow SUCCESS");
	fixture_delete(f);
}

/* 3, 4: see the scenarios. Here: what the tasks are given, and rounds. */
static void test_retry_arguments(void **state)
{
	(void)state;
	struct fixture *f =
		ran(FLOW("linear", "f", RETRY("Times", "r", ", \"attempts\": 3, \"provides\": \"n\""),
			    "{\"name\": \"a\", \"requires\": [\"n\"]}", FAILS("b", "1")),
			"{}");
	const char *calls = fixture_calls(f);
	assert_non_null(
		strstr(calls, "execute a {\"n\": 1}; execute b {}; on_failure r 1; revert b {} failed"));
	assert_ends_in(calls, "execute a {\"n\": 2}; execute b {}");
	assert_int_equal(tf_engine_flow_state(f->engine), TF_SUCCESS);
	assert_int_equal(tf_engine_failure_count(f->engine), 0);
	fixture_delete(f);
}

/* 7: the inner retry is asked, then the outer one, whose RETRY holds; the inner's history is cleared. */
static void test_nested_retries(void **state)
{
	(void)state;
	struct fixture *f = ran(
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
	struct fixture *f = ran(FLOW("linear", "f", RETRY("ForEach", "r", ", \"values\": [10, [20]]"),
					FLOW("unordered", "u", "", FAILS("a", "true"), FAILS("b", "1"))),
		"{}");
	assert_string_equal(f->histories.data,
		"[[10,{\"a\":\"boom-a\"}]]; [[10,{\"a\":\"boom-a\",\"b\":\"boom-b\"}]]; "
		"[[10,{\"a\":\"boom-a\",\"b\":\"boom-b\"}],[[20],{\"a\":\"boom-a\"}]]; "
		"[[10,{\"a\":\"boom-a\",\"b\":\"boom-b\"}],[[20],{\"a\":\"boom-a\"}]]");
	fixture_delete(f);

	/* The outer controller blames the inner one, with the failure of the atom. */
	f = ran(FLOW("linear", "f", RETRY("AlwaysRevert", "outer", ""),
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
	struct fixture *f = ran(flow, QUIRKS);
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-a; RuntimeError: boom-c");
	assert_non_null(strstr(fixture_calls(f), "revert a {} null {\"a\": {"));
	fixture_delete(f);
	f = ran(flow, "{}");
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-c");
	assert_non_null(strstr(fixture_calls(f), "revert a {} null {\"c\": {"));
	fixture_delete(f);
}

/* 11: failures at the same time are reported together, in node order. */
static void test_two_failures(void **state)
{
	(void)state;
	struct fixture *f =
		made(FLOW("unordered", "f", "", FAILS("a", "true"), FAILS("b", "true"), TASK("c")), "{}");
	f->hold = true;
	go(f);
	fixture_deliver(f, "b");
	fixture_go_on(f);
	fixture_deliver(f, "a");
	fixture_go_on(f);
	fixture_deliver(f, "b");
	fixture_deliver(f, "c"); /* finishes after reverting was decided: reverted in turn */
	fixture_go_on(f);
	assert_state(f, "c", "REVERTING/REVERT");
	f->hold = false;
	fixture_go_on(f);
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-a; RuntimeError: boom-b");
	assert_state(f, "c", "REVERTED/REVERT");
	/* Reverting was decided when a failed: the reference files that under revert. */
	fixture_delete(f);
	f = made(FLOW("unordered", "f", "", FAILS("a", "true"), FAILS("b", "true")), QUIRKS);
	f->hold = true;
	go(f);
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
	struct fixture *f =
		ran(FLOW("graph", "f",
			    "\"links\": [{\"from\": \"a\", \"to\": \"b\", \"decider\": false, \"depth\": "
			    "\"ATOM\"},"
			    "{\"from\": \"b\", \"to\": \"c\"}, {\"from\": \"c\", \"to\": \"d\"}], ",
			    TASK("a"), TASK("b"), TASK("c"), FAILS("d", "true")),
			"{}");
	assert_ends_in(fixture_log(f), "task d REVERTED; task c REVERTING; revert c; task c REVERTED; task a "
				       "REVERTING; revert a; task a REVERTED; "
				       "flow REVERTED");
	assert_state(f, "b", "IGNORE/REVERT");
	fixture_delete(f);
}

/* 14 */
static void test_priority(void **state)
{
	(void)state;
	struct fixture *f = ran(
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
	struct fixture *f = made(FLOW("linear", "f", "", TASK("a"), TASK("b")), "{}");
	tf_engine_suspend(f->engine); /* not running: nothing */
	f->suspend_at = "task a SUCCESS";
	go(f);
	assert_ends_in(fixture_log(f), "task a SUCCESS; flow SUSPENDING; flow SUSPENDED");
	assert_int_equal(tf_engine_failure_count(f->engine), 0);
	f->suspend_at = NULL;
	go(f);
	assert_string_equal(
		fixture_log(f), "flow RUNNING; task b RUNNING; execute b; task b SUCCESS; flow SUCCESS");
	go(f);
	assert_string_equal(fixture_log(f), "flow RUNNING; flow SUCCESS");
	assert_int_equal(tf_engine_reset(f->engine, NULL), 0);
	assert_string_equal(fixture_log(f), "task a PENDING; task b PENDING; flow PENDING");
	f->suspend_at = "task b SUCCESS"; /* nothing left: the natural end */
	go(f);
	assert_ends_in(fixture_log(f), "task b SUCCESS; flow SUSPENDING; flow SUCCESS");
	fixture_delete(f);
}

static void test_suspend_reverting(void **state)
{
	(void)state;
	struct fixture *f = made(FLOW("linear", "f", "", TASK("a"), TASK("b"), FAILS("c", "true")), "{}");
	f->suspend_at = "task b REVERTED";
	go(f);
	assert_ends_in(fixture_log(f), "task b REVERTED; flow SUSPENDING; flow SUSPENDED");
	assert_int_equal(tf_engine_failure_count(f->engine), 0);
	go(f);
	assert_string_equal(
		fixture_log(f), "flow RUNNING; task a REVERTING; revert a; task a REVERTED; flow REVERTED");
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-c");
	/* REVERTED: the next run resets by itself. */
	f->suspend_at = NULL;
	f->failures_left[fixture_atom(f, "c")] = 0;
	go(f);
	const char *log = fixture_log(f);
	const char *start =
		"task a PENDING; task b PENDING; task c PENDING; flow PENDING; flow RUNNING; task a RUNNING";
	assert_memory_equal(log, start, strlen(start));
	assert_ends_in(log, "flow SUCCESS");
	fixture_delete(f);
}

/* Running atoms finish, nothing new starts; suspending from the middle of a wide flow. */
static void test_suspend_while_running(void **state)
{
	(void)state;
	struct fixture *f = made(
		FLOW("linear", "f", "", FLOW("unordered", "u", "", TASK("a"), TASK("b")), TASK("c")), "{}");
	f->hold = true;
	go(f);
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

/* --- section 4.1 ------------------------------------------------------------------------- */

/* a -> b -> c, c -> d, c -> sub(s1, s2); the decider on a -> b says no. */
static void decider_depth(const char *depth, const char *ignored, const char *executed)
{
	char *flow = tf_asprintf(
		FLOW("graph", "f",
			"\"links\": [{\"from\": \"a\", \"to\": \"b\", \"decider\": false, \"depth\": \"%s\"},"
			"{\"from\": \"b\", \"to\": \"c\"}, {\"from\": \"c\", \"to\": \"d\"},"
			"{\"from\": \"c\", \"to\": \"sub\"}], ",
			TASK("a"), TASK("b"), TASK("c"), TASK("d"),
			FLOW("linear", "sub", "", TASK("s1"), TASK("s2"))),
		depth);
	struct fixture *f = ran(flow, "{}");
	free(flow);
	for (unsigned a = 0; a < tf_graph_atom_count(f->graph); a++) {
		const char *name = tf_graph_atom(f->graph, a)->name;
		char word[16];
		snprintf(word, sizeof word, " %s ", name);
		assert_string_equal(
			fixture_state(f, name), strstr(ignored, word) ? "IGNORE/IGNORE" : "SUCCESS/EXECUTE");
		assert_true(!strstr(ignored, word) != !strstr(executed, word));
	}
	assert_int_equal(tf_engine_flow_state(f->engine), TF_SUCCESS);
	fixture_delete(f);
}

static void test_decider_depths(void **state)
{
	(void)state;
	decider_depth("ALL", " b c d s1 s2 ", " a ");
	decider_depth("FLOW", " b c d ", " a s1 s2 ");
	decider_depth("NEIGHBORS", " b c ", " a d s1 s2 ");
	decider_depth("ATOM", " b ", " a c d s1 s2 ");
}

/* History: results of all sources that were not ignored; flows have none. */
static void test_decider_history(void **state)
{
	(void)state;
	struct fixture *f =
		ran(FLOW("graph", "f",
			    "\"links\": [{\"from\": \"a\", \"to\": \"c\", \"decider\": true},"
			    "{\"from\": \"b\", \"to\": \"c\", \"decider\": true},"
			    "{\"from\": \"sub\", \"to\": \"d\", \"decider\": true},"
			    "{\"from\": \"a\", \"to\": \"b\", \"decider\": false, \"depth\": \"ATOM\"},"
			    "{\"from\": \"a\", \"to\": \"into\", \"decider\": true}], ",
			    "{\"name\": \"a\", \"result\": [1]}", TASK("b"), TASK("c"), TASK("d"),
			    FLOW("linear", "sub", "", TASK("s")),
			    FLOW("linear", "into", RETRY("Times", "r", ""), TASK("i"))),
			"{}");
	const char *calls = fixture_calls(f);
	assert_non_null(strstr(calls, "decide {\"a\": [1]}; ")); /* b's, and c's: b was ignored by then */
	assert_non_null(strstr(calls, "decide {}"));
	assert_state(f, "b", "IGNORE/IGNORE");
	assert_state(f, "c", "SUCCESS/EXECUTE");
	assert_state(f, "i", "SUCCESS/EXECUTE");
	fixture_delete(f);
}

/* d waits for x, although everything between was ignored at once. */
static void test_ignored_still_waits(void **state)
{
	(void)state;
	struct fixture *f = made(FLOW("graph", "f",
					 "\"links\": [{\"from\": \"a\", \"to\": \"b\", \"decider\": false, "
					 "\"depth\": \"NEIGHBORS\"},"
					 "{\"from\": \"b\", \"to\": \"c\"}, {\"from\": \"c\", \"to\": "
					 "\"d\"}, {\"from\": \"x\", \"to\": \"c\"}], ",
					 TASK("a"), TASK("b"), TASK("c"), TASK("d"), TASK("x")),
		"{}");
	f->hold = true;
	go(f);
	fixture_deliver(f, "a");
	fixture_go_on(f);
	assert_state(f, "c", "IGNORE/IGNORE");
	assert_state(f, "d", "PENDING/EXECUTE");
	fixture_deliver(f, "x");
	fixture_go_on(f);
	assert_state(f, "d", "RUNNING/EXECUTE");
	fixture_delete(f); /* in the middle: everything is released */
}

static void test_decider_raises(void **state)
{
	(void)state;
	struct fixture *f =
		ran(FLOW("graph", "f",
			    "\"links\": [{\"from\": \"a\", \"to\": \"b\", \"decider\": \"no idea\"}], ",
			    TASK("a"), TASK("b")),
			"{}");
	assert_ends_in(fixture_log(f), "task a SUCCESS; flow FAILURE");
	assert_string_equal(fixture_raised(f), "RuntimeError: no idea");
	assert_state(f, "b", "PENDING/EXECUTE");
	fixture_delete(f);
}

static void test_on_failure_raises(void **state)
{
	(void)state;
	struct fixture *f =
		ran(FLOW("linear", "f", RETRY("Broken", "r", ""), TASK("a"), FAILS("b", "true")), "{}");
	assert_ends_in(fixture_log(f), "task b FAILURE; flow FAILURE");
	assert_string_equal(fixture_raised(f), "ValueError: Unknown atom failure resolution action/strategy");
	assert_state(f, "a", "SUCCESS/EXECUTE");
	fixture_delete(f);
}

/* A controller that was ignored is passed over; the reference breaks. */
static void test_ignored_retry(void **state)
{
	(void)state;
	const char *flow = FLOW("graph", "f",
		"\"links\": [{\"from\": \"a\", \"to\": \"g\", \"decider\": false, \"depth\": \"ATOM\"}], ",
		TASK("a"), FLOW("linear", "g", RETRY("Times", "r", ", \"attempts\": 3"), FAILS("b", "true")));
	struct fixture *f = ran(flow, "{}");
	assert_ends_in(fixture_log(f),
		"revert b; task b REVERTED; task a REVERTING; revert a; task a REVERTED; flow REVERTED");
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-b");
	fixture_delete(f);
	f = ran(flow, QUIRKS);
	assert_ends_in(fixture_log(f), "task b FAILURE; flow FAILURE");
	assert_non_null(strstr(fixture_raised(f), "StorageFailure"));
	fixture_delete(f);
}

/* --- messages of an executor ------------------------------------------------------------- */

static void done(struct fixture *f, const char *atom, int64_t round, enum tf_action action)
{
	struct tf_completion c = {.atom = fixture_atom(f, atom), .round = round, .action = action};
	f->executor.events.done(f->executor.arg, &c);
}

/* Repeated, late and contradictory completions change nothing. */
static void test_late_completions(void **state)
{
	(void)state;
	struct fixture *f = made(
		FLOW("linear", "f", RETRY("Times", "r", ", \"attempts\": 2"), FAILS("a", "1"), TASK("b")),
		"{}");
	f->hold = true;
	go(f);
	int64_t round = f->works[0].round;
	done(f, "b", 0, TF_EXECUTE);         /* not running */
	done(f, "a", round + 1, TF_EXECUTE); /* not its round */
	done(f, "a", round, TF_REVERT);      /* not its action */
	fixture_go_on(f);
	assert_state(f, "a", "RUNNING/EXECUTE");
	assert_state(f, "b", "PENDING/EXECUTE");
	fixture_deliver(f, "a");
	done(f, "a", round, TF_EXECUTE); /* it failed already */
	fixture_go_on(f);
	assert_state(f, "a", "REVERTING/REVERT");
	fixture_deliver(f, "a");
	fixture_go_on(f);
	assert_state(f, "a", "RUNNING/EXECUTE"); /* second round */
	assert_int_equal(f->works[0].round, round + 1);
	done(f, "a", round, TF_EXECUTE); /* of the first */
	fixture_go_on(f);
	assert_state(f, "a", "RUNNING/EXECUTE");
	f->hold = false;
	fixture_go_on(f);
	assert_int_equal(tf_engine_flow_state(f->engine), TF_SUCCESS);
	done(f, "a", round + 1, TF_EXECUTE); /* after the end */
	fixture_deliver_all(f);
	assert_false(tf_engine_step(f->engine));
	fixture_delete(f);
}

static void event(struct fixture *f, const char *atom, int64_t round, const char *type, const char *details)
{
	struct tf_value *v = tf_value_parse(details, strlen(details), 0, NULL);
	f->executor.events.event(f->executor.arg, fixture_atom(f, atom), round, type, v);
	tf_value_unref(v);
}

static void test_progress(void **state)
{
	(void)state;
	struct fixture *f = made(FLOW("linear", "f", "", TASK("a"), FAILS("b", "true")), "{}");
	f->hold = f->log_tasks = true;
	go(f);
	unsigned a = fixture_atom(f, "a");
	assert_string_equal(fixture_log(f),
		"flow RUNNING; task a RUNNING; update_progress a {\"progress\": 0.0}; execute a");
	event(f, "a", 0, "update_progress", "{\"progress\": 0.25}");
	assert_true(tf_engine_atom_progress(f->engine, a) == 0.25);
	event(f, "a", 0, "update_progress", "{\"progress\": 7}");
	assert_true(tf_engine_atom_progress(f->engine, a) == 1.0);
	event(f, "a", 0, "update_progress", "{\"progress\": NaN}");
	assert_true(tf_engine_atom_progress(f->engine, a) == 0.0);
	event(f, "a", 0, "update_progress", "{\"progress\": \"half\"}");
	event(f, "a", 0, "other", "{\"k\": [1]}");
	event(f, "a", 5, "other", "{}"); /* late */
	event(f, "b", 0, "other", "{}"); /* not running */
	assert_string_equal(fixture_log(f),
		"update_progress a {\"progress\": 0.25}; update_progress a {\"progress\": 7}; "
		"update_progress a {\"progress\": NaN}; "
		"update_progress a {\"progress\": \"half\"}; other a {\"k\": [1]}");
	f->hold = false;
	fixture_go_on(f);
	const char *log = fixture_log(f);
	assert_non_null(strstr(log, "task a SUCCESS; update_progress a {\"progress\": 1.0}; "));
	assert_non_null(
		strstr(log, "task b FAILURE; task b REVERTING; update_progress b {\"progress\": 0.0}"));
	assert_non_null(strstr(log, "task b REVERTED; update_progress b {\"progress\": 1.0}"));
	assert_true(tf_engine_atom_progress(f->engine, a) == 1.0);
	fixture_delete(f);
}

/* A submission that fails stops the others and ends the run; the next run begins that atom again. */
static void test_submit_refused(void **state)
{
	(void)state;
	struct fixture *f = made(FLOW("unordered", "f", "", TASK("a"), TASK("b"), TASK("c")), "{}");
	f->refuse_submit = 2;
	go(f);
	assert_string_equal(fixture_log(f),
		"flow RUNNING; task a RUNNING; execute a; task b RUNNING; task a SUCCESS; flow FAILURE");
	assert_non_null(strstr(fixture_raised(f), "ExecutionFailure: executor refuses 'b'"));
	assert_state(f, "b", "RUNNING/EXECUTE");
	assert_state(f, "c", "PENDING/EXECUTE");
	go(f);
	assert_string_equal(fixture_log(f),
		"flow RUNNING; execute b; task c RUNNING; execute c; task b SUCCESS; task c SUCCESS; "
		"flow SUCCESS");
	fixture_delete(f);
}

static void test_not_while_running(void **state)
{
	(void)state;
	struct tf_err err;
	struct fixture *f = made(FLOW("linear", "f", "", TASK("a")), "{}");
	f->hold = true;
	go(f);
	assert_int_equal(tf_engine_start(f->engine, &err), TF_ESTATE);
	assert_int_equal(tf_engine_reset(f->engine, &err), TF_ESTATE);
	fixture_delete(f);
}

static void test_uuids(void **state)
{
	(void)state;
	struct fixture *f = made(FLOW("linear", "f", "", TASK("a"), TASK("b")), "{}");
	assert_int_equal(strlen(tf_engine_flow_uuid(f->engine)), 36);
	assert_int_equal(strlen(tf_engine_atom_uuid(f->engine, 0)), 36);
	assert_string_not_equal(tf_engine_atom_uuid(f->engine, 0), tf_engine_atom_uuid(f->engine, 1));
	fixture_delete(f);
}

/* Quirk: a retry's history survives a reset, so that Times goes on counting. */
static void test_history_over_reset(void **state)
{
	(void)state;
	const char *flow = FLOW("linear", "f", RETRY("Times", "r", ", \"attempts\": 9, \"provides\": \"n\""),
		"{\"name\": \"a\", \"requires\": [\"n\"]}");
	for (int quirks = 0; quirks < 2; quirks++) {
		struct fixture *f = ran(flow, quirks ? QUIRKS : "{}");
		assert_string_equal(fixture_calls(f), "execute a {\"n\": 1}");
		assert_int_equal(tf_engine_reset(f->engine, NULL), 0);
		go(f);
		assert_string_equal(
			fixture_calls(f), quirks ? "execute a {\"n\": 2}" : "execute a {\"n\": 1}");
		fixture_delete(f);
	}
}

/* --- rules for every run ----------------------------------------------------------------- */

struct property {
	struct tf_executor x;
	struct rng *r;
	struct tf_engine *e;
	struct tf_graph *g;
	struct tf_completion *running;
	unsigned running_count;
	unsigned *submits, *dones; /* by atom: in the present round and action */
	enum tf_state *seen;       /* by atom: last notified */
	struct tf_value *value, *failure;
	unsigned fail_one_in, retries;
};

static int p_start(struct tf_executor *x, struct tf_err *err)
{
	(void)x;
	(void)err;
	return 0;
}

static void p_nothing(struct tf_executor *x)
{
	(void)x;
}

static int p_submit(struct tf_executor *x, const struct tf_work *w, struct tf_err *err)
{
	struct property *p = (struct property *)x;
	(void)err;
	for (unsigned i = 0; i < p->running_count; i++)
		assert_int_not_equal(p->running[i].atom, w->atom); /* once at a time */
	bool failed =
		rng_below(p->r, p->fail_one_in) == 0 && (w->action == TF_EXECUTE || rng_below(p->r, 4) == 0);
	p->running[p->running_count++] = (struct tf_completion){.atom = w->atom,
		.round = w->round,
		.action = w->action,
		.failed = failed,
		.result = failed ? p->failure : p->value};
	return 0;
}

static const struct tf_executor_ops p_ops = {
	.name = "property", .start = p_start, .submit = p_submit, .stop = p_nothing, .destroy = p_nothing};

static bool edge_between(const struct tf_graph *g, uint32_t before, uint32_t after)
{
	uint32_t node = g->atom_node[before];
	for (uint32_t e = g->succ_at[node]; e < g->succ_at[node + 1]; e++)
		if (g->succ[e] == g->atom_node[after])
			return true;
	return false;
}

static void p_atom(void *arg, unsigned atom, enum tf_state now, enum tf_state old, struct tf_value *result)
{
	struct property *p = arg;
	(void)result;
	assert_int_equal(p->seen[atom], old);
	bool retry = tf_graph_atom_is_retry(p->g, atom);
	bool reset = now == TF_PENDING && tf_engine_finished(p->e); /* from any state */
	assert_true(reset || (retry ? tf_retry_may(old, now) : tf_task_may(old, now)));
	p->seen[atom] = now;
	for (uint32_t other = 0; other < p->g->atom_count; other++) {
		enum tf_state s = p->seen[other];
		/* Begins after what is before it; reverted before that. */
		if (now == TF_RUNNING && edge_between(p->g, other, atom))
			assert_true(s == TF_SUCCESS || s == TF_IGNORE);
		if (now == TF_REVERTING && edge_between(p->g, atom, other))
			assert_true(s == TF_PENDING || s == TF_REVERTED || s == TF_IGNORE);
	}
}

static struct tf_value *p_retry(void *arg, const struct tf_retry_call *c, bool *failed)
{
	struct property *p = arg;
	(void)c;
	*failed = rng_below(p->r, p->fail_one_in) == 0;
	return tf_value_ref(*failed ? p->failure : p->value);
}

static int p_on_failure(void *arg, const struct tf_retry_call *c, uint64_t *delay, struct tf_value **failure)
{
	struct property *p = arg;
	(void)delay;
	(void)failure;
	assert_true(tf_json_count(tf_value_json(c->history)) > 0);
	if (p->retries > 0 && rng_below(p->r, 3) > 0) {
		p->retries--;
		return TF_DECISION_RETRY;
	}
	return rng_below(p->r, 3) ? TF_DECISION_REVERT : TF_DECISION_REVERT_ALL;
}

static int p_decide(void *arg, int decider, struct tf_value *history, struct tf_value **failure)
{
	struct property *p = arg;
	(void)decider;
	(void)failure;
	assert_int_equal(tf_json_type(tf_value_json(history)), TF_JSON_OBJECT);
	return rng_below(p->r, 3) > 0;
}

static void p_drive(struct property *p)
{
	struct tf_err err;
	assert_int_equal(tf_engine_start(p->e, &err), 0);
	unsigned idle_steps = 0;
	while (!tf_engine_finished(p->e)) {
		bool moved = tf_engine_step(p->e);
		idle_steps = moved ? 0 : idle_steps + 1;
		assert_true(idle_steps < 2 || p->running_count > 0);
		for (unsigned n = rng_below(p->r, 3); n > 0 && p->running_count > 0; n--) {
			unsigned i = rng_below(p->r, p->running_count);
			struct tf_completion c = p->running[i];
			p->running[i] = p->running[--p->running_count];
			p->x.events.done(p->x.arg, &c);
			if (rng_below(p->r, 10) == 0)
				p->x.events.done(p->x.arg, &c); /* twice */
		}
		if (rng_below(p->r, 30) == 0)
			tf_engine_suspend(p->e);
	}
	assert_int_equal(p->running_count, 0);
}

static void p_check_end(struct property *p)
{
	enum tf_state end = tf_engine_flow_state(p->e);
	size_t raised = tf_engine_failure_count(p->e);
	for (uint32_t a = 0; a < p->g->atom_count; a++) {
		enum tf_state s = tf_engine_atom_state(p->e, a);
		assert_int_equal(s, p->seen[a]);
		assert_true(s != TF_RUNNING && s != TF_REVERTING && s != TF_RETRYING);
		if (end == TF_SUCCESS)
			assert_true(s == TF_SUCCESS || s == TF_IGNORE);
	}
	if (end == TF_SUCCESS || end == TF_SUSPENDED)
		assert_int_equal(raised, 0);
	else
		assert_true(raised > 0);
}

static void one_run(uint64_t seed, bool quirks)
{
	struct rng r = rng_seed(seed);
	struct property p = {.x.ops = &p_ops, .r = &r, .retries = 10, .fail_one_in = 4 + rng_below(&r, 30)};
	p.g = random_flow(&r, 5 + rng_below(&r, 50));
	p.running = tf_calloc(p.g->atom_count + 1, sizeof *p.running);
	p.seen = tf_calloc(p.g->atom_count + 1, sizeof *p.seen);
	p.value = tf_value_from((struct tf_json){"1", 1});
	p.failure = tf_failure_format(tf_types_value_error, "planned");
	const struct tf_engine_events events = {.atom = p_atom,
		.retry_execute = p_retry,
		.retry_revert = p_retry,
		.retry_on_failure = p_on_failure,
		.decide = p_decide};
	p.e = tf_engine_new(p.g, &p.x,
		&(struct tf_engine_options){
			.reference_quirks = quirks, .defer_reverts = rng_below(&r, 4) == 0},
		&events, &p);
	for (int run = 0; run < 3; run++) {
		p_drive(&p);
		p_check_end(&p);
	}
	tf_engine_delete(p.e);
	tf_value_unref(p.value);
	tf_value_unref(p.failure);
	free(p.running);
	free(p.seen);
}

static void test_random_runs(void **state)
{
	(void)state;
	uint64_t seed = rng_test_seed("test_engine");
	for (uint64_t i = 0; i < 1500; i++)
		one_run(seed + i, false);
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
		cmocka_unit_test(test_decider_depths),
		cmocka_unit_test(test_decider_history),
		cmocka_unit_test(test_ignored_still_waits),
		cmocka_unit_test(test_decider_raises),
		cmocka_unit_test(test_on_failure_raises),
		cmocka_unit_test(test_ignored_retry),
		cmocka_unit_test(test_late_completions),
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_submit_refused),
		cmocka_unit_test(test_not_while_running),
		cmocka_unit_test(test_uuids),
		cmocka_unit_test(test_history_over_reset),
		cmocka_unit_test(test_random_runs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
