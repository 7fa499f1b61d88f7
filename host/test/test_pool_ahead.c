/* Requests that are sent ahead into the sockets of busy slots. */

#include "pool_rig.h"

static void hurry(struct pool_rig *f, uint64_t *job)
{
	for (unsigned want = f->done_count + 100; f->done_count < want;) {
		while (*job < POOL_RIG_JOBS && pool_rig_submit(f, *job, "echo", "{}") == 0)
			++*job;
		tf_loop_turn(f->loop, true);
	}
}

/* Requests wait in the sockets of slots that are quick, and none behind a task that takes long: slot and supervisor
 * compete for each. */
static void nothing_waits_behind_a_long_task(void **state)
{
	struct pool_rig *f = *state;
	uint64_t job = 0;
	pool_rig_open(f, 2, false, 0);
	WAIT(f, tf_pool_free_slots(f->pool) == 2);
	int shown = 0; /* on a busy machine slots do not look quick, and nothing is sent ahead */
	for (int round = 0; shown < 10; round++) {
		unsigned ahead = 0;
		assert_true(round < 200);
		hurry(f, &job);
		uint64_t first = job;
		while (pool_rig_submit(f, job, job == first ? "sleep" : "echo", "{\"ms\": 150}") == 0) {
			job++;
			ahead++;
		}
		shown += ahead > 2;
		WAIT(f, f->done_count + 1 == job);
		assert_int_equal(f->done[first], 0);
		WAIT(f, f->done_count == job);
	}
	for (uint64_t i = 0; i < job; i++)
		assert_int_equal(f->done[i], 1);
	assert_int_equal(f->started, job);
}

/* What waits behind a task whose slot dies is not lost with it. */
static void a_death_costs_one_task(void **state)
{
	struct pool_rig *f = *state;
	uint64_t job = 0;
	pool_rig_open(f, 2, false, 0);
	WAIT(f, tf_pool_free_slots(f->pool) == 2);
	for (int round = 0; round < 10; round++) {
		hurry(f, &job);
		uint64_t first = job;
		while (pool_rig_submit(f, job, job == first ? "kill" : "echo", "{\"signal\": 9}") == 0)
			job++;
		WAIT(f, f->done_count == job);
		for (uint64_t i = first; i < job; i++)
			assert_int_equal(f->failed[i], i == first);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		POOL_TEST(nothing_waits_behind_a_long_task), POOL_TEST(a_death_costs_one_task)};
	return pool_rig_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
