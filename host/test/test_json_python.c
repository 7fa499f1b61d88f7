/* Our JSON against Python's: spec/fixtures/json-python.json, made by spec/support/json_python.py. */
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "test/cmocka_all.h"

static const char fixture[] = "spec/fixtures/json-python.json";

static struct tf_buf text;
static struct tf_json tables;

static int load(void **state)
{
	(void)state;
	FILE *f = fopen(fixture, "rb");
	if (!f) {
		fprintf(stderr, "%s is not here: run from the top of the source tree\n", fixture);
		return -1;
	}
	char part[65536];
	for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;)
		tf_buf_append(&text, part, n);
	fclose(f);
	struct tf_err err;
	int rc = tf_json_validate(text.data, text.len, 0, &tables, &err);
	if (rc)
		fprintf(stderr, "%s: %s\n", fixture, err.message);
	return rc;
}

static int unload(void **state)
{
	(void)state;
	tf_buf_free(&text);
	return 0;
}

/* Calls check(first column, second column: NULL if null) for each row. */
static void each_row(const char *table, size_t least, void (*check)(const char *in, const char *out))
{
	struct tf_json rows, row, in, out;
	assert_true(tf_json_get(tables, table, &rows));
	assert_true(tf_json_count(rows) >= least);
	for (struct tf_json_iter it = tf_json_iter(rows); tf_json_next(&it, NULL, &row);) {
		assert_true(tf_json_at(row, 0, &in) && tf_json_at(row, 1, &out));
		char *first = tf_json_strdup(in, NULL);
		char *second = tf_json_type(out) == TF_JSON_NULL ? NULL : tf_json_strdup(out, NULL);
		check(first, second);
		free(first);
		free(second);
	}
}

static double double_of(const char *bits)
{
	uint64_t u = strtoull(bits, NULL, 16);
	double d;
	memcpy(&d, &u, sizeof d);
	return d;
}

static void check_real(const char *bits, const char *want)
{
	struct tf_buf b = TF_BUF_INIT;
	struct tf_json v;
	double d = double_of(bits), back;
	tf_json_write_real(&b, d);
	assert_string_equal(b.data, want);
	assert_int_equal(tf_json_validate(b.data, b.len, 0, &v, NULL), 0);
	assert_int_equal(tf_json_type(v), TF_JSON_REAL);
	assert_true(tf_json_double(v, &back));
	assert_true(isnan(d) ? isnan(back) : memcmp(&d, &back, sizeof d) == 0);
	tf_buf_free(&b);
}

static void reals_are_spelt_like_python(void **state)
{
	(void)state;
	each_row("reals", 800, check_real);
}

