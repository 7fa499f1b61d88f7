/* The filesystem transport: what peers see in the folder, and what it makes of what they put there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include <json-c/json.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "temp_folder.h"
#include "transport_peer.h"

#define UUID "6ed90ec7-2be2-4cb0-ab58-4a7b1d47"
#define SPOOL "q/.tfhost-spool"
#define QUARANTINE "q/.tfhost-quarantine"

static struct tf_loop *loop;
static struct temp_folder dir;

static int set_up(void **state)
{
	(void)state;
	loop = tf_loop_new();
	temp_folder_make(&dir);
	mkdir(temp_folder_path(&dir, "q"), 0777);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tf_loop_delete(loop);
	temp_folder_remove(&dir);
	return 0;
}

/* `more` continues the options object, as in ", \"watch\": false". */
static void open_on(struct peer *p, const char *in, const char *out, const char *more)
{
	char *options = tf_asprintf("{\"data_folder_in\": \"%s/%s\", \"data_folder_out\": \"%s/%s\"%s}",
		dir.path, in, dir.path, out, more);

	peer_open(p, loop, "filesystem", "ex", options);
	free(options);
}

static void open_peer(struct peer *p)
{
	open_on(p, "q", "q", "");
}

/* A file as kombu would leave it, with this body (taken literally). */
static char *content_of(const char *body)
{
	return tf_asprintf("{\"body\": \"%s\", \"content-type\": \"application/json\", \"properties\": "
			   "{\"type\": \"NOTIFY\", \"delivery_tag\": \"x\"}}",
		body);
}

static void put(const char *name, const char *body)
{
	char *path = tf_asprintf("q/%s", name), *content = content_of(body);

	temp_folder_write(&dir, path, content);
	free(path);
	free(content);
}

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
	open_on(&a, "deep/er/q", "deep/er/q", ""); /* made on the way */
	open_on(&b, "deep/er/q", "deep/er/q", "");
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
	assert_int_equal(temp_folder_count(&dir, "deep/er/q", ".msg"), 0);
	assert_int_equal(temp_folder_count(&dir, "deep/er/q/.tfhost-spool", ""), 0);
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
	open_peer(&a);
	peer_send(&a, "t", "1", 0, 1);
	peer_until(&a, a.outcome_count, 1);
	name = temp_folder_only(&dir, "q", ".msg");
	assert_int_equal(sscanf(name, "%llu_%36[0-9a-f-].%9[^.].msg", &ms, uuid, queue), 3);
	assert_string_equal(queue, "ex_t");
	assert_true((double)ms >= now && (double)ms < now + 10000);
	path = tf_asprintf("q/%s", name);
	text = temp_folder_read(&dir, path);
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
	open_peer(&a);
	for (i = 0; i < N; i++) {
		snprintf(body, sizeof(body), "%d", i);
		peer_send(&a, "t", body, 0, 1);
	}
	peer_until(&a, a.outcome_count, N);
	open_peer(&b);
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
	put("1000000_" UUID "0000.ex_t.msg", "d");
	put("999999_" UUID "0000.ex_t.msg", "c");
	put("9_" UUID "0000.ex_t.msg", "a");
	put("10_" UUID "0000.ex_t.msg", "b");
	put("18446744073709551615_" UUID "0000.ex_t.msg", "e");
	open_peer(&b);
	b.settle = TF_ACK;
	peer_consume(&b, "t", 1);
	peer_until(&b, b.count, 5);
	for (i = 0; i < 5; i++)
		assert_string_equal(b.messages[i].body, expected[i]);
	peer_close(&b);
}

