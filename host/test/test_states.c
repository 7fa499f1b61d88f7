/* The transition tables, pair by pair (ENGINE.md 8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "engine/states.h"

struct pair {
	enum tf_state from, to;
};

static const struct pair task_pairs[] = {
	{TF_PENDING, TF_RUNNING},
	{TF_PENDING, TF_IGNORE},
	{TF_RUNNING, TF_SUCCESS},
	{TF_RUNNING, TF_FAILURE},
	{TF_SUCCESS, TF_REVERTING},
	{TF_FAILURE, TF_REVERTING},
	{TF_REVERTING, TF_REVERTED},
	{TF_REVERTING, TF_REVERT_FAILURE},
	{TF_REVERTED, TF_PENDING},
	{TF_IGNORE, TF_PENDING},
};
static const struct pair retry_pairs[] = {{TF_SUCCESS, TF_RETRYING}, {TF_RETRYING, TF_RUNNING}};
static const struct pair flow_pairs[] = {
	{TF_PENDING, TF_RUNNING},
	{TF_RUNNING, TF_SUCCESS},
	{TF_RUNNING, TF_FAILURE},
	{TF_RUNNING, TF_REVERTED},
	{TF_RUNNING, TF_SUSPENDING},
	{TF_RUNNING, TF_RESUMING},
	{TF_SUCCESS, TF_RUNNING},
	{TF_SUCCESS, TF_PENDING},
	{TF_FAILURE, TF_RUNNING},
	{TF_REVERTED, TF_PENDING},
	{TF_SUSPENDING, TF_SUSPENDED},
	{TF_SUSPENDING, TF_SUCCESS},
	{TF_SUSPENDING, TF_FAILURE},
	{TF_SUSPENDING, TF_REVERTED},
	{TF_SUSPENDING, TF_RESUMING},
	{TF_SUSPENDED, TF_RUNNING},
	{TF_RESUMING, TF_SUSPENDED},
};

static bool listed(const struct pair *pairs, size_t count, int from, int to)
{
	for (size_t i = 0; i < count; i++)
		if ((int)pairs[i].from == from && (int)pairs[i].to == to)
			return true;
	return false;
}
#define LISTED(pairs, from, to) listed(pairs, sizeof(pairs) / sizeof *(pairs), from, to)

static bool among(int s, const int *states, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (states[i] == s)
			return true;
	return false;
}

static void test_atoms(void **state)
{
	(void)state;
	for (int from = 0; from < TF_STATE_COUNT; from++)
		for (int to = 0; to < TF_STATE_COUNT; to++) {
			bool task = LISTED(task_pairs, from, to);
			assert_int_equal(tf_task_may((enum tf_state)from, (enum tf_state)to), task);
			assert_int_equal(tf_retry_may((enum tf_state)from, (enum tf_state)to),
				task || LISTED(retry_pairs, from, to));
		}
}

static void test_flows(void **state)
{
	(void)state;
	static const int rest[] = {TF_PENDING, TF_FAILURE, TF_SUCCESS, TF_SUSPENDED, TF_REVERTED};
	static const int paused[] = {TF_SUSPENDING, TF_SUSPENDED, TF_RESUMING};
	for (int from = 0; from < TF_STATE_COUNT; from++)
		for (int to = 0; to < TF_STATE_COUNT; to++) {
			int expected = from == to                                     ? 0
				       : LISTED(flow_pairs, from, to)                 ? 1
				       : among(from, rest, 5) && among(to, paused, 3) ? 0
										      : -1;
			assert_int_equal(tf_flow_may((enum tf_state)from, (enum tf_state)to), expected);
		}
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(tf_state_name(TF_REVERT_FAILURE), "REVERT_FAILURE");
	assert_string_equal(tf_state_name(TF_RESUMING), "RESUMING");
	assert_string_equal(tf_intention_name(TF_INTENT_IGNORE), "IGNORE");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_atoms),
		cmocka_unit_test(test_flows),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
