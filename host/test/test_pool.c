/* The pool with real processes: forks, kills, deaths at every point. The runner is C, so that what is
 * tested is the pool. Random parts print their seed; TF_SEED repeats one. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/cmocka_all.h"

#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "pool/frame.h"
#include "pool/pool.h"
#include "protocol/failure.h"

/* ---- the tasks ---- */

static int load_code, start_code; /* what load and slot_start do in this process's children */

/* LeakSanitizer asks this at exit. In loader and slots it must not look: it looks from a process of its own, which
 * outlives one that is killed meanwhile, and would be counted as an orphan of ours. */
static bool in_loader;
int __lsan_is_turned_off(void); /* NOLINT(bugprone-reserved-identifier): the sanitizer's name */
int __lsan_is_turned_off(void)
{
	return in_loader;
}

static int run_load(void *arg, char ***names, struct tf_err *err)
{
	(void)arg;
	in_loader = true;
	if (load_code == -2)
		kill(getpid(), SIGKILL);
	if (load_code == -1)
		return tf_err_set(err, TF_ELUA, "tasks.lua:3: boom");
	if (load_code > 0)
		_exit(load_code);
	*names = tf_calloc(3, sizeof(char *));
	(*names)[0] = tf_strdup("t.A");
	(*names)[1] = tf_strdup("t.B");
	return 0;
}

static unsigned *starts; /* of slots; shared with them */

static int run_slot_start(void *arg, struct tf_err *err)
{
	(void)arg;
	if (starts)
		__atomic_fetch_add(starts, 1, __ATOMIC_RELAXED);
	if (start_code == 1)
		abort();
	return start_code == 2 ? tf_err_set(err, TF_ELUA, "no hook") : 0;
}

static void sleep_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	nanosleep(&t, NULL);
}

/* The slot's end of its socket: the only stream socket among our descriptors. */
static int slot_fd(void)
{
	for (int fd = 3; fd < 64; fd++) {
		int type;
		socklen_t n = sizeof(type);
		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0)
			return fd;
	}
	return -1;
}

static long number(const struct tf_request *r, const char *name)
{
	struct tf_json v;
	int64_t n = 0;
	if (tf_json_get(tf_value_json(r->arguments), name, &v))
		tf_json_int64(v, &n);
	return (long)n;
}

static struct tf_value *text_of(size_t n)
{
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_reserve(&b, n + 2);
	tf_buf_putc(&b, '"');
	memset(b.data + 1, 'x', n);
	b.len += n;
	tf_buf_putc(&b, '"');
	return tf_value_take(&b);
}

static struct tf_value *run_nested(void);

