/* Slots that are replaced between two requests, with real processes: how many requests each runs, that no request is
 * dropped or kept waiting, and what happens when processes die meanwhile. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/cmocka_all.h"

#include "base/log.h"
#include "leak_check.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "pool/pool.h"

enum { MAX_JOBS = 600, LEAK = 1 << 20 };

static struct shared { /* by all processes */
	unsigned running, most;
	unsigned starts;
} * shared;

static long start_ms; /* what slot_start takes */

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static int run_load(void *arg, char ***names, struct tf_err *err)
{
	(void)arg, (void)err;
	leak_check_skip();
	*names = NULL;
	return 0;
}

static int run_start(void *arg, struct tf_err *err)
{
	(void)arg, (void)err;
	__atomic_fetch_add(&shared->starts, 1, __ATOMIC_RELAXED);
	sleep_ms(start_ms);
	return 0;
}

static void leak(void)
{
	static void *all[64];
	static size_t n;
	all[n] = tf_malloc(LEAK);
	memset(all[n++], 1, LEAK);
}

/* The class says what it does: "sleep-20", "leak", anything else nothing. Gives the pid. */
static struct tf_value *run_task(
	void *arg, const struct tf_request *r, const struct tf_runner_sink *sink, bool *failed)
{
	struct tf_buf b = TF_BUF_INIT;
	(void)arg;
	*failed = false;
	sink->started(sink->arg);
	unsigned now = __atomic_add_fetch(&shared->running, 1, __ATOMIC_RELAXED);
	if (now > shared->most)
		shared->most = now;
	if (!strncmp(r->task_cls, "sleep-", 6))
		sleep_ms(strtol(r->task_cls + 6, NULL, 10));
	if (!strcmp(r->task_cls, "leak"))
		leak();
	__atomic_sub_fetch(&shared->running, 1, __ATOMIC_RELAXED);
	tf_buf_printf(&b, "%d", (int)getpid());
	return tf_value_take(&b);
}

static const struct tf_runner runner = {.load = run_load, .slot_start = run_start, .run = run_task};

struct fixture {
	struct tf_loop *loop;
	struct tf_pool *pool;
	struct tf_timer *timer;
	struct tf_pool_counters counters;
	const char *cls;
	unsigned wanted; /* jobs that are submitted as places become free */
	unsigned submitted, done, failed, refused, empties, loader_losses;
	int pids[MAX_JOBS];
	bool timed_out, at_once;
};

static int submit(struct fixture *f)
{
	struct tf_err err;
	struct tf_request r = {.task_cls = (char *)f->cls,
		.task_name = (char *)"t",
		.task_version = tf_value_null(),
		.arguments = tf_value_empty_object()};
	int rc = tf_pool_submit(f->pool, f->submitted, &r, &err);
	f->submitted += rc == 0;
	tf_value_unref(r.arguments);
	tf_value_unref(r.task_version);
	return rc;
}

static void feed(struct fixture *f)
{
	while (f->submitted < f->wanted && submit(f) == 0)
		;
}

static void on_free(void *arg)
{
	feed(arg);
}

static void on_done(void *arg, uint64_t job, bool failed, struct tf_value *result)
{
	struct fixture *f = arg;
	assert_true(job < MAX_JOBS);
	assert_int_equal(f->pids[job], 0);
	f->pids[job] = failed ? -1 : (int)strtol(tf_value_text(result), NULL, 10);
	f->done++;
	f->failed += failed;
	if (f->at_once && f->submitted < f->wanted && submit(f) < 0)
		f->refused++;
	feed(f);
}

static void on_empty(void *arg)
{
	struct fixture *f = arg;
	f->empties++;
}

static void on_loader_lost(void *arg, const struct tf_err *err)
{
	struct fixture *f = arg;
	(void)err;
	f->loader_losses++;
}

static void on_timeout(void *arg)
{
	struct fixture *f = arg;
	f->timed_out = true;
}

