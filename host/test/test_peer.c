#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/uuid.h"
#include "protocol/message.h"
#include "protocol/peer.h"

#define W "0f8fad5b-d9cb-469f-a165-70867728950e"

static void each_form_is_written_and_read_back(void **state)
{
	(void)state;
	char buf[TF_PEER_MAX];
	struct tf_peer p = TF_PEER_INIT;
	assert_string_equal(tf_peer_write(&p, buf), "{\"v\":1}");

	p.round = 3;
	p.dispatch = 0;
	assert_string_equal(tf_peer_write(&p, buf), "{\"v\":1,\"round\":3,\"dispatch\":0}");

	p.once = 1;
	assert_string_equal(tf_peer_write(&p, buf), "{\"v\":1,\"round\":3,\"dispatch\":0,\"once\":1}");
	assert_int_equal(tf_peer_parse(buf).once, 1);
	p.once = -1;

	strcpy(p.worker, W);
	strcpy(p.host, "node-1.example");
	p.pid = 4321;
	p.action = TF_REVERT;
	assert_string_equal(tf_peer_write(&p, buf),
		"{\"v\":1,\"worker\":\"" W
		"\",\"host\":\"node-1.example\",\"pid\":4321,\"round\":3,\"dispatch\":0,"
		"\"action\":\"revert\"}");
	struct tf_peer q = tf_peer_parse(buf);
	assert_true(q.present);
	assert_string_equal(q.worker, W);
	assert_string_equal(q.host, "node-1.example");
	assert_int_equal(q.pid, 4321);
	assert_int_equal(q.round, 3);
	assert_int_equal(q.dispatch, 0);
	assert_int_equal(q.action, TF_REVERT);
	assert_int_equal(q.generation, -1);

	p.generation = 12;
	strcpy(p.hash, "0123456789abcdef");
	q = tf_peer_parse(tf_peer_write(&p, buf));
	assert_non_null(strstr(buf, ",\"generation\":12,\"hash\":\"0123456789abcdef\"}"));
	assert_int_equal(q.generation, 12);
	assert_string_equal(q.hash, "0123456789abcdef");

	p.limits = (struct tf_limits){.time_ms = 1500, .memory = 64 << 20};
	p.expires = 1700000000000;
	p.ask_from = 1600000000000;
	p.cancel = 1;
	q = tf_peer_parse(tf_peer_write(&p, buf));
	assert_int_equal(q.limits.time_ms, 1500);
	assert_int_equal(q.limits.warning_ms, 0);
	assert_int_equal(q.limits.memory, 64 << 20);
	assert_int_equal(q.expires, 1700000000000);
	assert_int_equal(q.ask_from, 1600000000000);
	assert_int_equal(q.cancel, 1);
}

static void the_largest_header_fits(void **state)
{
	(void)state;
	char buf[TF_PEER_MAX];
	struct tf_peer p = {.present = true,
		.pid = INT64_MAX,
		.round = INT64_MAX,
		.dispatch = INT64_MAX,
		.once = INT64_MAX,
		.cancel = INT64_MAX,
		.expires = INT64_MAX,
		.ask_from = INT64_MAX,
		.limits = {.time_ms = INT64_MAX, .warning_ms = INT64_MAX, .memory = INT64_MAX},
		.generation = INT64_MAX,
		.action = 0};
	memset(p.hash, 'f', sizeof(p.hash) - 1);
	tf_uuid(p.worker);
	memset(p.host, 'h', TF_PEER_HOST_MAX);
	struct tf_peer q = tf_peer_parse(tf_peer_write(&p, buf));
	assert_true(q.present && q.round == INT64_MAX && strlen(q.host) == TF_PEER_HOST_MAX);
}

static void unknown_members_are_ignored(void **state)
{
	(void)state;
	struct tf_peer p =
		tf_peer_parse(" {\"new\": [1, {\"a\": null}], \"h\\uDB0Bx\": 1, \"v\": 2, \"round\": 1 } ");
	assert_true(p.present);
	assert_int_equal(p.round, 1);
	assert_int_equal(p.dispatch, -1);
	assert_int_equal(p.action, -1);
	assert_string_equal(p.worker, "");
}

static void anything_else_is_no_header(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "{", "null", "[]", "1", "{}", "{\"v\":0}", "{\"v\":1.0}",
		"{\"v\":\"1\"}", "{\"v\":1,\"worker\":\"x\"}",
		"{\"v\":1,\"worker\":\"../../../../etc/passwd-aaaa-aaaaaaaaaaaa\"}",
		"{\"v\":1,\"worker\":\"0F8FAD5B-D9CB-469F-A165-70867728950E\"}",
		"{\"v\":1,\"worker\":\"0f8fad5b\\u002dd9cb-469f-a165-70867728950e\"}",
		"{\"v\":1,\"worker\":\"" W "0\"}", "{\"v\":1,\"worker\":null}", "{\"v\":1,\"host\":\"a b\"}",
		"{\"v\":1,\"host\":\"\xc3\xa9\"}", "{\"v\":1,\"host\":5}", "{\"v\":1,\"round\":-1}",
		"{\"v\":1,\"round\":99999999999999999999}", "{\"v\":1,\"round\":1.5}",
		"{\"v\":1,\"dispatch\":null}", "{\"v\":1,\"action\":\"destroy\"}", "{\"v\":1,\"action\":0}",
		"{\"v\":1,\"pid\":\"1\"}", "{\"v\":1,\"time_ms\":-1}", "{\"v\":1,\"expires\":\"soon\"}",
		"{\"v\":1,\"x\":[[[[[[[[[[[[1]]]]]]]]]]]]}", "{\"v\":1}x"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct tf_peer p = tf_peer_parse(bad[i]);
		if (p.present)
			fail_msg("taken for a header: %s", bad[i]);
		assert_int_equal(p.round, -1);
		assert_string_equal(p.worker, "");
	}
	assert_false(tf_peer_parse(NULL).present);

	static char long_text[5000];
	memset(long_text, ' ', sizeof(long_text) - 1);
	memcpy(long_text, "{\"v\":1}", 7);
	assert_false(tf_peer_parse(long_text).present);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_form_is_written_and_read_back),
		cmocka_unit_test(the_largest_header_fits),
		cmocka_unit_test(unknown_members_are_ignored),
		cmocka_unit_test(anything_else_is_no_header),
	};
	return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