static struct tf_value *run_task(
	void *arg, const struct tf_request *r, const struct tf_runner_sink *sink, bool *failed)
{
	(void)arg;
	const char *what = r->task_cls;
	*failed = false;
	if (!strcmp(what, "early-exit"))
		_exit(9); /* before it began */
	sink->started(sink->arg);
	if (!strcmp(what, "sleep"))
		sleep_ms(number(r, "ms"));
	if (!strcmp(what, "spin"))
		for (volatile int i = 0;; i++)
			;
	if (!strcmp(what, "exit"))
		exit((int)number(r, "code"));
	if (!strcmp(what, "kill"))
		kill(getpid(), (int)number(r, "signal"));
	if (!strcmp(what, "ignore-term"))
		signal(SIGTERM, SIG_IGN), sleep_ms(100000);
	if (!strcmp(what, "big"))
		return text_of((size_t)number(r, "bytes"));
	if (!strcmp(what, "ppid")) {
		struct tf_buf b = TF_BUF_INIT;
		tf_buf_printf(&b, "%d", (int)getppid());
		return tf_value_take(&b);
	}
	if (!strcmp(what, "fds")) { /* open descriptors beyond stdio and the socket */
		struct tf_buf b = TF_BUF_INIT;
		int n = 0;
		for (int fd = 3; fd < 256; fd++)
			n += fcntl(fd, F_GETFD) >= 0 && fd != slot_fd();
		tf_buf_printf(&b, "%d", n);
		return tf_value_take(&b);
	}
	if (!strcmp(what, "half")) { /* die in the middle of a large frame */
		struct tf_buf b = TF_BUF_INIT;
		struct tf_value *v = text_of(1000000);
		const struct tf_slice fields[] = {{"0", 1}, {tf_value_text(v), tf_value_len(v)}};
		tf_frame_put(&b, TF_MAX_FRAME, TF_FRAME_DONE, (uint64_t)number(r, "job"), fields, NULL);
		for (size_t at = 0; at < 700000;) {
			ssize_t n = send(slot_fd(), b.data + at, 700000 - at, 0);
			if (n <= 0)
				break;
			at += (size_t)n;
		}
		kill(getpid(), SIGKILL);
	}
	if (!strcmp(what, "done-then-die")) { /* the result is out: death after it must not count */
		struct tf_buf b = TF_BUF_INIT;
		struct tf_value *v = text_of((size_t)number(r, "bytes"));
		const struct tf_slice fields[] = {{"0", 1}, {tf_value_text(v), tf_value_len(v)}};
		tf_frame_put(&b, TF_MAX_FRAME, TF_FRAME_DONE, (uint64_t)number(r, "job"), fields, NULL);
		tf_frame_send(slot_fd(), &b, NULL);
		kill(getpid(), SIGKILL);
	}
	if (!strcmp(what, "nest"))
		return run_nested();
	if (!strcmp(what, "close")) {
		close(slot_fd());
		sleep_ms(100000);
	}
	if (!strcmp(what, "junk")) {
		(void)!write(slot_fd(), "this is not a frame, not at all", 31);
		sleep_ms(100000);
	}
	if (!strcmp(what, "bad-result"))
		return tf_value_from((struct tf_json){"[1,", 3});
	if (!strcmp(what, "bad-failure")) {
		*failed = true;
		return tf_value_parse("{\"exception_str\": 1}", 20, 0, NULL);
	}
	if (!strcmp(what, "events")) {
		for (long i = 0; i < number(r, "count"); i++) {
			struct tf_buf b = TF_BUF_INIT;
			tf_buf_printf(&b, "{\"i\": %ld}", i);
			struct tf_value *v = tf_value_take(&b);
			sink->event(sink->arg, "tick", v);
			tf_value_unref(v);
		}
	}
	return tf_value_ref(r->arguments);
}

static const struct tf_runner runner = {.load = run_load, .slot_start = run_slot_start, .run = run_task};

/* ---- the fixture ---- */

enum { MAX_JOBS = 4000 };

struct fixture {
	struct tf_loop *loop;
	struct tf_pool *pool;
	struct tf_timer *timer;
	unsigned ready, ready_errors, lost, slot_free, events, started;
	size_t names;
	char error[1000];
	unsigned done[MAX_JOBS]; /* times told */
	bool failed[MAX_JOBS];
	struct tf_value *result[MAX_JOBS];
	unsigned done_count;
	bool timed_out;
	void (*on_done)(struct fixture *f, uint64_t job);
};

static void on_ready(void *arg, char *const *names, size_t count, const struct tf_err *err)
{
	struct fixture *f = arg;
	(void)names;
	f->ready++;
	f->names = count;
	if (err) {
		f->ready_errors++;
		snprintf(f->error, sizeof(f->error), "%s", err->message);
	}
}

static void on_started(void *arg, uint64_t job, uint64_t begun_us)
{
	struct fixture *f = arg;
	uint64_t now = tf_clock_us();
	assert_true(begun_us <= now && now - begun_us < 60000000);
	assert_int_equal(f->done[job], 0);
	f->started++;
}

static void on_event(void *arg, uint64_t job, const char *type, struct tf_value *details)
{
	struct fixture *f = arg;
	char expected[40];
	assert_int_equal(f->done[job], 0);
	assert_string_equal(type, "tick");
	snprintf(expected, sizeof(expected), "{\"i\": %u}", f->events++);
	assert_string_equal(tf_value_text(details), expected);
}

static void on_done(void *arg, uint64_t job, bool failed, struct tf_value *result)
{
	struct fixture *f = arg;
	assert_true(job < MAX_JOBS);
	f->done[job]++;
	f->failed[job] = failed;
	tf_value_unref(f->result[job]);
	f->result[job] = tf_value_ref(result);
	f->done_count++;
	if (f->on_done)
		f->on_done(f, job);
}

