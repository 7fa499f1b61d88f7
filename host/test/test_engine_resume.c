/* Resumption (ENGINE.md 9.6): an engine takes over what another left in a logbook. Expected notifications are those
 * of TaskFlow 5.0.0 for the same details. Then every flow of a list is killed at every commit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "engine_fixture.h"
#include "protocol/failure.h"

#define TASK(name) "{\"name\": \"" name "\"}"
#define FAILS(name, n) "{\"name\": \"" name "\", \"fail\": " n "}"
#define LINEAR(...) "{\"kind\": \"linear\", \"name\": \"f\", \"children\": [" __VA_ARGS__ "]}"
#define ABC LINEAR(TASK("a") "," TASK("b") "," TASK("c"))

static const char *const types_runtime[] = {"RuntimeError", "Exception", NULL};

/* --- one resumption from given details ---------------------------------------------------- */

static struct tf_value *value(const char *text)
{
	return text ? tf_value_parse(text, strlen(text), 0, NULL) : NULL;
}

struct row {
	const char *name, *state, *intention, *results, *meta;
	bool failed; /* has a failure "boom-<name>" */
	bool is_retry;
};

static void add_row(struct fixture_book *b, const struct row *r)
{
	b->rows = tf_realloc(b->rows, (b->count + 1) * sizeof *b->rows);
	struct tf_atom_detail *d = &b->rows[b->count++];
	char uuid[TF_UUID_LEN + 1];
	tf_uuid(uuid);
	*d = (struct tf_atom_detail){.uuid = tf_strdup(uuid),
		.name = tf_strdup(r->name),
		.version = tf_strdup("1.0"),
		.is_retry = r->is_retry,
		.state = tf_strdup(r->state),
		.intention = tf_strdup(r->intention),
		.results = value(r->results),
		.meta = value(r->meta)};
	if (r->failed)
		d->failure = tf_failure_format(types_runtime, "boom-%s", r->name);
}

static struct fixture *resumed(
	const char *flow, const char *options, const char *state, const struct row *rows, size_t count)
{
	static struct fixture_book book;
	struct tf_err err;
	fixture_book_free(&book);
	book.state = tf_strdup(state);
	for (size_t i = 0; i < count; i++)
		add_row(&book, &rows[i]);
	struct fixture *f = fixture_new_in(flow, options, &book, &err);
	if (!f)
		fail_msg("%s", err.message);
	for (size_t i = 0; i < count; i++)
		if (tf_graph_find(f->graph, rows[i].name) >= 0)
			assert_string_equal(tf_engine_atom_uuid(f->engine, fixture_atom(f, rows[i].name)),
				book.rows[i].uuid);
	if (fixture_run(f, &err) != 0)
		fail_msg("%s", err.message);
	return f;
}

#define ROWS(...) \
	(const struct row[]){__VA_ARGS__}, sizeof((const struct row[]){__VA_ARGS__}) / sizeof(struct row)
#define DONE(n) \
	{ \
		n, "SUCCESS", "EXECUTE", "1", NULL, false, false \
	}
#define WAITS(n) \
	{ \
		n, "PENDING", "EXECUTE", NULL, NULL, false, false \
	}

static void check(const char *flow, const char *state, const struct row *rows, size_t count, const char *log)
{
	struct fixture *f = resumed(flow, "{}", state, rows, count);
	assert_string_equal(fixture_log(f), log);
	fixture_delete(f);
}

static void test_running_is_executed_again(void **state)
{
	(void)state;
	check(ABC, "RUNNING",
		ROWS(DONE("a"), {"b", "RUNNING", "EXECUTE", NULL, "{\"progress\": 0.0}", false, false},
			WAITS("c")),
		"flow RESUMING; flow SUSPENDED; flow RUNNING; execute b; task b SUCCESS; task c RUNNING; "
		"execute c; "
		"task c SUCCESS; flow SUCCESS");
	/* Told again only if it had got somewhere. */
	check(ABC, "SUSPENDING",
		ROWS(DONE("a"), {"b", "RUNNING", "EXECUTE", NULL, "{\"progress\": 0.5}", false, false},
			WAITS("c")),
		"flow RESUMING; flow SUSPENDED; flow RUNNING; task b RUNNING; execute b; task b SUCCESS; "
		"task c RUNNING; "
		"execute c; task c SUCCESS; flow SUCCESS");
	check(ABC, "RESUMING", ROWS(DONE("a"), DONE("b"), WAITS("c")),
		"flow SUSPENDED; flow RUNNING; task c RUNNING; execute c; task c SUCCESS; flow SUCCESS");
	check(ABC, "SUSPENDED", ROWS(DONE("a"), DONE("b"), WAITS("c")),
		"flow RUNNING; task c RUNNING; execute c; task c SUCCESS; flow SUCCESS");
}

