#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "transport/url.h"

/* Expected values of amqp URLs are those of kombu.utils.url.url_to_parts with the defaults of url.h. */
static const struct good {
	const char *text, *transport;
	const char *scheme, *host;
	int port;
	const char *user, *password, *vhost, *path, *query, *redacted;
} GOOD[] = {
	{NULL, NULL, "amqp", "localhost", 5672, "guest", "guest", "/", NULL, NULL,
		"amqp://guest:**@localhost:5672//"},
	{"", NULL, "amqp", "localhost", 5672, "guest", "guest", "/", NULL, NULL,
		"amqp://guest:**@localhost:5672//"},
	{"amqp://", NULL, "amqp", "localhost", 5672, "guest", "guest", "/", NULL, NULL,
		"amqp://guest:**@localhost:5672//"},
	{"amqp://guest:guest@localhost:5672//", NULL, "amqp", "localhost", 5672, "guest", "guest", "/", NULL,
		NULL, "amqp://guest:**@localhost:5672//"},
	{"amqp://h", NULL, "amqp", "h", 5672, "guest", "guest", "/", NULL, NULL, "amqp://guest:**@h:5672//"},
	{"amqp://h/", NULL, "amqp", "h", 5672, "guest", "guest", "/", NULL, NULL, "amqp://guest:**@h:5672//"},
	{"amqp://h/%2F", NULL, "amqp", "h", 5672, "guest", "guest", "/", NULL, NULL,
		"amqp://guest:**@h:5672//"},
	{"amqp://h/v", NULL, "amqp", "h", 5672, "guest", "guest", "v", NULL, NULL,
		"amqp://guest:**@h:5672/v"},
	{"amqp://h//v/w", NULL, "amqp", "h", 5672, "guest", "guest", "/v/w", NULL, NULL,
		"amqp://guest:**@h:5672//v/w"},
	{"amqp://u@h:1/v", NULL, "amqp", "h", 1, "u", "guest", "v", NULL, NULL, "amqp://u:**@h:1/v"},
	{"amqp://u:@h:/v", NULL, "amqp", "h", 5672, "u", "guest", "v", NULL, NULL, "amqp://u:**@h:5672/v"},
	{"amqp://:p@:65535", NULL, "amqp", "localhost", 65535, "guest", "p", "/", NULL, NULL,
		"amqp://guest:**@localhost:65535//"},
	{"amqp://a%40b:%3a%2F%3b%25@h/a%20b", NULL, "amqp", "h", 5672, "a@b", ":/;%", "a b", NULL, NULL,
		"amqp://a%40b:**@h:5672/a%20b"},
	{"amqp://u:p@q:r@h", NULL, "amqp", "h", 5672, "u", "p@q:r", "/", NULL, NULL, "amqp://u:**@h:5672//"},
	{"amqp://u:100%@h", NULL, "amqp", "h", 5672, "u", "100%", "/", NULL, NULL, "amqp://u:**@h:5672//"},
	{"amqp://u:%zz%4@h", NULL, "amqp", "h", 5672, "u", "%zz%4", "/", NULL, NULL, "amqp://u:**@h:5672//"},
	{"amqps://h", NULL, "amqps", "h", 5671, "guest", "guest", "/", NULL, NULL,
		"amqps://guest:**@h:5671//"},
	{"pyamqp://h", NULL, "amqp", "h", 5672, "guest", "guest", "/", NULL, NULL,
		"amqp://guest:**@h:5672//"},
	{"LibRabbitMQ://h", NULL, "amqp", "h", 5672, "guest", "guest", "/", NULL, NULL,
		"amqp://guest:**@h:5672//"},
	{"amqp://[::1]:77/v", NULL, "amqp", "::1", 77, "guest", "guest", "v", NULL, NULL,
		"amqp://guest:**@[::1]:77/v"},
	{"amqp://[fe80::1]", NULL, "amqp", "fe80::1", 5672, "guest", "guest", "/", NULL, NULL,
		"amqp://guest:**@[fe80::1]:5672//"},
	{"amqp://h?heartbeat=3&x=/y", NULL, "amqp", "h", 5672, "guest", "guest", "/", NULL,
		"heartbeat=3&x=/y", "amqp://guest:**@h:5672//"},
	{"amqp://h/v?a=b#c", NULL, "amqp", "h", 5672, "guest", "guest", "v", NULL, "a=b",
		"amqp://guest:**@h:5672/v"},
	{"amqp://a%2Fb@%2Fc:7/d", NULL, "amqp", "/c", 7, "a/b", "guest", "d", NULL, NULL,
		"amqp://a%2Fb:**@%2Fc:7/d"},
	{"amqp://[::1%25a%5D]:7", NULL, "amqp", "::1%a]", 7, "guest", "guest", "/", NULL, NULL,
		"amqp://guest:**@[::1%25a%5D]:7//"},
	{"h:99/v", NULL, "amqp", "h", 99, "guest", "guest", "v", NULL, NULL, "amqp://guest:**@h:99/v"},
	{"u:a://b@h", NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL}, /* port "a" */
	{"h", "amqps", "amqps", "h", 5671, "guest", "guest", "/", NULL, NULL, "amqps://guest:**@h:5671//"},
	{NULL, "amqp", "amqp", "localhost", 5672, "guest", "guest", "/", NULL, NULL,
		"amqp://guest:**@localhost:5672//"},
	{NULL, "pyamqp", "amqp", "localhost", 5672, "guest", "guest", "/", NULL, NULL,
		"amqp://guest:**@localhost:5672//"},
	{NULL, "amqps", "amqps", "localhost", 5671, "guest", "guest", "/", NULL, NULL,
		"amqps://guest:**@localhost:5671//"},
	{NULL, "filesystem", "filesystem", NULL, 0, NULL, NULL, NULL, "", NULL, "filesystem://"},
	{NULL, "memory", "memory", NULL, 0, NULL, NULL, NULL, "", NULL, "memory://"},
	{"filesystem:///tmp/a%20b?x=1", NULL, "filesystem", NULL, 0, NULL, NULL, NULL, "/tmp/a b", "x=1",
		"filesystem:///tmp/a%20b"},
	{"memory://", NULL, "memory", NULL, 0, NULL, NULL, NULL, "", NULL, "memory://"},
	{" amqp://h \n", NULL, "amqp", "h", 5672, "guest", "guest", "/", NULL, NULL,
		"amqp://guest:**@h:5672//"},
};

