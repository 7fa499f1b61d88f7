#include "base/histogram.h"

#include <math.h>

#include "test/cmocka_all.h"

static int bucket_of(uint64_t us)
{
	struct tf_histogram h = {0};
	tf_histogram_add(&h, us);
	for (int i = 0; i <= TF_HISTOGRAM_BOUNDS; i++)
		if (h.buckets[i])
			return i;
	return -1;
}

/* Against arithmetic in doubles, at and around every bound. */
static void each_length_is_in_the_first_bucket_that_holds_it(void **state)
{
	(void)state;
	for (int i = 0; i <= TF_HISTOGRAM_BOUNDS; i++) {
		double bound = i < TF_HISTOGRAM_BOUNDS ? tf_histogram_bound(i) : 1e6;
		uint64_t us = (uint64_t)(bound * 1e6);
		for (uint64_t at = us > 3 ? us - 3 : 0; at < us + 4; at++) {
			int got = bucket_of(at);
			double seconds = (double)at / 1e6;
			assert_true(seconds <= tf_histogram_bound(got));
			assert_true(got == 0 || seconds > tf_histogram_bound(got - 1));
		}
	}
	assert_int_equal(bucket_of(0), 0);
	assert_int_equal(bucket_of(1000000), -TF_HISTOGRAM_FIRST); /* one second is a bound */
	assert_int_equal(bucket_of(UINT64_MAX), TF_HISTOGRAM_BOUNDS);
	assert_true(isinf(tf_histogram_bound(TF_HISTOGRAM_BOUNDS)));
}

static void quantiles_are_within_their_bucket(void **state)
{
	struct tf_histogram h = {0}, more = {0};
	(void)state;
	assert_true(tf_histogram_quantile(&h, 0.5) == 0);
	for (int i = 0; i < 90; i++)
		tf_histogram_add(&h, 900); /* in (488, 977] us */
	for (int i = 0; i < 10; i++)
		tf_histogram_add(&more, 3000000); /* in (2, 4] s */
	tf_histogram_merge(&h, &more);
	assert_int_equal(tf_histogram_count(&h), 100);
	assert_int_equal(h.sum_us, 90 * 900 + UINT64_C(30000000));
	assert_true(tf_histogram_quantile(&h, 0.5) > 0.000488 && tf_histogram_quantile(&h, 0.5) <= 0.000977);
	assert_true(tf_histogram_quantile(&h, 0.95) > 2 && tf_histogram_quantile(&h, 0.95) <= 4);
	tf_histogram_add(&more, UINT64_MAX);
	assert_true(isfinite(tf_histogram_quantile(&more, 1)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_length_is_in_the_first_bucket_that_holds_it),
		cmocka_unit_test(quantiles_are_within_their_bucket),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
