#include "base/value.h"

#include <pthread.h>
#include <string.h>

#include "test/cmocka_all.h"

static void parse_keeps_every_byte(void **state)
{
	(void)state;
	const char *text = "{\"b\" :1.50,\t\"a\": [1E2, \"\\u0041\\/\"]}";
	struct tf_err err;
	struct tf_value *v = tf_value_parse(text, strlen(text), 0, &err);
	assert_non_null(v);
	assert_string_equal(tf_value_text(v), text);
	assert_int_equal(tf_value_len(v), strlen(text));
	assert_int_equal(tf_json_type(tf_value_json(v)), TF_JSON_OBJECT);
	tf_value_unref(v);
}

static void parse_drops_white_space_around(void **state)
{
	(void)state;
	struct tf_value *v = tf_value_parse("\n [1 ] \t", 8, 0, NULL);
	assert_string_equal(tf_value_text(v), "[1 ]");
	tf_value_unref(v);
}

static void parse_copies_and_stops_at_len(void **state)
{
	(void)state;
	char text[] = "123456";
	struct tf_value *v = tf_value_parse(text, 3, 0, NULL);
	text[0] = 'x';
	assert_string_equal(tf_value_text(v), "123");
	tf_value_unref(v);
}

static void parse_rejects_with_a_story(void **state)
{
	(void)state;
	struct tf_err err;
	assert_null(tf_value_parse("[1", 2, 0, &err));
	assert_int_equal(err.code, TF_EFORMAT);
	assert_null(tf_value_parse("[[1]]", 5, 1, &err));
	assert_int_equal(err.code, TF_ELIMIT);
	assert_null(tf_value_parse("", 0, 0, NULL));
}

static void makers(void **state)
{
	(void)state;
	struct tf_value *null = tf_value_null(), *object = tf_value_empty_object();
	struct tf_value *string = tf_value_string("\xc3\xa9\"\n");
	assert_string_equal(tf_value_text(null), "null");
	assert_string_equal(tf_value_text(object), "{}");
	assert_string_equal(tf_value_text(string), "\"\\u00e9\\\"\\n\"");

	struct tf_buf b = TF_BUF_INIT;
	tf_buf_puts(&b, "[true]");
	struct tf_value *taken = tf_value_take(&b);
	assert_string_equal(tf_value_text(taken), "[true]");
	assert_null(b.data);
	assert_int_equal(b.len, 0);

	struct tf_json inner;
	assert_true(tf_json_at(tf_value_json(taken), 0, &inner));
	struct tf_value *slice = tf_value_from(inner);
	tf_value_unref(taken);
	assert_string_equal(tf_value_text(slice), "true");
	tf_value_unref(slice);
	tf_value_unref(string);
	tf_value_unref(object);
	tf_value_unref(null);
}

static void references(void **state)
{
	(void)state;
	assert_null(tf_value_ref(NULL));
	tf_value_unref(NULL);
	struct tf_value *v = tf_value_string("x");
	assert_ptr_equal(tf_value_ref(v), v);
	tf_value_unref(v);
	assert_string_equal(tf_value_text(v), "\"x\"");
	tf_value_unref(v);
}

static void *ref_and_unref(void *arg)
{
	for (int i = 0; i < 50000; i++)
		tf_value_unref(tf_value_ref(arg));
	tf_value_unref(arg);
	return NULL;
}

/* A lost count would free the text under the others (seen by the sanitizers) or leak it. */
static void references_on_many_threads(void **state)
{
	(void)state;
	enum { THREADS = 4 };
	pthread_t threads[THREADS];
	struct tf_value *v = tf_value_string("shared");
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ref_and_unref, tf_value_ref(v)), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_string_equal(tf_value_text(v), "\"shared\"");
	tf_value_unref(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_keeps_every_byte),
		cmocka_unit_test(parse_drops_white_space_around),
		cmocka_unit_test(parse_copies_and_stops_at_len),
		cmocka_unit_test(parse_rejects_with_a_story),
		cmocka_unit_test(makers),
		cmocka_unit_test(references),
		cmocka_unit_test(references_on_many_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