static struct tf_buf bytes_of(const char *hex)
{
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_reserve(&b, 0);
	for (unsigned byte; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		tf_buf_putc(&b, (char)byte);
	return b;
}

static void check_string(const char *hex, const char *want)
{
	struct tf_buf bytes = bytes_of(hex), out = TF_BUF_INIT, back = TF_BUF_INIT;
	tf_json_write_string(&out, bytes.data, bytes.len);
	assert_string_equal(out.data, want);
	assert_int_equal(tf_json_unescape((struct tf_json){out.data, out.len}, &back, NULL), 0);
	assert_int_equal(back.len, bytes.len);
	assert_memory_equal(back.data, bytes.data, bytes.len);
	tf_buf_free(&bytes);
	tf_buf_free(&out);
	tf_buf_free(&back);
}

static void strings_are_spelt_like_python(void **state)
{
	(void)state;
	each_row("strings", 50, check_string);
}

/* Writes v again as Python would after reading it. False if a string cannot be decoded. */
static bool rewrite(struct tf_json v, struct tf_buf *out);

static bool rewrite_string(struct tf_json v, struct tf_buf *out)
{
	struct tf_buf bytes = TF_BUF_INIT;
	bool decoded = tf_json_unescape(v, &bytes, NULL) == 0;
	if (decoded)
		tf_json_write_string(out, bytes.data, bytes.len);
	tf_buf_free(&bytes);
	return decoded;
}

static bool name_stood_before(struct tf_json object, struct tf_json name)
{
	struct tf_json_iter it = tf_json_iter(object);
	struct tf_json key;
	while (tf_json_next(&it, &key, NULL) && key.text != name.text) {
		if (tf_json_string_compare(key, name) == 0)
			return true;
	}
	return false;
}

static struct tf_json last_of_name(struct tf_json object, struct tf_json name)
{
	struct tf_json_iter it = tf_json_iter(object);
	struct tf_json key, val, last = {NULL, 0};
	while (tf_json_next(&it, &key, &val)) {
		if (tf_json_string_compare(key, name) == 0)
			last = val;
	}
	return last;
}

static bool rewrite_object(struct tf_json v, struct tf_buf *out)
{
	struct tf_json_iter it = tf_json_iter(v);
	struct tf_json key;
	bool first = true;
	tf_buf_putc(out, '{');
	while (tf_json_next(&it, &key, NULL)) {
		if (name_stood_before(v, key))
			continue;
		tf_buf_puts(out, first ? "" : ", ");
		first = false;
		if (!rewrite_string(key, out))
			return false;
		tf_buf_puts(out, ": ");
		if (!rewrite(last_of_name(v, key), out))
			return false;
	}
	tf_buf_putc(out, '}');
	return true;
}

static bool rewrite_array(struct tf_json v, struct tf_buf *out)
{
	struct tf_json_iter it = tf_json_iter(v);
	struct tf_json val;
	bool first = true;
	tf_buf_putc(out, '[');
	while (tf_json_next(&it, NULL, &val)) {
		tf_buf_puts(out, first ? "" : ", ");
		first = false;
		if (!rewrite(val, out))
			return false;
	}
	tf_buf_putc(out, ']');
	return true;
}

static bool rewrite(struct tf_json v, struct tf_buf *out)
{
	int64_t n;
	double d;
	switch (tf_json_type(v)) {
	case TF_JSON_OBJECT:
		return rewrite_object(v, out);
	case TF_JSON_ARRAY:
		return rewrite_array(v, out);
	case TF_JSON_STRING:
		return rewrite_string(v, out);
	case TF_JSON_REAL:
		assert_true(tf_json_double(v, &d));
		tf_json_write_real(out, d);
		return true;
	case TF_JSON_INTEGER:
		if (tf_json_int64(v, &n))
			tf_buf_printf(out, "%" PRId64, n);
		else
			tf_buf_append(out, v.text, v.len);
		return true;
	default:
		tf_buf_append(out, v.text, v.len);
		return true;
	}
}

static int accepted, rejected, undecodable;

static void check_document(const char *hex, const char *want)
{
	struct tf_buf bytes = bytes_of(hex), out = TF_BUF_INIT;
	struct tf_json v;
	struct tf_err err;
	int rc = tf_json_validate(bytes.data, bytes.len, 0, &v, &err);
	if ((rc == 0) != (want != NULL))
		fail_msg("%s: Python %s, we say %s", bytes.data, want ? "accepts" : "rejects",
			rc ? err.message : "yes");
	accepted += rc == 0;
	rejected += rc != 0;
	if (rc == 0) {
		if (rewrite(v, &out)) {
			assert_string_equal(out.data, want);
			struct tf_json again = {out.data, out.len};
			assert_int_equal(tf_json_validate(out.data, out.len, 0, NULL, NULL), 0);
			assert_true(tf_json_equal(v, again));
		} else {
			undecodable++;
			assert_non_null(strstr(want, "\\ud"));
		}
	}
	tf_buf_free(&bytes);
	tf_buf_free(&out);
}

static void documents_are_read_like_python(void **state)
{
	(void)state;
	each_row("documents", 500, check_document);
	print_message("accepted %d, rejected %d, with lone surrogates %d\n", accepted, rejected, undecodable);
	assert_true(accepted > 100 && rejected > 100 && undecodable < accepted / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reals_are_spelt_like_python),
		cmocka_unit_test(strings_are_spelt_like_python),
		cmocka_unit_test(documents_are_read_like_python),
	};
	return cmocka_run_group_tests(tests, load, unload);
}
