#include "loop/settle.h"

#include "test/cmocka_all.h"

static void a_change_is_over_after_a_moment_of_quiet(void **state)
{
	struct tf_settle s = {0};
	(void)state;
	tf_settle_event(&s, 1000);
	assert_true(s.changing);
	assert_int_equal(TF_SETTLE_QUIET_MS, tf_settle_left(&s, false, 1000));
	tf_settle_event(&s, 1000 + TF_SETTLE_QUIET_MS - 1); /* it goes on */
	assert_int_equal(TF_SETTLE_QUIET_MS - 1, tf_settle_left(&s, false, 1000 + TF_SETTLE_QUIET_MS));
	assert_int_equal(0, tf_settle_left(&s, false, 999 + 2 * TF_SETTLE_QUIET_MS));
}

static void an_unfinished_one_is_waited_for_but_not_for_ever(void **state)
{
	struct tf_settle s = {0};
	(void)state;
	tf_settle_event(&s, 0);
	assert_int_equal(TF_SETTLE_STUCK_MS - 500, tf_settle_left(&s, true, 500));
	assert_int_equal(0, tf_settle_left(&s, false, 500)); /* finished meanwhile */
	assert_int_equal(0, tf_settle_left(&s, true, TF_SETTLE_STUCK_MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_is_over_after_a_moment_of_quiet),
		cmocka_unit_test(an_unfinished_one_is_waited_for_but_not_for_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
