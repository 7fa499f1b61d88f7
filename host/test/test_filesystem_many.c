/* The filesystem transport with many files: a long backlog, more events than the kernel keeps, rubbish. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "fs_env.h"

#define CONTENT "{\"body\": \"x\", \"properties\": {\"type\": \"NOTIFY\", \"delivery_tag\": \"x\"}}"

static void open_peer(struct peer *p)
{
	char *options = tf_asprintf("{\"data_folder_in\": \"%s/q\", \"data_folder_out\": \"%s/q\", "
				    "\"polling_interval\": 1000}",
		fs_dir.path, fs_dir.path);

	peer_open(p, fs_loop, "filesystem", "ex", options);
	free(options);
}

/* n files, not in the order of their age. */
static void put_many(size_t n)
{
	char name[100];
	size_t i;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "q/%zu_" FS_UUID "%04zu.ex_t.msg", i * 7919 % n, i % 10000);
		temp_folder_write(&fs_dir, name, CONTENT);
	}
}

/* Random bytes, and real messages with a few bytes changed, among good messages. */
static void test_flood_of_rubbish(void **state)
{
	enum { RUBBISH = 3000, GOOD = 300 };
	struct peer b;
	char name[100], bytes[400];
	unsigned seed = (unsigned)getpid(), i, k;
	FILE *f;

	(void)state;
	print_message("seed %u\n", seed);
	srand(seed);
	tf_log_set_level(TF_LOG_OFF);
	for (i = 0; i < RUBBISH + GOOD; i++) {
		size_t len = (size_t)rand() % sizeof(bytes);
		bool good = i % (RUBBISH / GOOD + 1) == 0;

		for (k = 0; k < len; k++)
			bytes[k] = (char)rand();
		if (good || i % 3) {
			len = strlen(CONTENT);
			memcpy(bytes, CONTENT, len);
		}
		if (!good)
			bytes[0] = 'x'; /* no object: refused at once, unless empty */
		snprintf(name, sizeof(name), "q/%u_" FS_UUID "%04u.ex_t.msg", i, i);
		f = fopen(temp_folder_path(&fs_dir, name), "w");
		assert_int_equal(fwrite(bytes, 1, len, f), len);
		fclose(f);
	}
	open_peer(&b);
	b.settle = TF_ACK;
	peer_consume(&b, "t", 2);
	peer_until(&b, b.count, GOOD);
	peer_idle(&b, 2500); /* an empty file gets its grace */
	assert_int_equal(b.count, GOOD);
	assert_int_equal(b.t->stats.malformed, RUBBISH);
	assert_int_equal(temp_folder_count(&fs_dir, FS_QUARANTINE, ""), RUBBISH);
	peer_close(&b);
	assert_int_equal(temp_folder_count(&fs_dir, "q", ".msg"), 0);
	tf_log_set_level(TF_LOG_INFO);
}

static double cpu_seconds(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

/* What a message costs, in seconds of the processor. */
static double drain(size_t n)
{
	struct peer b;
	double start;

	put_many(n);
	open_peer(&b);
	b.settle = TF_ACK;
	peer_consume(&b, "t", 4);
	start = cpu_seconds();
	peer_until(&b, b.t->stats.received, n);
	start = cpu_seconds() - start;
	peer_close(&b);
	assert_int_equal(temp_folder_count(&fs_dir, "q", ".msg"), 0);
	return start / (double)n;
}

/* kombu lists and sorts the folder for each message: ten times the backlog, ten times the cost. */
static void test_backlog_drains_linearly(void **state)
{
	double few = drain(5000), many = drain(50000);

	(void)state;
	print_message(
		"a message costs %.0f us with 5,000 waiting, %.0f us with 50,000\n", few * 1e6, many * 1e6);
	assert_true(many < few * 4);
}

/* While this process does not look, more happens than inotify remembers. */
static void test_more_events_than_the_kernel_keeps(void **state)
{
	struct peer b;
	size_t limit = 16384;
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");

	(void)state;
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%zu", &limit), 1);
	fclose(f);
	if (limit > 50000)
		skip();
	open_peer(&b);
	b.settle = TF_ACK;
	peer_consume(&b, "t", 0);
	peer_until(&b, b.ups, 1);
	peer_idle(&b, 20);
	put_many(limit + 1000);
	peer_until(&b, b.t->stats.received, limit + 1000);
	peer_close(&b);
	assert_int_equal(temp_folder_count(&fs_dir, "q", ".msg"), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, fs_set_up, fs_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_flood_of_rubbish),
		CASE(test_backlog_drains_linearly),
		CASE(test_more_events_than_the_kernel_keeps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
