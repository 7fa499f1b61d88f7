/* The ordered list of waiting names, against a plain sorted array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/mem.h"
#include "transport/fs_backlog.h"

static void add(struct tf_fs_backlog *b, uint64_t ms)
{
	char name[32];

	snprintf(name, sizeof(name), "%ju", (uintmax_t)ms);
	tf_fs_backlog_add(b, ms, name);
}

/* UINT64_MAX: empty */
static uint64_t pop(struct tf_fs_backlog *b)
{
	char *name = tf_fs_backlog_pop(b);
	uint64_t ms = name ? strtoull(name, NULL, 10) : UINT64_MAX;

	free(name);
	return ms;
}

static int compare(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return x < y ? -1 : x > y;
}

static void test_any_order_in_sorted_out(void **state)
{
	enum { N = 2000 };
	struct tf_fs_backlog b = TF_FS_BACKLOG_INIT;
	unsigned all[N], seed = (unsigned)time(NULL), i, popped = 0;

	(void)state;
	print_message("seed %u\n", seed);
	srand(seed);
	for (i = 0; i < N; i++)
		all[i] = (unsigned)rand() % (2 * N); /* some twice */
	for (i = 0; i < N / 2; i++)
		add(&b, all[i]);
	tf_fs_backlog_fill(&b);
	for (; i < N; i++)
		add(&b, all[i]);
	tf_fs_backlog_filled(&b);
	qsort(all, N, sizeof(*all), compare);
	for (i = 0; i < N; i++) {
		if (i && all[i] == all[i - 1])
			continue;
		assert_int_equal(pop(&b), all[i]);
		popped++;
		if (popped % 3 == 0) /* what was popped may come again, at its place */
			add(&b, all[i]);
		if (popped % 3 == 0)
			assert_int_equal(pop(&b), all[i]);
	}
	assert_int_equal(pop(&b), UINT64_MAX);
	assert_false(b.missed);
	tf_fs_backlog_destroy(&b);
}

static void test_same_ms_by_name(void **state)
{
	struct tf_fs_backlog b = TF_FS_BACKLOG_INIT;
	char *name;

	(void)state;
	tf_fs_backlog_add(&b, 5, "5_b");
	tf_fs_backlog_add(&b, 5, "5_a");
	tf_fs_backlog_add(&b, 5, "5_b");
	tf_fs_backlog_add(&b, 4, "4_z");
	name = tf_fs_backlog_pop(&b);
	assert_string_equal(name, "4_z");
	free(name);
	name = tf_fs_backlog_pop(&b);
	assert_string_equal(name, "5_a");
	free(name);
	assert_int_equal(b.count, 1);
	tf_fs_backlog_destroy(&b);
}

/* The oldest are kept, and nothing newer than what was left out is given out before it. */
static void test_bounded(void **state)
{
	enum { MORE = 3 * TF_FS_BACKLOG_MAX };
	struct tf_fs_backlog b = TF_FS_BACKLOG_INIT;
	uint64_t i, next = 0, round;

	(void)state;
	for (round = 0; next < MORE; round++) { /* as the inbox does: list again once it is empty */
		assert_true(round < 4);
		tf_fs_backlog_fill(&b);
		for (i = MORE; i > next; i--)
			add(&b, i - 1);
		tf_fs_backlog_filled(&b);
		assert_true(b.count <= TF_FS_BACKLOG_MAX);
		assert_int_equal(b.missed, MORE - next > TF_FS_BACKLOG_MAX);
		if (b.missed)
			add(&b, MORE); /* arrives meanwhile */
		while (b.count)
			assert_int_equal(pop(&b), next++);
	}
	assert_int_equal(next, MORE);
	tf_fs_backlog_destroy(&b);
	/* one by one */
	for (i = 0; i < TF_FS_BACKLOG_MAX + 5; i++)
		add(&b, 10 + i);
	assert_int_equal(b.count, TF_FS_BACKLOG_MAX);
	assert_true(b.missed);
	add(&b, 1);
	assert_int_equal(b.count, TF_FS_BACKLOG_MAX);
	assert_int_equal(pop(&b), 1);
	assert_int_equal(pop(&b), 10);
	tf_fs_backlog_destroy(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_order_in_sorted_out),
		cmocka_unit_test(test_same_ms_by_name),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
