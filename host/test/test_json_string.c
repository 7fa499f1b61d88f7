/* Strings (json_string.c). */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "json_text.h"
#include "test/cmocka_all.h"

static void strings_compare_unescaped(void **state)
{
	(void)state;
	assert_true(tf_json_string_is(json_text_parse("\"a\\/\\n\\u00E9\""), "a/\n\xc3\xa9"));
	assert_true(tf_json_string_is(json_text_parse("\"\""), ""));
	assert_false(tf_json_string_is(json_text_parse("\"\\u0000\""), ""));
	assert_false(tf_json_string_is(json_text_parse("\"ab\""), "a"));
	assert_false(tf_json_string_is(json_text_parse("\"a\""), "ab"));
	assert_false(tf_json_string_is(json_text_parse("\"\\ud800\""), "\xed\xa0\x80"));
	assert_false(tf_json_string_is(json_text_parse("1"), "1"));
	assert_false(tf_json_string_is(json_text_parse("[]"), "]"));

	assert_int_equal(
		tf_json_string_compare(json_text_parse("\"a\\u0062c\""), json_text_parse("\"\\u0061bc\"")),
		0);
	assert_true(tf_json_string_compare(json_text_parse("\"a\""), json_text_parse("\"ab\"")) < 0);
	assert_true(tf_json_string_compare(json_text_parse("\"\\u0062\""), json_text_parse("\"ab\"")) > 0);
	assert_true(tf_json_string_compare(json_text_parse("\"\""), json_text_parse("\"\\u0000\"")) < 0);
}

static void unescapes_every_escape(void **state)
{
	(void)state;
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_puts(&b, ">");
	assert_int_equal(tf_json_unescape(json_text_parse("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), &b, NULL), 0);
	assert_string_equal(b.data, ">\"\\/\b\f\n\r\t");
	tf_buf_reset(&b);
	assert_int_equal(
		tf_json_unescape(
			json_text_parse(
				"\"\\u007f\\u0080\\u07ff\\u0800\\uffff\\ud800\\udc00\\udbff\\udfff\""),
			&b, NULL),
		0);
	assert_string_equal(
		b.data, "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
	tf_buf_reset(&b);
	assert_int_equal(tf_json_unescape(json_text_parse("\"a\\u0000b\""), &b, NULL), 0);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "a\0b", 4);
	tf_buf_free(&b);
}

static void lone_surrogates_are_valid_but_cannot_be_written(void **state)
{
	(void)state;
	const char *const texts[] = {
		"\"\\ud800\"",
		"\"\\udfff\"",
		"\"x\\ud800y\"",
		"\"\\ud800\\u0041\"",
		"\"\\ud800\\ud800\"",
		"\"\\udc00\\ud800\"",
		"\"\\ud800\\n\"",
		"\"\\ud83d\\udc27\\udc27\"",
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct tf_buf b = TF_BUF_INIT;
		struct tf_err err;
		tf_buf_puts(&b, "kept");
		assert_int_equal(tf_json_unescape(json_text_parse(texts[i]), &b, &err), TF_EFORMAT);
		assert_non_null(strstr(err.message, "lone surrogate (\\ud"));
		assert_string_equal(b.data, "kept");
		assert_null(tf_json_strdup(json_text_parse(texts[i]), NULL));
		assert_true(tf_json_equal(json_text_parse(texts[i]), json_text_parse(texts[i])));
		tf_buf_free(&b);
	}
	/* The low half may be spelt either way; a pair is one character. */
	assert_true(tf_json_equal(
		json_text_parse("\"\\ud83d\\uDC27\""), json_text_parse("\"\xf0\x9f\x90\xa7\"")));
	assert_false(tf_json_equal(json_text_parse("\"\\ud83d\""), json_text_parse("\"\\ud83e\"")));
}

static void strdup_refuses_what_c_cannot_hold(void **state)
{
	(void)state;
	struct tf_err err;
	char *s = tf_json_strdup(json_text_parse("\"h\\u00e9\""), &err);
	assert_string_equal(s, "h\xc3\xa9");
	free(s);
	s = tf_json_strdup(json_text_parse("\"\""), &err);
	assert_string_equal(s, "");
	free(s);
	assert_null(tf_json_strdup(json_text_parse("\"a\\u0000\""), &err));
	assert_non_null(strstr(err.message, "NUL"));
	assert_null(tf_json_strdup(json_text_parse("[1]"), &err));
	assert_string_equal(err.message, "expected a string, found array");
	assert_int_equal(err.code, TF_EFORMAT);
}

static void writes_strings_in_ascii(void **state)
{
	(void)state;
	struct tf_buf b = TF_BUF_INIT;
	tf_json_write_string(&b, "a\0\"\\/\x7f\xc3\xa9\xf0\x9f\x90\xa7", 12);
	assert_string_equal(b.data, "\"a\\u0000\\\"\\\\/\\u007f\\u00e9\\ud83d\\udc27\"");
	tf_buf_reset(&b);
	/* What is not UTF-8 never makes the text invalid. */
	tf_json_write_string(&b, "x\xff\xc3(\xed\xa0\x80\xf0\x9f\x90", 10);
	assert_int_equal(tf_json_validate(b.data, b.len, 0, NULL, NULL), 0);
	assert_memory_equal(b.data, "\"x\\ufffd\\ufffd(", 15);
	tf_buf_reset(&b);
	tf_json_write_string(&b, "", 0);
	assert_string_equal(b.data, "\"\"");
	tf_buf_free(&b);
}

/* Encodes any number the way UTF-8 would, valid or not. */
static size_t encode(unsigned char *out, uint32_t c, size_t n)
{
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	for (size_t i = n; i-- > 1; c >>= 6)
		out[i] = (unsigned char)(0x80 | (c & 0x3f));
	out[0] = (unsigned char)(n == 1 ? c : lead[n] | c);
	return n;
}

static void utf8_takes_each_character_in_its_shortest_form_only(void **state)
{
	(void)state;
	for (uint32_t c = 0; c < 0x1fffff; c += c < 0x11000 ? 1 : 61) {
		size_t shortest = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
		bool exists = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
		for (size_t n = shortest; n <= 4; n++) {
			unsigned char s[4];
			encode(s, c, n);
			size_t want = exists && n == shortest ? n : 0;
			assert_int_equal(tf_utf8_valid_len((const char *)s, n), want);
			if (n > 1) /* cut short */
				assert_int_equal(tf_utf8_valid_len((const char *)s, n - 1), 0);
		}
	}
	assert_int_equal(tf_utf8_valid_len("ab\xc3\xa9\xff!", 6), 4);
	assert_int_equal(tf_utf8_valid_len("a\0b", 3), 3);
	assert_int_equal(tf_utf8_valid_len("", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_compare_unescaped),
		cmocka_unit_test(unescapes_every_escape),
		cmocka_unit_test(lone_surrogates_are_valid_but_cannot_be_written),
		cmocka_unit_test(strdup_refuses_what_c_cannot_hold),
		cmocka_unit_test(writes_strings_in_ascii),
		cmocka_unit_test(utf8_takes_each_character_in_its_shortest_form_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
