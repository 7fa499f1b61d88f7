/* The filesystem transport: messages through a data folder, and what peers see there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <json-c/json.h>

#include "base/mem.h"
#include "cmocka_all.h"
#include "fs_env.h"

static void test_message_arrives_whole(void **state)
{
	struct peer a, b;
	struct tf_message m = {.topic = "t",
		.type = "REQUEST",
		.reply_to = "r",
		.correlation_id = "c",
		.peer = "{\"v\": 1}",
		.body = "{\"\xc3\xa9\": 1}",
		.body_len = 9};
	struct tf_err err;

	(void)state;
	fs_open_on(&a, "deep/er/q", "deep/er/q", ""); /* made on the way */
	fs_open_on(&b, "deep/er/q", "deep/er/q", "");
	peer_consume(&b, "t", 0);
	assert_int_equal(tf_transport_publish(a.t, &m, 0, 7, &err), 0);
	peer_until(&b, b.count, 1);
	assert_string_equal(b.messages[0].topic, "t");
	assert_string_equal(b.messages[0].type, "REQUEST");
	assert_string_equal(b.messages[0].reply_to, "r");
	assert_string_equal(b.messages[0].correlation_id, "c");
	assert_string_equal(b.messages[0].peer, "{\"v\": 1}");
	assert_string_equal(b.messages[0].content_type, "application/json");
	assert_string_equal(b.messages[0].body, m.body);
	assert_false(b.messages[0].redelivered);
	peer_until(&a, a.outcome_count, 1);
	assert_int_equal(a.outcomes[0].id, 7);
	assert_int_equal(a.outcomes[0].status, TF_PUBLISHED);
	assert_int_equal(a.outcomes[0].err.code, 0);
	assert_int_equal(a.ups, 1);
	assert_true(tf_transport_is_up(a.t));
	tf_transport_settle(b.t, b.messages[0].tag, TF_ACK);
	assert_int_equal(b.t->stats.received, 1);
	assert_int_equal(a.t->stats.published, 1);
	peer_close(&a);
	peer_close(&b);
	assert_int_equal(temp_folder_count(&fs_dir, "deep/er/q", ".msg"), 0);
	assert_int_equal(temp_folder_count(&fs_dir, "deep/er/q/.tfhost-spool", ""), 0);
}

/* What kombu's reader needs, read by another JSON library. */
static void test_file_as_kombu_expects(void **state)
{
	struct peer a;
	char *name, *text, *path, queue[10];
	json_object *o, *v, *p;
	unsigned long long ms;
	char uuid[37];
	double now = (double)tf_clock_ms(&tf_clock_real);

	(void)state;
	fs_open_peer(&a);
	peer_send(&a, "t", "1", 0, 1);
	peer_until(&a, a.outcome_count, 1);
	name = temp_folder_only(&fs_dir, "q", ".msg");
	assert_int_equal(sscanf(name, "%llu_%36[0-9a-f-].%9[^.].msg", &ms, uuid, queue), 3);
	assert_string_equal(queue, "ex_t");
	assert_true((double)ms >= now && (double)ms < now + 10000);
	path = tf_asprintf("q/%s", name);
	text = temp_folder_read(&fs_dir, path);
	o = json_tokener_parse(text);
	assert_string_equal(json_object_get_string(json_object_object_get(o, "body")), "MQ==");
	assert_int_equal(json_object_object_length(json_object_object_get(o, "headers")), 0);
	p = json_object_object_get(o, "properties");
	assert_true(json_object_object_get_ex(p, "reply_to", &v));
	assert_int_equal(strlen(json_object_get_string(json_object_object_get(p, "delivery_tag"))), 36);
	assert_string_not_equal(json_object_get_string(json_object_object_get(p, "delivery_tag")), uuid);
	json_object_put(o);
	free(text);
	free(path);
	free(name);
	peer_close(&a);
}

static void test_order(void **state)
{
	enum { N = 3000 }; /* many in one millisecond */
	struct peer a, b;
	char body[16];
	int i;

	(void)state;
	fs_open_peer(&a);
	for (i = 0; i < N; i++) {
		snprintf(body, sizeof(body), "%d", i);
		peer_send(&a, "t", body, 0, 1);
	}
	peer_until(&a, a.outcome_count, N);
	fs_open_peer(&b);
	b.settle = TF_ACK;
	peer_consume(&b, "t", 1);
	peer_until(&b, b.count, N);
	for (i = 0; i < N; i++) {
		snprintf(body, sizeof(body), "%d", i);
		assert_string_equal(b.messages[i].body, body);
	}
	peer_close(&a);
	peer_close(&b);
}

