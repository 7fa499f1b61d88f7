#include "base/json.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "json_text.h"
#include "test/cmocka_all.h"

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
	assert_text(json_text_parse(" \t\r\n [ 1 ] \n"), "[ 1 ]");
	assert_text(json_text_parse("\n-0.5\n"), "-0.5");
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
		enum tf_json_type type = tf_json_type(json_text_parse(cases[i].text));
		assert_int_equal(type, cases[i].type);
		assert_string_equal(tf_json_type_name(type), cases[i].name);
	}
}

static void walks_objects_and_arrays(void **state)
{
	(void)state;
	struct tf_json v = json_text_parse(" { \"a\" : [ 1 , [ ] , \"]},\\\"\" ] ,\"\\\\\":\"\\\\\", "
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
	struct tf_json v = json_text_parse(
		" { \"a\" : [ 1 , [ ] , \"]},\" , {} ,[[2]]] ,\"b\":{\"c\" :null\n} , \"d\":-1.5 } ");
	struct tf_json_iter it = tf_json_iter(v);
	struct tf_buf seen = TF_BUF_INIT;
	struct tf_json val;
	walk_all(&it, 0, &seen);
	assert_string_equal(seen.data,
		"0:\"a\"=[ 1:1 1:[ 1:\"]},\" 1:{ 1:[ 2:[ 3:2 0:\"b\"={ 1:\"c\"=null 0:\"d\"=-1.5 ");
	assert_false(tf_json_step(&it, NULL, &val));
	it = tf_json_iter(json_text_parse("\"[1]\""));
	assert_false(tf_json_step(&it, NULL, &val));
	tf_buf_free(&seen);
}

static void empty_and_scalar_have_no_members(void **state)
{
	(void)state;
	const char *const texts[] = {"[]", "{}", "[ ]", "{\n}", "1", "\"abc\"", "null"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct tf_json v = json_text_parse(texts[i]), val;
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
		v = json_text_parse(
			"{\"a\":1,\"b\":2,\"\\u0061\":3,\"\\u00e9\\ud83d\\udc27\":4,\"\":5,\"x\\u0000\":6}"),
		val;
	assert_true(tf_json_get(v, "a", &val));
	assert_text(val, "3");
	assert_true(tf_json_get(v, "\xc3\xa9\xf0\x9f\x90\xa7", &val));
	assert_text(val, "4");
	assert_true(tf_json_get(v, "", &val));
	assert_text(val, "5");
	assert_true(tf_json_get(v, "b", NULL));
	val = json_text_parse("0");
	assert_false(tf_json_get(v, "c", &val));
	assert_false(tf_json_get(v, "x", &val)); /* a NUL in a name is not its end */
	assert_text(val, "0");
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
		cmocka_unit_test(hostile_shapes_stay_linear),
		cmocka_unit_test(a_walk_of_everything_does_not_depend_on_depth),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