static void test_queue_names_match_exactly(void **state)
{
	static const char *const others[] = {"1_" UUID "0000.x.ex_t.msg", "1_" UUID "0000.ex_t.msg.bak",
		"1_" UUID "0000.ex_tt.msg", "1_" UUID "0000.xex_t.msg", "1_" UUID "0000.ex_t.x.msg",
		".ex_t.msg", "ex_t.msg", "1_1.ex_t.msg", "notes.txt"};
	struct peer b;
	char path[200];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(others) / sizeof(*others); i++)
		put(others[i], "other");
	put("2_" UUID "0001.ex_t.msg", "mine");
	open_peer(&b);
	b.settle = TF_ACK;
	peer_consume(&b, "t", 0);
	peer_until(&b, b.count, 1);
	for (i = 0; i < sizeof(others) / sizeof(*others); i++)
		put(others[i], "again"); /* by inotify, too */
	put("3_" UUID "0001.ex_t.msg", "mine");
	peer_until(&b, b.count, 2);
	peer_idle(&b, 20);
	assert_int_equal(b.count, 2);
	peer_close(&b);
	for (i = 0; i < sizeof(others) / sizeof(*others); i++) {
		snprintf(path, sizeof(path), "q/%s", others[i]);
		assert_true(temp_folder_has(&dir, path));
	}
}

static void test_prefetch_leaves_the_rest(void **state)
{
	struct peer a, b, c;
	int i;

	(void)state;
	open_peer(&a);
	open_peer(&b);
	open_peer(&c);
	peer_consume(&b, "t", 2);
	peer_consume(&b, "u", 1); /* the bound is the topic's */
	for (i = 0; i < 10; i++)
		peer_send(&a, i < 7 ? "t" : "u", "x", 0, 1);
	peer_until(&a, a.outcome_count, 10);
	peer_until(&b, b.count, 3);
	peer_idle(&b, 20);
	assert_int_equal(b.count, 3);
	assert_int_equal(temp_folder_count(&dir, "q", ".ex_t.msg"), 5);
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
	put("1_" UUID "0001.ex_t.msg", "one");
	put("2_" UUID "0002.ex_t.msg", "two");
	put("3_" UUID "0003.ex_t.msg", "three");
	open_peer(&b);
	peer_consume(&b, "t", 0);
	peer_until(&b, b.count, 3);
	assert_int_equal(temp_folder_count(&dir, "q", ".msg"), 0);
	tag = b.messages[0].tag;
	tf_transport_settle(b.t, tag, TF_ACK);
	tf_transport_settle(b.t, tag, TF_REQUEUE); /* settled already */
	tf_transport_settle(b.t, b.messages[1].tag, TF_REJECT);
	tf_transport_settle(b.t, b.messages[2].tag, TF_REQUEUE);
	assert_true(temp_folder_has(&dir, "q/3_" UUID "0003.ex_t.msg"));
	peer_until(&b, b.count, 4);
	assert_string_equal(b.messages[3].body, "three");
	assert_true(b.messages[3].redelivered);
	assert_int_equal(b.t->stats.rejected, 1);
	assert_int_equal(b.t->stats.requeued, 1);
	peer_close(&b); /* unsettled: given back */
	assert_int_equal(temp_folder_count(&dir, "q", ".msg"), 1);
	assert_int_equal(temp_folder_count(&dir, SPOOL, ""), 0);
	open_peer(&c);
	c.settle = TF_ACK;
	peer_consume(&c, "t", 0);
	peer_until(&c, c.count, 1);
	assert_string_equal(c.messages[0].body, "three");
	assert_true(c.messages[0].redelivered);
	peer_close(&c);
	assert_int_equal(temp_folder_count(&dir, "q", ".msg"), 0);
}

static void test_store_processed(void **state)
{
	struct peer b;
	char *more =
		tf_asprintf(", \"store_processed\": true, \"processed_folder\": \"%s/done/with\"", dir.path);

	(void)state;
	put("1_" UUID "0001.ex_t.msg", "one");
	open_on(&b, "q", "q", more);
	b.settle = TF_ACK;
	peer_consume(&b, "t", 0);
	peer_until(&b, b.count, 1);
	assert_true(temp_folder_has(&dir, "done/with/1_" UUID "0001.ex_t.msg"));
	peer_close(&b);
	assert_int_equal(temp_folder_count(&dir, "q", ".msg"), 0);
	free(more);
}

