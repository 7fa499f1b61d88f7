#include "base/json.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "test/cmocka_all.h"

/* Text -> root; the text must be valid. */
static struct tf_json parse(const char *text)
{
	struct tf_json root;
	struct tf_err err;
	if (tf_json_validate(text, strlen(text), 0, &root, &err))
		fail_msg("%s: %s", text, err.message);
	return root;
}

static int validate(const char *text, struct tf_err *err)
{
	return tf_json_validate(text, strlen(text), 0, NULL, err);
}

static void assert_text(struct tf_json v, const char *want)
{
	assert_int_equal(v.len, strlen(want));
	assert_memory_equal(v.text, want, v.len);
}

static void errors_name_offset_expected_and_found(void **state)
{
	(void)state;
	const struct {
		const char *text, *story;
	} cases[] = {
		{"", "a value at byte 0, found the end of the text"},
		{"  ", "a value at byte 2, found the end of the text"},
		{"[1,]", "a value at byte 3, found ']'"},
		{"[1 2]", "',' or ']' at byte 3, found '2'"},
		{"[1", "',' or ']' at byte 2, found the end"},
		{"{", "a key or '}' at byte 1, found the end"},
		{"{\"a\":1,}", "a key at byte 7, found '}'"},
		{"{\"a\":1]", "',' or '}' at byte 6, found ']'"},
		{"{\"a\" 1}", "':' after a key at byte 5, found '1'"},
		{"{}x", "nothing after the value at byte 2, found 'x'"},
		{"nul", "null at byte 3, found the end"},
		{"trye", "true at byte 2, found 'y'"},
		{"-x", "a digit at byte 1, found 'x'"},
		{"-Inf", "Infinity at byte 4, found the end"},
		{"01", "no digit after a leading zero at byte 1, found '1'"},
		{"1.x", "a digit after the decimal point at byte 2, found 'x'"},
		{"1e+", "a digit in the exponent at byte 3, found the end"},
		{"\"a", "'\"' to end a string at byte 2, found the end"},
		{"\"a\nb\"", "control characters to be escaped in a string at byte 2, found byte 0x0a"},
		{"\"\\q\"", "after a backslash at byte 2, found 'q'"},
		{"\"\\u12x4\"", "four hexadecimal digits after \\u at byte 5, found 'x'"},
		{"\"\xc3(\"", "valid UTF-8 at byte 1, found byte 0xc3"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tf_err err;
		assert_int_equal(validate(cases[i].text, &err), TF_EFORMAT);
		if (!strstr(err.message, cases[i].story))
			fail_msg("%s: '%s' lacks '%s'", cases[i].text, err.message, cases[i].story);
		assert_int_equal(validate(cases[i].text, NULL), TF_EFORMAT);
	}
}

static void every_prefix_of_a_document_is_rejected(void **state)
{
	(void)state;
	const char *text =
		"{\"a\\u00e9\": [1, -2.5e+3, true, null, {\"b\": \"\xc3\xa9\"}, -Infinity, NaN], \"c\": {}}";
	for (size_t n = 0; n < strlen(text); n++) {
		char *exact = tf_malloc(n); /* so that the sanitizers see a read past the end */
		memcpy(exact, text, n);
		assert_int_equal(tf_json_validate(exact, n, 0, NULL, NULL), TF_EFORMAT);
		free(exact);
	}
	assert_int_equal(validate(text, NULL), 0);
}

static void root_is_the_value_without_space(void **state)
{
	(void)state;
	assert_text(parse(" \t\r\n [ 1 ] \n"), "[ 1 ]");
	assert_text(parse("\n-0.5\n"), "-0.5");
	assert_int_equal(tf_json_validate("1\0", 2, 0, NULL, NULL), TF_EFORMAT);
	assert_int_equal(tf_json_validate(NULL, 0, 0, NULL, NULL), TF_EFORMAT);
}

/* n levels, alternately of arrays and objects. */
static char *nested(size_t n)
{
	struct tf_buf b = TF_BUF_INIT;
	for (size_t i = 0; i < n; i++)
		tf_buf_puts(&b, i % 2 ? "{\"k\":" : "[");
	tf_buf_puts(&b, "1");
	for (size_t i = n; i-- > 0;)
		tf_buf_puts(&b, i % 2 ? "}" : "]");
	return tf_buf_steal(&b);
}

static void depth_is_limited(void **state)
{
	(void)state;
	const struct {
		unsigned limit;
		size_t deepest;
	} cases[] = {
		{0, TF_JSON_MAX_DEPTH},
		{1, 1},
		{7, 7},
		{8, 8},
		{9, 9},
		{TF_JSON_DEPTH_CAP, TF_JSON_DEPTH_CAP},
		{UINT32_MAX, TF_JSON_DEPTH_CAP},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tf_err err;
		char *fits = nested(cases[i].deepest), *deeper = nested(cases[i].deepest + 1);
		assert_int_equal(tf_json_validate(fits, strlen(fits), cases[i].limit, NULL, &err), 0);
		assert_int_equal(
			tf_json_validate(deeper, strlen(deeper), cases[i].limit, NULL, &err), TF_ELIMIT);
		assert_non_null(strstr(err.message, "nested deeper than"));
		free(fits);
		free(deeper);
	}
	/* Width is no depth. */
	assert_int_equal(tf_json_validate("[[],[],{},{}]", 13, 2, NULL, NULL), 0);
}

static void a_million_brackets_do_no_harm(void **state)
{
	(void)state;
	size_t n = 1000000;
	char *text = tf_malloc(n);
	memset(text, '[', n);
	assert_int_equal(tf_json_validate(text, n, 0, NULL, NULL), TF_ELIMIT);
	free(text);
}

static void types_and_their_names(void **state)
{
	(void)state;
	const struct {
		const char *text;
		enum tf_json_type type;
		const char *name;
	} cases[] = {
		{"null", TF_JSON_NULL, "null"},
		{"true", TF_JSON_TRUE, "boolean"},
		{"false", TF_JSON_FALSE, "boolean"},
		{"0", TF_JSON_INTEGER, "integer"},
		{"-0", TF_JSON_INTEGER, "integer"},
		{"-17", TF_JSON_INTEGER, "integer"},
		{"123456789012345678901234567890", TF_JSON_INTEGER, "integer"},
		{"1.0", TF_JSON_REAL, "real"},
		{"-1e5", TF_JSON_REAL, "real"},
		{"1E5", TF_JSON_REAL, "real"},
		{"NaN", TF_JSON_REAL, "real"},
		{"Infinity", TF_JSON_REAL, "real"},
		{"-Infinity", TF_JSON_REAL, "real"},
		{"\"\"", TF_JSON_STRING, "string"},
		{"[]", TF_JSON_ARRAY, "array"},
		{"{}", TF_JSON_OBJECT, "object"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		enum tf_json_type type = tf_json_type(parse(cases[i].text));
		assert_int_equal(type, cases[i].type);
		assert_string_equal(tf_json_type_name(type), cases[i].name);
	}
}

static void walks_objects_and_arrays(void **state)
{
	(void)state;
	struct tf_json v = parse(" { \"a\" : [ 1 , [ ] , \"]},\\\"\" ] ,\"\\\\\":\"\\\\\", "
				 "\"b\\\"}\"\t:\n{\"x\":{}} , \"n\":-1.5E3} ");
	const char *want[][2] = {
		{"\"a\"", "[ 1 , [ ] , \"]},\\\"\" ]"},
		{"\"\\\\\"", "\"\\\\\""},
		{"\"b\\\"}\"", "{\"x\":{}}"},
		{"\"n\"", "-1.5E3"},
	};
	struct tf_json_iter it = tf_json_iter(v);
	struct tf_json key, val;
	for (size_t i = 0; i < 4; i++) {
		assert_true(tf_json_next(&it, &key, &val));
		assert_text(key, want[i][0]);
		assert_text(val, want[i][1]);
	}
	assert_false(tf_json_next(&it, &key, &val));
	assert_false(tf_json_next(&it, &key, &val));
	assert_int_equal(tf_json_count(v), 4);

	struct tf_json array;
	assert_true(tf_json_get(v, "a", &array));
	assert_int_equal(tf_json_count(array), 3);
	it = tf_json_iter(array);
	assert_true(tf_json_next(&it, &key, &val));
	assert_null(key.text);
	assert_text(val, "1");
	assert_true(tf_json_at(array, 2, &val));
	assert_text(val, "\"]},\\\"\"");
	assert_true(tf_json_at(array, 1, NULL));
	assert_false(tf_json_at(array, 3, &val));
	assert_false(tf_json_at(v, 0, &val));
	assert_false(tf_json_get(array, "a", &val));
}

/* Writes the tokens in order, with the depth in front of each. */
static void walk_all(struct tf_json_iter *it, int depth, struct tf_buf *out)
{
	struct tf_json key, val;
	while (tf_json_step(it, &key, &val)) {
		tf_buf_printf(out, "%d:", depth);
		if (key.text)
			tf_buf_printf(out, "%.*s=", (int)key.len, key.text);
		tf_buf_printf(out, "%.*s ", (int)val.len, val.text);
		if (tf_json_type(val) < TF_JSON_ARRAY)
			continue;
		struct tf_json_iter inner = tf_json_enter(it);
		walk_all(&inner, depth + 1, out);
		tf_json_leave(it, &inner);
	}
}

static void steps_into_everything(void **state)
{
	(void)state;
	struct tf_json v =
		parse(" { \"a\" : [ 1 , [ ] , \"]},\" , {} ,[[2]]] ,\"b\":{\"c\" :null\n} , \"d\":-1.5 } ");
	struct tf_json_iter it = tf_json_iter(v);
	struct tf_buf seen = TF_BUF_INIT;
	struct tf_json val;
	walk_all(&it, 0, &seen);
	assert_string_equal(seen.data,
		"0:\"a\"=[ 1:1 1:[ 1:\"]},\" 1:{ 1:[ 2:[ 3:2 0:\"b\"={ 1:\"c\"=null 0:\"d\"=-1.5 ");
	assert_false(tf_json_step(&it, NULL, &val));
	it = tf_json_iter(parse("\"[1]\""));
	assert_false(tf_json_step(&it, NULL, &val));
	tf_buf_free(&seen);
}

static void empty_and_scalar_have_no_members(void **state)
{
	(void)state;
	const char *const texts[] = {"[]", "{}", "[ ]", "{\n}", "1", "\"abc\"", "null"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct tf_json v = parse(texts[i]), val;
		struct tf_json_iter it = tf_json_iter(v);
		assert_false(tf_json_next(&it, NULL, &val));
		assert_int_equal(tf_json_count(v), 0);
		assert_false(tf_json_at(v, 0, NULL));
		assert_false(tf_json_get(v, "", NULL));
	}
}

static void get_unescapes_and_takes_the_last(void **state)
{
	(void)state;
	struct tf_json
		v = parse(
			"{\"a\":1,\"b\":2,\"\\u0061\":3,\"\\u00e9\\ud83d\\udc27\":4,\"\":5,\"x\\u0000\":6}"),
		val;
	assert_true(tf_json_get(v, "a", &val));
	assert_text(val, "3");
	assert_true(tf_json_get(v, "\xc3\xa9\xf0\x9f\x90\xa7", &val));
	assert_text(val, "4");
	assert_true(tf_json_get(v, "", &val));
	assert_text(val, "5");
	assert_true(tf_json_get(v, "b", NULL));
	val = parse("0");
	assert_false(tf_json_get(v, "c", &val));
	assert_false(tf_json_get(v, "x", &val)); /* a NUL in a name is not its end */
	assert_text(val, "0");
}

static void strings_compare_unescaped(void **state)
{
	(void)state;
	assert_true(tf_json_string_is(parse("\"a\\/\\n\\u00E9\""), "a/\n\xc3\xa9"));
	assert_true(tf_json_string_is(parse("\"\""), ""));
	assert_false(tf_json_string_is(parse("\"\\u0000\""), ""));
	assert_false(tf_json_string_is(parse("\"ab\""), "a"));
	assert_false(tf_json_string_is(parse("\"a\""), "ab"));
	assert_false(tf_json_string_is(parse("\"\\ud800\""), "\xed\xa0\x80"));
	assert_false(tf_json_string_is(parse("1"), "1"));
	assert_false(tf_json_string_is(parse("[]"), "]"));

	assert_int_equal(tf_json_string_compare(parse("\"a\\u0062c\""), parse("\"\\u0061bc\"")), 0);
	assert_true(tf_json_string_compare(parse("\"a\""), parse("\"ab\"")) < 0);
	assert_true(tf_json_string_compare(parse("\"\\u0062\""), parse("\"ab\"")) > 0);
	assert_true(tf_json_string_compare(parse("\"\""), parse("\"\\u0000\"")) < 0);
}

static void unescapes_every_escape(void **state)
{
	(void)state;
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_puts(&b, ">");
	assert_int_equal(tf_json_unescape(parse("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), &b, NULL), 0);
	assert_string_equal(b.data, ">\"\\/\b\f\n\r\t");
	tf_buf_reset(&b);
	assert_int_equal(
		tf_json_unescape(parse("\"\\u007f\\u0080\\u07ff\\u0800\\uffff\\ud800\\udc00\\udbff\\udfff\""),
			&b, NULL),
		0);
	assert_string_equal(
		b.data, "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
	tf_buf_reset(&b);
	assert_int_equal(tf_json_unescape(parse("\"a\\u0000b\""), &b, NULL), 0);
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
		assert_int_equal(tf_json_unescape(parse(texts[i]), &b, &err), TF_EFORMAT);
		assert_non_null(strstr(err.message, "lone surrogate (\\ud"));
		assert_string_equal(b.data, "kept");
		assert_null(tf_json_strdup(parse(texts[i]), NULL));
		assert_true(tf_json_equal(parse(texts[i]), parse(texts[i])));
		tf_buf_free(&b);
	}
	/* The low half may be spelt either way; a pair is one character. */
	assert_true(tf_json_equal(parse("\"\\ud83d\\uDC27\""), parse("\"\xf0\x9f\x90\xa7\"")));
	assert_false(tf_json_equal(parse("\"\\ud83d\""), parse("\"\\ud83e\"")));
}

static void strdup_refuses_what_c_cannot_hold(void **state)
{
	(void)state;
	struct tf_err err;
	char *s = tf_json_strdup(parse("\"h\\u00e9\""), &err);
	assert_string_equal(s, "h\xc3\xa9");
	free(s);
	s = tf_json_strdup(parse("\"\""), &err);
	assert_string_equal(s, "");
	free(s);
	assert_null(tf_json_strdup(parse("\"a\\u0000\""), &err));
	assert_non_null(strstr(err.message, "NUL"));
	assert_null(tf_json_strdup(parse("[1]"), &err));
	assert_string_equal(err.message, "expected a string, found array");
	assert_int_equal(err.code, TF_EFORMAT);
}

static void int64_takes_what_fits(void **state)
{
	(void)state;
	const struct {
		const char *text;
		bool fits;
		int64_t value;
	} cases[] = {
		{"0", true, 0},
		{"-0", true, 0},
		{"42", true, 42},
		{"9223372036854775807", true, INT64_MAX},
		{"9223372036854775808", false, 0},
		{"-9223372036854775808", true, INT64_MIN},
		{"-9223372036854775809", false, 0},
		{"18446744073709551616", false, 0},
		{"99999999999999999999999999", false, 0},
		{"1.0", false, 0},
		{"1e3", false, 0},
		{"NaN", false, 0},
		{"-Infinity", false, 0},
		{"\"1\"", false, 0},
		{"true", false, 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t n = -1;
		assert_int_equal(tf_json_int64(parse(cases[i].text), &n), cases[i].fits);
		assert_true(n == (cases[i].fits ? cases[i].value : -1));
	}
}

static void doubles_are_read_exactly(void **state)
{
	(void)state;
	double d;
	assert_true(tf_json_double(parse("-2.5e3"), &d) && d == -2500);
	assert_true(tf_json_double(parse("9007199254740993"), &d) && d == 9007199254740992.0);
	assert_true(tf_json_double(parse("1e400"), &d) && isinf(d) && d > 0);
	assert_true(tf_json_double(parse("-Infinity"), &d) && isinf(d) && d < 0);
	assert_true(tf_json_double(parse("Infinity"), &d) && isinf(d) && d > 0);
	assert_true(tf_json_double(parse("NaN"), &d) && isnan(d));
	assert_true(tf_json_double(parse("-0.0"), &d) && d == 0 && signbit(d));
	assert_false(tf_json_double(parse("\"1\""), &d));
	assert_false(tf_json_double(parse("null"), &d));
	/* Longer than any buffer, and a slice: what follows is not part of it. */
	char text[503];
	memset(text, '0', sizeof text);
	memcpy(text, "[1.", 3);
	memcpy(text + 499, "1,7]", 4);
	struct tf_json v, first;
	assert_int_equal(tf_json_validate(text, sizeof text, 0, &v, NULL), 0);
	assert_true(tf_json_at(v, 0, &first));
	assert_true(tf_json_double(first, &d) && d == 1.0);
}

/* A locale with a decimal comma, made for the occasion: few machines have one installed. */
static bool comma_locale(char *dir)
{
	char command[300];
	if (!mkdtemp(dir))
		return false;
	snprintf(command, sizeof command,
		"cd %s && printf 'LC_NUMERIC\\ndecimal_point \",\"\\nthousands_sep \".\"\\ngrouping 3;3\\n"
		"END LC_NUMERIC\\n' > source && localedef -c -i ./source ./comma >/dev/null 2>&1",
		dir);
	if (system(command) == -1)
		return false;
	setenv("LOCPATH", dir, 1);
	return setlocale(LC_NUMERIC, "comma") != NULL;
}

/* A script may call os.setlocale. */
static void the_locale_does_not_matter(void **state)
{
	(void)state;
	char dir[] = "/tmp/tfhost-locale-XXXXXX", command[100], printed[8];
	bool made = comma_locale(dir);
	double d = 0;
	struct tf_buf b = TF_BUF_INIT;
	snprintf(printed, sizeof printed, "%.1f", 2.5);
	bool read = tf_json_double(parse("2.5"), &d);
	tf_json_write_real(&b, 0.1 + 0.2);
	bool still = localeconv()->decimal_point[0] == ',';
	setlocale(LC_NUMERIC, "C");
	snprintf(command, sizeof command, "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
	assert_true(read && d == 2.5);
	assert_string_equal(b.data, "0.30000000000000004");
	tf_buf_free(&b);
	if (!made) {
		print_message("localedef cannot make a locale here\n");
		skip();
	}
	assert_string_equal(printed, "2,5"); /* the locale was really in force */
	assert_true(still);                  /* and is the caller's again */
}

static void equality(void **state)
{
	(void)state;
	const struct {
		const char *a, *b;
		bool equal;
	} cases[] = {
		{"1", "1.0", false},
		{"1", "2", false},
		{"-0", "0", true},
		{"10000000000000000000001", "10000000000000000000002", false},
		{"1.0", "1e0", true},
		{"1.0", "1.5", false},
		{"0.1", "0.1000000000000000055", true},
		{"NaN", "NaN", true},
		{"NaN", "1.0", false},
		{"Infinity", "-Infinity", false},
		{"1e999", "Infinity", true},
		{"true", "false", false},
		{"null", "false", false},
		{"\"\\u0061\"", "\"a\"", true},
		{"\"a\"", "\"b\"", false},
		{"[1, 2]", "[1,2 ]", true},
		{"[1,2]", "[2,1]", false},
		{"[1]", "[1,1]", false},
		{"[]", "{}", false},
		{"{\"a\":1,\"b\":[2]}", "{ \"b\" : [ 2 ] , \"\\u0061\" : 1 }", true},
		{"{\"a\":1}", "{\"a\":2}", false},
		{"{\"a\":1}", "{\"b\":1}", false},
		{"{\"a\":1}", "{\"a\":1,\"b\":1}", false},
		{"{\"a\":1,\"a\":2}", "{\"a\":2}", true},
		{"{\"a\":1,\"a\":2}", "{\"a\":2,\"a\":1}", false},
		{"{\"a\":2,\"b\":3,\"a\":1}", "{\"a\":1,\"b\":3,\"b\":3}", true},
		{"{\"a\":{\"b\":{\"c\":[{}]}}}", "{\"a\":{\"b\":{\"c\":[{\"d\":1}]}}}", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(tf_json_equal(parse(cases[i].a), parse(cases[i].b)), cases[i].equal);
		assert_int_equal(tf_json_equal(parse(cases[i].b), parse(cases[i].a)), cases[i].equal);
	}
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

static double seconds_of_walk(const char *text, size_t len)
{
	struct timespec a, b;
	struct tf_json root;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	assert_int_equal(tf_json_validate(text, len, 0, &root, NULL), 0);
	assert_true(tf_json_count(root) > 0);
	assert_true(tf_json_equal(root, root));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	return (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
}

/* Shapes that make a careless scanner quadratic. At 4 MB a quadratic one needs hours; the bound is
 * far above what a linear one needs under a sanitizer. */
static void hostile_shapes_stay_linear(void **state)
{
	(void)state;
	const struct {
		const char *open, *unit, *close;
	} shapes[] = {
		{"[\"", "\\\\", "\"]"},
		{"[\"", "\\\"", "\"]"},
		{"[\"", "a", "\"]"},
		{"[0", ",1", "]"},
		{"[[]", ",[]", "]"},
		{"[\"\"", ",\"\"", "]"},
		{"{\"a\":1", ",\"a\":1", "}"},
		{"[", " ", "1]"},
		{"[1", "0", "]"},
		{"[0.", "1", "]"},
		{"[\"", "\xf0\x9f\x90\xa7", "\"]"},
	};
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		struct tf_buf b = TF_BUF_INIT;
		tf_buf_puts(&b, shapes[i].open);
		while (b.len < 4 << 20)
			tf_buf_puts(&b, shapes[i].unit);
		tf_buf_puts(&b, shapes[i].close);
		assert_true(seconds_of_walk(b.data, b.len) < 10);
		tf_buf_free(&b);
	}
}

/* The same bytes must not be read once a level. */
static void a_walk_of_everything_does_not_depend_on_depth(void **state)
{
	(void)state;
	enum { LEVELS = TF_JSON_DEPTH_CAP };
	struct tf_buf b = TF_BUF_INIT, seen = TF_BUF_INIT;
	struct tf_json root;
	for (int i = 0; i < LEVELS - 1; i++)
		tf_buf_puts(&b, "[");
	tf_buf_puts(&b, "[0");
	while (b.len < 1 << 20)
		tf_buf_puts(&b, ",1");
	for (int i = 0; i < LEVELS; i++)
		tf_buf_puts(&b, "]");
	assert_int_equal(tf_json_validate(b.data, b.len, LEVELS, &root, NULL), 0);
	struct tf_json_iter it = tf_json_iter(root);
	clock_t begin = clock();
	walk_all(&it, 0, &seen);
	assert_true(clock() - begin < 10 * CLOCKS_PER_SEC);
	assert_true(seen.len > b.len);
	tf_buf_free(&b);
	tf_buf_free(&seen);
}

/* Objects with many members in different order: sorted, not searched member by member. */
static void equality_of_large_objects_is_not_quadratic(void **state)
{
	(void)state;
	enum { N = 200000 };
	struct tf_buf a = TF_BUF_INIT, b = TF_BUF_INIT;
	for (int i = 0; i < N; i++) {
		tf_buf_printf(&a, "%c\"key%d\":%d", i ? ',' : '{', i, i);
		tf_buf_printf(&b, "%c\"key%d\":%d", i ? ',' : '{', N - 1 - i, N - 1 - i);
	}
	tf_buf_puts(&a, "}");
	tf_buf_puts(&b, "}");
	clock_t begin = clock();
	assert_true(tf_json_equal(parse(a.data), parse(b.data)));
	assert_true(clock() - begin < 20 * CLOCKS_PER_SEC);
	tf_buf_free(&a);
	tf_buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_name_offset_expected_and_found),
		cmocka_unit_test(every_prefix_of_a_document_is_rejected),
		cmocka_unit_test(root_is_the_value_without_space),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(a_million_brackets_do_no_harm),
		cmocka_unit_test(types_and_their_names),
		cmocka_unit_test(walks_objects_and_arrays),
		cmocka_unit_test(steps_into_everything),
		cmocka_unit_test(empty_and_scalar_have_no_members),
		cmocka_unit_test(get_unescapes_and_takes_the_last),
		cmocka_unit_test(strings_compare_unescaped),
		cmocka_unit_test(unescapes_every_escape),
		cmocka_unit_test(lone_surrogates_are_valid_but_cannot_be_written),
		cmocka_unit_test(strdup_refuses_what_c_cannot_hold),
		cmocka_unit_test(int64_takes_what_fits),
		cmocka_unit_test(doubles_are_read_exactly),
		cmocka_unit_test(the_locale_does_not_matter),
		cmocka_unit_test(equality),
		cmocka_unit_test(writes_strings_in_ascii),
		cmocka_unit_test(utf8_takes_each_character_in_its_shortest_form_only),
		cmocka_unit_test(hostile_shapes_stay_linear),
		cmocka_unit_test(a_walk_of_everything_does_not_depend_on_depth),
		cmocka_unit_test(equality_of_large_objects_is_not_quadratic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
