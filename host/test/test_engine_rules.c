/* The run: deciders, what is decided or comes at the wrong time, progress, what is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmocka_all.h"
#include "flow_text.h"

/* --- ENGINE.md 4.1 ----------------------------------------------------------------------- */

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
	struct fixture *f = flow_ran(flow, "{}");
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
		flow_ran(FLOW("graph", "f",
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
	flow_assert_state(f, "b", "IGNORE/IGNORE");
	flow_assert_state(f, "c", "SUCCESS/EXECUTE");
	flow_assert_state(f, "i", "SUCCESS/EXECUTE");
	fixture_delete(f);
}

/* d waits for x, although everything between was ignored at once. */
static void test_ignored_still_waits(void **state)
{
	(void)state;
	struct fixture *f =
		flow_made(FLOW("graph", "f",
				  "\"links\": [{\"from\": \"a\", \"to\": \"b\", \"decider\": false, "
				  "\"depth\": \"NEIGHBORS\"},"
				  "{\"from\": \"b\", \"to\": \"c\"}, {\"from\": \"c\", \"to\": "
				  "\"d\"}, {\"from\": \"x\", \"to\": \"c\"}], ",
				  TASK("a"), TASK("b"), TASK("c"), TASK("d"), TASK("x")),
			"{}");
	f->hold = true;
	flow_go(f);
	fixture_deliver(f, "a");
	fixture_go_on(f);
	flow_assert_state(f, "c", "IGNORE/IGNORE");
	flow_assert_state(f, "d", "PENDING/EXECUTE");
	fixture_deliver(f, "x");
	fixture_go_on(f);
	flow_assert_state(f, "d", "RUNNING/EXECUTE");
	fixture_delete(f); /* in the middle: everything is released */
}

static void test_decider_raises(void **state)
{
	(void)state;
	struct fixture *f =
		flow_ran(FLOW("graph", "f",
				 "\"links\": [{\"from\": \"a\", \"to\": \"b\", \"decider\": \"no idea\"}], ",
				 TASK("a"), TASK("b")),
			"{}");
	flow_assert_ends_in(fixture_log(f), "task a SUCCESS; flow FAILURE");
	assert_string_equal(fixture_raised(f), "RuntimeError: no idea");
	flow_assert_state(f, "b", "PENDING/EXECUTE");
	fixture_delete(f);
}

static void test_on_failure_raises(void **state)
{
	(void)state;
	struct fixture *f =
		flow_ran(FLOW("linear", "f", RETRY("Broken", "r", ""), TASK("a"), FAILS("b", "true")), "{}");
	flow_assert_ends_in(fixture_log(f), "task b FAILURE; flow FAILURE");
	assert_string_equal(fixture_raised(f), "ValueError: Unknown atom failure resolution action/strategy");
	flow_assert_state(f, "a", "SUCCESS/EXECUTE");
	fixture_delete(f);
}

/* A controller that was ignored is passed over; the reference breaks. */
static void test_ignored_retry(void **state)
{
	(void)state;
	const char *flow = FLOW("graph", "f",
		"\"links\": [{\"from\": \"a\", \"to\": \"g\", \"decider\": false, \"depth\": \"ATOM\"}], ",
		TASK("a"), FLOW("linear", "g", RETRY("Times", "r", ", \"attempts\": 3"), FAILS("b", "true")));
	struct fixture *f = flow_ran(flow, "{}");
	flow_assert_ends_in(fixture_log(f),
		"revert b; task b REVERTED; task a REVERTING; revert a; task a REVERTED; flow REVERTED");
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-b");
	fixture_delete(f);
	f = flow_ran(flow, QUIRKS);
	flow_assert_ends_in(fixture_log(f), "task b FAILURE; flow FAILURE");
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
	struct fixture *f = flow_made(
		FLOW("linear", "f", RETRY("Times", "r", ", \"attempts\": 2"), FAILS("a", "1"), TASK("b")),
		"{}");
	f->hold = true;
	flow_go(f);
	int64_t round = f->works[0].round;
	done(f, "b", 0, TF_EXECUTE);         /* not running */
	done(f, "a", round + 1, TF_EXECUTE); /* not its round */
	done(f, "a", round, TF_REVERT);      /* not its action */
	fixture_go_on(f);
	flow_assert_state(f, "a", "RUNNING/EXECUTE");
	flow_assert_state(f, "b", "PENDING/EXECUTE");
	fixture_deliver(f, "a");
	done(f, "a", round, TF_EXECUTE); /* it failed already */
	fixture_go_on(f);
	flow_assert_state(f, "a", "REVERTING/REVERT");
	fixture_deliver(f, "a");
	fixture_go_on(f);
	flow_assert_state(f, "a", "RUNNING/EXECUTE"); /* second round */
	assert_int_equal(f->works[0].round, round + 1);
	done(f, "a", round, TF_EXECUTE); /* of the first */
	fixture_go_on(f);
	flow_assert_state(f, "a", "RUNNING/EXECUTE");
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
	struct fixture *f = flow_made(FLOW("linear", "f", "", TASK("a"), FAILS("b", "true")), "{}");
	f->hold = f->log_tasks = true;
	flow_go(f);
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
	struct fixture *f = flow_made(FLOW("unordered", "f", "", TASK("a"), TASK("b"), TASK("c")), "{}");
	f->refuse_submit = 2;
	flow_go(f);
	assert_string_equal(fixture_log(f),
		"flow RUNNING; task a RUNNING; execute a; task b RUNNING; task a SUCCESS; flow FAILURE");
	assert_non_null(strstr(fixture_raised(f), "ExecutionFailure: executor refuses 'b'"));
	flow_assert_state(f, "b", "RUNNING/EXECUTE");
	flow_assert_state(f, "c", "PENDING/EXECUTE");
	flow_go(f);
	assert_string_equal(fixture_log(f),
		"flow RUNNING; execute b; task c RUNNING; execute c; task b SUCCESS; task c SUCCESS; "
		"flow SUCCESS");
	fixture_delete(f);
}

static void test_not_while_running(void **state)
{
	(void)state;
	struct tf_err err;
	struct fixture *f = flow_made(FLOW("linear", "f", "", TASK("a")), "{}");
	f->hold = true;
	flow_go(f);
	assert_int_equal(tf_engine_start(f->engine, &err), TF_ESTATE);
	assert_int_equal(tf_engine_reset(f->engine, &err), TF_ESTATE);
	fixture_delete(f);
}

static void test_uuids(void **state)
{
	(void)state;
	struct fixture *f = flow_made(FLOW("linear", "f", "", TASK("a"), TASK("b")), "{}");
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
		struct fixture *f = flow_ran(flow, quirks ? QUIRKS : "{}");
		assert_string_equal(fixture_calls(f), "execute a {\"n\": 1}");
		assert_int_equal(tf_engine_reset(f->engine, NULL), 0);
		flow_go(f);
		assert_string_equal(
			fixture_calls(f), quirks ? "execute a {\"n\": 2}" : "execute a {\"n\": 1}");
		fixture_delete(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
