/* Writers, and readers that are killed at random, on one data folder. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/uuid.h"
#include "cmocka_all.h"
#include "fs_env.h"

enum { WRITERS = 3, READERS = 3, EACH = 200, KILLS = 12 };

static void run_writer(unsigned number)
{
	struct tf_loop *loop = tf_loop_new();
	struct peer p;
	char body[32];
	unsigned i;

	fs_open_in(&p, loop);
	for (i = 0; i < EACH; i++) {
		snprintf(body, sizeof(body), "%u", number * EACH + i);
		peer_send(&p, "t", body, 0, i + 1);
		peer_idle(&p, 1);
	}
	peer_until(&p, p.outcome_count, EACH);
	_exit(0);
}

/* As Python does it: under the final name, in pieces. */
static void run_slow_writer(unsigned number)
{
	unsigned i;

	for (i = 0; i < EACH; i++) {
		char uuid[TF_UUID_LEN + 1], name[200], text[200];
		struct timespec pause = {0, 2000000};
		int fd, n;

		tf_uuid(uuid);
		snprintf(name, sizeof(name), "q/%ju_%s.ex_t.msg", (uintmax_t)tf_clock_ms(&tf_clock_real),
			uuid);
		n = snprintf(text, sizeof(text),
			"{\"body\": \"%u\", \"properties\": {\"delivery_tag\": \"x\"}}", number * EACH + i);
		fd = open(temp_folder_path(&fs_dir, name), O_WRONLY | O_CREAT | O_EXCL, 0666);
		if (fd < 0 || write(fd, text, (size_t)n / 2) < 0)
			_exit(2);
		nanosleep(&pause, NULL);
		if (write(fd, text + n / 2, (size_t)(n - n / 2)) < 0)
			_exit(2);
		close(fd);
	}
	_exit(0);
}

struct entry { /* what a reader tells the parent before it acknowledges */
	pid_t reader;
	unsigned message, redelivered;
};

/* Holds what it got for a moment, so that most kills hit claims. */
static void run_reader(int out)
{
	struct tf_loop *loop = tf_loop_new();
	struct peer p;
	size_t settled = 0;

	srand((unsigned)getpid());
	tf_log_set_level(TF_LOG_OFF);
	fs_open_in(&p, loop);
	peer_consume(&p, "t", 4);
	for (;;) {
		peer_idle(&p, 1 + (unsigned)rand() % 5);
		for (; settled < p.count; settled++) {
			struct peer_message *m = &p.messages[settled];
			struct entry e = {getpid(), (unsigned)atoi(m->body), m->redelivered};

			if (write(out, &e, sizeof(e)) != sizeof(e))
				_exit(2);
			tf_transport_settle(p.t, m->tag, TF_ACK);
		}
	}
}

static pid_t start(void (*run)(unsigned), unsigned number)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		alarm(60);
		run(number);
		_exit(1);
	}
	return child;
}

static pid_t start_reader(int out)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		alarm(60);
		run_reader(out);
	}
	return child;
}

static bool was_killed(const pid_t *killed, unsigned count, pid_t reader)
{
	unsigned i;

	for (i = 0; i < count; i++)
		if (killed[i] == reader)
			return true;
	return false;
}

static void reap(pid_t child, bool must_finish)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	if (must_finish)
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_killed_readers_lose_nothing(void **state)
{
	pid_t writers[WRITERS], readers[READERS], killed[KILLS], last[WRITERS * EACH] = {0};
	unsigned seed = (unsigned)time(NULL), kills = 0, got = 0, twice = 0, i;
	uint64_t next_kill = 0, end = tf_clock_ms(&tf_clock_real) + 50000;
	unsigned again = 0;
	struct entry entry;
	int fds[2];

	(void)state;
	print_message("seed %u\n", seed);
	srand(seed);
	assert_int_equal(pipe(fds), 0);
	fflush(stdout);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	for (i = 0; i < READERS; i++)
		readers[i] = start_reader(fds[1]);
	for (i = 0; i < WRITERS; i++)
		writers[i] = start(i ? run_writer : run_slow_writer, i);
	while (got < WRITERS * EACH || kills < KILLS) {
		struct timespec pause = {0, 1000000};
		uint64_t now = tf_clock_ms(&tf_clock_real);

		if (now > end)
			fail_msg("%u of %d messages after 50 s", got, WRITERS * EACH);
		if (kills < KILLS && now >= next_kill) {
			i = (unsigned)rand() % READERS;
			kill(readers[i], SIGKILL);
			reap(readers[i], false);
			killed[kills++] = readers[i];
			readers[i] = start_reader(fds[1]);
			next_kill = now + 20 + (unsigned)rand() % 100;
		}
		if (read(fds[0], &entry, sizeof(entry)) != sizeof(entry)) {
			nanosleep(&pause, NULL);
			continue;
		}
		assert_true(entry.message < WRITERS * EACH);
		again += entry.redelivered;
		if (!last[entry.message])
			got++;
		else if (was_killed(killed, kills, last[entry.message]))
			twice++;
		else
			fail_msg("message %u came to %d and to %d, and the first was not killed",
				entry.message, (int)last[entry.message], (int)entry.reader);
		last[entry.message] = entry.reader;
	}
	for (i = 0; i < WRITERS; i++)
		reap(writers[i], true);
	for (i = 0; i < READERS; i++) {
		kill(readers[i], SIGKILL);
		reap(readers[i], false);
	}
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(temp_folder_count(&fs_dir, "q", ".msg"), 0);
	assert_int_equal(temp_folder_count(&fs_dir, "q/.tfhost-quarantine", ""), 0);
	print_message("%d messages, %u killed readers, %u recovered, %u came twice\n", WRITERS * EACH, kills,
		again, twice);
	assert_true(again > 0); /* else no kill hit a claim */
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, fs_set_up, fs_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_killed_readers_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
