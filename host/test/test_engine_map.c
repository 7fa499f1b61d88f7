/* Map atoms: their items are scheduled, fail, are reverted, retried and suspended like atoms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
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

/* --- anything goes ----------------------------------------------------------------------- */

struct dice {
	uint64_t state;
};

static unsigned roll(struct dice *d, unsigned sides)
{
	d->state = d->state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(d->state >> 33) % sides;
}

/* Beside a map under a retry, a task that may fail, too. */
static struct fixture *random_fixture(struct dice *d)
{
	char flow[1024], options[256];
	struct tf_err err;
	unsigned items = roll(d, 6);
	snprintf(flow, sizeof flow,
		"{\"kind\": \"unordered\", \"name\": \"f\", \"children\": ["
		"{\"kind\": \"linear\", \"name\": \"g\", \"retry\": {\"name\": \"r\", \"class\": \"Times\", "
		"\"attempts\": %u}, \"children\": [{\"name\": \"a\"}, {\"name\": \"m\", \"requires\": "
		"[\"xs\"], "
		"\"each\": \"xs\", \"provides\": \"ys\", \"limit\": %u, \"%s\": [%u, %u], "
		"\"revert_fail_elements\": [%u]}, {\"name\": \"z\", \"fail\": %u}]}, "
		"{\"name\": \"b\", \"fail\": %u}, {\"name\": \"c\"}]}",
		1 + roll(d, 3), roll(d, 4), roll(d, 2) ? "fail_elements" : "fail_elements_once", roll(d, 9),
		roll(d, 9), roll(d, 4) ? 99 : roll(d, 6), roll(d, 2), roll(d, 3) == 0);
	size_t at = (size_t)snprintf(options, sizeof options, "{\"never_resolve\": %s, \"store\": {\"xs\": [",
		roll(d, 8) ? "false" : "true");
	for (unsigned i = 0; i < items; i++)
		at += (size_t)snprintf(options + at, sizeof options - at, "%s%u", i ? ", " : "", i);
	snprintf(options + at, sizeof options - at, "]}}");
	struct fixture *f = fixture_new(flow, options, &err);
	assert_non_null(f);
	f->hold = true;
	f->gives_back = roll(d, 2);
	return f;
}

static void play(struct fixture *f, struct dice *d)
{
	struct tf_err err;
	unsigned steps = 0;
	assert_int_equal(fixture_run(f, &err), 0);
	while (!tf_engine_finished(f->engine)) {
		assert_true(++steps < 1000);
		if (roll(d, 12) == 0)
			tf_engine_suspend(f->engine);
		if (f->work_count > 0 && roll(d, 4)) {
			const struct fixture_work *w = &f->works[roll(d, (unsigned)f->work_count)];
			char name[32];
			snprintf(name, sizeof name, "%s", tf_engine_atom_name(f->engine, w->atom));
			fixture_deliver(f, name);
		}
		tf_engine_step(f->engine);
	}
}

/* How often the log says so of an item. */
static unsigned count(const char *log, size_t item, const char *what)
{
	char text[64];
	unsigned n = 0;
	snprintf(text, sizeof text, "task m[%zu] %s", item + 1, what);
	for (const char *at = log; (at = strstr(at, text)); at += strlen(text))
		n += at[strlen(text)] == ';' || at[strlen(text)] == '\0';
	return n;
}

static void check_end(struct fixture *f, const char *log)
{
	enum tf_state flow = tf_engine_flow_state(f->engine);
	unsigned m = fixture_atom(f, "m");
	enum tf_state map = tf_engine_atom_state(f->engine, m);
	assert_int_equal(f->work_count, 0);
	for (size_t i = 0; i < tf_engine_item_count(f->engine, m); i++) {
		enum tf_state item = tf_engine_atom_state(f->engine, tf_engine_item_at(f->engine, m, i));
		unsigned ended = count(log, i, "SUCCESS") + count(log, i, "FAILURE");
		if (flow == TF_FAILURE) /* it may have been withdrawn, or lost its map */
			continue;
		assert_true(item == TF_PENDING || item == (flow == TF_SUCCESS ? TF_SUCCESS : TF_REVERTED));
		/* What was done stays done, or is undone once. */
		assert_int_equal(ended, count(log, i, "REVERTED") + (item == TF_SUCCESS));
	}
	if (map == TF_SUCCESS && flow == TF_SUCCESS) {
		char expected[64] = "[";
		for (size_t i = 0; i < tf_engine_item_count(f->engine, m); i++)
			snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%s%zu",
				i ? ", " : "", i);
		strcat(expected, "]");
		fetched(f, "ys", expected);
	}
}

/* With TF_TRACE set, prints what happened for each seed. */
static void test_anything_goes(void **state)
{
	(void)state;
	unsigned ends[TF_STATE_COUNT] = {0};
	for (unsigned seed = 0; seed < 3000; seed++) {
		struct dice d = {seed * 2654435761u + 1};
		struct fixture *f = random_fixture(&d);
		for (int runs = 0; runs == 0 || tf_engine_flow_state(f->engine) == TF_SUSPENDED; runs++)
			play(f, &d);
		ends[tf_engine_flow_state(f->engine)]++;
		const char *log = fixture_log(f);
		if (getenv("TF_TRACE"))
			printf("seed %u: %s\n\n", seed, log);
		check_end(f, log);
		fixture_delete(f);
	}
	assert_true(ends[TF_SUCCESS] > 300 && ends[TF_REVERTED] > 300 && ends[TF_FAILURE] > 100);
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
		cmocka_unit_test(test_anything_goes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
