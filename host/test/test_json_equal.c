/* Equality (json_equal.c). */
#include "base/json.h"

#include <time.h>

#include "json_text.h"
#include "test/cmocka_all.h"

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
		assert_int_equal(tf_json_equal(json_text_parse(cases[i].a), json_text_parse(cases[i].b)),
			cases[i].equal);
		assert_int_equal(tf_json_equal(json_text_parse(cases[i].b), json_text_parse(cases[i].a)),
			cases[i].equal);
	}
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
	assert_true(tf_json_equal(json_text_parse(a.data), json_text_parse(b.data)));
	assert_true(clock() - begin < 20 * CLOCKS_PER_SEC);
	tf_buf_free(&a);
	tf_buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equality),
		cmocka_unit_test(equality_of_large_objects_is_not_quadratic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