static void test_new_atoms_and_others(void **state)
{
	(void)state;
	check(ABC, "SUCCESS", ROWS(DONE("a"), DONE("b"), DONE("gone")),
		"flow RUNNING; task c RUNNING; execute c; task c SUCCESS; flow SUCCESS");
}

static void test_failure_is_resolved_again(void **state)
{
	(void)state;
	struct fixture *f = resumed(ABC, "{}", "RUNNING",
		ROWS(DONE("a"), {"b", "FAILURE", "EXECUTE", NULL, "{\"progress\": 0.0}", true, false},
			WAITS("c")));
	assert_string_equal(fixture_log(f), "flow RESUMING; flow SUSPENDED; flow RUNNING; task b REVERTING; "
					    "revert b; task b REVERTED; task a REVERTING; "
					    "revert a; task a REVERTED; flow REVERTED");
	assert_string_equal(fixture_raised(f), "RuntimeError: boom-b");
	fixture_delete(f);
	check(ABC, "RUNNING",
		ROWS(DONE("a"), {"b", "REVERTING", "REVERT", NULL, "{\"progress\": 0.0}", true, false},
			{"c", "PENDING", "REVERT", NULL, NULL, false, false}),
		"flow RESUMING; flow SUSPENDED; flow RUNNING; revert b; task b REVERTED; flow REVERTED");
}

static void test_reverting_goes_on(void **state)
{
	(void)state;
	check(ABC, "RUNNING",
		ROWS({"a", "SUCCESS", "REVERT", "1", NULL, false, false},
			{"b", "REVERTING", "REVERT", NULL, "{\"progress\": 0.0}", true, false},
			{"c", "PENDING", "REVERT", NULL, NULL, false, false}),
		"flow RESUMING; flow SUSPENDED; flow RUNNING; revert b; task b REVERTED; task a REVERTING; "
		"revert a; "
		"task a REVERTED; flow REVERTED");
	/* What was to be reverted does not begin instead. */
	check("{\"kind\": \"unordered\", \"name\": \"f\", \"children\": [" TASK("a") "," TASK("b") "]}",
		"RUNNING",
		ROWS({"a", "REVERTED", "REVERT", NULL, NULL, true, false},
			{"b", "PENDING", "REVERT", NULL, NULL, false, false}),
		"flow RESUMING; flow SUSPENDED; flow RUNNING; flow REVERTED");
}

/* It ran when reverting was decided: nobody knows how far it came, so it ends first and is reverted then. */
static void test_running_that_is_to_revert(void **state)
{
	(void)state;
	check("{\"kind\": \"unordered\", \"name\": \"f\", \"children\": [" TASK("a") "," TASK("b") "]}",
		"RUNNING",
		ROWS({"a", "REVERTED", "REVERT", NULL, NULL, true, false},
			{"b", "RUNNING", "REVERT", NULL, "{\"progress\": 0.0}", false, false}),
		"flow RESUMING; flow SUSPENDED; flow RUNNING; execute b; task b SUCCESS; task b REVERTING; "
		"revert b; "
		"task b REVERTED; flow REVERTED");
}

/* The reference reverts it at once. */
static void test_running_that_is_to_revert_in_the_reference(void **state)
{
	(void)state;
	const struct row rows[] = {{"a", "REVERTED", "REVERT", NULL, NULL, true, false},
		{"b", "RUNNING", "REVERT", NULL, "{\"progress\": 0.0}", false, false}};
	struct fixture *f = resumed(
		"{\"kind\": \"unordered\", \"name\": \"f\", \"children\": [" TASK("a") "," TASK("b") "]}",
		"{\"reference_quirks\": true}", "RUNNING", rows, 2);
	assert_string_equal(fixture_log(f),
		"flow RESUMING; flow SUSPENDED; flow RUNNING; task b REVERTING; revert b; task b REVERTED; "
		"flow REVERTED");
	fixture_delete(f);
}