static void same(const char *got, const char *expected)
{
	if (expected)
		assert_string_equal(got, expected);
	else
		assert_null(got);
}

static void test_good(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(GOOD) / sizeof(*GOOD); i++) {
		const struct good *g = &GOOD[i];
		struct tf_url_list list;
		struct tf_err err = {0};
		char *redacted;
		int rc = tf_url_parse_list(g->text, g->transport, &list, &err);

		if (!g->scheme) {
			assert_int_equal(rc, TF_EINVAL);
			continue;
		}
		if (rc)
			fail_msg("%s: %s", g->text, err.message);
		assert_int_equal(list.count, 1);
		same(list.urls[0].scheme, g->scheme);
		same(list.urls[0].host, g->host);
		assert_int_equal(list.urls[0].port, g->port);
		same(list.urls[0].user, g->user);
		same(list.urls[0].password, g->password);
		same(list.urls[0].vhost, g->vhost);
		same(list.urls[0].path, g->path);
		same(list.urls[0].query, g->query);
		redacted = tf_url_redact(&list.urls[0]);
		same(redacted, g->redacted);
		free(redacted);
		tf_url_list_free(&list);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *text, *transport, *says;
	} BAD[] = {
		{"redis://h", NULL, "\"redis\""},
		{"://h", NULL, "\"\""},
		{NULL, "kafka", "\"kafka\""},
		{"h", "sqs", "\"sqs\""},
		{"amqp://h:0", NULL, "port"},
		{"amqp://h:65536", NULL, "port"},
		{"amqp://h:99999999999999999999", NULL, "port"},
		{"amqp://h:12x", NULL, "port"},
		{"amqp://h:-1", NULL, "port"},
		{"amqp://u:se/cret@h", NULL, "port"},
		{"amqp://[::1", NULL, "']'"},
		{"amqp://[::1]x", NULL, "']'"},
		{"amqp://u%00:p@h", NULL, "user"},
		{"amqp://u:p%00@h", NULL, "password"},
		{"amqp://h/%00", NULL, "vhost"},
		{"amqp://%00", NULL, "host"},
		{"filesystem://a%00", NULL, "path"},
		{"amqp://a;amqp://b:x", NULL, "port"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(BAD) / sizeof(*BAD); i++) {
		struct tf_url_list list;
		struct tf_err err = {0};

		assert_int_equal(tf_url_parse_list(BAD[i].text, BAD[i].transport, &list, &err), TF_EINVAL);
		if (!strstr(err.message, BAD[i].says))
			fail_msg("%s: \"%s\" lacks %s", BAD[i].text, err.message, BAD[i].says);
		assert_null(strstr(err.message, "cret"));
		assert_int_equal(list.count, 0);
		assert_null(list.urls);
	}
}

static void test_list(void **state)
{
	struct tf_url_list list;
	struct tf_err err;

	(void)state;
	assert_int_equal(tf_url_parse_list("amqp://a//; amqps://b:1/v ;;c;", NULL, &list, &err), 0);
	assert_int_equal(list.count, 3);
	assert_string_equal(list.urls[0].host, "a");
	assert_string_equal(list.urls[1].scheme, "amqps");
	assert_string_equal(list.urls[1].vhost, "v");
	assert_string_equal(list.urls[2].host, "c");
	tf_url_list_free(&list);
	assert_int_equal(tf_url_parse_list(";;", NULL, &list, &err), 0);
	assert_int_equal(list.count, 1);
	assert_string_equal(list.urls[0].host, "localhost");
	tf_url_list_free(&list);
}

static void test_limits(void **state)
{
	struct tf_url_list list;
	struct tf_err err;
	char *text = tf_calloc(1, 10001);

	(void)state;
	memset(text, 'h', 10000);
	assert_int_equal(tf_url_parse_list(text, NULL, &list, &err), TF_ELIMIT);
	memset(text, 'h', 200);
	for (size_t i = 1; i < 200; i += 2)
		text[i] = ';';
	text[200] = 0;
	assert_int_equal(tf_url_parse_list(text, NULL, &list, &err), TF_ELIMIT);
	assert_int_equal(list.count, 0);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
