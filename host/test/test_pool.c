/* The pool with real processes. The runner is C, so that what is tested is the pool. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "pool_rig.h"
#include "protocol/failure.h"

static void runs_in_both_modes(void **state)
{
	struct pool_rig *f = *state;
	for (int exec = 0; exec < 2; exec++) {
		pool_rig_open(f, 2, exec, 0);
		WAIT(f, f->ready > 0);
		assert_int_equal(f->ready_errors, 0);
		assert_int_equal(f->names, 2);
		pool_rig_run(f, 1, "echo", "{\"a\": [1, 2.0, \"\\u00e9\"]}");
		assert_false(f->failed[1]);
		assert_string_equal(tf_value_text(f->result[1]), "{\"a\": [1, 2.0, \"\\u00e9\"]}");
		assert_int_equal(f->started, 1);
		pool_rig_run(f, 2, "ppid", "{}"); /* a slot's parent is the supervisor: it can reap it */
		assert_int_equal(atoi(tf_value_text(f->result[2])), getpid());
		tf_pool_delete(f->pool);
		f->pool = NULL;
		pool_rig_assert_no_children();
		f->ready = f->started = 0;
		f->done[1] = f->done[2] = 0;
	}
}

static void busy_and_free(void **state)
{
	struct pool_rig *f = *state;
	pool_rig_open(f, 2, false, 0);
	assert_int_equal(pool_rig_submit(f, 0, "echo", "{}"), TF_EAGAIN);
	WAIT(f, tf_pool_free_slots(f->pool) == 2);
	assert_int_equal(f->slot_free, 1);
	assert_int_equal(pool_rig_submit(f, 1, "sleep", "{\"ms\": 50}"), 0);
	assert_int_equal(pool_rig_submit(f, 2, "sleep", "{\"ms\": 50}"), 0);
	assert_int_equal(tf_pool_busy_slots(f->pool), 2);
	assert_int_equal(pool_rig_submit(f, 3, "echo", "{}"), TF_EAGAIN);
	assert_true(tf_pool_job_pid(f->pool, 1) > 0);
	assert_int_equal(tf_pool_job_pid(f->pool, 3), 0);
	WAIT(f, f->done_count == 2);
	assert_int_equal(f->slot_free, 2);
}

/* More slots than are asked of the loader at a time. */
static void many_slots(void **state)
{
	struct pool_rig *f = *state;
	pool_rig_open(f, 40, true, 0);
	WAIT(f, tf_pool_free_slots(f->pool) == 40);
	for (uint64_t i = 0; i < 40; i++)
		assert_int_equal(pool_rig_submit(f, i, "sleep", "{\"ms\": 5}"), 0);
	WAIT(f, f->done_count == 40);
}

static void pool_in_a_slot(void **state)
{
	struct pool_rig *f = *state;
	for (int exec = 0; exec < 2; exec++) {
		pool_rig_open(f, 1, exec, 0);
		pool_rig_run(f, 10 + (uint64_t)exec, "nest", "{}");
		assert_string_equal(tf_value_text(f->result[10 + exec]), "{\"x\": 1}");
		tf_pool_delete(f->pool);
		f->pool = NULL;
	}
}

static void events_in_order(void **state)
{
	struct pool_rig *f = *state;
	pool_rig_open(f, 1, false, 0);
	pool_rig_run(f, 1, "events", "{\"count\": 5000}");
	assert_int_equal(f->events, 5000);
	assert_int_equal(f->started, 1);
}

static void foreign_bytes_end_the_slot(void **state)
{
	struct pool_rig *f = *state;
	static const char *const kinds[] = {"junk", "bad-result", "bad-failure"};
	pool_rig_open(f, 1, false, 0);
	for (uint64_t i = 0; i < 3; i++) {
		pool_rig_run(f, i, kinds[i], "{}");
		pool_rig_assert_lost(f, i, "because what it sent cannot be: ");
	}
	pool_rig_run(f, 3, "close", "{}");
	pool_rig_assert_lost(f, 3, "because it closed its socket");
	pool_rig_run(f, 9, "echo", "{}");
	assert_false(f->failed[9]);
}

static void large_frames(void **state)
{
	struct pool_rig *f = *state;
	pool_rig_open(f, 1, false, 0);
	pool_rig_run(f, 1, "big", "{\"bytes\": 20000000}");
	assert_int_equal(tf_value_len(f->result[1]), 20000002);
	pool_rig_run(f, 2, "big", "{\"bytes\": 67108864}"); /* 64 MB and quotes: too large */
	assert_true(f->failed[2]);
	assert_true(tf_failure_is(tf_value_json(f->result[2]), "ValueError"));
	assert_non_null(strstr(tf_value_text(f->result[2]), "limit of 67108864"));
	/* a large request, more than a socket takes at once */
	struct tf_value *v = pool_rig_text(10000000);
	char *arguments = tf_asprintf("{\"text\": %s}", tf_value_text(v));
	pool_rig_run(f, 3, "echo", arguments);
	assert_string_equal(tf_value_text(f->result[3]), arguments);
	free(arguments);
	tf_value_unref(v);
}

static void request_limit(void **state)
{
	struct pool_rig *f = *state;
	pool_rig_open(f, 1, false, 1000);
	WAIT(f, tf_pool_free_slots(f->pool) > 0);
	struct tf_value *v = pool_rig_text(2000);
	char *arguments = tf_asprintf("{\"text\": %s}", tf_value_text(v));
	assert_int_equal(pool_rig_submit(f, 1, "echo", arguments), TF_ELIMIT);
	assert_int_equal(tf_pool_free_slots(f->pool), 1);
	free(arguments);
	tf_value_unref(v);
	pool_rig_run(f, 2, "big", "{\"bytes\": 5000}");
	assert_true(f->failed[2]);
	pool_rig_run(f, 3, "echo", "{}");
	assert_false(f->failed[3]);
}

static void delete_in_done(struct pool_rig *f, uint64_t job)
{
	(void)job;
	tf_pool_delete(f->pool);
	f->pool = NULL;
}

static void deleted_by_its_callback(void **state)
{
	struct pool_rig *f = *state;
	f->on_done = delete_in_done;
	pool_rig_open(f, 3, false, 0);
	WAIT(f, tf_pool_free_slots(f->pool) == 3);
	pool_rig_submit(f, 1, "sleep", "{\"ms\": 20}");
	pool_rig_submit(f, 2, "kill", "{\"signal\": 9}");
	pool_rig_submit(f, 3, "echo", "{}");
	WAIT(f, f->pool == NULL);
	assert_int_equal(f->done_count, 1);
}

static void deleted_at_any_time(void **state)
{
	struct pool_rig *f = *state;
	for (int turns = 0; turns < 12; turns++) {
		pool_rig_open(f, 3, turns % 2, 0);
		tf_timer_start(f->timer, 1, 1); /* so that no turn waits for ever */
		for (int i = 0; i < turns; i++)
			tf_loop_turn(f->loop, true);
		tf_timer_stop(f->timer);
		tf_pool_delete(f->pool);
		f->pool = NULL;
		pool_rig_assert_no_children();
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {POOL_TEST(runs_in_both_modes), POOL_TEST(busy_and_free),
		POOL_TEST(many_slots), POOL_TEST(pool_in_a_slot), POOL_TEST(events_in_order),
		POOL_TEST(foreign_bytes_end_the_slot), POOL_TEST(large_frames), POOL_TEST(request_limit),
		POOL_TEST(deleted_by_its_callback), POOL_TEST(deleted_at_any_time)};
	return pool_rig_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
