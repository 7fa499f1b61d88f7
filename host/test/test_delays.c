/* Retries that wait: the queue of moments, and what goes on in a flow meanwhile. On a virtual clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "engine/delays.h"
#include "engine_fixture.h"

static void test_in_order(void **state)
{
	(void)state;
	struct tf_delays d = {0};
	uint64_t seed = 7, last = 0, n = 0;
	uint32_t atom, last_atom = 0;
	assert_true(tf_delays_next(&d) == UINT64_MAX);
	assert_false(tf_delays_due(&d, UINT64_MAX, &atom));
	for (uint32_t i = 0; i < 1000; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		tf_delays_add(&d, i, (seed >> 33) % 100);
	}
	assert_false(tf_delays_next(&d) > 99);
	for (uint64_t now = 0; now < 100; now++) {
		while (tf_delays_due(&d, now, &atom)) {
			assert_true(now > last || atom > last_atom);
			last = now;
			last_atom = atom;
			n++;
		}
		assert_true(tf_delays_next(&d) > now);
	}
	assert_int_equal(n, 1000);
	tf_delays_free(&d);
}

#define RETRY(name, attempts) \
	"\"retry\": {\"name\": \"" name "\", \"class\": \"Times\", \"attempts\": " attempts \
	", \"delay\": 500}"

static struct fixture *started(const char *flow)
{
	struct tf_err err;
	struct fixture *f = fixture_new(flow, "{}", &err);
	assert_non_null(f);
	f->hold = true;
	assert_int_equal(fixture_run(f, &err), 0);
	return f;
}

static void deliver(struct fixture *f, const char *name)
{
	fixture_deliver(f, name);
	fixture_go_on(f);
}

/* a's first round fails; beside it, b and c run. */
static const char *const BESIDE = "{\"kind\": \"unordered\", \"name\": \"f\", \"children\": ["
				  "{\"kind\": \"linear\", \"name\": \"g\", " RETRY(
					  "r", "2") ", \"children\": [{\"name\": \"a\", \"fail\": 1}]},"
						    "{\"kind\": \"linear\", \"name\": \"h\", \"children\": "
						    "[{\"name\": \"b\"}, {\"name\": \"c\"}]}]}";

static void test_others_go_on(void **state)
{
	(void)state;
	struct fixture *f = started(BESIDE);
	fixture_go_on(f);
	deliver(f, "a");
	deliver(f, "a"); /* its revert */
	assert_string_equal(fixture_state(f, "r"), "SUCCESS/RETRY");
	assert_true(tf_engine_wait_ms(f->engine) == 500);
	fixture_log(f);
	f->now += 499;
	deliver(f, "b");
	assert_string_equal(fixture_log(f), "task b SUCCESS; task c RUNNING; execute c");
	deliver(f, "c");
	assert_string_equal(fixture_log(f), "task c SUCCESS");
	assert_true(tf_engine_waits(f->engine));
	assert_true(tf_engine_wait_ms(f->engine) == 1);
	assert_false(tf_engine_step(f->engine));
	f->now += 1;
	f->hold = false;
	fixture_go_on(f);
	assert_string_equal(fixture_log(f),
		"retry r RETRYING; task a PENDING; retry r RUNNING; retry r SUCCESS; "
		"task a RUNNING; execute a; task a SUCCESS; flow SUCCESS");
	assert_true(tf_engine_wait_ms(f->engine) == UINT64_MAX);
	fixture_delete(f);
}

/* The delay counts from the decision: a long revert uses it up. */
static void test_counts_from_the_decision(void **state)
{
	(void)state;
	struct fixture *f = started(BESIDE);
	fixture_go_on(f);
	deliver(f, "a");
	f->now += 600;
	deliver(f, "a");
	assert_string_equal(fixture_state(f, "r"), "SUCCESS/EXECUTE");
	fixture_delete(f);
}

