#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "clock_fake.h"
#include "cmocka_all.h"
#include "wbe/finder.h"

static bool answer(struct tf_finder *f, const char *topic, const char *const *tasks)
{
	struct tf_notify n = {
		.answer = true, .topic = (char *)(uintptr_t)topic, .tasks = (char **)(uintptr_t)tasks};
	while (tasks[n.task_count])
		n.task_count++;
	return tf_finder_answer(f, &n);
}

#define TASKS(...) ((const char *const[]){__VA_ARGS__ NULL})

static void tells_news_from_repetition(void **state)
{
	(void)state;
	struct tf_clock_fake clock;
	tf_clock_fake_init(&clock, 5);
	struct tf_finder *f = tf_finder_new(&clock.clock, 60000);
	assert_null(tf_finder_pick(f, "a"));
	assert_true(answer(f, "t1", TASKS("a", "b", )));
	assert_false(answer(f, "t1", TASKS("a", "b", )));
	assert_false(answer(f, "t1", TASKS("b", "a", "b", ))); /* a set */
	assert_true(answer(f, "t1", TASKS("a", )));
	assert_null(tf_finder_pick(f, "b"));
	assert_true(answer(f, "t1", TASKS("a", "c", )));
	assert_true(answer(f, "t1", TASKS()));
	assert_false(answer(f, "t1", TASKS()));
	assert_null(tf_finder_pick(f, "a"));
	assert_true(answer(f, "t2", TASKS()));
	assert_int_equal(tf_finder_count(f), 2);
	tf_finder_delete(f);
}

static void forgets_the_silent_alone(void **state)
{
	(void)state;
	struct tf_clock_fake clock;
	tf_clock_fake_init(&clock, 5);
	struct tf_finder *f = tf_finder_new(&clock.clock, 60000), *ever = tf_finder_new(&clock.clock, 0);
	answer(f, "t1", TASKS("a", ));
	answer(ever, "t1", TASKS("a", ));
	tf_clock_fake_advance(&clock, 30000);
	answer(f, "t2", TASKS("a", ));
	tf_clock_fake_advance(&clock, 29999);
	answer(f, "t2", TASKS("a", ));
	assert_int_equal(tf_finder_expire(f), 0);
	assert_int_equal(tf_finder_due(f), 5 + 60000);
	tf_clock_fake_advance(&clock, 1);
	assert_int_equal(tf_finder_expire(f), 1); /* at exactly the limit: PROTOCOL.md 5.1 */
	assert_string_equal(tf_finder_pick(f, "a"), "t2");
	tf_clock_fake_advance(&clock, 60000);
	assert_int_equal(tf_finder_expire(f), 1);
	assert_null(tf_finder_pick(f, "a"));
	assert_true(answer(f, "t1", TASKS("a", ))); /* news again */
	tf_clock_fake_advance(&clock, UINT32_MAX);
	assert_int_equal(tf_finder_expire(ever), 0);
	assert_string_equal(tf_finder_pick(ever, "a"), "t1");
	tf_finder_delete(f);
	tf_finder_delete(ever);
}

/* 10,000 workers come, go and change against a plain table, the oracle. */
enum { WORKERS = 10000, CLASSES = 40 };

static unsigned char offers[WORKERS][CLASSES]; /* the oracle */

static void announce(struct tf_finder *f, int w)
{
	const char *tasks[CLASSES + 1];
	char names[CLASSES][16], topic[16];
	size_t n = 0;
	for (int c = 0; c < CLASSES; c++) {
		snprintf(names[c], sizeof(names[c]), "m.C%d", c);
		if (offers[w][c])
			tasks[n++] = names[c];
	}
	tasks[n] = NULL;
	snprintf(topic, sizeof(topic), "t%d", w);
	answer(f, topic, tasks);
}

