#include "wbe/tally.h"

#include <stdio.h>
#include <string.h>

#include "test/cmocka_all.h"

static void rows_stay_and_are_bounded(void **state)
{
	char name[TF_TALLY_NAME_MAX + 2];
	struct tf_tally *t = tf_tally_new();
	unsigned count = 0;
	(void)state;
	struct tf_tally_row *first = tf_tally_row(t, "m.A");
	first->succeeded = 3;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_string_equal(tf_tally_row(t, name)->name, "other");
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "m.T%d", i);
		tf_tally_row(t, name)->failed++;
	}
	assert_ptr_equal(tf_tally_row(t, "m.A"), first);
	assert_int_equal(tf_tally_at(t, 0)->succeeded, 3);
	assert_int_equal(tf_tally_row(t, NULL)->failed, 10000 - (TF_TALLY_CLASSES - 1));
	while (tf_tally_at(t, count))
		count++;
	assert_int_equal(count, TF_TALLY_CLASSES + 1);
	tf_tally_delete(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(rows_stay_and_are_bounded)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
