/* Which requests a canary gets, and what decides about it. */
#include "pool/canary.h"

#include "test/cmocka_all.h"

static bool give(struct tf_canary *c)
{
	bool turn = tf_canary_turn(c);
	tf_canary_gave(c, turn);
	return turn;
}

static void the_share_is_exact_and_even(void **state)
{
	struct tf_canary c;
	(void)state;
	tf_canary_begin(&c, 0.1, 0);
	assert_true(give(&c)); /* the first at once */
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 9; i++)
			assert_false(give(&c));
		assert_true(give(&c));
	}
}

static void what_was_missed_is_made_up_for_without_a_burst(void **state)
{
	struct tf_canary c;
	int got = 0;
	(void)state;
	tf_canary_begin(&c, 0.5, 0);
	for (int i = 0; i < 1000; i++)
		tf_canary_gave(&c, false);
	for (int i = 0; i < 10; i++)
		got += give(&c);
	assert_in_range(got, 5, 7);
}

static enum tf_canary_verdict after(
	uint64_t wanted, unsigned base, unsigned base_failed, unsigned n, unsigned failed)
{
	struct tf_canary c;
	tf_canary_begin(&c, 0.1, wanted);
	for (unsigned i = 0; i < base; i++)
		tf_canary_count(&c, false, i < base_failed);
	for (unsigned i = 0; i < n; i++)
		tf_canary_count(&c, true, i < failed);
	return tf_canary_judge(&c);
}

static void a_good_one_is_promoted_after_enough(void **state)
{
	(void)state;
	assert_int_equal(TF_CANARY_GO_ON, after(50, 450, 0, 49, 0));
	assert_int_equal(TF_CANARY_PROMOTE, after(50, 450, 0, 50, 0));
	assert_int_equal(TF_CANARY_PROMOTE, after(50, 450, 0, 50, 1)); /* one is chance */
	assert_int_equal(TF_CANARY_PROMOTE, after(20, 0, 0, 20, 0));
}

static void a_bad_one_is_taken_back_early(void **state)
{
	(void)state;
	assert_int_equal(TF_CANARY_ROLL_BACK, after(50, 45, 0, 5, 5));
	assert_int_equal(TF_CANARY_ROLL_BACK, after(50, 180, 1, 20, 4));
	assert_int_equal(TF_CANARY_GO_ON, after(50, 45, 0, 4, 4)); /* four are too few to judge */
}

static void failures_that_both_have_are_nobody_s_fault(void **state)
{
	(void)state;
	assert_int_equal(TF_CANARY_PROMOTE, after(50, 450, 225, 50, 28));
	assert_int_equal(TF_CANARY_ROLL_BACK, after(50, 450, 225, 50, 40));
	assert_int_equal(TF_CANARY_GO_ON, after(50, 2, 2, 6, 6)); /* the others have hardly run */
}

static void few_wanted_are_not_fewer_than_say_something(void **state)
{
	(void)state;
	assert_int_equal(TF_CANARY_GO_ON, after(1, 100, 0, 1, 0));
	assert_int_equal(TF_CANARY_PROMOTE, after(1, 100, 0, 5, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_share_is_exact_and_even),
		cmocka_unit_test(what_was_missed_is_made_up_for_without_a_burst),
		cmocka_unit_test(a_good_one_is_promoted_after_enough),
		cmocka_unit_test(a_bad_one_is_taken_back_early),
		cmocka_unit_test(failures_that_both_have_are_nobody_s_fault),
		cmocka_unit_test(few_wanted_are_not_fewer_than_say_something),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
