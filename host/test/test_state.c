#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/state.h"

/* PROTOCOL.md 5.2, and the leniency of 11.5 (PENDING to SUCCESS); written out, not derived. */
static const char *const allowed[] = {"WAITING>PENDING", "WAITING>FAILURE", "PENDING>RUNNING",
	"PENDING>SUCCESS", "PENDING>FAILURE", "RUNNING>SUCCESS", "RUNNING>FAILURE",
	/* fail-over */ "RUNNING>WAITING", "PENDING>WAITING", "WAITING>RUNNING"};

static bool listed(enum tf_request_state from, enum tf_request_state to)
{
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		const char *arrow = strchr(allowed[i], '>');
		size_t n = (size_t)(arrow - allowed[i]);
		if (strlen(tf_request_state_name(from)) == n &&
			!strncmp(allowed[i], tf_request_state_name(from), n) &&
			!strcmp(arrow + 1, tf_request_state_name(to)))
			return true;
	}
	return false;
}

static void every_pair_is_as_the_table_says(void **state)
{
	(void)state;
	size_t moves = 0;
	for (int from = 0; from < TF_REQUEST_STATE_COUNT; from++) {
		bool out = false;
		for (int to = 0; to < TF_REQUEST_STATE_COUNT; to++) {
			bool may = tf_request_may((enum tf_request_state)from, (enum tf_request_state)to);
			assert_int_equal(may, listed((enum tf_request_state)from, (enum tf_request_state)to));
			out = out || may;
			moves += may;
		}
		assert_int_equal(tf_request_final((enum tf_request_state)from), !out);
	}
	assert_int_equal(moves, sizeof(allowed) / sizeof(allowed[0]));
	assert_true(tf_request_final(TF_REQUEST_SUCCESS) && tf_request_final(TF_REQUEST_FAILURE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_pair_is_as_the_table_says)};
	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
