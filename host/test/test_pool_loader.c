/* The loader: what it loads, what it leaves open, how it fails and dies. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool_rig.h"

static void load_errors(void **state)
{
	struct pool_rig *f = *state;
	pool_rig_load_code = -1;
	pool_rig_open(f, 1, false, 0);
	WAIT(f, f->ready);
	assert_string_equal(f->error, "tasks.lua:3: boom");
	assert_int_equal(pool_rig_submit(f, 1, "echo", "{}"), TF_ESTATE);
	tf_pool_delete(f->pool);

	pool_rig_load_code = 3;
	f->ready = 0;
	pool_rig_open(f, 1, false, 0);
	WAIT(f, f->ready);
	assert_non_null(strstr(f->error, "exited with code 3 while it loaded the scripts"));
	tf_pool_delete(f->pool);

	pool_rig_load_code = -2; /* killed: tried again a few times first */
	f->ready = 0;
	pool_rig_open(f, 1, false, 0);
	WAIT(f, f->ready);
	assert_non_null(strstr(f->error, "SIGKILL"));
	assert_int_equal(f->ready_errors, 3);
	assert_int_equal(f->lost, 0);
}

static void loader_killed(void **state)
{
	struct pool_rig *f = *state;
	for (int exec = 0; exec < 2; exec++) {
		pool_rig_open(f, 2, exec, 0);
		f->done_count = 0;
		WAIT(f, tf_pool_free_slots(f->pool) == 2);
		/* Children are the two slots and the loader: the one that no job names. */
		memset(f->done, 0, sizeof(f->done));
		pool_rig_submit(f, 1, "sleep", "{\"ms\": 100}");
		pool_rig_submit(f, 2, "sleep", "{\"ms\": 100}");
		char path[64], text[400] = "";
		snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
		int fd = open(path, O_RDONLY);
		if (fd < 0)
			skip(); /* kernel without that file */
		(void)!read(fd, text, sizeof(text) - 1);
		close(fd);
		int children = 0;
		for (char *at = strtok(text, " "); at; at = strtok(NULL, " "), children++) {
			pid_t pid = (pid_t)atoi(at);
			if (pid != tf_pool_job_pid(f->pool, 1) && pid != tf_pool_job_pid(f->pool, 2))
				kill(pid, SIGKILL);
		}
		assert_int_equal(children, 3);
		/* What runs is not touched, and slots can be made again afterwards. */
		WAIT(f, f->done_count == 2);
		assert_false(f->failed[1] || f->failed[2]);
		pool_rig_run(f, 3, "kill", "{\"signal\": 9}");
		pool_rig_run(f, 4, "kill", "{\"signal\": 9}");
		pool_rig_run(f, 5, "echo", "{}");
		assert_false(f->failed[5]);
		assert_int_equal(f->lost, 0);
		tf_pool_delete(f->pool);
		f->pool = NULL;
	}
}

/* A script that crashes in each new slot must not make a storm of forks. */
static void start_failures_are_slowed(void **state)
{
	struct pool_rig *f = *state;
	for (pool_rig_start_code = 1; pool_rig_start_code <= 2; pool_rig_start_code++) {
		*pool_rig_starts = 0;
		pool_rig_open(f, 4, false, 0);
		WAIT(f, f->ready == (unsigned)pool_rig_start_code);
		tf_timer_start(f->timer, 1500, 0);
		f->timed_out = false;
		while (!f->timed_out)
			tf_loop_turn(f->loop, true);
		assert_int_equal(tf_pool_free_slots(f->pool), 0);
		printf("%u starts in 1.5 s\n", *pool_rig_starts);
		assert_true(*pool_rig_starts >= 4 && *pool_rig_starts <= 20);
		tf_pool_delete(f->pool);
		f->pool = NULL;
	}
}

static void descriptors_are_closed(void **state)
{
	struct pool_rig *f = *state;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), kept = 0;
	struct stat st;
	for (int i = 3; i < 256; i++) { /* what whoever started us left open is like what scripts open */
		int flags = fcntl(i, F_GETFD);
		kept += flags >= 0 && (!(flags & FD_CLOEXEC) || (fstat(i, &st) == 0 && S_ISFIFO(st.st_mode)));
	}
	pool_rig_open(f, 1, false, 0);
	pool_rig_run(f, 1, "fds", "{}");
	assert_int_equal(atoi(tf_value_text(f->result[1])), kept);
	tf_pool_delete(f->pool);
	fcntl(fd, F_SETFD, 0); /* an exec'd loader keeps none, whatever the mark */
	pool_rig_open(f, 1, true, 0);
	pool_rig_run(f, 2, "fds", "{}");
	assert_string_equal(tf_value_text(f->result[2]), "0");
	close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {POOL_TEST(load_errors), POOL_TEST(loader_killed),
		POOL_TEST(start_failures_are_slowed), POOL_TEST(descriptors_are_closed)};
	return pool_rig_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
