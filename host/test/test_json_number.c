/* Numbers (json_number.c). */
#include "base/json.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_text.h"
#include "test/cmocka_all.h"

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
		assert_int_equal(tf_json_int64(json_text_parse(cases[i].text), &n), cases[i].fits);
		assert_true(n == (cases[i].fits ? cases[i].value : -1));
	}
}

static void doubles_are_read_exactly(void **state)
{
	(void)state;
	double d;
	assert_true(tf_json_double(json_text_parse("-2.5e3"), &d) && d == -2500);
	assert_true(tf_json_double(json_text_parse("9007199254740993"), &d) && d == 9007199254740992.0);
	assert_true(tf_json_double(json_text_parse("1e400"), &d) && isinf(d) && d > 0);
	assert_true(tf_json_double(json_text_parse("-Infinity"), &d) && isinf(d) && d < 0);
	assert_true(tf_json_double(json_text_parse("Infinity"), &d) && isinf(d) && d > 0);
	assert_true(tf_json_double(json_text_parse("NaN"), &d) && isnan(d));
	assert_true(tf_json_double(json_text_parse("-0.0"), &d) && d == 0 && signbit(d));
	assert_false(tf_json_double(json_text_parse("\"1\""), &d));
	assert_false(tf_json_double(json_text_parse("null"), &d));
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
	bool read = tf_json_double(json_text_parse("2.5"), &d);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(int64_takes_what_fits),
		cmocka_unit_test(doubles_are_read_exactly),
		cmocka_unit_test(the_locale_does_not_matter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
