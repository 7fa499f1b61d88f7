#include "pool_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "leak_check.h"
#include "pool/frame.h"
#include "protocol/failure.h"

/* ---- the tasks ---- */

int pool_rig_load_code, pool_rig_start_code;
unsigned *pool_rig_starts;

static int run_load(void *arg, char ***names, struct tf_err *err)
{
	(void)arg;
	leak_check_skip();
	if (pool_rig_load_code == -2)
		kill(getpid(), SIGKILL);
	if (pool_rig_load_code == -1)
		return tf_err_set(err, TF_ELUA, "tasks.lua:3: boom");
	if (pool_rig_load_code > 0)
		_exit(pool_rig_load_code);
	*names = tf_calloc(3, sizeof(char *));
	(*names)[0] = tf_strdup("t.A");
	(*names)[1] = tf_strdup("t.B");
	return 0;
}

static int run_slot_start(void *arg, struct tf_err *err)
{
	(void)arg;
	if (pool_rig_starts)
		__atomic_fetch_add(pool_rig_starts, 1, __ATOMIC_RELAXED);
	if (pool_rig_start_code == 1)
		abort();
	return pool_rig_start_code == 2 ? tf_err_set(err, TF_ELUA, "no hook") : 0;
}

void pool_rig_sleep(long ms)
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

struct tf_value *pool_rig_text(size_t n)
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

static struct tf_value *text_of_number(int n)
{
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_printf(&b, "%d", n);
	return tf_value_take(&b);
}

/* Open descriptors beyond stdio and the socket. */
static int open_descriptors(void)
{
	int n = 0;
	for (int fd = 3; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0 && fd != slot_fd();
	return n;
}

/* Sends that job's outcome, or only so many bytes of it, and dies. */
static void done_then_die(const struct tf_request *r, size_t bytes, size_t sent)
{
	struct tf_buf b = TF_BUF_INIT;
	struct tf_value *v = pool_rig_text(bytes);
	const struct tf_slice fields[] = {{"0", 1}, {tf_value_text(v), tf_value_len(v)}};
	tf_frame_put(&b, TF_MAX_FRAME, TF_FRAME_DONE, (uint64_t)number(r, "job"), fields, NULL);
	if (!sent)
		tf_frame_send(slot_fd(), &b, NULL);
	for (size_t at = 0; at < sent;) {
		ssize_t n = send(slot_fd(), b.data + at, sent - at, 0);
		if (n <= 0)
			break;
		at += (size_t)n;
	}
	kill(getpid(), SIGKILL);
}

static void send_events(const struct tf_runner_sink *sink, long count)
{
	for (long i = 0; i < count; i++) {
		struct tf_buf b = TF_BUF_INIT;
		tf_buf_printf(&b, "{\"i\": %ld}", i);
		struct tf_value *v = tf_value_take(&b);
		sink->event(sink->arg, "tick", v);
		tf_value_unref(v);
	}
}

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
		pool_rig_sleep(number(r, "ms"));
	if (!strcmp(what, "spin"))
		for (volatile int i = 0;; i++)
			;
	if (!strcmp(what, "exit"))
		exit((int)number(r, "code"));
	if (!strcmp(what, "kill"))
		kill(getpid(), (int)number(r, "signal"));
	if (!strcmp(what, "ignore-term"))
		signal(SIGTERM, SIG_IGN), pool_rig_sleep(100000);
	if (!strcmp(what, "big"))
		return pool_rig_text((size_t)number(r, "bytes"));
	if (!strcmp(what, "ppid"))
		return text_of_number((int)getppid());
	if (!strcmp(what, "fds"))
		return text_of_number(open_descriptors());
	if (!strcmp(what, "half")) /* die in the middle of a large frame */
		done_then_die(r, 1000000, 700000);
	if (!strcmp(what, "done-then-die")) /* the result is out: death after it must not count */
		done_then_die(r, (size_t)number(r, "bytes"), 0);
	if (!strcmp(what, "nest"))
		return run_nested();
	if (!strcmp(what, "close")) {
		close(slot_fd());
		pool_rig_sleep(100000);
	}
	if (!strcmp(what, "junk")) {
		(void)!write(slot_fd(), "this is not a frame, not at all", 31);
		pool_rig_sleep(100000);
	}
	if (!strcmp(what, "bad-result"))
		return tf_value_from((struct tf_json){"[1,", 3});
	if (!strcmp(what, "bad-failure")) {
		*failed = true;
		return tf_value_parse("{\"exception_str\": 1}", 20, 0, NULL);
	}
	if (!strcmp(what, "events"))
		send_events(sink, number(r, "count"));
	return tf_value_ref(r->arguments);
}