/* Turn the loop until the condition holds; twenty seconds at most. */
#define WAIT(f, condition) \
	do { \
		(f)->timed_out = false; \
		tf_timer_start((f)->timer, 20000, 0); \
		while (!(condition)) { \
			tf_loop_turn((f)->loop, true); \
			if ((f)->timed_out) \
				fail_msg("%s did not come true", #condition); \
		} \
		tf_timer_stop((f)->timer); \
	} while (0)

static int setup(void **state)
{
	struct fixture *f = TF_NEW(struct fixture);
	f->loop = tf_loop_new();
	f->timer = tf_timer_new(f->loop, on_timeout, f);
	f->cls = "plain";
	memset(shared, 0, sizeof(*shared));
	start_ms = 0;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	tf_pool_delete(f->pool);
	tf_timer_delete(f->timer);
	tf_loop_delete(f->loop);
	free(f);
	errno = 0;
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
	assert_int_equal(errno, ECHILD);
	return 0;
}

static void open_pool(struct fixture *f, struct tf_pool_config config)
{
	static const struct tf_pool_events events = {
		.done = on_done, .slot_free = on_free, .empty = on_empty, .loader_lost = on_loader_lost};
	struct tf_err err;
	config.runner = &runner;
	config.counters = &f->counters;
	if (tf_pool_new(f->loop, &config, &events, f, &f->pool, &err) < 0)
		fail_msg("%s", err.message);
}

/* Run so many jobs of this class. */
static void run(struct fixture *f, const char *cls, unsigned jobs)
{
	f->cls = cls;
	f->wanted += jobs;
	feed(f);
	WAIT(f, f->done == f->wanted);
}

/* The most jobs that one process ran. */
static unsigned most_of_one(const struct fixture *f)
{
	unsigned most = 0;
	for (unsigned i = 0; i < f->done; i++) {
		unsigned n = 0;
		for (unsigned k = 0; k < f->done; k++)
			n += f->pids[k] == f->pids[i];
		most = n > most ? n : most;
	}
	return most;
}

static void no_slot_runs_more_than_its_number(void **state)
{
	struct fixture *f = *state;
	open_pool(f, (struct tf_pool_config){.slots = 2, .max_tasks = 10});
	run(f, "plain", 300); /* quick ones: many are given ahead */
	run(f, "sleep-3", 60);
	assert_int_equal(f->failed, 0);
	assert_true(most_of_one(f) <= 10);
	assert_true(most_of_one(f) >= 8);
	assert_true(shared->most <= 2);
	const struct tf_pool_counters r = f->counters;
	assert_true(r.spent >= 34 && r.spent <= 46); /* 8 to 10 tasks each */
	assert_int_equal(r.grown, 0);
}

static void a_process_for_each_task(void **state)
{
	struct fixture *f = *state;
	open_pool(f, (struct tf_pool_config){.slots = 3, .max_tasks = 1});
	run(f, "sleep-2", 60);
	assert_int_equal(f->failed, 0);
	assert_int_equal(most_of_one(f), 1);
	assert_true(shared->most <= 3);
	WAIT(f, f->counters.spent == 60);
}

/* The successor is there when the last task ends, however long a slot takes to start. */
static void nothing_waits_for_the_successor(void **state)
{
	struct fixture *f = *state;
	start_ms = 20;
	f->at_once = true;
	open_pool(f, (struct tf_pool_config){.slots = 1, .max_tasks = 1});
	run(f, "sleep-400", 4);
	assert_int_equal(f->refused, 0);
	assert_int_equal(most_of_one(f), 1);
	assert_int_equal(shared->most, 1);
}

static void a_slot_that_has_grown_is_replaced(void **state)
{
	struct fixture *f = *state;
	open_pool(f, (struct tf_pool_config){.slots = 1, .max_growth = 10 * LEAK});
	f->wanted = 0;
	while (f->wanted < 40) { /* its memory is looked at now and then */
		run(f, "leak", 1);
		run(f, "sleep-60", 1);
	}
	assert_int_equal(f->failed, 0);
	const struct tf_pool_counters r = f->counters;
	assert_int_equal(r.spent, 0);
	assert_true(r.grown >= 1 && r.grown <= 3); /* 20 leaks, 8 to 10 are allowed */
}

static void what_does_not_grow_stays(void **state)
{
	struct fixture *f = *state;
	open_pool(f, (struct tf_pool_config){.slots = 1, .max_growth = 10 * LEAK});
	run(f, "sleep-20", 20);
	assert_int_equal(most_of_one(f), 20);
	assert_int_equal(f->counters.grown, 0);
}

/* Without a loader nothing could replace a slot: it goes on. */
static void without_a_loader_slots_stay(void **state)
{
	struct fixture *f = *state;
	open_pool(f, (struct tf_pool_config){.slots = 1, .max_tasks = 5});
	run(f, "plain", 1);
	kill(tf_pool_loader_pid(f->pool), SIGKILL);
	WAIT(f, f->loader_losses == 1);
	run(f, "plain", 20);
	assert_int_equal(f->failed, 0);
	assert_int_equal(f->counters.spent, 0);
}

/* As many slots as are wanted run, also when the wish changes while some stand by. */
static void the_number_of_slots_may_change(void **state)
{
	struct fixture *f = *state;
	open_pool(f, (struct tf_pool_config){.slots = 4, .max_tasks = 2});
	for (unsigned i = 0; i < 12; i++) {
		unsigned slots = 1 + i % 4;
		tf_pool_want(f->pool, slots);
		shared->most = 0;
		run(f, "sleep-2", 12);
		assert_true(shared->most <= 4);
	}
	assert_int_equal(f->failed, 0);
	f->cls = "sleep-50";
	f->wanted = f->submitted + 3;
	feed(f);
	tf_pool_want(f->pool, 0);
	f->wanted = f->submitted; /* what was given runs to its end */
	WAIT(f, f->empties == 1 && f->done == f->submitted);
	assert_int_equal(tf_pool_live_slots(f->pool), 0);
	assert_int_equal(f->failed, 0);
}

/* Slots are killed, at work or not: each job has one outcome. */
static void deaths_and_replacements(void **state)
{
	struct fixture *f = *state;
	unsigned kills = 0;
	tf_log_set_level(TF_LOG_OFF);
	open_pool(f, (struct tf_pool_config){.slots = 3, .max_tasks = 4});
	f->cls = "sleep-1";
	f->wanted = 400;
	srand(1);
	while (f->done < f->wanted) {
		feed(f);
		for (unsigned i = 0; i < 20 && f->done < f->wanted; i++)
			tf_loop_turn(f->loop, false), sleep_ms(1);
		pid_t victim = 0;
		for (unsigned job = f->submitted; job > 0 && !victim; job--)
			victim = tf_pool_job_pid(f->pool, job - 1);
		if (victim > 0 && rand() % 2) {
			kill(victim, SIGKILL);
			kills++;
		}
	}
	WAIT(f, f->done == 400);
	assert_true(kills > 5 && f->failed <= kills);
	assert_true(f->counters.spent > 50);
	assert_true(shared->most <= 3 + kills); /* one that was killed did not count itself off */
	tf_log_set_level(TF_LOG_INFO);
}

int main(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(no_slot_runs_more_than_its_number),
		T(a_process_for_each_task),
		T(nothing_waits_for_the_successor),
		T(a_slot_that_has_grown_is_replaced),
		T(what_does_not_grow_stays),
		T(without_a_loader_slots_stay),
		T(the_number_of_slots_may_change),
		T(deaths_and_replacements),
	};
	return cmocka_run_group_tests_name("pool_recycle", tests, NULL, NULL);
}