#define RETRIED \
	"{\"kind\": \"linear\", \"name\": \"f\", \"retry\": {\"class\": \"Times\", \"name\": \"r\", " \
	"\"attempts\": 3}, " \
	"\"children\": [" TASK("a") "," TASK("b") "]}"

static void test_retry(void **state)
{
	(void)state;
	check(RETRIED, "RUNNING",
		ROWS({"r", "RETRYING", "EXECUTE", "[[1, {}]]", NULL, false, true},
			{"a", "REVERTED", "REVERT", NULL, "{\"progress\": 1.0}", true, false}, WAITS("b")),
		"flow RESUMING; flow SUSPENDED; flow RUNNING; task a PENDING; retry r RUNNING; retry r "
		"SUCCESS; task a RUNNING; "
		"execute a; task a SUCCESS; task b RUNNING; execute b; task b SUCCESS; flow SUCCESS");
	/* on_failure is asked again: two of three attempts are used up. */
	check(RETRIED, "RUNNING",
		ROWS({"r", "SUCCESS", "EXECUTE", "[[1, {}], [2, {}]]", NULL, false, true},
			{"a", "FAILURE", "EXECUTE", NULL, "{\"progress\": 0.0}", true, false}, WAITS("b")),
		"flow RESUMING; flow SUSPENDED; flow RUNNING; task a REVERTING; revert a; task a REVERTED; "
		"retry r RETRYING; "
		"task a PENDING; retry r RUNNING; retry r SUCCESS; task a RUNNING; execute a; task a "
		"SUCCESS; task b RUNNING; "
		"execute b; task b SUCCESS; flow SUCCESS");
}

static void test_injected_values(void **state)
{
	(void)state;
	const char *flow = LINEAR("{\"name\": \"a\", \"requires\": [\"x\", \"y\"]}");
	struct fixture *f = resumed(flow, "{\"store\": {\"y\": 3}}", "SUSPENDED",
		ROWS(WAITS("a"), {"_TaskFlow_INJECTOR", "SUCCESS", "EXECUTE", "{\"x\": 1, \"y\": 2}", NULL,
					 false, false}));
	assert_string_equal(fixture_calls(f), "execute a {\"x\": 1, \"y\": 3}");
	assert_string_equal(tf_value_text(fixture_book_row(f->book, "_TaskFlow_INJECTOR")->results),
		"{\"y\": 3, \"x\": 1}");
	fixture_delete(f);
}

static void test_refusals(void **state)
{
	(void)state;
	struct fixture_book book = {0};
	struct tf_err err;
	add_row(&book, &(struct row){"a", "SUCCESS", "EXECUTE", NULL, NULL, false, true});
	assert_null(fixture_new_in(ABC, "{}", &book, &err));
	assert_int_equal(err.code, TF_EEXIST);
	fixture_book_free(&book);
	add_row(&book, &(struct row){"a", "DANCING", "EXECUTE", NULL, NULL, false, false});
	assert_null(fixture_new_in(ABC, "{}", &book, &err));
	assert_int_equal(err.code, TF_EFORMAT);
	fixture_book_free(&book);
	add_row(&book, &(struct row){"r", "SUCCESS", "EXECUTE", "[1]", NULL, false, true});
	assert_null(fixture_new_in(RETRIED, "{}", &book, &err));
	assert_int_equal(err.code, TF_EFORMAT);
	fixture_book_free(&book);
}

/* --- killed at every commit --------------------------------------------------------------- */

#define SUBFLOW(retry, ...) \
	"{\"kind\": \"linear\", \"name\": \"g\", " retry "\"children\": [" __VA_ARGS__ "]}"
#define TIMES(name, n) \
	"\"retry\": {\"class\": \"Times\", \"name\": \"" name "\", \"attempts\": " n \
	", \"provides\": \"n\"}, "