static void test_suspended_while_it_waits(void **state)
{
	(void)state;
	struct tf_err err;
	struct fixture *f = started("{\"kind\": \"linear\", \"name\": \"f\", " RETRY(
		"r", "2") ", \"children\": ["
			  "{\"name\": \"a\", \"fail\": 1}]}");
	fixture_go_on(f);
	deliver(f, "a");
	deliver(f, "a");
	assert_true(tf_engine_waits(f->engine));
	tf_engine_suspend(f->engine);
	assert_true(tf_engine_step(f->engine));
	assert_int_equal(tf_engine_flow_state(f->engine), TF_SUSPENDED);
	fixture_log(f);
	/* What is left of the delay is waited for. */
	f->now += 200;
	assert_int_equal(fixture_run(f, &err), 0);
	assert_string_equal(fixture_log(f), "flow RUNNING");
	assert_true(tf_engine_wait_ms(f->engine) == 300);
	f->now += 300;
	f->hold = false;
	fixture_go_on(f);
	assert_int_equal(tf_engine_flow_state(f->engine), TF_SUCCESS);
	fixture_delete(f);
}

/* A failure elsewhere that reverts all does not wait for a retry that waits. */
static void test_reverted_while_it_waits(void **state)
{
	(void)state;
	struct fixture *f = started("{\"kind\": \"unordered\", \"name\": \"f\", \"children\": ["
				    "{\"kind\": \"linear\", \"name\": \"g\", " RETRY(
					    "r", "2") ", \"children\": [{\"name\": \"a\", "
						      "\"fail\": 1}]}, {\"name\": \"b\", \"fail\": true}]}");
	fixture_go_on(f);
	deliver(f, "a");
	deliver(f, "a");
	fixture_log(f);
	f->hold = false;
	fixture_go_on(f);
	assert_string_equal(fixture_log(f), "task b FAILURE; retry r REVERTING; task b REVERTING; revert b; "
					    "retry r REVERTED; task b REVERTED; flow REVERTED");
	fixture_delete(f);
}

static void test_reset_forgets(void **state)
{
	(void)state;
	struct tf_err err;
	struct fixture *f = started(BESIDE);
	fixture_go_on(f);
	deliver(f, "a");
	deliver(f, "a");
	tf_engine_suspend(f->engine);
	f->hold = false;
	fixture_go_on(f);
	assert_int_equal(tf_engine_reset(f->engine, &err), 0);
	assert_int_equal(fixture_run(f, &err), 0); /* hangs if anything waits for the clock */
	assert_int_equal(tf_engine_flow_state(f->engine), TF_SUCCESS);
	fixture_delete(f);
}

static void test_each_retry_has_its_own(void **state)
{
	(void)state;
	struct fixture *f =
		started("{\"kind\": \"unordered\", \"name\": \"f\", \"children\": ["
			"{\"kind\": \"linear\", \"name\": \"g\", " RETRY(
				"r", "2") ", \"children\": [{\"name\": \"a\", "
					  "\"fail\": 1}]}, {\"kind\": \"linear\", \"name\": \"h\", " RETRY(
						  "s", "3") ", \"children\": [{\"name\": "
							    "\"b\", \"fail\": 2}]}]}");
	fixture_go_on(f);
	deliver(f, "a");
	deliver(f, "a");
	f->now += 100;
	deliver(f, "b");
	deliver(f, "b");
	f->now += 400;
	fixture_go_on(f);
	assert_string_equal(fixture_state(f, "a"), "RUNNING/EXECUTE");
	assert_string_equal(fixture_state(f, "s"), "SUCCESS/RETRY");
	assert_true(tf_engine_wait_ms(f->engine) == 100);
	f->now += 100;
	fixture_go_on(f);
	deliver(f, "b"); /* its second round fails, too */
	deliver(f, "b");
	assert_true(tf_engine_wait_ms(f->engine) == 500);
	deliver(f, "a");
	f->now += 500;
	f->hold = false;
	fixture_go_on(f);
	assert_int_equal(tf_engine_flow_state(f->engine), TF_SUCCESS);
	fixture_delete(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_others_go_on),
		cmocka_unit_test(test_counts_from_the_decision),
		cmocka_unit_test(test_suspended_while_it_waits),
		cmocka_unit_test(test_reverted_while_it_waits),
		cmocka_unit_test(test_reset_forgets),
		cmocka_unit_test(test_each_retry_has_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
