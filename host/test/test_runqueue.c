/* Which request is next: by priority, by age, by class; against a plain model in random histories. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cmocka_all.h"
#include "pool/runqueue.h"

struct entry {
	struct tf_runplace place;
	char name;
};

static struct entry *at(struct tf_runplace *w)
{
	return w ? (struct entry *)(void *)w : NULL;
}

static void add(struct tf_runqueue *q, struct entry *e, char name, const char *cls, int priority)
{
	static uint64_t order;
	e->name = name;
	tf_runqueue_add(q, &e->place, cls, priority, ++order);
}

/* Take all that may be taken; their names. */
static const char *take_all(struct tf_runqueue *q)
{
	static char names[64];
	size_t n = 0;
	struct entry *e;
	while ((e = at(tf_runqueue_next(q)))) {
		assert_ptr_equal(at(tf_runqueue_next(q)), e); /* asking changes nothing */
		tf_runqueue_take(q, &e->place);
		names[n++] = e->name;
	}
	names[n] = '\0';
	return names;
}

static void equals_come_in_order(void **state)
{
	struct tf_runqueue q;
	struct entry e[3] = {0};
	(void)state;
	tf_runqueue_create(&q);
	assert_null(tf_runqueue_next(&q));
	for (size_t i = 0; i < 3; i++)
		add(&q, &e[i], (char)('a' + i), "c", 0);
	assert_string_equal(take_all(&q), "abc");
	tf_runqueue_destroy(&q);
}

static void a_higher_priority_goes_first(void **state)
{
	struct tf_runqueue q;
	struct entry e[5] = {0};
	const int priorities[] = {0, 5, -3, 5, 1};
	(void)state;
	tf_runqueue_create(&q);
	for (size_t i = 0; i < 5; i++)
		add(&q, &e[i], (char)('a' + i), NULL, priorities[i]);
	assert_string_equal(take_all(&q), "bdeac");
	tf_runqueue_destroy(&q);
}

/* However many important ones keep coming, the others get their share. */
static void nobody_starves(void **state)
{
	enum { LOW = 3, ROUNDS = LOW * TF_RUNQUEUE_FAIR };
	struct tf_runqueue q;
	struct entry low[LOW] = {0}, high[ROUNDS + 2] = {0};
	size_t highs = 0, lows = 0;
	(void)state;
	tf_runqueue_create(&q);
	for (size_t i = 0; i < LOW; i++)
		add(&q, &low[i], (char)('a' + i), NULL, -100);
	add(&q, &high[highs++], 'H', NULL, 100);
	for (size_t i = 0; i < ROUNDS; i++) {
		add(&q, &high[highs++], 'H', NULL, 100);
		struct entry *e = at(tf_runqueue_next(&q));
		tf_runqueue_take(&q, &e->place);
		if (e->name != 'H')
			assert_int_equal(e->name, 'a' + (int)lows++);
	}
	assert_int_equal(lows, LOW);
	tf_runqueue_destroy(&q);
}

static void a_full_class_keeps_nobody_waiting(void **state)
{
	struct tf_runqueue q;
	struct entry e[6] = {0};
	(void)state;
	tf_runqueue_create(&q);
	tf_runqueue_limit(&q, "few", 2);
	for (size_t i = 0; i < 4; i++)
		add(&q, &e[i], (char)('a' + i), "few", 9);
	add(&q, &e[4], 'x', "many", 0);
	assert_int_equal(tf_runqueue_blocked(&q), 0);
	assert_string_equal(take_all(&q), "abx");
	assert_int_equal(tf_runqueue_blocked(&q), 2);
	assert_true(tf_runqueue_is_blocked(&e[2].place));
	add(&q, &e[5], 'e', "few", 10);
	assert_string_equal(take_all(&q), "");
	assert_int_equal(tf_runqueue_blocked(&q), 3);
	tf_runqueue_leave(&q, &e[0].place);
	assert_int_equal(tf_runqueue_blocked(&q), 0);
	assert_string_equal(take_all(&q), "e"); /* also among those that were held the priority counts */
	tf_runqueue_leave(&q, &e[1].place);
	tf_runqueue_leave(&q, &e[2].place); /* it waits no more: that makes no place */
	assert_string_equal(take_all(&q), "d");
	tf_runqueue_destroy(&q);
}

