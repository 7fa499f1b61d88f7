/* Codec of kombu's message files, against files that kombu wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <glob.h>
#include <cmocka.h>
#include <json-c/json.h>

#include "base/json.h"
#include "base/mem.h"
#include "transport/kombu_file.h"

/* Member by path "a.b" of a json-c tree; NULL for absent and null. */
static json_object *at(json_object *o, const char *path)
{
	char *copy = tf_strdup(path), *save, *name;

	for (name = strtok_r(copy, ".", &save); name && o; name = strtok_r(NULL, ".", &save))
		if (!json_object_object_get_ex(o, name, &o))
			o = NULL;
	free(copy);
	return o;
}

static const char *text_at(json_object *o, const char *path)
{
	o = at(o, path);
	return o ? json_object_get_string(o) : NULL;
}

static void equal_or_absent(const char *got, const char *expected, const char *what)
{
	if (!expected ? got != NULL : !got || strcmp(got, expected) != 0)
		fail_msg("%s: got %s, expected %s", what, got ? got : "nothing",
			expected ? expected : "nothing");
}

static void check_vector(json_object *v)
{
	const char *text = text_at(v, "file.text"), *name = text_at(v, "file.name"), *uuid;
	json_object *content = json_tokener_parse(text);
	struct tf_kombu_name parsed;
	struct tf_kombu_file f;
	struct tf_err err;
	struct tf_buf again = TF_BUF_INIT;
	char *made;

	assert_non_null(content);
	assert_true(tf_kombu_name_parse(name, &parsed));
	assert_int_equal(parsed.queue_len, strlen(text_at(v, "queue")));
	assert_memory_equal(parsed.queue, text_at(v, "queue"), parsed.queue_len);
	if (tf_kombu_file_read(text, strlen(text), 1 << 20, &f, &err) < 0)
		fail_msg("%s: %s", name, err.message);
	equal_or_absent(f.m.type, text_at(v, "properties.type"), "type");
	equal_or_absent(f.m.reply_to, text_at(v, "properties.reply_to"), "reply_to");
	equal_or_absent(f.m.correlation_id, text_at(v, "properties.correlation_id"), "correlation_id");
	equal_or_absent(f.m.content_type, text_at(v, "properties.content_type"), "content_type");
	assert_null(f.m.peer);
	assert_false(f.m.redelivered);
	equal_or_absent(f.m.body, text_at(v, "body_text"), "body");
	assert_int_equal(f.m.body_len, strlen(text_at(v, "body_text")));

	/* and again, byte for byte */
	f.m.topic = text_at(v, "routing_key");
	assert_int_equal(tf_kombu_file_write(&again, &f.m, text_at(v, "exchange.name"),
				 text_at(content, "properties.delivery_tag"), &err),
		0);
	assert_string_equal(again.data, text);
	uuid = strchr(name, '_') + 1;
	made = tf_strndup(uuid, TF_UUID_LEN);
	uuid = made;
	made = tf_kombu_name_make(parsed.ms, uuid, text_at(v, "queue"));
	assert_string_equal(made, name);
	free((char *)uuid);
	free(made);
	tf_buf_free(&again);
	tf_kombu_file_destroy(&f);
	json_object_put(content);
}

static void test_vectors(void **state)
{
	glob_t g;
	size_t i, checked = 0;

	(void)state;
	assert_int_equal(glob("spec/fixtures/vectors/filesystem-*.json", 0, NULL, &g), 0);
	for (i = 0; i < g.gl_pathc; i++) {
		json_object *v = json_object_from_file(g.gl_pathv[i]);

		assert_non_null(v);
		if (at(v, "message_type")) { /* the others have tests of their own */
			check_vector(v);
			checked++;
		}
		json_object_put(v);
	}
	assert_int_equal(checked, g.gl_pathc - 2);
	globfree(&g);
}

static void test_requeued_by_kombu(void **state)
{
	json_object *v = json_object_from_file("spec/fixtures/vectors/filesystem-requeued.json");
	const char *text = text_at(v, "file.text");
	struct tf_kombu_name name;
	struct tf_kombu_file f;
	struct tf_err err;

	(void)state;
	assert_true(tf_kombu_name_parse(text_at(v, "file.name"), &name));
	assert_int_equal(name.ms, 1838386);
	assert_int_equal(tf_kombu_file_read(text, strlen(text), 100, &f, &err), 0);
	assert_true(f.m.redelivered);
	assert_string_equal(f.m.body, "{\"v\": 1}");
	assert_string_equal(f.m.reply_to, "r");
	assert_null(f.m.correlation_id);
	tf_kombu_file_destroy(&f);
	json_object_put(v);
}

#define UUID "6ed90ec7-2be2-4cb0-ab58-4a7b1d476f57"