static void on_slot_free(void *arg)
{
	struct fixture *f = arg;
	f->slot_free++;
}

static void on_lost(void *arg, const struct tf_err *err)
{
	struct fixture *f = arg;
	f->lost++;
	snprintf(f->error, sizeof(f->error), "%s", err->message);
}

static void on_timeout(void *arg)
{
	struct fixture *f = arg;
	f->timed_out = true;
}

static const struct tf_pool_events events = {.ready = on_ready,
	.started = on_started,
	.event = on_event,
	.done = on_done,
	.slot_free = on_slot_free,
	.lost = on_lost};

static int setup(void **state)
{
	struct fixture *f = TF_NEW(struct fixture);
	f->loop = tf_loop_new();
	f->timer = tf_timer_new(f->loop, on_timeout, f);
	load_code = start_code = 0;
	*state = f;
	return 0;
}

/* Nothing of ours may be left: no child, dead or alive. */
static void assert_no_children(void)
{
	errno = 0;
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	tf_pool_delete(f->pool);
	tf_timer_delete(f->timer);
	tf_loop_delete(f->loop);
	for (size_t i = 0; i < MAX_JOBS; i++)
		tf_value_unref(f->result[i]);
	free(f);
	assert_no_children();
	return 0;
}

static void open_pool(struct fixture *f, unsigned slots, bool exec, size_t max_frame)
{
	static char *const argv[] = {(char *)"test_pool", (char *)"loader", NULL};
	struct tf_err err;
	struct tf_pool_config config = {.slots = slots, .runner = &runner, .max_frame = max_frame};
	if (exec)
		config.loader_argv = argv;
	if (tf_pool_new(f->loop, &config, &events, f, &f->pool, &err) < 0)
		fail_msg("%s", err.message);
}

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

static int submit(struct fixture *f, uint64_t job, const char *cls, const char *arguments)
{
	struct tf_err err;
	struct tf_request r = {.task_cls = (char *)cls, .task_name = (char *)"x", .action = TF_EXECUTE};
	r.task_version = tf_value_parse("[1, 0]", 6, 0, NULL);
	r.arguments = tf_value_parse(arguments, strlen(arguments), 0, NULL);
	int rc = tf_pool_submit(f->pool, job, &r, &err);
	tf_value_unref(r.task_version);
	tf_value_unref(r.arguments);
	return rc;
}

/* Submit once a slot is free, and wait for the outcome. */
static void run(struct fixture *f, uint64_t job, const char *cls, const char *arguments)
{
	WAIT(f, tf_pool_free_slots(f->pool) > 0);
	assert_int_equal(submit(f, job, cls, arguments), 0);
	assert_int_equal(f->done[job], 0); /* never inside submit */
	WAIT(f, f->done[job] > 0);
}

static void assert_lost(struct fixture *f, uint64_t job, const char *text)
{
	assert_int_equal(f->done[job], 1);
	assert_true(f->failed[job]);
	assert_true(tf_failure_is(tf_value_json(f->result[job]), "tfhost.WorkerLost"));
	if (!strstr(tf_value_text(f->result[job]), text))
		fail_msg("no \"%s\" in %s", text, tf_value_text(f->result[job]));
}

/* A task that has a pool of its own, with a slot that dies in it. */
static struct tf_value *run_nested(void)
{
	struct fixture *f = TF_NEW(struct fixture);
	f->loop = tf_loop_new();
	f->timer = tf_timer_new(f->loop, on_timeout, f);
	open_pool(f, 2, false, 0);
	run(f, 1, "kill", "{\"signal\": 9}");
	run(f, 2, "echo", "{\"x\": 1}");
	struct tf_value *v = tf_value_ref(f->result[f->failed[1] ? 2 : 1]);
	tf_pool_delete(f->pool);
	tf_timer_delete(f->timer);
	tf_loop_delete(f->loop);
	return v;
}

/* ---- the tests ---- */

