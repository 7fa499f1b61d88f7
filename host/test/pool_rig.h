/* A pool with real processes, and tasks in C that live, die and misbehave in it. */
#ifndef TF_TEST_POOL_RIG_H
#define TF_TEST_POOL_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "test/cmocka_all.h"

#include "loop/loop.h"
#include "pool/pool.h"

enum { POOL_RIG_JOBS = 4000 };

struct pool_rig {
	struct tf_loop *loop;
	struct tf_pool *pool;
	struct tf_timer *timer;
	unsigned ready, ready_errors, lost, slot_free, events, started;
	size_t names;
	char error[1000];
	unsigned done[POOL_RIG_JOBS]; /* times told */
	bool failed[POOL_RIG_JOBS];
	struct tf_value *result[POOL_RIG_JOBS];
	unsigned done_count;
	bool timed_out;
	void (*on_done)(struct pool_rig *f, uint64_t job);
};

/* What load and slot_start do in children: 0 is well; load: -1 raises, -2 is killed, else the exit code; slot_start: 1
 * aborts, 2 fails. */
extern int pool_rig_load_code, pool_rig_start_code;
extern unsigned *pool_rig_starts; /* of slots; shared with them */

/* Of each test. The end asserts that no child is left. */
int pool_rig_setup(void **state);
int pool_rig_teardown(void **state);
#define POOL_TEST(name) cmocka_unit_test_setup_teardown(name, pool_rig_setup, pool_rig_teardown)
/* Runs the tests; in a loader that was exec'd, the loader. The environment's TF_TEST is a pattern: those alone. */
int pool_rig_main(int argc, char **argv, const struct CMUnitTest *tests, size_t count);
/* For processes of their own: without what a test has around it. */
struct pool_rig *pool_rig_new(void);

/* `exec`: the loader is exec'd, not just forked; max_frame 0: the default. Closed by the teardown. */
void pool_rig_open(struct pool_rig *f, unsigned slots, bool exec, size_t max_frame);
/* A task "x" of class `cls`, see run_task. Returns what tf_pool_submit does. */
int pool_rig_submit(struct pool_rig *f, uint64_t job, const char *cls, const char *arguments);
/* Submit once a slot is free, and wait for the outcome. */
void pool_rig_run(struct pool_rig *f, uint64_t job, const char *cls, const char *arguments);
/* The job failed once, with WorkerLost and this text in it. */
void pool_rig_assert_lost(struct pool_rig *f, uint64_t job, const char *text);
/* Nothing of ours may be left: no child, dead or alive. */
void pool_rig_assert_no_children(void);

/* A JSON string of n letters. */
struct tf_value *pool_rig_text(size_t n);
void pool_rig_sleep(long ms);

/* Turn the loop until the condition holds; ten seconds at most. */
#define WAIT(f, condition) \
	do { \
		(f)->timed_out = false; \
		tf_timer_start((f)->timer, 10000, 0); \
		while (!(condition)) { \
			tf_loop_turn((f)->loop, true); \
			if ((f)->timed_out) \
				fail_msg("line %d: timed out: %s", __LINE__, #condition); \
		} \
		tf_timer_stop((f)->timer); \
	} while (0)

#endif