static void test_names(void **state)
{
	static const char *const foreign[] = {
		"",
		".msg",
		"1",
		"1_",
		"1_" UUID,
		"1_" UUID ".msg",
		"1_" UUID "..msg",
		"_" UUID ".q.msg",
		"x1_" UUID ".q.msg",
		"1x_" UUID ".q.msg",
		"-1_" UUID ".q.msg",
		" 1_" UUID ".q.msg",
		"1_" UUID ".q.msg.part",
		"1_" UUID ".q.msg~",
		"1_" UUID ".q.MSG",
		"1_" UUID "q.msg",
		"1_6ed90ec7-2be2-4cb0-ab58-4a7b1d476f5.q.msg",
		"1_6ed90ec7_2be2-4cb0-ab58-4a7b1d476f57.q.msg",
		"1_6ed90ec7-2be2-4cb0-ab58-4a7b1d476f5g.q.msg",
		"18446744073709551616_" UUID ".q.msg",
		"99999999999999999999999999_" UUID ".q.msg",
		".tfhost-1-1.part",
		"README.msg",
	};
	struct tf_kombu_name n;
	char *made;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(foreign) / sizeof(*foreign); i++)
		if (tf_kombu_name_parse(foreign[i], &n))
			fail_msg("\"%s\" was taken for a message", foreign[i]);
	assert_true(tf_kombu_name_parse("18446744073709551615_" UUID ".q.msg", &n));
	assert_true(n.ms == UINT64_MAX);
	assert_true(tf_kombu_name_parse("007_" UUID ".a.b.msg.msg", &n));
	assert_int_equal(n.ms, 7);
	assert_int_equal(n.queue_len, strlen("a.b.msg"));
	assert_memory_equal(n.queue, "a.b.msg", n.queue_len);
	made = tf_kombu_name_make(UINT64_MAX, UUID, "");
	assert_true(strlen(made) < TF_KOMBU_NAME_EXTRA);
	free(made);
}

static int read_text(const char *text, struct tf_kombu_file *f, struct tf_err *err)
{
	err->message[0] = '\0';
	return tf_kombu_file_read(text, strlen(text), 16, f, err);
}

static void test_unusual_but_right(void **state)
{
	struct tf_kombu_file f;
	struct tf_err err;

	(void)state;
	/* other order, white space, raw UTF-8, escapes, unknown members, duplicates: the last counts */
	assert_int_equal(
		read_text(" \n{\"x\":[{}],\"properties\":{\"type\":\"A\",\"type\":\"\\u00e9\xc3\xa9\","
			  "\"body_encoding\":\"base64\",\"delivery_info\":null}, \"body\":\"e30\\u003d\" , "
			  "\"headers\":{\"x-tfhost\":\"v1\",\"lang\":\"py\"},\"redelivered\":true}\n",
			&f, &err),
		0);
	assert_string_equal(f.m.type, "\xc3\xa9\xc3\xa9");
	assert_string_equal(f.m.body, "{}");
	assert_string_equal(f.m.peer, "v1");
	assert_null(f.m.content_type);
	assert_true(f.m.redelivered);
	tf_kombu_file_destroy(&f);
	/* no body_encoding: the body is literal text */
	assert_int_equal(
		read_text("{\"properties\":{\"body_encoding\":null},\"body\":\"\\\"\\u0000\\u4e2d\"}", &f,
			&err),
		0);
	assert_int_equal(f.m.body_len, 5);
	assert_memory_equal(f.m.body, "\"\0\xe4\xb8\xad", 5);
	tf_kombu_file_destroy(&f);
	/* the limit is on the body, not on the file */
	assert_int_equal(read_text("{\"properties\":{},\"body\":\"1234567890123456\"}", &f, &err), 0);
	assert_int_equal(f.m.body_len, 16);
	tf_kombu_file_destroy(&f);
	assert_int_equal(
		read_text("{\"properties\":{},\"body\":\"12345678901234567\"}", &f, &err), TF_ELIMIT);
}