static void pool_in_a_slot(void **state)
{
	struct fixture *f = *state;
	for (int exec = 0; exec < 2; exec++) {
		open_pool(f, 1, exec, 0);
		run(f, 10 + (uint64_t)exec, "nest", "{}");
		assert_string_equal(tf_value_text(f->result[10 + exec]), "{\"x\": 1}");
		tf_pool_delete(f->pool);
		f->pool = NULL;
	}
}

static void runs_in_both_modes(void **state)
{
	struct fixture *f = *state;
	for (int exec = 0; exec < 2; exec++) {
		open_pool(f, 2, exec, 0);
		WAIT(f, f->ready > 0);
		assert_int_equal(f->ready_errors, 0);
		assert_int_equal(f->names, 2);
		run(f, 1, "echo", "{\"a\": [1, 2.0, \"\\u00e9\"]}");
		assert_false(f->failed[1]);
		assert_string_equal(tf_value_text(f->result[1]), "{\"a\": [1, 2.0, \"\\u00e9\"]}");
		assert_int_equal(f->started, 1);
		run(f, 2, "ppid", "{}"); /* a slot's parent is the supervisor: it can reap it */
		assert_int_equal(atoi(tf_value_text(f->result[2])), getpid());
		tf_pool_delete(f->pool);
		f->pool = NULL;
		assert_no_children();
		f->ready = f->started = 0;
		f->done[1] = f->done[2] = 0;
	}
}

static void busy_and_free(void **state)
{
	struct fixture *f = *state;
	open_pool(f, 2, false, 0);
	assert_int_equal(submit(f, 0, "echo", "{}"), TF_EAGAIN);
	WAIT(f, tf_pool_free_slots(f->pool) == 2);
	assert_int_equal(f->slot_free, 1);
	assert_int_equal(submit(f, 1, "sleep", "{\"ms\": 50}"), 0);
	assert_int_equal(submit(f, 2, "sleep", "{\"ms\": 50}"), 0);
	assert_int_equal(tf_pool_busy_slots(f->pool), 2);
	assert_int_equal(submit(f, 3, "echo", "{}"), TF_EAGAIN);
	assert_true(tf_pool_job_pid(f->pool, 1) > 0);
	assert_int_equal(tf_pool_job_pid(f->pool, 3), 0);
	WAIT(f, f->done_count == 2);
	assert_int_equal(f->slot_free, 2);
}

static void hurry(struct fixture *f, uint64_t *job)
{
	for (unsigned want = f->done_count + 100; f->done_count < want;) {
		while (*job < MAX_JOBS && submit(f, *job, "echo", "{}") == 0)
			++*job;
		tf_loop_turn(f->loop, true);
	}
}

/* Requests wait in the sockets of slots that are quick, and none behind a task that takes long: slot and supervisor
 * compete for each. */
