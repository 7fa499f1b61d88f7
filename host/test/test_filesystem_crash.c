/* The filesystem transport when things go wrong between two system calls: it dies, or a call fails,
 * at each call in turn.
 *
 * The system calls of this program pass through the functions below, which can end the process or
 * fail in the n-th one. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/uuid.h"
#include "fs_env.h"

enum { CRASHED = 99, FINISHED = 0 };

static struct {
	unsigned at; /* 0: off */
	unsigned count;
	int error; /* 0: crash */
} hook;

/* Whether the call that is about to be made is to fail. */
static bool step(void)
{
	if (!hook.at || ++hook.count != hook.at)
		return false;
	if (!hook.error)
		_exit(CRASHED);
	errno = hook.error;
	return true;
}

int openat(int folder, const char *path, int flags, ...)
{
	va_list args;
	int mode;

	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, int) : 0;
	va_end(args);
	return step() ? -1 : (int)syscall(SYS_openat, folder, path, flags, mode);
}

int renameat(int from, const char *old, int to, const char *new)
{
	return step() ? -1 : (int)syscall(SYS_renameat2, from, old, to, new, 0);
}

int unlinkat(int folder, const char *path, int flags)
{
	return step() ? -1 : (int)syscall(SYS_unlinkat, folder, path, flags);
}

int mkdirat(int folder, const char *path, mode_t mode)
{
	return step() ? -1 : (int)syscall(SYS_mkdirat, folder, path, mode);
}

int flock(int fd, int how)
{
	return step() ? -1 : (int)syscall(SYS_flock, fd, how);
}

int inotify_init1(int flags)
{
	return step() ? -1 : (int)syscall(SYS_inotify_init1, flags);
}

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	return step() ? -1 : (int)syscall(SYS_inotify_add_watch, fd, path, mask);
}

/* Only of messages: the loop wakes itself by writes, too. In two parts, so that there is a crash
 * between them. */
ssize_t write(int fd, const void *bytes, size_t n)
{
	struct stat st;

	if (hook.at && n > 1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		if (step())
			return -1;
		n /= 2;
	}
	return syscall(SYS_write, fd, bytes, n);
}

static void put(unsigned ms, const char *queue, const char *body)
{
	char uuid[TF_UUID_LEN + 1], name[200], text[200];

	tf_uuid(uuid);
	snprintf(name, sizeof(name), "q/%u_%s.ex_%s.msg", ms, uuid, queue);
	snprintf(text, sizeof(text), "{\"body\": \"%s\", \"properties\": {\"delivery_tag\": \"x\"}}", body);
	temp_folder_write(&fs_dir, name, text);
}

struct diary { /* in a pipe, so that it outlives the process */
	int out;
	unsigned acked, requeued;
};

/* "a<body>": about to acknowledge; "p<id>": was told that it is published; "f<id>": that it failed. */
static void note(int out, char what, const char *text)
{
	char entry[32];
	int n = snprintf(entry, sizeof(entry), "%c%s\n", what, text);

	if (syscall(SYS_write, out, entry, n) != n)
		_exit(2);
}

/* The second message is put back once, all are acknowledged in the end. */
static void take(struct peer *p, const struct peer_message *m)
{
	struct diary *d = p->hook_arg;

	if (m->body[0] == 'b' && !d->requeued) {
		d->requeued++;
		tf_transport_settle(p->t, m->tag, TF_REQUEUE);
		return;
	}
	note(d->out, 'a', m->body);
	tf_transport_settle(p->t, m->tag, TF_ACK);
	d->acked++;
}

/* Never returns. */
static void run_scenario(int out, unsigned at, int error)
{
	struct diary d = {.out = out};
	struct tf_loop *loop;
	struct peer p;
	char id[2] = "1";
	unsigned i, told = 0;

	alarm(60);
	hook.error = error;
	hook.at = at;
	loop = tf_loop_new();
	fs_open_in(&p, loop);
	p.hook = take;
	p.hook_arg = &d;
	peer_consume(&p, "t", 2);
	for (i = 1; i <= 3; i++) {
		id[0] = (char)('0' + i);
		peer_send(&p, "u", id, 0, i);
	}
	while (told < 3 || d.acked < 3) {
		tf_loop_turn(loop, true);
		for (; told < p.outcome_count; told++) {
			id[0] = (char)('0' + p.outcomes[told].id);
			note(out, p.outcomes[told].status == TF_PUBLISHED ? 'p' : 'f', id);
			if (p.outcomes[told].status != TF_PUBLISHED &&
				!strstr(p.outcomes[told].err.message, fs_dir.path))
				_exit(3); /* does not say where */
		}
	}
	peer_close(&p);
	tf_loop_delete(loop);
	_exit(FINISHED);
}