static const struct tf_runner runner = {.load = run_load, .slot_start = run_slot_start, .run = run_task};

/* ---- what the pool tells ---- */

static void on_ready(void *arg, char *const *names, size_t count, const struct tf_err *err)
{
	struct pool_rig *f = arg;
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
	struct pool_rig *f = arg;
	uint64_t now = tf_clock_us();
	assert_true(begun_us <= now && now - begun_us < 60000000);
	assert_int_equal(f->done[job], 0);
	f->started++;
}

static void on_event(void *arg, uint64_t job, const char *type, struct tf_value *details)
{
	struct pool_rig *f = arg;
	char expected[40];
	assert_int_equal(f->done[job], 0);
	assert_string_equal(type, "tick");
	snprintf(expected, sizeof(expected), "{\"i\": %u}", f->events++);
	assert_string_equal(tf_value_text(details), expected);
}

static void on_done(void *arg, uint64_t job, bool failed, struct tf_value *result)
{
	struct pool_rig *f = arg;
	assert_true(job < POOL_RIG_JOBS);
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
	struct pool_rig *f = arg;
	f->slot_free++;
}

static void on_lost(void *arg, const struct tf_err *err)
{
	struct pool_rig *f = arg;
	f->lost++;
	snprintf(f->error, sizeof(f->error), "%s", err->message);
}

static void on_timeout(void *arg)
{
	struct pool_rig *f = arg;
	f->timed_out = true;
}

static const struct tf_pool_events events = {.ready = on_ready,
	.started = on_started,
	.event = on_event,
	.done = on_done,
	.slot_free = on_slot_free,
	.lost = on_lost};

/* ---- the rig ---- */

struct pool_rig *pool_rig_new(void)
{
	struct pool_rig *f = TF_NEW(struct pool_rig);
	f->loop = tf_loop_new();
	f->timer = tf_timer_new(f->loop, on_timeout, f);
	return f;
}

static void rig_delete(struct pool_rig *f)
{
	tf_pool_delete(f->pool);
	tf_timer_delete(f->timer);
	tf_loop_delete(f->loop);
	for (size_t i = 0; i < POOL_RIG_JOBS; i++)
		tf_value_unref(f->result[i]);
	free(f);
}

int pool_rig_setup(void **state)
{
	pool_rig_load_code = pool_rig_start_code = 0;
	*state = pool_rig_new();
	return 0;
}

void pool_rig_assert_no_children(void)
{
	errno = 0;
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

int pool_rig_teardown(void **state)
{
	rig_delete(*state);
	pool_rig_assert_no_children();
	return 0;
}

void pool_rig_open(struct pool_rig *f, unsigned slots, bool exec, size_t max_frame)
{
	static char *const argv[] = {(char *)"pool_rig", (char *)"loader", NULL};
	struct tf_err err;
	struct tf_pool_config config = {.slots = slots, .runner = &runner, .max_frame = max_frame};
	if (exec)
		config.loader_argv = argv;
	if (tf_pool_new(f->loop, &config, &events, f, &f->pool, &err) < 0)
		fail_msg("%s", err.message);
}

int pool_rig_submit(struct pool_rig *f, uint64_t job, const char *cls, const char *arguments)
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

void pool_rig_run(struct pool_rig *f, uint64_t job, const char *cls, const char *arguments)
{
	WAIT(f, tf_pool_free_slots(f->pool) > 0);
	assert_int_equal(pool_rig_submit(f, job, cls, arguments), 0);
	assert_int_equal(f->done[job], 0); /* never inside submit */
	WAIT(f, f->done[job] > 0);
}

void pool_rig_assert_lost(struct pool_rig *f, uint64_t job, const char *text)
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
	struct pool_rig *f = pool_rig_new();
	pool_rig_open(f, 2, false, 0);
	pool_rig_run(f, 1, "kill", "{\"signal\": 9}");
	pool_rig_run(f, 2, "echo", "{\"x\": 1}");
	struct tf_value *v = tf_value_ref(f->result[f->failed[1] ? 2 : 1]);
	rig_delete(f);
	return v;
}

int pool_rig_main(int argc, char **argv, const struct CMUnitTest *tests, size_t count)
{
	if (argc > 1 && !strcmp(argv[1], "loader"))
		return tf_loader_main(TF_LOADER_FD, &runner);
	pool_rig_starts = mmap(
		NULL, sizeof(*pool_rig_starts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(pool_rig_starts != MAP_FAILED);
	if (getenv("TF_TEST")) /* a pattern: that test alone */
		cmocka_set_test_filter(getenv("TF_TEST"));
	return _cmocka_run_group_tests("tests", tests, count, NULL, NULL);
}
