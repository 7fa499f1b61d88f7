#include "test/cmocka_all.h"

#include "wbe/window.h"

/* `ended` requests in each of `looks` times 50 ms. */
static unsigned run(struct tf_window *w, uint64_t *now, unsigned ended, unsigned looks)
{
	unsigned changes = 0;
	while (looks--) {
		*now += TF_WINDOW_LOOK_MS;
		w->ended += ended;
		changes += tf_window_look(w, *now);
	}
	return changes;
}

static void follows_the_pace(void **state)
{
	(void)state;
	struct tf_window w;
	uint64_t now = 1000;
	tf_window_create(&w, 4, 64, now);
	assert_int_equal(run(&w, &now, 9, 10), 0); /* 180 a second: four last 22 ms */
	assert_int_equal(w.size, 4);
	assert_int_equal(run(&w, &now, 10, 10), 1);
	assert_int_equal(w.size, 64);
	assert_int_equal(run(&w, &now, 50, 10), 0);
	w.ended = 1000;
	assert_false(tf_window_look(&w, now + TF_WINDOW_LOOK_MS - 1)); /* not yet */
	assert_int_equal(w.size, 64);
	w.ended = 0;
	assert_int_equal(run(&w, &now, 1, 1), 0); /* held up for a moment */
	assert_int_equal(run(&w, &now, 50, 1), 0);
	assert_int_equal(run(&w, &now, 1, 1), 0);
	assert_int_equal(run(&w, &now, 1, 1), 1); /* long tasks: two looks find it so */
	assert_int_equal(w.size, 4);
	assert_int_equal(run(&w, &now, 0, 100), 0);
}

static void one_size(void **state)
{
	(void)state;
	struct tf_window w;
	uint64_t now = 0;
	tf_window_create(&w, 8, 8, now);
	assert_int_equal(run(&w, &now, 1000, 10) + run(&w, &now, 0, 10), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(follows_the_pace), cmocka_unit_test(one_size)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