static int run_child(unsigned at, int error, char *diary, size_t room)
{
	int fds[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t child;

	assert_int_equal(pipe(fds), 0);
	fflush(stdout);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(fds[0]);
		run_scenario(fds[1], at, error);
	}
	close(fds[1]);
	while ((n = read(fds[0], diary + len, room - len - 1)) > 0)
		len += (size_t)n;
	diary[len] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status))
		fail_msg("step %u: child killed by signal %d", at, WTERMSIG(status));
	return WEXITSTATUS(status);
}

static bool noted(const char *diary, char what, const char *body)
{
	char entry[8];

	snprintf(entry, sizeof(entry), "%c%s\n", what, body);
	return strstr(diary, entry) != NULL;
}

static unsigned times_received(const struct peer *p, const char *body)
{
	unsigned count = 0;
	size_t i;

	for (i = 0; i < p->count; i++)
		count += strcmp(p->messages[i].body, body) == 0;
	return count;
}

/* What a successor finds: nothing is lost, and twice is only what the first may not have settled. */
static void check_successor(unsigned at, const char *diary, bool crashed)
{
	static const char *const taken[] = {"a", "b", "c"}, *const sent[] = {"1", "2", "3"};
	struct tf_loop *loop = tf_loop_new();
	struct peer p;
	unsigned i, expected = 0;

	for (i = 0; i < 3; i++)
		expected += !noted(diary, 'a', taken[i]) + noted(diary, 'p', sent[i]);
	fs_open_in(&p, loop);
	p.settle = TF_ACK;
	peer_consume(&p, "t", 0);
	peer_consume(&p, "u", 0);
	peer_until(&p, p.ups, 1);
	peer_until(&p, p.count, expected);
	peer_idle(&p, 20);
	for (i = 0; i < 3; i++) {
		unsigned t = times_received(&p, taken[i]), u = times_received(&p, sent[i]);

		if (t > 1 || (t == 0 && !noted(diary, 'a', taken[i])))
			fail_msg("step %u: message %s received %u times, diary:\n%s", at, taken[i], t, diary);
		if (u > 1 || (u == 0 && noted(diary, 'p', sent[i])) ||
			(u == 1 && noted(diary, 'f', sent[i])) ||
			(u == 1 && !noted(diary, 'p', sent[i]) && !crashed))
			fail_msg("step %u: message %s received %u times, diary:\n%s", at, sent[i], u, diary);
	}
	assert_int_equal(p.t->stats.malformed, 0);
	peer_close(&p);
	tf_loop_delete(loop);
	assert_int_equal(temp_folder_count(&fs_dir, "q", ".msg"), 0);
	assert_int_equal(temp_folder_count(&fs_dir, "q/.tfhost-quarantine", ""), 0);
}

static void start_over(void)
{
	temp_folder_remove(&fs_dir);
	temp_folder_make(&fs_dir);
	mkdir(temp_folder_path(&fs_dir, "q"), 0777);
	put(1, "t", "a");
	put(2, "t", "b");
	put(3, "t", "c");
}

static unsigned calls; /* of the scenario, as counted by the first test */

static void test_crash_at_every_call(void **state)
{
	char diary[1000];
	unsigned at;
	int rc;

	(void)state;
	for (at = 1;; at++) {
		start_over();
		rc = run_child(at, 0, diary, sizeof(diary));
		if (rc == FINISHED)
			break;
		if (rc != CRASHED)
			fail_msg("step %u: exit status %d", at, rc);
		check_successor(at, diary, true);
	}
	calls = at - 1;
	print_message("crashed at %u system calls\n", calls);
	assert_true(calls > 40); /* else the hook hooks nothing */
}

/* A failure makes for more calls, so go on for some. */
static void test_failure_of_every_call(void **state)
{
	static const int errors[] = {EIO, ENOSPC, EMFILE, EACCES};
	char diary[1000];
	unsigned at, seed = (unsigned)time(NULL) % 4;

	(void)state;
	print_message("seed %u\n", seed);
	tf_log_set_level(TF_LOG_OFF);
	for (at = 1; at < calls + 20; at++) {
		int error = errors[(at + seed) % 4], rc;

		start_over();
		rc = run_child(at, error, diary, sizeof(diary));
		if (rc != FINISHED)
			fail_msg("step %u, %s: exit status %d, diary:\n%s", at, strerror(error), rc, diary);
		check_successor(at, diary, false);
	}
	tf_log_set_level(TF_LOG_INFO);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, fs_set_up, fs_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_crash_at_every_call),
		CASE(test_failure_of_every_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
