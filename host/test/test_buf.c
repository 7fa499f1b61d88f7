#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "test/cmocka_all.h"

static void empty_steals_an_empty_string(void **state)
{
	(void)state;
	struct tf_buf b = TF_BUF_INIT;
	char *s = tf_buf_steal(&b);
	assert_string_equal(s, "");
	free(s);
	tf_buf_free(&b);
}

static void stays_terminated_while_growing(void **state)
{
	(void)state;
	struct tf_buf b = TF_BUF_INIT;
	for (size_t i = 0; i < 5000; i++) {
		tf_buf_putc(&b, (char)('a' + i % 26));
		assert_int_equal(b.len, i + 1);
		assert_true(b.cap > b.len);
		assert_int_equal(b.data[b.len], 0);
	}
	for (size_t i = 0; i < b.len; i++)
		assert_int_equal(b.data[i], 'a' + (int)(i % 26));
	tf_buf_free(&b);
	assert_null(b.data);
	assert_int_equal(b.cap, 0);
}

static void appends_every_kind(void **state)
{
	(void)state;
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_append(&b, "a\0b", 3);
	tf_buf_append(&b, NULL, 0);
	tf_buf_puts(&b, "cd");
	tf_buf_printf(&b, "%d%%", 42);
	assert_int_equal(b.len, 8);
	assert_memory_equal(b.data, "a\0bcd42%", 9);
	tf_buf_reset(&b);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	tf_buf_free(&b);
}

static void printf_fits_at_every_length(void **state)
{
	(void)state;
	char want[300];
	for (size_t n = 0; n < sizeof want; n++) {
		struct tf_buf b = TF_BUF_INIT;
		memset(want, 'x', n);
		tf_buf_printf(&b, "%.*s", (int)n, want);
		assert_int_equal(b.len, n);
		assert_memory_equal(b.data, want, n);
		assert_int_equal(b.data[n], 0);
		tf_buf_free(&b);
	}
}

static void decimals_have_their_width(void **state)
{
	(void)state;
	static const struct {
		uint64_t n;
		unsigned width;
		const char *want;
	} cases[] = {{0, 1, "0"}, {7, 1, "7"}, {7, 6, "000007"}, {0, 3, "000"}, {1234567, 6, "1234567"},
		{UINT64_MAX, 1, "18446744073709551615"}, {1, 20, "00000000000000000001"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tf_buf b = TF_BUF_INIT;
		tf_buf_put_decimal(&b, cases[i].n, cases[i].width);
		assert_string_equal(b.data, cases[i].want);
		tf_buf_free(&b);
	}
}

static void consume_drops_from_the_front(void **state)
{
	(void)state;
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_consume(&b, 0);
	tf_buf_puts(&b, "hello");
	tf_buf_consume(&b, 2);
	assert_string_equal(b.data, "llo");
	tf_buf_consume(&b, 3);
	assert_string_equal(b.data, "");
	assert_int_equal(b.len, 0);
	tf_buf_free(&b);
}

static void reserve_makes_room_at_once(void **state)
{
	(void)state;
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_reserve(&b, 1000);
	assert_true(b.cap >= 1001);
	char *before = b.data;
	for (int i = 0; i < 1000; i++)
		tf_buf_putc(&b, 'x');
	assert_ptr_equal(b.data, before);
	char *s = tf_buf_steal(&b);
	assert_ptr_equal(s, before);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	free(s);
}

static void memory_helpers(void **state)
{
	(void)state;
	void *none = tf_malloc(0), *zeroed = tf_calloc(0, 10);
	assert_non_null(none);
	assert_non_null(zeroed);
	none = tf_realloc(none, 0);
	assert_non_null(none);
	free(none);
	free(zeroed);

	unsigned char *z = tf_calloc(3, 5);
	for (int i = 0; i < 15; i++)
		assert_int_equal(z[i], 0);
	free(z);

	assert_null(tf_strdup(NULL));
	char *a = tf_strdup("abc"), *b = tf_strndup("abcdef", 3), *c = tf_asprintf("%s-%d", "x", 7);
	assert_string_equal(a, b);
	assert_string_equal(c, "x-7");
	free(a);
	free(b);
	free(c);
	char *e = tf_strndup(NULL, 0);
	assert_string_equal(e, "");
	free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_steals_an_empty_string),
		cmocka_unit_test(stays_terminated_while_growing),
		cmocka_unit_test(appends_every_kind),
		cmocka_unit_test(printf_fits_at_every_length),
		cmocka_unit_test(decimals_have_their_width),
		cmocka_unit_test(consume_drops_from_the_front),
		cmocka_unit_test(reserve_makes_room_at_once),
		cmocka_unit_test(memory_helpers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