static const char *const flows[] = {
	ABC,
	LINEAR("{\"name\": \"a\", \"provides\": \"x\", \"result\": 1}, {\"name\": \"b\", \"requires\": "
	       "[\"x\"]}"),
	LINEAR(TASK("a") "," TASK("b") "," FAILS("c", "true")),
	LINEAR(TASK("a") ", {\"name\": \"b\", \"revert_fail\": true}," FAILS("c", "true")),
	LINEAR(TASK("z") "," SUBFLOW(TIMES("r", "3"), TASK("a") "," FAILS("b", "2")) "," TASK("y")),
	LINEAR(TASK("z") "," SUBFLOW(TIMES("r", "2"), TASK("a") "," FAILS("b", "true")) "," TASK("y")),
	LINEAR(TASK("z") "," SUBFLOW("\"retry\": {\"class\": \"AlwaysRevertAll\", \"name\": \"r\"}, ",
		TASK("a") "," FAILS("b", "true"))),
	"{\"kind\": \"unordered\", \"name\": \"f\", \"children\": [" TASK("a") "," FAILS(
		"b", "true") "," TASK("c") "]}",
	"{\"kind\": \"unordered\", \"name\": \"f\", \"children\": [" TASK("a") "," TASK("b") "," TASK(
		"c") "]}",
	"{\"kind\": \"graph\", \"name\": \"f\", \"children\": [" TASK("a") "," TASK("b") "," TASK(
		"c") "," TASK("d") "], \"links\": [{\"from\": \"a\", \"to\": \"b\", \"decider\": false, "
				   "\"depth\": \"ATOM\"}, {\"from\": \"b\", \"to\": \"c\"}]}",
	"{\"kind\": \"linear\", \"name\": \"f\", " TIMES("outer", "2") "\"children\": [" TASK(
		"z") "," SUBFLOW("\"retry\": {\"class\": \"Times\", \"name\": \"inner\", \"attempts\": 2}, ",
		FAILS("a", "3")) "," TASK("y") "]}",
	LINEAR("{\"name\": \"l\", \"provides\": \"list\", \"result\": [1, 2, 3]}, "
	       "{\"name\": \"m\", \"requires\": [\"list\"], \"each\": \"list\", \"provides\": "
	       "\"out\"}, " TASK("e")),
	LINEAR("{\"name\": \"l\", \"provides\": \"list\", \"result\": [1, 2, 3]}, "
	       "{\"name\": \"m\", \"requires\": [\"list\"], \"each\": \"list\", \"provides\": "
	       "\"out\"}, " FAILS("e", "true")),
};

/* Final states, results, histories: what must not depend on where an engine died. */
static char *outcome(struct fixture *f)
{
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_puts(&b, tf_state_name(tf_engine_flow_state(f->engine)));
	for (unsigned a = 0; a < tf_graph_atom_count(f->graph); a++) {
		bool failed;
		const char *name = tf_graph_atom(f->graph, a)->name;
		struct tf_value *v = tf_engine_result(f->engine, a, &failed, NULL);
		tf_buf_printf(&b, "; %s %s", name, fixture_state(f, name));
		if (v && !failed && !strstr(tf_value_text(v), "exc_type_names"))
			tf_buf_printf(&b, " %s", tf_value_text(v));
		else if (v && failed)
			tf_buf_puts(&b, " failed");
		tf_value_unref(v);
	}
	struct tf_value *all = tf_engine_fetch_all(f->engine);
	if (!strstr(tf_value_text(all), "exc_type_names"))
		tf_buf_printf(&b, "; %s", tf_value_text(all));
	tf_value_unref(all);
	return tf_buf_steal(&b);
}

/* The reverts that ended, in order: what is told has been committed, so nothing may come twice. */
static void add_reverts(struct tf_buf *b, const char *log)
{
	char *copy = tf_strdup(log), *save;
	for (char *e = strtok_r(copy, ";", &save); e; e = strtok_r(NULL, ";", &save))
		if (strncmp(e, " task ", 6) == 0 && (strstr(e, " REVERTED") || strstr(e, " REVERT_FAILURE")))
			tf_buf_printf(b, "%s;", e);
	free(copy);
}

