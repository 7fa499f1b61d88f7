#include "base/uuid.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/cmocka_all.h"

static void has_the_form_of_version_4(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++) {
		char u[TF_UUID_LEN + 1];
		tf_uuid(u);
		assert_int_equal(strlen(u), TF_UUID_LEN);
		for (int k = 0; k < TF_UUID_LEN; k++) {
			if (k == 8 || k == 13 || k == 18 || k == 23)
				assert_int_equal(u[k], '-');
			else
				assert_non_null(strchr("0123456789abcdef", u[k]));
		}
		assert_int_equal(u[14], '4');
		assert_non_null(strchr("89ab", u[19]));
	}
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, TF_UUID_LEN);
}

static void assert_distinct(char (*all)[TF_UUID_LEN + 1], size_t n)
{
	qsort(all, n, sizeof *all, compare);
	for (size_t i = 1; i < n; i++)
		assert_int_not_equal(compare(all[i - 1], all[i]), 0);
}

static void never_repeats(void **state)
{
	(void)state;
	enum { N = 20000 };
	static char all[N][TF_UUID_LEN + 1];
	for (int i = 0; i < N; i++)
		tf_uuid(all[i]);
	assert_distinct(all, N);
}

/* A child starts with its parent's memory, so also with the bytes that the parent had in store. */
static void child_does_not_repeat_its_parent(void **state)
{
	(void)state;
	enum { N = 100 };
	static char all[2 * N][TF_UUID_LEN + 1];
	int fds[2];
	tf_uuid(all[0]); /* something is in store now */
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		static char mine[N][TF_UUID_LEN + 1];
		for (int i = 0; i < N; i++)
			tf_uuid(mine[i]);
		_exit(write(fds[1], mine, sizeof mine) == (ssize_t)sizeof mine ? 0 : 1);
	}
	close(fds[1]);
	size_t got = 0;
	for (ssize_t n; (n = read(fds[0], (char *)all + got, sizeof all / 2 - got)) > 0;)
		got += (size_t)n;
	close(fds[0]);
	assert_int_equal(got, sizeof all / 2);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (int i = N; i < 2 * N; i++)
		tf_uuid(all[i]);
	assert_distinct(all, 2 * N);
}

enum { THREADS = 4, EACH = 2000 };
static char by_threads[THREADS][EACH][TF_UUID_LEN + 1];

static void *make_many(void *arg)
{
	char(*mine)[TF_UUID_LEN + 1] = arg;
	for (int i = 0; i < EACH; i++)
		tf_uuid(mine[i]);
	return NULL;
}

static void threads_do_not_share_bytes(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, make_many, by_threads[i]), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_distinct(by_threads[0], (size_t)THREADS * EACH);
}

static void *make_one(void *out)
{
	tf_uuid(out);
	return NULL;
}

static long pages(void)
{
	long size = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld", &size), 1);
	fclose(f);
	return size;
}

static void make_and_end(int threads)
{
	char u[TF_UUID_LEN + 1];
	pthread_t thread;
	for (int i = 0; i < threads; i++) {
		assert_int_equal(pthread_create(&thread, NULL, make_one, u), 0);
		pthread_join(thread, NULL);
	}
}

/* Each connection to a broker has threads of its own. */
static void a_thread_leaves_nothing(void **state)
{
	(void)state;
	make_and_end(50); /* what glibc and sanitizers keep for threads is there */
	long before = pages();
	make_and_end(1000);
	assert_in_range(pages() - before + 500, 0, 1000);
}

static void random_is_uniform_below_its_bound(void **state)
{
	(void)state;
	enum { BOUND = 6, N = 60000 };
	int hits[BOUND] = {0};
	for (int i = 0; i < N; i++) {
		unsigned r = tf_random(BOUND);
		assert_true(r < BOUND);
		hits[r]++;
	}
	/* 10 standard deviations: a fair generator does not fail here once in the age of the world. */
	for (int i = 0; i < BOUND; i++)
		assert_in_range(hits[i], N / BOUND - 920, N / BOUND + 920);
	for (int i = 0; i < 100; i++)
		assert_int_equal(tf_random(1), 0);
	/* Without rejection the upper half of this range would come up half as often. */
	unsigned bound = 0xc0000000u;
	int upper = 0;
	for (int i = 0; i < N; i++)
		upper += tf_random(bound) >= bound / 3 * 2;
	assert_in_range(upper, N / 3 - 1200, N / 3 + 1200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_the_form_of_version_4),
		cmocka_unit_test(never_repeats),
		cmocka_unit_test(child_does_not_repeat_its_parent),
		cmocka_unit_test(threads_do_not_share_bytes),
		cmocka_unit_test(a_thread_leaves_nothing),
		cmocka_unit_test(random_is_uniform_below_its_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