static void test_age_is_a_number(void **state)
{
	struct peer b;
	const char *expected[] = {"a", "b", "c", "d", "e"};
	size_t i;

	(void)state;
	fs_put("1000000_" FS_UUID "0000.ex_t.msg", "d");
	fs_put("999999_" FS_UUID "0000.ex_t.msg", "c");
	fs_put("9_" FS_UUID "0000.ex_t.msg", "a");
	fs_put("10_" FS_UUID "0000.ex_t.msg", "b");
	fs_put("18446744073709551615_" FS_UUID "0000.ex_t.msg", "e");
	fs_open_peer(&b);
	b.settle = TF_ACK;
	peer_consume(&b, "t", 1);
	peer_until(&b, b.count, 5);
	for (i = 0; i < 5; i++)
		assert_string_equal(b.messages[i].body, expected[i]);
	peer_close(&b);
}

static void test_queue_names_match_exactly(void **state)
{
	static const char *const others[] = {"1_" FS_UUID "0000.x.ex_t.msg", "1_" FS_UUID "0000.ex_t.msg.bak",
		"1_" FS_UUID "0000.ex_tt.msg", "1_" FS_UUID "0000.xex_t.msg", "1_" FS_UUID "0000.ex_t.x.msg",
		".ex_t.msg", "ex_t.msg", "1_1.ex_t.msg", "notes.txt"};
	struct peer b;
	char path[200];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(others) / sizeof(*others); i++)
		fs_put(others[i], "other");
	fs_put("2_" FS_UUID "0001.ex_t.msg", "mine");
	fs_open_peer(&b);
	b.settle = TF_ACK;
	peer_consume(&b, "t", 0);
	peer_until(&b, b.count, 1);
	for (i = 0; i < sizeof(others) / sizeof(*others); i++)
		fs_put(others[i], "again"); /* by inotify, too */
	fs_put("3_" FS_UUID "0001.ex_t.msg", "mine");
	peer_until(&b, b.count, 2);
	peer_idle(&b, 20);
	assert_int_equal(b.count, 2);
	peer_close(&b);
	for (i = 0; i < sizeof(others) / sizeof(*others); i++) {
		snprintf(path, sizeof(path), "q/%s", others[i]);
		assert_true(temp_folder_has(&fs_dir, path));
	}
}

static void test_prefetch_leaves_the_rest(void **state)
{
	struct peer a, b, c;
	int i;

	(void)state;
	fs_open_peer(&a);
	fs_open_peer(&b);
	fs_open_peer(&c);
	peer_consume(&b, "t", 2);
	peer_consume(&b, "u", 1); /* the bound is the topic's */
	for (i = 0; i < 10; i++)
		peer_send(&a, i < 7 ? "t" : "u", "x", 0, 1);
	peer_until(&a, a.outcome_count, 10);
	peer_until(&b, b.count, 3);
	peer_idle(&b, 20);
	assert_int_equal(b.count, 3);
	assert_int_equal(temp_folder_count(&fs_dir, "q", ".ex_t.msg"), 5);
	c.settle = TF_ACK;
	peer_consume(&c, "t", 1);
	peer_until(&c, c.count, 5);
	peer_idle(&c, 10);
	assert_int_equal(c.count, 5);
	/* the rest of b's list is stale now, which it takes without a word */
	tf_transport_settle(b.t, b.messages[0].tag, TF_ACK);
	tf_transport_settle(b.t, b.messages[1].tag, TF_ACK);
	tf_transport_settle(b.t, b.messages[2].tag, TF_ACK);
	peer_until(&b, b.count, 4);
	assert_int_equal(b.t->stats.malformed, 0);
	peer_close(&a);
	peer_close(&b);
	peer_close(&c);
}

