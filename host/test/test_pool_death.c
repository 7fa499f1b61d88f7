/* Deaths of tasks, slots and supervisors, at every point. Random parts print their seed; TF_SEED repeats one. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "pool_rig.h"

static void deaths_are_told(void **state)
{
	struct pool_rig *f = *state;
	pool_rig_open(f, 1, true, 0);
	pool_rig_run(f, 1, "exit", "{\"code\": 3}");
	pool_rig_assert_lost(f, 1, "running task 'x' (exit) exited with code 3 after ");
	pool_rig_run(f, 2, "kill", "{\"signal\": 9}");
	pool_rig_assert_lost(f, 2, "was killed by signal 9 (SIGKILL) after ");
	pool_rig_run(f, 3, "kill", "{\"signal\": 11}");
	pool_rig_assert_lost(f, 3, "was killed by signal 11 (SIGSEGV)");
	pool_rig_assert_lost(f, 3, "peak memory ");
	pool_rig_run(f, 4, "exit", "{\"code\": 0}");
	pool_rig_assert_lost(f, 4, "exited with code 0");
	pool_rig_run(f, 5, "half", "{\"job\": 5}");
	pool_rig_assert_lost(f, 5, "SIGKILL");
	pool_rig_run(f, 6, "early-exit", "{}"); /* tried in a second slot, then given up */
	pool_rig_assert_lost(f, 6, "exited with code 9");
	pool_rig_run(f, 7, "echo", "{}");
	assert_false(f->failed[7]);
	assert_int_equal(f->started, 6);
}

static void result_before_death_counts(void **state)
{
	struct pool_rig *f = *state;
	pool_rig_open(f, 1, false, 0);
	for (uint64_t job = 1; job <= 20; job++) {
		char arguments[80];
		snprintf(arguments, sizeof(arguments), "{\"job\": %d, \"bytes\": %d}", (int)job,
			(int)job * 20000);
		pool_rig_run(f, job, "done-then-die", arguments);
		assert_false(f->failed[job]);
		assert_int_equal(tf_value_len(f->result[job]), job * 20000 + 2);
	}
	assert_int_equal(f->done_count, 20);
}

static void endless_task_is_killed(void **state)
{
	struct pool_rig *f = *state;
	pool_rig_open(f, 2, false, 0);
	WAIT(f, tf_pool_free_slots(f->pool) == 2);
	pool_rig_submit(f, 1, "spin", "{}");
	pool_rig_submit(f, 2, "ignore-term", "{}");
	WAIT(f, f->started == 2);
	kill(tf_pool_job_pid(f->pool, 1), SIGKILL);
	WAIT(f, f->done_count == 1);
	pool_rig_assert_lost(f, 1, "SIGKILL");
	WAIT(f, tf_pool_free_slots(f->pool) == 1); /* replaced */
	/* deletion does not wait for the other */
	uint64_t began = tf_clock_ms(tf_loop_clock(f->loop));
	tf_pool_delete(f->pool);
	f->pool = NULL;
	assert_true(tf_clock_ms(tf_loop_clock(f->loop)) - began < 1000);
	assert_int_equal(f->done_count, 1);
}

static void idle_slot_killed(void **state)
{
	struct pool_rig *f = *state;
	pool_rig_open(f, 1, false, 0);
	pool_rig_run(f, 1, "ppid", "{}");
	pool_rig_submit(f, 2, "sleep", "{\"ms\": 1}");
	pid_t pid = tf_pool_job_pid(f->pool, 2);
	WAIT(f, f->done[2]);
	/* The pool does not know yet that its slot is dead: the job moves to the next one. */
	kill(pid, SIGKILL);
	pool_rig_sleep(20);
	assert_int_equal(pool_rig_submit(f, 3, "echo", "{}"), 0);
	WAIT(f, f->done[3]);
	assert_false(f->failed[3]);
	assert_int_equal(f->done_count, 3);
}