static void agrees_with_a_plain_table(void **state)
{
	(void)state;
	struct tf_clock_fake clock;
	tf_clock_fake_init(&clock, 0);
	struct tf_finder *f = tf_finder_new(&clock.clock, 60000);
	unsigned seed = tf_random(1000000);
	print_message("seed %u\n", seed);
	srand(seed);
	for (int w = 0; w < WORKERS; w++) {
		for (int c = 0; c < CLASSES; c++)
			offers[w][c] = c && rand() % 8 == 0; /* nobody offers C0 */
		announce(f, w);
	}
	assert_int_equal(tf_finder_count(f), WORKERS);
	for (int i = 0; i < 20000; i++) { /* sets change */
		int w = rand() % WORKERS, c = 1 + rand() % (CLASSES - 1);
		offers[w][c] = !offers[w][c];
		announce(f, w);
	}
	for (int i = 0; i < 20000; i++) {
		char name[16];
		int c = rand() % CLASSES;
		snprintf(name, sizeof(name), "m.C%d", c);
		const char *topic = tf_finder_pick(f, name);
		if (!c)
			assert_null(topic);
		else
			assert_true(topic && offers[atoi(topic + 1)][c]);
	}
	tf_clock_fake_advance(&clock, 59999);
	for (int w = 0; w < WORKERS; w += 2)
		announce(f, w);
	tf_clock_fake_advance(&clock, 1);
	assert_int_equal(tf_finder_expire(f), WORKERS / 2);
	for (int i = 0; i < 20000; i++) {
		char name[16];
		snprintf(name, sizeof(name), "m.C%d", 1 + rand() % (CLASSES - 1));
		const char *topic = tf_finder_pick(f, name);
		assert_true(topic && atoi(topic + 1) % 2 == 0);
	}
	tf_finder_delete(f);
}

/* Each of ten workers is picked about as often: a deviation of six standard deviations fails. */
static void picks_uniformly(void **state)
{
	(void)state;
	struct tf_clock_fake clock;
	tf_clock_fake_init(&clock, 0);
	struct tf_finder *f = tf_finder_new(&clock.clock, 0);
	size_t picked[10] = {0};
	for (int w = 0; w < 10; w++) {
		char topic[16];
		snprintf(topic, sizeof(topic), "%d", w);
		answer(f, topic, TASKS("a", ));
	}
	for (int i = 0; i < 100000; i++)
		picked[atoi(tf_finder_pick(f, "a"))]++;
	for (int w = 0; w < 10; w++)
		assert_in_range(picked[w], 10000 - 6 * 95, 10000 + 6 * 95);
	tf_finder_delete(f);
}

static void remembers_no_more_than_its_limits(void **state)
{
	(void)state;
	struct tf_clock_fake clock;
	tf_clock_fake_init(&clock, 0);
	struct tf_finder *f = tf_finder_new(&clock.clock, 0);
	char topic[16];
	for (int i = 0; i < TF_FINDER_MAX_TOPICS + 10; i++) {
		snprintf(topic, sizeof(topic), "t%d", i);
		assert_int_equal(answer(f, topic, TASKS("a", )), i < TF_FINDER_MAX_TOPICS);
	}
	assert_int_equal(tf_finder_count(f), TF_FINDER_MAX_TOPICS);
	assert_true(answer(f, "t1", TASKS("b", ))); /* the known may still change */
	tf_finder_delete(f);

	f = tf_finder_new(&clock.clock, 0);
	const char **many = tf_calloc(TF_NOTIFY_MAX_TASKS + 1, sizeof(*many));
	for (int i = 0; i < TF_NOTIFY_MAX_TASKS; i++)
		many[i] = tf_asprintf("m.C%d", i);
	for (int i = 0; i < TF_FINDER_MAX_OFFERS / TF_NOTIFY_MAX_TASKS + 3; i++) {
		snprintf(topic, sizeof(topic), "t%d", i);
		assert_int_equal(answer(f, topic, many), i < TF_FINDER_MAX_OFFERS / TF_NOTIFY_MAX_TASKS);
	}
	for (int i = 0; i < TF_NOTIFY_MAX_TASKS; i++)
		free((char *)(uintptr_t)many[i]);
	free(many);
	tf_finder_delete(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_news_from_repetition),
		cmocka_unit_test(forgets_the_silent_alone),
		cmocka_unit_test(agrees_with_a_plain_table),
		cmocka_unit_test(picks_uniformly),
		cmocka_unit_test(remembers_no_more_than_its_limits),
	};
	return cmocka_run_group_tests_name("finder", tests, NULL, NULL);
}