static void test_settling(void **state)
{
	struct peer b, c;
	uint64_t tag;

	(void)state;
	fs_put("1_" FS_UUID "0001.ex_t.msg", "one");
	fs_put("2_" FS_UUID "0002.ex_t.msg", "two");
	fs_put("3_" FS_UUID "0003.ex_t.msg", "three");
	fs_open_peer(&b);
	peer_consume(&b, "t", 0);
	peer_until(&b, b.count, 3);
	assert_int_equal(temp_folder_count(&fs_dir, "q", ".msg"), 0);
	tag = b.messages[0].tag;
	tf_transport_settle(b.t, tag, TF_ACK);
	tf_transport_settle(b.t, tag, TF_REQUEUE); /* settled already */
	tf_transport_settle(b.t, b.messages[1].tag, TF_REJECT);
	tf_transport_settle(b.t, b.messages[2].tag, TF_REQUEUE);
	assert_true(temp_folder_has(&fs_dir, "q/3_" FS_UUID "0003.ex_t.msg"));
	peer_until(&b, b.count, 4);
	assert_string_equal(b.messages[3].body, "three");
	assert_true(b.messages[3].redelivered);
	assert_int_equal(b.t->stats.rejected, 1);
	assert_int_equal(b.t->stats.requeued, 1);
	peer_close(&b); /* unsettled: given back */
	assert_int_equal(temp_folder_count(&fs_dir, "q", ".msg"), 1);
	assert_int_equal(temp_folder_count(&fs_dir, FS_SPOOL, ""), 0);
	fs_open_peer(&c);
	c.settle = TF_ACK;
	peer_consume(&c, "t", 0);
	peer_until(&c, c.count, 1);
	assert_string_equal(c.messages[0].body, "three");
	assert_true(c.messages[0].redelivered);
	peer_close(&c);
	assert_int_equal(temp_folder_count(&fs_dir, "q", ".msg"), 0);
}

static void test_large_body(void **state)
{
	enum { SIZE = 5000003 };
	char *body = tf_malloc(SIZE);
	struct tf_message m = {.topic = "t", .body = body, .body_len = SIZE};
	struct peer a;
	struct tf_err err;
	size_t i;

	(void)state;
	for (i = 0; i < SIZE; i++)
		body[i] = (char)(i * 7 + i / 256);
	fs_open_peer(&a);
	peer_consume(&a, "t", 1);
	assert_int_equal(tf_transport_publish(a.t, &m, 0, 1, &err), 0);
	peer_until(&a, a.count, 1);
	assert_int_equal(a.messages[0].body_len, SIZE);
	assert_memory_equal(a.messages[0].body, body, SIZE);
	tf_transport_settle(a.t, a.messages[0].tag, TF_REQUEUE);
	peer_until(&a, a.count, 2);
	assert_true(a.messages[1].redelivered);
	assert_memory_equal(a.messages[1].body, body, SIZE);
	peer_close(&a);
	free(body);
}

static void test_polling(void **state)
{
	struct peer a, b;
	int i;

	(void)state;
	fs_open_peer(&a);
	fs_open_on(&b, "q", "q", ", \"watch\": false, \"polling_interval\": 0.02");
	b.settle = TF_ACK;
	peer_consume(&b, "t", 1);
	for (i = 1; i <= 5; i++) {
		peer_send(&a, "t", "x", 0, 0);
		peer_until(&b, b.count, (unsigned)i);
	}
	peer_close(&a);
	peer_close(&b);
}

/* Published, closed at once: it goes out, in more than one turn, unless the disk is so busy that closing gives up. */
static void test_close_flushes(void **state)
{
	struct peer a;
	uint64_t began;
	int i;

	(void)state;
	fs_open_peer(&a);
	for (i = 0; i < 300; i++)
		peer_send(&a, "t", "x", 0, 1);
	began = tf_clock_ms(&tf_clock_real);
	peer_close(&a);
	if (tf_clock_ms(&tf_clock_real) - began < 1000)
		assert_int_equal(temp_folder_count(&fs_dir, "q", ".msg"), 300);
	else
		assert_true(temp_folder_count(&fs_dir, "q", ".msg") > 0);
	assert_int_equal(temp_folder_count(&fs_dir, FS_SPOOL, ""), 0);
}

static void close_self(struct peer *p, const struct peer_message *m)
{
	(void)m;
	tf_transport_close(p->t);
	p->t = NULL;
}