static void test_malformed(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"[]", "no JSON object"},
		{"hello", "byte 0x68"},
		{"\xef\xbb\xbf{}", "byte 0xef"},
		{"{}", "properties is missing"},
		{"{\"properties\":[]}", "properties is array"},
		{"{\"properties\":{}}", "body is missing"},
		{"{\"properties\":{},\"body\":{}}", "body is object"},
		{"{\"properties\":{\"type\":5},\"body\":\"\"}", "properties.type is integer"},
		{"{\"properties\":{\"reply_to\":[]},\"body\":\"\"}", "properties.reply_to is array"},
		{"{\"properties\":{\"correlation_id\":1.5},\"body\":\"\"}", "properties.correlation_id is"},
		{"{\"properties\":{\"reply_to\":\"a\\u0000b\"},\"body\":\"\"}", "properties.reply_to"},
		{"{\"properties\":{\"reply_to\":\"\\ud800\"},\"body\":\"\"}", "properties.reply_to"},
		{"{\"properties\":{},\"content-type\":{},\"body\":\"\"}", "content-type is object"},
		{"{\"properties\":{},\"headers\":{\"x-tfhost\":7},\"body\":\"\"}",
			"headers.x-tfhost is integer"},
		{"{\"properties\":{},\"body\":\"\\ud800\"}", "body"},
		{"{\"properties\":{\"body_encoding\":\"base32\"},\"body\":\"\"}",
			"body_encoding is \"base32\""},
		{"{\"properties\":{\"body_encoding\":\"base64\"},\"body\":\"e30\"}", "body"},
		{"{\"properties\":{\"body_encoding\":\"base64\"},\"body\":\"e3 0=\"}", "body"},
		{"{\"properties\":{\"body_encoding\":\"base64\"},\"body\":\"====\"}", "body"},
	};
	struct tf_kombu_file f;
	struct tf_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int rc = read_text(bad[i].text, &f, &err);

		if (rc != TF_EFORMAT || err.code != rc || !strstr(err.message, bad[i].why))
			fail_msg("%s: %d, \"%s\"", bad[i].text, rc, err.message);
	}
}

/* Whatever a writer has got to the disk so far reads as "not yet", never as a message. */
static void test_every_prefix_is_incomplete(void **state)
{
	struct tf_message m = {.topic = "t",
		.type = "REQUEST",
		.peer = "{\"a\":1}",
		.body = "{\"k\": [1, 2]}",
		.body_len = 13};
	struct tf_buf text = TF_BUF_INIT;
	struct tf_kombu_file f;
	struct tf_err err;
	size_t len;

	(void)state;
	assert_int_equal(tf_kombu_file_write(&text, &m, "ex", "tag", &err), 0);
	for (len = 0; len < text.len; len++) {
		char *prefix =
			tf_strndup(text.data, len); /* exact size, so that a sanitizer sees over-reads */

		assert_int_equal(tf_kombu_file_read(prefix, len, 100, &f, &err), TF_EAGAIN);
		free(prefix);
	}
	assert_int_equal(tf_kombu_file_read(text.data, text.len, 100, &f, &err), 0);
	assert_string_equal(f.m.peer, m.peer);
	tf_kombu_file_destroy(&f);
	tf_buf_free(&text);
}

static void test_deep_nesting(void **state)
{
	struct tf_buf text = TF_BUF_INIT;
	struct tf_kombu_file f;
	struct tf_err err;
	int i;

	(void)state;
	tf_buf_puts(&text, "{\"a\":");
	for (i = 0; i < 100000; i++)
		tf_buf_putc(&text, '[');
	assert_int_equal(tf_kombu_file_read(text.data, text.len, 100, &f, &err), TF_EFORMAT);
	tf_buf_free(&text);
}

static void test_mark_redelivered(void **state)
{
	static const char *const cases[][2] = {
		{"{\"a\": 1}", "{\"a\": 1, \"redelivered\": true}"},
		{"{} \n", "{\"redelivered\": true}"},
		{"{\"redelivered\":false} ", "{\"redelivered\":false, \"redelivered\": true}"},
		{"{\"redelivered\": true}", "{\"redelivered\": true}"},
		{"{\"a\": 1", NULL},
		{"[]", NULL},
		{"", NULL},
	};
	struct tf_buf b = TF_BUF_INIT;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *expected = cases[i][1] ? cases[i][1] : cases[i][0];

		tf_buf_reset(&b);
		tf_buf_puts(&b, cases[i][0]);
		assert_int_equal(tf_kombu_file_mark_redelivered(&b), cases[i][1] != NULL);
		if (*expected)
			assert_string_equal(b.data, expected);
		assert_int_equal(b.len, strlen(expected));
	}
	tf_buf_free(&b);
}

static void test_not_utf8(void **state)
{
	struct tf_message m = {.topic = "t", .reply_to = "a\xff", .body = "", .body_len = 0};
	struct tf_buf out = TF_BUF_INIT;
	struct tf_err err;

	(void)state;
	assert_int_equal(tf_kombu_file_write(&out, &m, "ex", "tag", &err), TF_EINVAL);
	assert_non_null(strstr(err.message, "reply_to is not UTF-8 (byte 1)"));
	assert_int_equal(out.len, 0);
	tf_buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_requeued_by_kombu),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_unusual_but_right),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_every_prefix_is_incomplete),
		cmocka_unit_test(test_deep_nesting),
		cmocka_unit_test(test_mark_redelivered),
		cmocka_unit_test(test_not_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
