#include "base/exposition.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "test/cmocka_all.h"

static void labels_are_text_whatever_they_say(void **state)
{
	struct tf_buf out = TF_BUF_INIT;
	(void)state;
	tf_expose_sample(&out, "m", 2, "a", "x\"y\\z\n", "b", "na\xc3\xafve \xff\xc3", NULL);
	assert_string_equal(out.data, "m{a=\"x\\\"y\\\\z\\n\",b=\"na\xc3\xafve ??\"} 2\n");
	tf_buf_free(&out);
}

static void numbers_are_exact(void **state)
{
	struct tf_buf out = TF_BUF_INIT;
	(void)state;
	tf_expose_counter(&out, "c_total", "Help.", 123456789012345);
	tf_expose_gauge(&out, "g", "Help.", 0.5);
	tf_expose_gauge(&out, "h", "Help.", (double)INFINITY);
	assert_string_equal(out.data,
		"# HELP c_total Help.\n# TYPE c_total counter\nc_total 123456789012345\n"
		"# HELP g Help.\n# TYPE g gauge\ng 0.5\n"
		"# HELP h Help.\n# TYPE h gauge\nh +Inf\n");
	tf_buf_free(&out);
}

static void histograms_are_cumulative(void **state)
{
	struct tf_histogram h = {0};
	struct tf_buf out = TF_BUF_INIT;
	(void)state;
	tf_histogram_add(&h, 10);
	tf_histogram_add(&h, 1000000);
	tf_histogram_add(&h, UINT64_C(10000000000));
	tf_expose_histogram(&out, "t_seconds", "Help.", &h);
	assert_non_null(strstr(out.data, "t_seconds_bucket{le=\"6.103515625e-05\"} 1\n"));
	assert_non_null(strstr(out.data, "t_seconds_bucket{le=\"0.5\"} 1\n"));
	assert_non_null(strstr(out.data, "t_seconds_bucket{le=\"1\"} 2\n"));
	assert_non_null(strstr(out.data, "t_seconds_bucket{le=\"4096\"} 2\n"));
	assert_non_null(strstr(out.data, "t_seconds_bucket{le=\"+Inf\"} 3\n"));
	assert_non_null(strstr(out.data, "t_seconds_sum 10001.000010\nt_seconds_count 3\n"));
	tf_buf_free(&out);
}

static void the_process_is_measured(void **state)
{
	struct tf_buf out = TF_BUF_INIT;
	double n;
	(void)state;
	tf_expose_process(&out);
	const char *at = strstr(out.data, "\nprocess_resident_memory_bytes ");
	assert_true(
		at && sscanf(at, "\nprocess_resident_memory_bytes %lf", &n) == 1 && n > 100000 && n < 1e11);
	at = strstr(out.data, "\nprocess_start_time_seconds ");
	assert_true(at && sscanf(at, "\nprocess_start_time_seconds %lf", &n) == 1);
	assert_true(fabs(n - (double)time(NULL)) < 600);
	assert_non_null(strstr(out.data, "\ntfhost_build_info{version=\""));
	tf_buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels_are_text_whatever_they_say),
		cmocka_unit_test(numbers_are_exact),
		cmocka_unit_test(histograms_are_cumulative),
		cmocka_unit_test(the_process_is_measured),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