static void nothing_waits_behind_a_long_task(void **state)
{
	struct fixture *f = *state;
	uint64_t job = 0;
	open_pool(f, 2, false, 0);
	WAIT(f, tf_pool_free_slots(f->pool) == 2);
	int shown = 0; /* on a busy machine slots do not look quick, and nothing is sent ahead */
	for (int round = 0; shown < 10; round++) {
		unsigned ahead = 0;
		assert_true(round < 200);
		hurry(f, &job);
		uint64_t first = job;
		while (submit(f, job, job == first ? "sleep" : "echo", "{\"ms\": 150}") == 0) {
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
	struct fixture *f = *state;
	uint64_t job = 0;
	open_pool(f, 2, false, 0);
	WAIT(f, tf_pool_free_slots(f->pool) == 2);
	for (int round = 0; round < 10; round++) {
		hurry(f, &job);
		uint64_t first = job;
		while (submit(f, job, job == first ? "kill" : "echo", "{\"signal\": 9}") == 0)
			job++;
		WAIT(f, f->done_count == job);
		for (uint64_t i = first; i < job; i++)
			assert_int_equal(f->failed[i], i == first);
	}
}

/* More slots than are asked of the loader at a time. */
static void many_slots(void **state)
{
	struct fixture *f = *state;
	open_pool(f, 40, true, 0);
	WAIT(f, tf_pool_free_slots(f->pool) == 40);
	for (uint64_t i = 0; i < 40; i++)
		assert_int_equal(submit(f, i, "sleep", "{\"ms\": 5}"), 0);
	WAIT(f, f->done_count == 40);
}

static void events_in_order(void **state)
{
	struct fixture *f = *state;
	open_pool(f, 1, false, 0);
	run(f, 1, "events", "{\"count\": 5000}");
	assert_int_equal(f->events, 5000);
	assert_int_equal(f->started, 1);
}

static void deaths_are_told(void **state)
{
	struct fixture *f = *state;
	open_pool(f, 1, true, 0);
	run(f, 1, "exit", "{\"code\": 3}");
	assert_lost(f, 1, "running task 'x' (exit) exited with code 3 after ");
	run(f, 2, "kill", "{\"signal\": 9}");
	assert_lost(f, 2, "was killed by signal 9 (SIGKILL) after ");
	run(f, 3, "kill", "{\"signal\": 11}");
	assert_lost(f, 3, "was killed by signal 11 (SIGSEGV)");
	assert_lost(f, 3, "peak memory ");
	run(f, 4, "exit", "{\"code\": 0}");
	assert_lost(f, 4, "exited with code 0");
	run(f, 5, "half", "{\"job\": 5}");
	assert_lost(f, 5, "SIGKILL");
	run(f, 6, "early-exit", "{}"); /* tried in a second slot, then given up */
	assert_lost(f, 6, "exited with code 9");
	run(f, 7, "echo", "{}");
	assert_false(f->failed[7]);
	assert_int_equal(f->started, 6);
}

static void result_before_death_counts(void **state)
{
	struct fixture *f = *state;
	open_pool(f, 1, false, 0);
	for (uint64_t job = 1; job <= 20; job++) {
		char arguments[80];
		snprintf(arguments, sizeof(arguments), "{\"job\": %d, \"bytes\": %d}", (int)job,
			(int)job * 20000);
		run(f, job, "done-then-die", arguments);
		assert_false(f->failed[job]);
		assert_int_equal(tf_value_len(f->result[job]), job * 20000 + 2);
	}
	assert_int_equal(f->done_count, 20);
}

static void endless_task_is_killed(void **state)
{
	struct fixture *f = *state;
	open_pool(f, 2, false, 0);
	WAIT(f, tf_pool_free_slots(f->pool) == 2);
	submit(f, 1, "spin", "{}");
	submit(f, 2, "ignore-term", "{}");
	WAIT(f, f->started == 2);
	kill(tf_pool_job_pid(f->pool, 1), SIGKILL);
	WAIT(f, f->done_count == 1);
	assert_lost(f, 1, "SIGKILL");
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
	struct fixture *f = *state;
	open_pool(f, 1, false, 0);
	run(f, 1, "ppid", "{}");
	submit(f, 2, "sleep", "{\"ms\": 1}");
	pid_t pid = tf_pool_job_pid(f->pool, 2);
	WAIT(f, f->done[2]);
	/* The pool does not know yet that its slot is dead: the job moves to the next one. */
	kill(pid, SIGKILL);
	sleep_ms(20);
	assert_int_equal(submit(f, 3, "echo", "{}"), 0);
	WAIT(f, f->done[3]);
	assert_false(f->failed[3]);
	assert_int_equal(f->done_count, 3);
}

static void loader_killed(void **state)
{
	struct fixture *f = *state;
	for (int exec = 0; exec < 2; exec++) {
		open_pool(f, 2, exec, 0);
		f->done_count = 0;
		WAIT(f, tf_pool_free_slots(f->pool) == 2);
		/* Children are the two slots and the loader: the one that no job names. */
		memset(f->done, 0, sizeof(f->done));
		submit(f, 1, "sleep", "{\"ms\": 100}");
		submit(f, 2, "sleep", "{\"ms\": 100}");
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
		run(f, 3, "kill", "{\"signal\": 9}");
		run(f, 4, "kill", "{\"signal\": 9}");
		run(f, 5, "echo", "{}");
		assert_false(f->failed[5]);
		assert_int_equal(f->lost, 0);
		tf_pool_delete(f->pool);
		f->pool = NULL;
	}
}

static void load_errors(void **state)
{
	struct fixture *f = *state;
	load_code = -1;
	open_pool(f, 1, false, 0);
	WAIT(f, f->ready);
	assert_string_equal(f->error, "tasks.lua:3: boom");
	assert_int_equal(submit(f, 1, "echo", "{}"), TF_ESTATE);
	tf_pool_delete(f->pool);

	load_code = 3;
	f->ready = 0;
	open_pool(f, 1, false, 0);
	WAIT(f, f->ready);
	assert_non_null(strstr(f->error, "exited with code 3 while it loaded the scripts"));
	tf_pool_delete(f->pool);

	load_code = -2; /* killed: tried again a few times first */
	f->ready = 0;
	open_pool(f, 1, false, 0);
	WAIT(f, f->ready);
	assert_non_null(strstr(f->error, "SIGKILL"));
	assert_int_equal(f->ready_errors, 3);
	assert_int_equal(f->lost, 0);
}

/* A script that crashes in each new slot must not make a storm of forks. */
static void start_failures_are_slowed(void **state)
{
	struct fixture *f = *state;
	for (start_code = 1; start_code <= 2; start_code++) {
		*starts = 0;
		open_pool(f, 4, false, 0);
		WAIT(f, f->ready == (unsigned)start_code);
		tf_timer_start(f->timer, 1500, 0);
		f->timed_out = false;
		while (!f->timed_out)
			tf_loop_turn(f->loop, true);
		assert_int_equal(tf_pool_free_slots(f->pool), 0);
		printf("%u starts in 1.5 s\n", *starts);
		assert_true(*starts >= 4 && *starts <= 20);
		tf_pool_delete(f->pool);
		f->pool = NULL;
	}
}

static void foreign_bytes_end_the_slot(void **state)
{
	struct fixture *f = *state;
	static const char *const kinds[] = {"junk", "bad-result", "bad-failure"};
	open_pool(f, 1, false, 0);
	for (uint64_t i = 0; i < 3; i++) {
		run(f, i, kinds[i], "{}");
		assert_lost(f, i, "because what it sent cannot be: ");
	}
	run(f, 3, "close", "{}");
	assert_lost(f, 3, "because it closed its socket");
	run(f, 9, "echo", "{}");
	assert_false(f->failed[9]);
}

static void large_frames(void **state)
{
	struct fixture *f = *state;
	open_pool(f, 1, false, 0);
	run(f, 1, "big", "{\"bytes\": 20000000}");
	assert_int_equal(tf_value_len(f->result[1]), 20000002);
	run(f, 2, "big", "{\"bytes\": 67108864}"); /* 64 MB and quotes: too large */
	assert_true(f->failed[2]);
	assert_true(tf_failure_is(tf_value_json(f->result[2]), "ValueError"));
	assert_non_null(strstr(tf_value_text(f->result[2]), "limit of 67108864"));
	/* a large request, more than a socket takes at once */
	struct tf_value *v = text_of(10000000);
	char *arguments = tf_asprintf("{\"text\": %s}", tf_value_text(v));
	run(f, 3, "echo", arguments);
	assert_string_equal(tf_value_text(f->result[3]), arguments);
	free(arguments);
	tf_value_unref(v);
}

static void request_limit(void **state)
{
	struct fixture *f = *state;
	open_pool(f, 1, false, 1000);
	WAIT(f, tf_pool_free_slots(f->pool) > 0);
	struct tf_value *v = text_of(2000);
	char *arguments = tf_asprintf("{\"text\": %s}", tf_value_text(v));
	assert_int_equal(submit(f, 1, "echo", arguments), TF_ELIMIT);
	assert_int_equal(tf_pool_free_slots(f->pool), 1);
	free(arguments);
	tf_value_unref(v);
	run(f, 2, "big", "{\"bytes\": 5000}");
	assert_true(f->failed[2]);
	run(f, 3, "echo", "{}");
	assert_false(f->failed[3]);
}

static void descriptors_are_closed(void **state)
{
	struct fixture *f = *state;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), kept = 0;
	struct stat st;
	for (int i = 3; i < 256; i++) { /* what whoever started us left open is like what scripts open */
		int flags = fcntl(i, F_GETFD);
		kept += flags >= 0 && (!(flags & FD_CLOEXEC) || (fstat(i, &st) == 0 && S_ISFIFO(st.st_mode)));
	}
	open_pool(f, 1, false, 0);
	run(f, 1, "fds", "{}");
	assert_int_equal(atoi(tf_value_text(f->result[1])), kept);
	tf_pool_delete(f->pool);
	fcntl(fd, F_SETFD, 0); /* an exec'd loader keeps none, whatever the mark */
	open_pool(f, 1, true, 0);
	run(f, 2, "fds", "{}");
	assert_string_equal(tf_value_text(f->result[2]), "0");
	close(fd);
}

/* In a process of its own: two slots that would never end by themselves; one byte once they run. */
_Noreturn static void supervise(bool exec, int tell)
{
	struct fixture *f = TF_NEW(struct fixture);
	f->loop = tf_loop_new();
	f->timer = tf_timer_new(f->loop, on_timeout, f);
	open_pool(f, 2, exec, 0);
	while (tf_pool_free_slots(f->pool) < 2)
		tf_loop_turn(f->loop, true);
	submit(f, 1, "spin", "{}");
	submit(f, 2, "ignore-term", "{}");
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
				sleep_ms(1);
		}
		assert_int_equal(ended, 4); /* supervisor, loader, two slots */
		assert_no_children();
	}
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void delete_in_done(struct fixture *f, uint64_t job)
{
	(void)job;
	tf_pool_delete(f->pool);
	f->pool = NULL;
}

