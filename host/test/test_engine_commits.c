/* How often an engine writes to its logbook, and in which order with what others are told. The fixture checks at every
 * submission, acknowledgement and notification that the logbook has what it speaks of (engine_fixture_book.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine_fixture.h"

#define TASK(name) "{\"name\": \"" name "\"}"
#define FAILS(name) "{\"name\": \"" name "\", \"fail\": true}"
#define FLOW(kind, name, ...) \
	"{\"kind\": \"" kind "\", \"name\": \"" name "\", \"children\": [" __VA_ARGS__ "]}"
#define ABC FLOW("linear", "f", TASK("a") "," TASK("b") "," TASK("c"))

static struct fixture_book book;

/* Started, and held: nothing is delivered by itself. */
static struct fixture *begin(const char *flow)
{
	struct tf_err err;
	struct fixture *f = fixture_new_in(flow, "{}", &book, &err);
	if (f)
		f->hold = true;
	else
		fail_msg("%s", err.message);
	if (fixture_run(f, &err) != 0)
		fail_msg("%s", err.message);
	fixture_log(f);
	return f;
}

/* What is under way comes to its end, in one batch; returns how many commits that took. */
static size_t deliver_all(struct fixture *f)
{
	size_t before = book.commits;
	fixture_deliver_all(f);
	fixture_go_on(f);
	return book.commits - before;
}

static void check_row(const char *name, const char *state)
{
	assert_string_equal(fixture_book_row(&book, name)->state, state);
}

static int end(void **state)
{
	(void)state;
	fixture_book_free(&book);
	return 0;
}

static void test_a_chained_task_costs_one_commit(void **state)
{
	(void)state;
	struct fixture *f = begin(ABC);
	assert_int_equal(deliver_all(f), 1);
	assert_string_equal(fixture_log(f), "task a SUCCESS; task b RUNNING; execute b");
	check_row("b", "RUNNING");
	assert_int_equal(deliver_all(f), 1);
	assert_int_equal(f->settled, 2);
	/* The last one, and the end of the flow. */
	assert_int_equal(deliver_all(f), 2);
	assert_string_equal(book.state, "SUCCESS");
	fixture_delete(f);
}

static void test_a_batch_costs_one_commit(void **state)
{
	(void)state;
	struct fixture *f = begin(FLOW("linear", "f",
		FLOW("unordered", "u", TASK("a") "," TASK("b") "," TASK("c")) "," FLOW(
			"unordered", "v", TASK("d") "," TASK("e")) "," TASK("z")));
	assert_int_equal(deliver_all(f), 1);
	assert_string_equal(fixture_log(f),
		"task a SUCCESS; task b SUCCESS; task c SUCCESS; task d RUNNING; task e RUNNING; execute d; "
		"execute e");
	size_t before = book.commits;
	fixture_deliver(f, "d");
	fixture_go_on(f);
	assert_int_equal(book.commits - before, 1);
	check_row("z", "PENDING"); /* it waits for e, too */
	assert_int_equal(deliver_all(f), 1);
	check_row("z", "RUNNING");
	deliver_all(f);
	assert_string_equal(book.state, "SUCCESS");
	fixture_delete(f);
}

/* A listener that suspends the flow when it hears of a: b does not begin, whatever was foreseen. */
static void test_a_listener_may_object(void **state)
{
	(void)state;
	struct tf_err err;
	struct fixture *f = begin(ABC);
	f->suspend_at = "task a SUCCESS";
	deliver_all(f);
	assert_string_equal(fixture_log(f), "task a SUCCESS; flow SUSPENDING; flow SUSPENDED");
	assert_string_equal(book.state, "SUSPENDED");
	check_row("b", "PENDING");
	assert_string_equal(fixture_state(f, "b"), "PENDING/EXECUTE");
	f->suspend_at = NULL;
	f->hold = false;
	assert_int_equal(fixture_run(f, &err), 0);
	assert_string_equal(fixture_log(f),
		"flow RUNNING; task b RUNNING; execute b; task b SUCCESS; task c RUNNING; execute c; task c "
		"SUCCESS; flow SUCCESS");
	fixture_delete(f);
}

/* What follows is not foreseen where a decider or a failure decides about it. */
static void test_what_is_not_certain_is_not_written(void **state)
{
	(void)state;
	struct fixture *f = begin("{\"kind\": \"graph\", \"name\": \"f\", \"children\": [" TASK("a") "," TASK(
		"b") "," TASK("c") "], \"links\": [{\"from\": \"a\", \"to\": \"b\", "
				   "\"decider\": false, \"depth\": \"ATOM\"}, "
				   "{\"from\": \"b\", \"to\": \"c\"}]}");
	deliver_all(f);
	check_row("b", "IGNORE");
	check_row("c", "RUNNING");
	fixture_delete(f);
	fixture_book_free(&book);
	f = begin(FLOW("unordered", "f", FLOW("linear", "g", TASK("a") "," TASK("b")) "," FAILS("x")));
	deliver_all(f);
	check_row("b", "PENDING");
	assert_string_equal(fixture_log(f),
		"task a SUCCESS; task x FAILURE; task a REVERTING; task x REVERTING; revert a; revert x");
	fixture_delete(f);
}

/* The disk is full: nobody is told of anything, nothing is acknowledged or begun, and the next run makes up for it. */
static void test_a_commit_that_fails(void **state)
{
	(void)state;
	struct tf_err err;
	struct fixture *f = begin(ABC);
	book.fail_from = book.commits + 1;
	deliver_all(f);
	assert_string_equal(fixture_log(f), "flow FAILURE");
	assert_int_equal(f->settled, 0);
	check_row("a", "RUNNING");
	check_row("b", "PENDING");
	book.fail_from = 0;
	f->hold = false;
	assert_int_equal(fixture_run(f, &err), 0);
	assert_string_equal(fixture_log(f),
		"flow RUNNING; task a RUNNING; execute a; task a SUCCESS; task b RUNNING; execute b; task b "
		"SUCCESS; task c RUNNING; execute c; task c SUCCESS; flow SUCCESS");
	check_row("c", "SUCCESS");
	fixture_delete(f);
}

/* Killed when a is told, with b foreseen and not begun. */
static void test_killed_between_the_two(void **state)
{
	(void)state;
	struct fixture *f = begin(ABC);
	f->suspend_at = "task a SUCCESS";
	fixture_deliver_all(f);
	book.fail_from = book.commits + 2; /* what comes after that commit never happened */
	fixture_go_on(f);
	check_row("a", "SUCCESS");
	check_row("b", "RUNNING");
	fixture_delete(f);
	book.fail_from = 0;
	f = begin(ABC);
	f->hold = false;
	fixture_go_on(f);
	assert_string_equal(fixture_calls(f), "execute b {}; execute c {}");
	assert_string_equal(book.state, "SUCCESS");
	fixture_delete(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_a_chained_task_costs_one_commit, end),
		cmocka_unit_test_teardown(test_a_batch_costs_one_commit, end),
		cmocka_unit_test_teardown(test_a_listener_may_object, end),
		cmocka_unit_test_teardown(test_what_is_not_certain_is_not_written, end),
		cmocka_unit_test_teardown(test_a_commit_that_fails, end),
		cmocka_unit_test_teardown(test_killed_between_the_two, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