static void test_mirrored_folders(void **state)
{
	struct peer engine, worker;

	(void)state;
	open_on(&engine, "A", "B", "");
	open_on(&worker, "B", "A", "");
	peer_consume(&engine, "t", 0);
	peer_consume(&worker, "t", 0);
	peer_send(&engine, "t", "to worker", 0, 0);
	peer_send(&worker, "t", "to engine", 0, 0);
	peer_until(&engine, engine.count, 1);
	peer_until(&worker, worker.count, 1);
	assert_string_equal(worker.messages[0].body, "to worker");
	assert_string_equal(engine.messages[0].body, "to engine");
	/* requeued where it was read, unlike in kombu, which loses it to the other side */
	tf_transport_settle(worker.t, worker.messages[0].tag, TF_REQUEUE);
	peer_until(&worker, worker.count, 2);
	peer_close(&engine);
	peer_close(&worker);
	assert_int_equal(temp_folder_count(&dir, "B", ".msg"), 1);
	assert_int_equal(temp_folder_count(&dir, "A", ".msg"), 1);
}

static void test_polling(void **state)
{
	struct peer a, b;
	int i;

	(void)state;
	open_peer(&a);
	open_on(&b, "q", "q", ", \"watch\": false, \"polling_interval\": 0.02");
	b.settle = TF_ACK;
	peer_consume(&b, "t", 1);
	for (i = 1; i <= 5; i++) {
		peer_send(&a, "t", "x", 0, 0);
		peer_until(&b, b.count, (unsigned)i);
	}
	peer_close(&a);
	peer_close(&b);
}

static void test_foreign_things(void **state)
{
	struct peer a, b;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	struct temp_folder q;
	char *text;

	(void)state;
	put("0_" UUID "0000.other.msg", "secret");
	assert_int_equal(
		symlink("0_" UUID "0000.other.msg", temp_folder_path(&dir, "q/1_" UUID "0001.ex_t.msg")), 0);
	assert_int_equal(symlink("/dev/zero", temp_folder_path(&dir, "q/2_" UUID "0002.ex_t.msg")), 0);
	assert_int_equal(mkfifo(temp_folder_path(&dir, "q/3_" UUID "0003.ex_t.msg"), 0666), 0);
	assert_int_equal(mkdir(temp_folder_path(&dir, "q/4_" UUID "0004.ex_t.msg"), 0777), 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s",
		temp_folder_path(&dir, "q/5_" UUID "0005.ex_t.msg"));
	assert_int_equal(bind(s, (struct sockaddr *)&address, sizeof(address)), 0);
	temp_folder_write(&dir, "q/6_" UUID "0006.ex_t.msg", "garbage");
	temp_folder_write(&dir, "q/7_" UUID "0007.ex_t.msg", "{}");
	put("8_" UUID "0008.ex_t.msg", "\\ud800");
	/* much larger than any message, without using the disk */
	temp_folder_write(&dir, "q/9_" UUID "0009.ex_t.msg", "{");
	assert_int_equal(truncate(temp_folder_path(&dir, "q/9_" UUID "0009.ex_t.msg"), (off_t)1 << 40), 0);
	put("10_" UUID "0010.ex_t.msg", "good");

	open_peer(&a);
	open_peer(&b);
	b.settle = TF_ACK;
	peer_consume(&b, "t", 1);
	peer_until(&b, b.count, 1);
	assert_string_equal(b.messages[0].body, "good");
	assert_int_equal(b.t->stats.malformed, 8);
	assert_int_equal(b.t->stats.oversized, 1);
	assert_int_equal(temp_folder_count(&dir, QUARANTINE, ".msg"), 9);
	text = temp_folder_read(&dir, QUARANTINE "/6_" UUID "0006.ex_t.msg");
	assert_string_equal(text, "garbage");
	free(text);
	assert_true(temp_folder_has(&dir, "q/0_" UUID "0000.other.msg"));
	/* not looped on, not in the way */
	peer_send(&a, "t", "better", 0, 0);
	peer_until(&b, b.count, 2);
	assert_int_equal(b.t->stats.malformed, 8);
	/* the quarantine may be emptied at any time */
	snprintf(q.path, sizeof(q.path), "%s", temp_folder_path(&dir, QUARANTINE));
	temp_folder_remove(&q);
	temp_folder_write(&dir, "q/6_" UUID "0006.ex_t.msg", "garbage");
	temp_folder_write(&dir, "q/7_" UUID "0007.ex_t.msg", "garbage");
	peer_until(&b, b.t->stats.malformed, 10);
	peer_close(&a);
	peer_close(&b); /* tries again what it could not set aside */
	assert_int_equal(temp_folder_count(&dir, QUARANTINE, ".msg"), 2);
	close(s);
	assert_int_equal(temp_folder_count(&dir, SPOOL, ""), 0);
}