static void deleted_by_its_callback(void **state)
{
	struct fixture *f = *state;
	f->on_done = delete_in_done;
	open_pool(f, 3, false, 0);
	WAIT(f, tf_pool_free_slots(f->pool) == 3);
	submit(f, 1, "sleep", "{\"ms\": 20}");
	submit(f, 2, "kill", "{\"signal\": 9}");
	submit(f, 3, "echo", "{}");
	WAIT(f, f->pool == NULL);
	assert_int_equal(f->done_count, 1);
}

static void deleted_at_any_time(void **state)
{
	struct fixture *f = *state;
	for (int turns = 0; turns < 12; turns++) {
		open_pool(f, 3, turns % 2, 0);
		tf_timer_start(f->timer, 1, 1); /* so that no turn waits for ever */
		for (int i = 0; i < turns; i++)
			tf_loop_turn(f->loop, true);
		tf_timer_stop(f->timer);
		tf_pool_delete(f->pool);
		f->pool = NULL;
		assert_no_children();
	}
}

/* 1,000 jobs over 4 slots while slots are killed at random: one outcome for each. */
static void random_kills(void **state)
{
	struct fixture *f = *state;
	const char *given = getenv("TF_SEED");
	unsigned seed = given ? (unsigned)atoi(given) : (unsigned)time(NULL);
	enum { JOBS = 1000 };
	printf("seed %u (TF_SEED)\n", seed);
	srand(seed);
	tf_log_set_level(TF_LOG_ERROR);
	open_pool(f, 4, rand() % 2, 0);
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
			if (submit(f, next, kinds[kind < 4 ? kind + 1 : 0], arguments) < 0)
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
	if (argc > 1 && !strcmp(argv[1], "loader"))
		return tf_loader_main(TF_LOADER_FD, &runner);
	starts = mmap(NULL, sizeof(*starts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(starts != MAP_FAILED);
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {T(runs_in_both_modes), T(busy_and_free),
		T(nothing_waits_behind_a_long_task), T(a_death_costs_one_task), T(many_slots),
		T(pool_in_a_slot), T(events_in_order), T(deaths_are_told), T(result_before_death_counts),
		T(endless_task_is_killed), T(idle_slot_killed), T(loader_killed), T(load_errors),
		T(start_failures_are_slowed), T(foreign_bytes_end_the_slot), T(large_frames),
		T(request_limit), T(descriptors_are_closed), T(no_orphans), T(deleted_by_its_callback),
		T(deleted_at_any_time), T(random_kills)};
	if (getenv("TF_TEST")) /* a pattern: that test alone */
		cmocka_set_test_filter(getenv("TF_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
