#include "base/nearest.h"

#include <string.h>

#include "test/cmocka_all.h"

static const char *const names[] = {"slots", "topic", "transport", "transport-option", "time-limit", "url"};

static const char *near(const char *word)
{
	return tf_nearest(word, names, sizeof(names) / sizeof(names[0]));
}

static void typos_find_what_was_meant(void **state)
{
	(void)state;
	assert_string_equal(near("slost"), "slots");
	assert_string_equal(near("slot"), "slots");
	assert_string_equal(near("topik"), "topic");
	assert_string_equal(near("transprot"), "transport");
	assert_string_equal(near("transport-options"), "transport-option");
	assert_string_equal(near("time_limit"), "time-limit");
	assert_string_equal(near("ulr"), "url");
	assert_string_equal(near("url"), "url");
}

static void other_words_find_nothing(void **state)
{
	char lots[200];
	(void)state;
	assert_null(near("memory"));
	assert_null(near(""));
	assert_null(near("x"));
	assert_null(tf_nearest("slots", NULL, 0));
	memset(lots, 's', sizeof(lots) - 1);
	lots[sizeof(lots) - 1] = '\0';
	assert_null(near(lots));
	assert_null(tf_nearest("slots", (const char *const[]){lots}, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(typos_find_what_was_meant),
		cmocka_unit_test(other_words_find_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