static void test_body_over_the_limit(void **state)
{
	char *options = tf_asprintf(
		"{\"data_folder_in\": \"%s/q\", \"data_folder_out\": \"%s/q\"}", dir.path, dir.path);
	struct tf_transport_config config = {
		.transport = "filesystem", .exchange = "ex", .max_message = 4, .max_queued = 2};
	struct tf_message m = {.topic = "t", .body = "12345", .body_len = 5};
	struct peer b;
	struct tf_err err;

	(void)state;
	put("1_" UUID "0001.ex_t.msg", "12345");
	put("2_" UUID "0002.ex_t.msg", "1234");
	config.options = tf_value_parse(options, strlen(options), 0, NULL);
	assert_int_equal(peer_open_config(&b, loop, &config, &err), 0);
	peer_consume(&b, "t", 0);
	peer_until(&b, b.count, 1);
	assert_string_equal(b.messages[0].body, "1234");
	assert_int_equal(b.t->stats.oversized, 1);
	assert_int_equal(tf_transport_publish(b.t, &m, 0, 1, &err), TF_ELIMIT);
	peer_send(&b, "t", "x", 0, 1);
	peer_send(&b, "t", "x", 0, 1);
	m.body_len = 1;
	assert_int_equal(tf_transport_publish(b.t, &m, 0, 1, &err), TF_EAGAIN);
	peer_until(&b, b.outcome_count, 2);
	assert_int_equal(b.t->queued, 0);
	peer_close(&b);
	tf_value_unref(config.options);
	free(options);
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
	open_peer(&a);
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

/* A Python writer works under the final name, without a lock that would mean anything. */
static void test_slow_writer(void **state)
{
	struct peer a, b;
	char *content = content_of("slow");
	size_t half = strlen(content) / 2;
	FILE *f = fopen(temp_folder_path(&dir, "q/1_" UUID "0001.ex_t.msg"), "w");

	(void)state;
	open_peer(&a);
	open_peer(&b);
	b.settle = TF_ACK;
	peer_consume(&b, "t", 1); /* the incomplete one takes no room */
	peer_send(&a, "t", "fast", 0, 0);
	peer_until(&b, b.count, 1);
	assert_string_equal(b.messages[0].body, "fast");
	fwrite(content, 1, half, f);
	fflush(f);
	peer_idle(&b, 100);
	peer_send(&a, "t", "fast", 0, 0);
	peer_until(&b, b.count, 2);
	fwrite(content + half, 1, strlen(content) - half, f);
	fclose(f);
	peer_until(&b, b.count, 3);
	assert_string_equal(b.messages[2].body, "slow");
	assert_int_equal(b.t->stats.malformed, 0);
	assert_int_equal(temp_folder_count(&dir, QUARANTINE, ""), 0);
	peer_close(&a);
	peer_close(&b);
	free(content);
}

static void test_writer_never_finishes(void **state)
{
	struct peer b, c;
	uint64_t start = tf_clock_ms(&tf_clock_real);

	(void)state;
	temp_folder_write(&dir, "q/1_" UUID "0001.ex_t.msg", "");
	temp_folder_write(&dir, "q/2_" UUID "0002.ex_t.msg", "{\"body\": \"");
	open_peer(&b);
	peer_consume(&b, "t", 0);
	peer_until(&b, b.t->stats.malformed, 2);
	assert_in_range(tf_clock_ms(&tf_clock_real) - start, 1900, 30000);
	assert_int_equal(temp_folder_count(&dir, QUARANTINE, ".msg"), 2);
	assert_int_equal(b.count, 0);
	/* one who leaves in that time gives it back as it was */
	temp_folder_write(&dir, "q/3_" UUID "0003.ex_t.msg", "{\"body\": \"");
	peer_idle(&b, 100);
	assert_int_equal(temp_folder_count(&dir, "q", ".msg"), 0);
	peer_close(&b);
	assert_int_equal(temp_folder_count(&dir, "q", ".msg"), 1);
	put("3_" UUID "0003.ex_t.msg", "now");
	open_peer(&c);
	c.settle = TF_ACK;
	peer_consume(&c, "t", 0);
	peer_until(&c, c.count, 1);
	peer_close(&c);
}

static void test_private_queue_is_removed(void **state)
{
	struct peer a, b, c;
	int i;

	(void)state;
	open_peer(&a);
	open_peer(&b);
	open_peer(&c);
	peer_consume(&b, UUID "0000", 1);
	peer_consume(&c, "t", 1);
	for (i = 0; i < 4; i++) {
		peer_send(&a, UUID "0000", "reply", 0, 1);
		peer_send(&a, UUID "0001", "of another", 0, 1);
		peer_send(&a, "t", "request", 0, 1);
	}
	peer_until(&a, a.outcome_count, 12);
	peer_until(&b, b.count, 1);
	peer_until(&c, c.count, 1);
	peer_close(&b);
	peer_close(&c);
	assert_int_equal(temp_folder_count(&dir, "q", "0000.msg"), 0);
	assert_int_equal(temp_folder_count(&dir, "q", "0001.msg"), 4);
	assert_int_equal(temp_folder_count(&dir, "q", "_t.msg"), 4);
	peer_close(&a);
}

/* With our header, as only peers of ours get it. */
static void send_ours(struct peer *p, const char *topic, uint64_t id)
{
	struct tf_err err;
	const struct tf_message m = {
		.topic = topic, .type = "NOTIFY", .peer = "{\"v\":1}", .body = "{}", .body_len = 2};
	assert_int_equal(tf_transport_publish(p->t, &m, 0, id, &err), 0);
}

/* What comes for a reader of ours that has closed its queue is returned, and no file stays; Python's queues are its own affair. */
static void test_closed_queue_returns(void **state)
{
	struct peer a, b;
	const char *topic = UUID "0000";

	(void)state;
	open_peer(&a);
	open_peer(&b);
	peer_consume(&b, topic, 0);
	peer_until(&b, b.ups, 1);
	send_ours(&a, topic, 1);
	peer_until(&b, b.count, 1);
	assert_int_equal(a.outcomes[0].status, TF_PUBLISHED);
	peer_close(&b);
	send_ours(&a, topic, 2);
	peer_until(&a, a.outcome_count, 2);
	assert_int_equal(a.outcomes[1].status, TF_RETURNED);
	assert_int_equal(a.t->stats.returned, 1);
	assert_int_equal(temp_folder_count(&dir, "q", ".msg"), 0);
	peer_send(&a, topic, "reply", 0, 3);
	peer_until(&a, a.outcome_count, 3);
	assert_int_equal(a.outcomes[2].status, TF_PUBLISHED);
	assert_int_equal(temp_folder_count(&dir, "q", ".msg"), 1);
	assert_int_equal(temp_folder_count(&dir, SPOOL, topic), 0);
	peer_close(&a);
}

static void test_folder_vanishes(void **state)
{
	struct temp_folder q;
	struct peer a, b;
	uint64_t tag;

	(void)state;
	open_peer(&a);
	open_peer(&b);
	peer_consume(&b, "t", 0);
	peer_send(&a, "t", "1", 0, 1);
	peer_until(&b, b.count, 1);
	tag = b.messages[0].tag;
	snprintf(q.path, sizeof(q.path), "%s", temp_folder_path(&dir, "q"));
	temp_folder_remove(&q);
	peer_send(&a, "t", "2", 0, 2); /* waits for the folder */
	peer_until(&b, b.downs, 1);
	assert_non_null(strstr(b.down_err.message, q.path));
	tf_transport_settle(b.t, tag, TF_ACK); /* void */
	peer_until(&b, b.ups, 2);              /* made anew */
	peer_until(&a, a.outcome_count, 2);
	assert_int_equal(a.outcomes[1].status, TF_PUBLISHED);
	peer_until(&b, b.count, 2);
	assert_string_equal(b.messages[1].body, "2");
	/* another folder in its place */
	assert_int_equal(rename(temp_folder_path(&dir, "q"), temp_folder_path(&dir, "old")), 0);
	mkdir(temp_folder_path(&dir, "q"), 0777);
	peer_until(&b, b.ups, 3);
	peer_until(&a, a.ups, 3);
	peer_send(&a, "t", "3", 0, 3);
	peer_until(&b, b.count, 3);
	assert_string_equal(b.messages[2].body, "3");
	assert_int_equal(b.t->stats.reconnects, 2);
	peer_close(&a);
	peer_close(&b);
}

static void test_folder_cannot_be_made(void **state)
{
	struct peer a;

	(void)state;
	temp_folder_write(&dir, "file", "");
	open_on(&a, "file/q", "q", "");
	peer_send(&a, "t", "1", 0, 1);
	peer_until(&a, a.downs, 1);
	assert_non_null(strstr(a.down_err.message, "file/q: Not a directory"));
	assert_false(tf_transport_is_up(a.t));
	peer_idle(&a, 1500); /* tried again, told once */
	assert_int_equal(a.downs, 1);
	unlink(temp_folder_path(&dir, "file"));
	peer_until(&a, a.outcome_count, 1);
	assert_int_equal(a.outcomes[0].status, TF_PUBLISHED);
	assert_int_equal(a.ups, 1);
	peer_close(&a);
}

/* Published, closed at once: it goes out. */
static void test_close_flushes(void **state)
{
	struct peer a;
	int i;

	(void)state;
	open_peer(&a);
	for (i = 0; i < 300; i++)
		peer_send(&a, "t", "x", 0, 1);
	peer_close(&a);
	assert_int_equal(temp_folder_count(&dir, "q", ".msg"), 300);
	assert_int_equal(temp_folder_count(&dir, SPOOL, ""), 0);
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
	open_peer(&a);
	peer_consume(&a, "t", 0);
	a.hook = close_self;
	for (i = 0; i < 3; i++)
		peer_send(&a, "t", "x", 0, 1);
	peer_until(&a, a.count, 1);
	peer_idle(&a, 10);
	assert_int_equal(a.count, 1);
	assert_int_equal(temp_folder_count(&dir, "q", ".msg"), 3);
	peer_close(&a);
}

static void refused(const char *options, const char *exchange, const char *why)
{
	struct tf_transport_config config = {.transport = "filesystem", .exchange = exchange};
	struct peer p;
	struct tf_err err = {0};
	int rc;

	config.options = tf_value_parse(options, strlen(options), 0, &err);
	rc = peer_open_config(&p, loop, &config, &err);
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
	open_peer(&a);
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

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

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
		CASE(test_store_processed),
		CASE(test_mirrored_folders),
		CASE(test_polling),
		CASE(test_foreign_things),
		CASE(test_body_over_the_limit),
		CASE(test_large_body),
		CASE(test_slow_writer),
		CASE(test_writer_never_finishes),
		CASE(test_private_queue_is_removed),
		CASE(test_closed_queue_returns),
		CASE(test_folder_vanishes),
		CASE(test_folder_cannot_be_made),
		CASE(test_close_flushes),
		CASE(test_close_in_a_callback),
		CASE(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