/* In a process of its own: two slots that would never end by themselves; one byte once they run. */
_Noreturn static void supervise(bool exec, int tell)
{
	struct pool_rig *f = pool_rig_new();
	pool_rig_open(f, 2, exec, 0);
	while (tf_pool_free_slots(f->pool) < 2)
		tf_loop_turn(f->loop, true);
	pool_rig_submit(f, 1, "spin", "{}");
	pool_rig_submit(f, 2, "ignore-term", "{}");
	while (f->started < 2)
		tf_loop_turn(f->loop, true);
	(void)!write(tell, "!", 1);
	for (;;)
		pause();
}

/* A supervisor that is killed takes loader and slots with it: orphans would come to us, as the subreaper. */
static void no_orphans(void **state)
{
	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	for (int exec = 0; exec < 2; exec++) {
		int told[2];
		char c;
		assert_int_equal(pipe2(told, O_CLOEXEC), 0);
		pid_t supervisor = fork();
		if (supervisor == 0)
			supervise(exec, told[1]);
		close(told[1]);
		assert_int_equal(read(told[0], &c, 1), 1);
		close(told[0]);
		kill(supervisor, SIGKILL);
		unsigned ended = 0;
		for (int ms = 0; ms < 5000; ms++) {
			pid_t pid = waitpid(-1, NULL, WNOHANG);
			if (pid < 0)
				break;
			ended += pid > 0;
			if (pid == 0)
				pool_rig_sleep(1);
		}
		assert_int_equal(ended, 4); /* supervisor, loader, two slots */
		pool_rig_assert_no_children();
	}
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

/* 1,000 jobs over 4 slots while slots are killed at random: one outcome for each. */
static void random_kills(void **state)
{
	struct pool_rig *f = *state;
	const char *given = getenv("TF_SEED");
	unsigned seed = given ? (unsigned)atoi(given) : (unsigned)time(NULL);
	enum { JOBS = 1000 };
	printf("seed %u (TF_SEED)\n", seed);
	srand(seed);
	tf_log_set_level(TF_LOG_ERROR);
	pool_rig_open(f, 4, rand() % 2, 0);
	unsigned next = 0, kills = 0;
	f->timed_out = false;
	tf_timer_start(f->timer, 60000, 0);
	while (f->done_count < JOBS && !f->timed_out) {
		while (next < JOBS) {
			static const char *const kinds[] = {"echo", "sleep", "big", "events", "exit"};
			unsigned kind = (unsigned)rand() % 40;
			char arguments[100];
			snprintf(arguments, sizeof(arguments), "{\"ms\": %d, \"bytes\": %d, \"code\": 1}",
				rand() % 4, rand() % 300000);
			if (pool_rig_submit(f, next, kinds[kind < 4 ? kind + 1 : 0], arguments) < 0)
				break;
			next++;
		}
		tf_loop_turn(f->loop, true);
		if (rand() % 8 == 0 && next > 0) {
			pid_t pid =
				tf_pool_job_pid(f->pool, next - 1 - (unsigned)rand() % (next < 4 ? next : 4));
			if (pid > 0) {
				kill(pid, rand() % 2 ? SIGKILL : SIGTERM);
				kills++;
			}
		}
	}
	tf_timer_stop(f->timer);
	assert_false(f->timed_out);
	unsigned failed = 0;
	for (unsigned i = 0; i < JOBS; i++) {
		assert_int_equal(f->done[i], 1);
		failed += f->failed[i];
	}
	printf("%u kills, %u jobs failed\n", kills, failed);
	assert_true(failed < JOBS / 2);
	tf_log_set_level(TF_LOG_INFO);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {POOL_TEST(deaths_are_told), POOL_TEST(result_before_death_counts),
		POOL_TEST(endless_task_is_killed), POOL_TEST(idle_slot_killed), POOL_TEST(no_orphans),
		POOL_TEST(random_kills)};
	return pool_rig_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