static void test_close_in_a_callback(void **state)
{
	struct peer a;
	int i;

	(void)state;
	fs_open_peer(&a);
	peer_consume(&a, "t", 0);
	a.hook = close_self;
	for (i = 0; i < 3; i++)
		peer_send(&a, "t", "x", 0, 1);
	peer_until(&a, a.count, 1);
	peer_idle(&a, 10);
	assert_int_equal(a.count, 1);
	assert_int_equal(temp_folder_count(&fs_dir, "q", ".msg"), 3);
	peer_close(&a);
}

static void refused(const char *options, const char *exchange, const char *why)
{
	struct tf_transport_config config = {.transport = "filesystem", .exchange = exchange};
	struct peer p;
	struct tf_err err = {0};
	int rc;

	config.options = tf_value_parse(options, strlen(options), 0, &err);
	rc = peer_open_config(&p, fs_loop, &config, &err);
	tf_value_unref(config.options);
	assert_int_equal(rc, TF_EINVAL);
	if (!strstr(err.message, why))
		fail_msg("\"%s\" does not say \"%s\"", err.message, why);
}

static void test_refused(void **state)
{
	struct peer a;
	char longer[200];
	struct tf_message m = {.topic = "a.b", .body = "", .body_len = 0};
	struct tf_err err;

	(void)state;
	refused("{\"data_folder\": \"x\"}", "ex",
		"unknown option \"data_folder\", did you mean \"data_folder_in\"?");
	refused("{\"data_folder_in\": 5}", "ex", "data_folder_in must be a string");
	refused("{\"data_folder_in\": \"\"}", "ex", "data_folder_in must be");
	refused("{\"data_folder_in\": \"a\\u0000b\"}", "ex", "data_folder_in");
	refused("{\"store_processed\": \"yes\"}", "ex", "store_processed must be true or false");
	refused("{\"polling_interval\": 0}", "ex", "polling_interval must be a number of seconds");
	refused("{\"polling_interval\": NaN}", "ex", "polling_interval must be");
	refused("{\"polling_interval\": 1e9}", "ex", "polling_interval must be");
	/* each message was run over and over */
	refused("{\"data_folder_in\": \"a\", \"store_processed\": true, \"processed_folder\": \"a\"}", "ex",
		"is data_folder_in itself");
	refused("{\"data_folder_in\": \"/tmp\", \"store_processed\": true, \"processed_folder\": "
		"\"/usr/../tmp/.\"}",
		"ex", "is data_folder_in itself");
	refused("{}", "e.x", "no dot and no slash");
	refused("{}", "e/x", "no dot and no slash");
	fs_open_peer(&a);
	assert_int_equal(tf_transport_publish(a.t, &m, 0, 1, &err), TF_EINVAL);
	assert_non_null(strstr(err.message, "topic \"a.b\""));
	m.topic = "../x";
	assert_int_equal(tf_transport_publish(a.t, &m, 0, 1, &err), TF_EINVAL);
	assert_int_equal(tf_transport_consume(a.t, "a.b", 0, &err), TF_EINVAL);
	memset(longer, 'x', sizeof(longer));
	longer[189] = '\0';
	assert_int_equal(tf_transport_consume(a.t, longer, 0, &err), TF_EINVAL); /* "ex_" + 189 > 191 */
	longer[188] = '\0';
	peer_consume(&a, longer, 0);
	assert_int_equal(tf_transport_consume(a.t, longer, 0, &err), TF_EEXIST);
	peer_send(&a, longer, "as long as can be", 0, 0);
	peer_until(&a, a.count, 1);
	m.topic = "t";
	m.correlation_id = "\xff";
	assert_int_equal(tf_transport_publish(a.t, &m, 0, 1, &err), TF_EINVAL);
	assert_int_equal(a.t->queued, 0);
	peer_close(&a);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, fs_set_up, fs_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_message_arrives_whole),
		CASE(test_file_as_kombu_expects),
		CASE(test_order),
		CASE(test_age_is_a_number),
		CASE(test_queue_names_match_exactly),
		CASE(test_prefetch_leaves_the_rest),
		CASE(test_settling),
		CASE(test_large_body),
		CASE(test_polling),
		CASE(test_close_flushes),
		CASE(test_close_in_a_callback),
		CASE(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
