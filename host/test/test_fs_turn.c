#include "transport/fs_turn.h"

#include <unistd.h>

#include "test/cmocka_all.h"

static void a_turn_ends_with_its_messages_its_bytes_or_its_time(void **state)
{
	(void)state;
	struct tf_fs_turn t = tf_fs_turn_begin();
	t.end_ms += 60000;
	for (int i = 0; i < TF_FS_TURN_MESSAGES; i++) {
		assert_false(tf_fs_turn_is_over(&t));
		tf_fs_turn_count(&t, 1);
	}
	assert_true(tf_fs_turn_is_over(&t));
	t = tf_fs_turn_begin();
	t.end_ms += 60000;
	tf_fs_turn_count(&t, TF_FS_TURN_BYTES);
	assert_true(tf_fs_turn_is_over(&t));
	t = tf_fs_turn_begin();
	usleep(1000 * (TF_FS_TURN_MS + 2));
	assert_false(tf_fs_turn_is_over(&t)); /* something is done in each */
	tf_fs_turn_count(&t, 1);
	assert_true(tf_fs_turn_is_over(&t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_turn_ends_with_its_messages_its_bytes_or_its_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
