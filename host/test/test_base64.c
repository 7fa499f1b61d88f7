#include "base/base64.h"

#include <stdlib.h>
#include <string.h>

#include "test/cmocka_all.h"

static void encodes_the_rfc_vectors(void **state)
{
	(void)state;
	/* RFC 4648 section 10. */
	const char *const vectors[][2] = {
		{"", ""},
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
	};
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		struct tf_buf text = TF_BUF_INIT, bytes = TF_BUF_INIT;
		tf_base64_encode(&text, vectors[i][0], strlen(vectors[i][0]));
		assert_string_equal(text.data, vectors[i][1]);
		assert_int_equal(tf_base64_decode(&bytes, text.data, text.len, NULL), 0);
		assert_string_equal(bytes.data, vectors[i][0]);
		tf_buf_free(&text);
		tf_buf_free(&bytes);
	}
}

static void every_length_and_byte_comes_back(void **state)
{
	(void)state;
	unsigned char bytes[512];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 167 + (i >> 8));
	for (size_t n = 0; n <= sizeof bytes; n++) {
		struct tf_buf text = TF_BUF_INIT, back = TF_BUF_INIT;
		tf_buf_puts(&text, "#"); /* appends, never replaces */
		tf_buf_puts(&back, "##");
		tf_base64_encode(&text, bytes, n);
		assert_int_equal(text.len, 1 + (n + 2) / 3 * 4);
		assert_int_equal(tf_base64_decode(&back, text.data + 1, text.len - 1, NULL), 0);
		assert_int_equal(back.len, 2 + n);
		assert_memory_equal(back.data + 2, bytes, n);
		tf_buf_free(&text);
		tf_buf_free(&back);
	}
}

static void uses_the_standard_alphabet(void **state)
{
	(void)state;
	struct tf_buf text = TF_BUF_INIT;
	tf_base64_encode(&text, "\xfb\xff\xbf", 3);
	assert_string_equal(text.data, "+/+/");
	tf_buf_free(&text);
}

static void rejects_malformed_text(void **state)
{
	(void)state;
	const struct {
		const char *text, *story;
	} bad[] = {
		{"A", "multiple of 4"},
		{"AA", "multiple of 4"},
		{"AAA", "multiple of 4"},
		{"AAAA=", "multiple of 4"},
		{"====", "offset 0"},
		{"A===", "offset 1"},
		{"=AAA", "offset 0"},
		{"AA=A", "offset 2"},
		{"AA==AAAA", "offset 2"},
		{"AAA=AAA=", "offset 3"},
		{"AA-_", "offset 2"}, /* the URL alphabet is another one */
		{"AAA\n", "0x0a at offset 3"},
		{"AAA ", "0x20 at offset 3"},
		{"AA\xc3\xa9", "0xc3 at offset 2"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct tf_buf out = TF_BUF_INIT;
		struct tf_err err;
		tf_buf_puts(&out, "kept");
		assert_int_equal(tf_base64_decode(&out, bad[i].text, strlen(bad[i].text), &err), TF_EFORMAT);
		assert_non_null(strstr(err.message, bad[i].story));
		assert_string_equal(out.data, "kept");
		tf_buf_free(&out);
	}
	struct tf_buf out = TF_BUF_INIT;
	assert_int_equal(tf_base64_decode(&out, "AA\0A", 4, NULL), TF_EFORMAT);
	tf_buf_free(&out);
}

static void every_foreign_byte_is_found(void **state)
{
	(void)state;
	const char *alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (int c = 1; c < 256; c++) {
		char text[4] = {'A', (char)c, 'A', 'A'};
		struct tf_buf out = TF_BUF_INIT;
		int rc = tf_base64_decode(&out, text, 4, NULL);
		assert_int_equal(rc, strchr(alphabet, c) ? 0 : TF_EFORMAT);
		tf_buf_free(&out);
	}
}

/* CPython: base64.b64decode("Zh==") == b"f". */
static void ignores_unused_bits(void **state)
{
	(void)state;
	struct tf_buf out = TF_BUF_INIT;
	assert_int_equal(tf_base64_decode(&out, "Zh==", 4, NULL), 0);
	assert_string_equal(out.data, "f");
	tf_buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes_the_rfc_vectors),
		cmocka_unit_test(every_length_and_byte_comes_back),
		cmocka_unit_test(uses_the_standard_alphabet),
		cmocka_unit_test(rejects_malformed_text),
		cmocka_unit_test(every_foreign_byte_is_found),
		cmocka_unit_test(ignores_unused_bits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
