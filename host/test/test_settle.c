#include "loop/settle.h"

#include "test/cmocka_all.h"

static void expect(
	struct tf_settle *s, uint64_t now, bool unfinished, enum tf_settle_step step, uint64_t left)
{
	uint64_t got;
	assert_int_equal(tf_settle_look(s, unfinished, now, &got), step);
	assert_int_equal(got, left);
	assert_int_equal(s->changing, step != TF_SETTLE_OVER);
}

static void a_change_is_over_after_a_moment_of_quiet(void **state)
{
	struct tf_settle s = {0};
	(void)state;
	tf_settle_event(&s, 1000);
	assert_true(s.changing);
	expect(&s, 1000, false, TF_SETTLE_GOES_ON, TF_SETTLE_EARLY_MS);
	expect(&s, 1000 + TF_SETTLE_EARLY_MS, false, TF_SETTLE_EARLY,
		TF_SETTLE_QUIET_MS - TF_SETTLE_EARLY_MS);
	assert_true(s.early_holds);
	expect(&s, 1000 + TF_SETTLE_QUIET_MS - 1, false, TF_SETTLE_GOES_ON, 1);
	expect(&s, 1000 + TF_SETTLE_QUIET_MS, false, TF_SETTLE_OVER, 0);
	assert_true(s.early_holds);
	assert_int_equal(s.began_ms, 1000);
}

static void one_that_goes_on_is_early_once(void **state)
{
	struct tf_settle s = {0};
	(void)state;
	tf_settle_event(&s, 1000);
	expect(&s, 1010, false, TF_SETTLE_EARLY, TF_SETTLE_QUIET_MS - 10);
	tf_settle_event(&s, 1015);
	assert_false(s.early_holds);
	expect(&s, 1030, false, TF_SETTLE_GOES_ON, TF_SETTLE_QUIET_MS - 15);
	expect(&s, 1015 + TF_SETTLE_QUIET_MS, false, TF_SETTLE_OVER, 0);
	assert_false(s.early_holds);
	assert_int_equal(s.began_ms, 1000);
	tf_settle_event(&s, 2000); /* the next one */
	assert_int_equal(s.began_ms, 2000);
	expect(&s, 2010, false, TF_SETTLE_EARLY, TF_SETTLE_QUIET_MS - 10);
}

static void who_looks_late_finds_it_over(void **state)
{
	struct tf_settle s = {0};
	(void)state;
	tf_settle_event(&s, 1000);
	expect(&s, 1000 + TF_SETTLE_QUIET_MS, false, TF_SETTLE_OVER, 0);
	assert_false(s.early_holds);
}

static void an_unfinished_one_is_waited_for_but_not_for_ever(void **state)
{
	struct tf_settle s = {0};
	(void)state;
	tf_settle_event(&s, 0);
	expect(&s, 5, true, TF_SETTLE_GOES_ON, TF_SETTLE_STUCK_MS - 5); /* and is not read early */
	tf_settle_event(&s, 500);
	expect(&s, 510, true, TF_SETTLE_GOES_ON, TF_SETTLE_STUCK_MS - 10);
	expect(&s, 511, false, TF_SETTLE_EARLY, TF_SETTLE_QUIET_MS - 11); /* finished meanwhile */
	tf_settle_event(&s, 600);
	expect(&s, 600 + TF_SETTLE_STUCK_MS, true, TF_SETTLE_OVER, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_is_over_after_a_moment_of_quiet),
		cmocka_unit_test(one_that_goes_on_is_early_once),
		cmocka_unit_test(who_looks_late_finds_it_over),
		cmocka_unit_test(an_unfinished_one_is_waited_for_but_not_for_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