/* No atom that the logbook has as SUCCESS executes again, unless it was reset since. */
static void check_no_repetition(const struct fixture_book *b, const char *log)
{
	for (size_t i = 0; i < b->count; i++) {
		char again[128], reset[128];
		if (strcmp(b->rows[i].state, "SUCCESS") != 0 || b->rows[i].is_retry)
			continue;
		snprintf(again, sizeof again, "execute %s;", b->rows[i].name);
		snprintf(reset, sizeof reset, "task %s PENDING", b->rows[i].name);
		const char *at = strstr(log, again), *first = strstr(log, reset);
		if (at && (!first || first > at))
			fail_msg("'%s' runs again: %s", b->rows[i].name, log);
	}
}

static size_t kill_everywhere(const char *flow, const char *options)
{
	struct fixture_book book = {0};
	struct tf_err err;
	struct tf_buf whole_reverts = TF_BUF_INIT;
	struct fixture *f = fixture_new_in(flow, options, &book, &err);
	if (!f)
		fail_msg("%s", err.message);
	assert_int_equal(fixture_run(f, &err), 0);
	char *whole = outcome(f);
	add_reverts(&whole_reverts, fixture_log(f));
	size_t commits = book.commits;
	fixture_delete(f);
	fixture_book_free(&book);
	for (size_t at = 1; at <= commits; at++) {
		struct tf_buf reverts = TF_BUF_INIT;
		book.fail_from = at;
		f = fixture_new_in(flow, options, &book, &err);
		int rc = fixture_run(f, &err);
		if (rc == 0) {
			assert_int_equal(tf_engine_flow_state(f->engine), TF_FAILURE);
			assert_non_null(strstr(fixture_raised(f), "disk full"));
		}
		add_reverts(&reverts, fixture_log(f));
		fixture_delete(f);
		book.fail_from = 0;
		f = fixture_new_in(flow, options, &book, &err);
		if (!f)
			fail_msg("%s", err.message);
		struct fixture_book before = {
			.rows = tf_calloc(book.count + 1, sizeof *before.rows), .count = book.count};
		for (size_t i = 0; i < book.count; i++)
			before.rows[i] = (struct tf_atom_detail){.name = tf_strdup(book.rows[i].name),
				.state = tf_strdup(book.rows[i].state),
				.is_retry = book.rows[i].is_retry};
		if (fixture_run(f, &err) != 0)
			fail_msg("%s", err.message);
		char *resumed_outcome = outcome(f);
		const char *log = fixture_log(f);
		check_no_repetition(&before, log);
		add_reverts(&reverts, log);
		if (strcmp(resumed_outcome, whole) != 0)
			fail_msg("killed at commit %zu of %zu of %s:\n%s\ninstead of\n%s\n%s", at, commits,
				flow, resumed_outcome, whole, log);
		if (strcmp(reverts.data ? reverts.data : "", whole_reverts.data ? whole_reverts.data : "") !=
			0)
			fail_msg("killed at commit %zu of %s: reverts %s instead of %s", at, flow,
				reverts.data ? reverts.data : "none",
				whole_reverts.data ? whole_reverts.data : "none");
		free(resumed_outcome);
		tf_buf_free(&reverts);
		fixture_delete(f);
		fixture_book_free(&before);
		fixture_book_free(&book);
	}
	free(whole);
	tf_buf_free(&whole_reverts);
	return commits;
}

static void test_killed_at_every_commit(void **state)
{
	(void)state;
	size_t kills = 0;
	for (size_t i = 0; i < sizeof flows / sizeof *flows; i++) {
		kills += kill_everywhere(flows[i], "{\"at_once\": true, \"fail_by_round\": true}");
		kills += kill_everywhere(flows[i], "{\"fail_by_round\": true}");
	}
	print_message("%zu flows, killed at %zu commits\n", sizeof flows / sizeof *flows, kills);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_running_is_executed_again),
		cmocka_unit_test(test_new_atoms_and_others),
		cmocka_unit_test(test_failure_is_resolved_again),
		cmocka_unit_test(test_reverting_goes_on),
		cmocka_unit_test(test_running_that_is_to_revert),
		cmocka_unit_test(test_running_that_is_to_revert_in_the_reference),
		cmocka_unit_test(test_retry),
		cmocka_unit_test(test_injected_values),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_killed_at_every_commit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