static void a_limit_may_change(void **state)
{
	struct tf_runqueue q;
	struct entry e[4] = {0};
	(void)state;
	tf_runqueue_create(&q);
	for (size_t i = 0; i < 4; i++)
		add(&q, &e[i], (char)('a' + i), "c", 0);
	tf_runqueue_limit(&q, "c", 1);
	assert_string_equal(take_all(&q), "a");
	tf_runqueue_limit(&q, "c", 3);
	assert_string_equal(take_all(&q), "bc");
	tf_runqueue_limit(&q, "c", 2); /* what runs, runs */
	tf_runqueue_leave(&q, &e[0].place);
	assert_string_equal(take_all(&q), "");
	tf_runqueue_limit(&q, "c", 0);
	assert_string_equal(take_all(&q), "d");
	tf_runqueue_destroy(&q);
}

/* ---- random histories */

enum { MANY = 40, STEPS = 20000, CLASSES = 3 };

struct model {
	struct entry e[MANY];
	bool waits[MANY], runs[MANY];
	int cls[MANY];
	unsigned limit[CLASSES];
};

static const char *const class_names[CLASSES] = {"p", "q", "r"};

static unsigned running(const struct model *m, int cls)
{
	unsigned n = 0;
	for (size_t i = 0; i < MANY; i++)
		n += m->runs[i] && m->cls[i] == cls;
	return n;
}

static bool is_full(const struct model *m, int cls)
{
	return m->limit[cls] && running(m, cls) >= m->limit[cls];
}

static void check_next(struct tf_runqueue *q, const struct model *m, size_t got)
{
	bool best = true, oldest = true;
	assert_true(m->waits[got] && !is_full(m, m->cls[got]));
	for (size_t i = 0; i < MANY; i++) {
		const struct tf_runplace *w = &m->e[i].place, *g = &m->e[got].place;
		if (i == got || !m->waits[i] || is_full(m, m->cls[i]))
			continue;
		best = best &&
		       (w->priority < g->priority || (w->priority == g->priority && w->order > g->order));
		oldest = oldest && w->order > g->order;
	}
	assert_true(q->taken % TF_RUNQUEUE_FAIR == TF_RUNQUEUE_FAIR - 1 ? oldest : best);
}

static void check_counts(struct tf_runqueue *q, const struct model *m, bool none)
{
	size_t blocked = 0, waiting = 0, listed = 0;
	struct tf_runplace *w;
	for (size_t i = 0; i < MANY; i++) {
		waiting += m->waits[i];
		blocked += m->waits[i] && is_full(m, m->cls[i]);
		assert_int_equal(tf_runqueue_waits(&m->e[i].place), m->waits[i]);
	}
	TAILQ_FOREACH(w, &q->all, all)
	listed++;
	assert_int_equal(listed, waiting);
	assert_int_equal(tf_runqueue_blocked(q), blocked);
	assert_int_equal(none, waiting == blocked);
}

static void random_step(struct tf_runqueue *q, struct model *m)
{
	size_t i = (size_t)rand() % MANY;
	switch (rand() % 5) {
	case 0:
	case 1:
		if (m->waits[i] || m->runs[i])
			break;
		m->cls[i] = rand() % CLASSES;
		m->waits[i] = true;
		add(q, &m->e[i], 'x', class_names[m->cls[i]], rand() % 4 - 1);
		break;
	case 2:
		tf_runqueue_leave(q, &m->e[i].place);
		m->waits[i] = m->runs[i] = false;
		break;
	case 3:
		if (rand() % 20)
			break;
		m->limit[i % CLASSES] = (unsigned)rand() % 5;
		tf_runqueue_limit(q, class_names[i % CLASSES], m->limit[i % CLASSES]);
		break;
	default:
		break;
	}
	struct entry *e = at(tf_runqueue_next(q));
	check_counts(q, m, !e);
	if (!e)
		return;
	size_t got = (size_t)(e - m->e);
	check_next(q, m, got);
	if (rand() % 2) {
		tf_runqueue_take(q, &e->place);
		m->waits[got] = false;
		m->runs[got] = true;
	}
}

static void histories_agree_with_a_model(void **state)
{
	const char *seed = getenv("TF_SEED");
	unsigned n = seed ? (unsigned)strtoul(seed, NULL, 10) : 1;
	struct tf_runqueue q;
	struct model *m = TF_NEW(struct model);
	(void)state;
	srand(n);
	tf_runqueue_create(&q);
	for (int i = 0; i < STEPS; i++)
		random_step(&q, m);
	tf_runqueue_destroy(&q);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equals_come_in_order),
		cmocka_unit_test(a_higher_priority_goes_first),
		cmocka_unit_test(nobody_starves),
		cmocka_unit_test(a_full_class_keeps_nobody_waiting),
		cmocka_unit_test(a_limit_may_change),
		cmocka_unit_test(histories_agree_with_a_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
