#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "test/cmocka_all.h"

static bool collect(const char *key, void *value, void *arg)
{
	tf_buf_printf(arg, "%s=%s ", key, (const char *)value);
	return true;
}

static void sets_gets_and_replaces(void **state)
{
	(void)state;
	struct tf_map *m = tf_map_new();
	char a[] = "1", b[] = "2";
	assert_null(tf_map_get(m, "k"));
	assert_null(tf_map_set(m, "k", a));
	assert_ptr_equal(tf_map_get(m, "k"), a);
	assert_ptr_equal(tf_map_set(m, "k", b), a);
	assert_ptr_equal(tf_map_get(m, "k"), b);
	assert_int_equal(tf_map_count(m), 1);
	assert_ptr_equal(tf_map_remove(m, "k"), b);
	assert_null(tf_map_remove(m, "k"));
	assert_int_equal(tf_map_count(m), 0);
	tf_map_delete(m, NULL);
	tf_map_delete(NULL, NULL);
}

static void copies_keys(void **state)
{
	(void)state;
	struct tf_map *m = tf_map_new();
	char key[] = "abc", value[] = "v";
	tf_map_set(m, key, value);
	key[0] = 'X';
	assert_ptr_equal(tf_map_get(m, "abc"), value);
	assert_null(tf_map_get(m, "Xbc"));
	assert_null(tf_map_get(m, "ab"));
	assert_null(tf_map_get(m, "abcd"));
	char empty[] = "e";
	tf_map_set(m, "", empty);
	assert_ptr_equal(tf_map_get(m, ""), empty);
	tf_map_delete(m, NULL);
}

static void keeps_the_order_of_insertion(void **state)
{
	(void)state;
	struct tf_map *m = tf_map_new();
	struct tf_buf seen = TF_BUF_INIT;
	char v[] = "v", w[] = "w";
	tf_map_set(m, "z", v);
	tf_map_set(m, "a", v);
	tf_map_set(m, "m", v);
	tf_map_set(m, "z", w); /* replacing keeps the place */
	tf_map_remove(m, "a");
	tf_map_set(m, "a", v); /* removing loses it */
	tf_map_each(m, collect, &seen);
	assert_string_equal(seen.data, "z=w m=v a=v ");
	tf_buf_free(&seen);
	tf_map_delete(m, NULL);
}

static bool remove_odd(const char *key, void *value, void *arg)
{
	(void)value;
	if (atoi(key) % 2)
		free(tf_map_remove(arg, key));
	return true;
}

static bool stop_at_third(const char *key, void *value, void *arg)
{
	(void)key, (void)value;
	return ++*(int *)arg < 3;
}

static void visitor_may_remove_and_stop(void **state)
{
	(void)state;
	enum { N = 5000 };
	struct tf_map *m = tf_map_new();
	for (int i = 0; i < N; i++) {
		char key[16];
		snprintf(key, sizeof key, "%d", i);
		assert_null(tf_map_set(m, key, tf_strdup(key)));
	}
	assert_int_equal(tf_map_count(m), N);
	tf_map_each(m, remove_odd, m);
	assert_int_equal(tf_map_count(m), N / 2);
	for (int i = 0; i < N; i++) {
		char key[16];
		snprintf(key, sizeof key, "%d", i);
		const char *value = tf_map_get(m, key);
		assert_true((value == NULL) == (i % 2 == 1));
		if (value)
			assert_string_equal(value, key);
	}
	int visits = 0;
	tf_map_each(m, stop_at_third, &visits);
	assert_int_equal(visits, 3);
	tf_map_delete(m, free);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_gets_and_replaces),
		cmocka_unit_test(copies_keys),
		cmocka_unit_test(keeps_the_order_of_insertion),
		cmocka_unit_test(visitor_may_remove_and_stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
