/* The transport contract (transport.h), on the memory back end, and the checks of transport.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "transport/memory_fault.h"
#include "transport/tags.h"
#include "transport_peer.h"

static struct tf_loop *loop;

static int set_up(void **state)
{
	(void)state;
	loop = tf_loop_new();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tf_loop_delete(loop); /* aborts if a transport left a handle behind */
	return 0;
}

static void test_message_arrives_whole(void **state)
{
	struct peer a, b, other;
	struct tf_message m = {.topic = "t",
		.type = "REQUEST",
		.reply_to = "r",
		.correlation_id = "c",
		.peer = "p",
		.body = "{\0}",
		.body_len = 3};
	struct tf_message bare = {.topic = "t", .body = "", .body_len = 0};
	struct tf_err err;

	(void)state;
	peer_open(&a, loop, "memory", "ex", NULL);
	peer_open(&b, loop, "memory", "ex", "{\"polling_interval\": 0.1}");
	peer_open(&other, loop, "memory", "other", NULL);
	peer_consume(&b, "t", 0);
	peer_consume(&other, "t", 0);
	a.inside = b.inside = true;
	assert_int_equal(tf_transport_publish(a.t, &m, 0, 7, &err), 0);
	assert_int_equal(tf_transport_publish(a.t, &bare, 0, 8, &err), 0);
	a.inside = b.inside = false;
	peer_until(&b, b.count, 2);
	assert_string_equal(b.messages[0].topic, "t");
	assert_string_equal(b.messages[0].type, "REQUEST");
	assert_string_equal(b.messages[0].reply_to, "r");
	assert_string_equal(b.messages[0].correlation_id, "c");
	assert_string_equal(b.messages[0].peer, "p");
	assert_string_equal(b.messages[0].content_type, "application/json");
	assert_int_equal(b.messages[0].body_len, 3);
	assert_false(b.messages[0].redelivered);
	assert_null(b.messages[1].type);
	assert_null(b.messages[1].reply_to);
	assert_null(b.messages[1].peer);
	assert_int_equal(b.messages[1].body_len, 0);
	assert_int_equal(a.outcome_count, 2);
	assert_int_equal(a.outcomes[0].id, 7);
	assert_int_equal(a.outcomes[0].status, TF_PUBLISHED);
	assert_int_equal(a.ups, 1);
	assert_true(tf_transport_is_up(a.t));
	assert_int_equal(a.t->stats.published, 2);
	assert_int_equal(b.t->stats.received, 2);
	assert_int_equal(other.count, 0);
	peer_close(&a);
	peer_close(&b);
	peer_close(&other);
}

static void test_unroutable(void **state)
{
	struct peer a, b;

	(void)state;
	peer_open(&a, loop, "memory", "ex", NULL);
	peer_send(&a, "t", "lost", 0, 1);
	peer_send(&a, "t", "kept", TF_PUBLISH_DECLARE, 2);
	peer_send(&a, "t", "kept too", 0, 3);
	peer_until(&a, a.outcome_count, 3);
	assert_int_equal(a.outcomes[0].status, TF_RETURNED);
	assert_int_equal(a.outcomes[1].status, TF_PUBLISHED);
	assert_int_equal(a.outcomes[2].status, TF_PUBLISHED);
	assert_int_equal(a.t->stats.returned, 1);
	peer_open(&b, loop, "memory", "ex", NULL);
	peer_consume(&b, "t", 0);
	peer_until(&b, b.count, 2);
	assert_string_equal(b.messages[0].body, "kept");
	assert_string_equal(b.messages[1].body, "kept too");
	/* auto_delete: the queue goes with its last consumer */
	peer_close(&b);
	peer_send(&a, "t", "late", 0, 4);
	peer_until(&a, a.outcome_count, 4);
	assert_int_equal(a.outcomes[3].status, TF_RETURNED);
	peer_close(&a);
}

static void test_prefetch_and_order(void **state)
{
	struct peer a;
	char body[16];
	int i;

	(void)state;
	peer_open(&a, loop, "memory", "ex", NULL);
	peer_consume(&a, "t", 3);
	for (i = 0; i < 1000; i++) {
		snprintf(body, sizeof(body), "%d", i);
		peer_send(&a, "t", body, 0, 0);
	}
	peer_until(&a, a.count, 3);
	peer_idle(&a, 10);
	assert_int_equal(a.count, 3);
	tf_transport_settle(a.t, a.messages[1].tag, TF_ACK);
	peer_until(&a, a.count, 4);
	peer_idle(&a, 5);
	assert_int_equal(a.count, 4);
	tf_transport_settle(a.t, a.messages[1].tag, TF_ACK); /* again: nothing */
	peer_idle(&a, 5);
	assert_int_equal(a.count, 4);
	a.settle = TF_ACK;
	tf_transport_settle(a.t, a.messages[0].tag, TF_REJECT);
	tf_transport_settle(a.t, a.messages[2].tag, TF_ACK);
	tf_transport_settle(a.t, a.messages[3].tag, TF_ACK);
	peer_until(&a, a.count, 1000);
	for (i = 0; i < 1000; i++) {
		snprintf(body, sizeof(body), "%d", i);
		assert_string_equal(a.messages[i].body, body);
	}
	assert_int_equal(a.t->stats.rejected, 1);
	assert_int_equal(a.t->queued, 0);
	peer_close(&a);
}

static void test_requeue_keeps_the_place(void **state)
{
	struct peer a;
	const char *expected[] = {"0", "1", "2", "3"};
	size_t i;

	(void)state;
	peer_open(&a, loop, "memory", "ex", NULL);
	peer_consume(&a, "t", 3);
	for (i = 0; i < 4; i++)
		peer_send(&a, "t", expected[i], 0, 0);
	peer_until(&a, a.count, 3);
	tf_transport_settle(a.t, a.messages[2].tag, TF_REQUEUE);
	tf_transport_settle(a.t, a.messages[0].tag, TF_REQUEUE);
	tf_transport_settle(a.t, a.messages[1].tag, TF_REQUEUE);
	peer_forget(&a);
	a.settle = TF_ACK;
	peer_until(&a, a.count, 4);
	for (i = 0; i < 4; i++) {
		assert_string_equal(a.messages[i].body, expected[i]);
		assert_int_equal(a.messages[i].redelivered, i < 3);
	}
	assert_int_equal(a.t->stats.requeued, 3);
	peer_close(&a);
}

static void test_consumers_take_turns(void **state)
{
	struct peer a, b, c;
	int i;

	(void)state;
	peer_open(&a, loop, "memory", "ex", NULL);
	peer_open(&b, loop, "memory", "ex", NULL);
	peer_open(&c, loop, "memory", "ex", NULL);
	peer_consume(&a, "t", 0);
	peer_consume(&b, "t", 0);
	peer_consume(&c, "t", 1);
	for (i = 0; i < 9; i++)
		peer_send(&a, "t", "x", 0, 0);
	peer_idle(&a, 10);
	assert_int_equal(c.count, 1);
	assert_int_equal(a.count, 4);
	assert_int_equal(b.count, 4);
	/* what the closed ones had goes to the one that is left, in order, marked */
	peer_close(&a);
	peer_close(&b);
	c.settle = TF_ACK;
	tf_transport_settle(c.t, c.messages[0].tag, TF_ACK);
	peer_until(&c, c.count, 9);
	assert_true(c.messages[8].redelivered);
	peer_close(&c);
}

static void close_other(struct peer *p, const struct peer_message *m)
{
	(void)m;
	peer_close(p->hook_arg);
	p->hook = NULL;
}

static void close_self(struct peer *p, const struct peer_message *m)
{
	(void)m;
	tf_transport_close(p->t);
	p->t = NULL;
}

static void test_close_in_a_callback(void **state)
{
	struct peer a, b;

	(void)state;
	peer_open(&a, loop, "memory", "ex", NULL);
	peer_open(&b, loop, "memory", "ex", NULL);
	peer_consume(&a, "a", 0);
	peer_consume(&b, "b", 0);
	peer_send(&b, "a", "1", 0, 1);
	peer_send(&b, "b", "2", 0, 2);
	a.hook = close_other;
	a.hook_arg = &b;
	peer_until(&a, a.count, 1);
	assert_null(b.t);
	a.hook = close_self; /* the last transport of the exchange */
	peer_send(&a, "a", "3", 0, 3);
	peer_send(&a, "a", "4", 0, 4);
	peer_until(&a, a.count, 2);
	peer_idle(&a, 5);
	assert_int_equal(a.count, 2);
	peer_close(&a);
}

static void answer(struct peer *p, const struct peer_message *m)
{
	if (strlen(m->body) < 30) {
		char longer[64];

		snprintf(longer, sizeof(longer), "%s+", m->body);
		peer_send(p, m->topic, longer, 0, 0);
	}
}

static void test_publish_in_a_callback(void **state)
{
	struct peer a;

	(void)state;
	peer_open(&a, loop, "memory", "ex", NULL);
	peer_consume(&a, "t", 1);
	a.settle = TF_ACK;
	a.hook = answer;
	peer_send(&a, "t", "x", 0, 0);
	peer_until(&a, a.count, 30);
	assert_int_equal(a.messages[29].body_len, 30);
	peer_close(&a);
}

static void test_connection_cut(void **state)
{
	struct peer a, b;
	uint64_t old;

	(void)state;
	peer_open(&a, loop, "memory", "ex", NULL);
	peer_open(&b, loop, "memory", "ex", NULL);
	peer_consume(&b, "t", 1);
	peer_send(&a, "t", "1", 0, 1);
	peer_until(&b, b.count, 1);
	old = b.messages[0].tag;
	tf_memory_set_up(b.t, false);
	peer_send(&a, "t", "2", 0, 2);
	peer_send(&b, "t", "3", 0, 3);
	peer_until(&b, b.downs, 1);
	assert_int_equal(b.down_err.code, TF_EIO);
	assert_int_equal(b.count, 1);
	assert_int_equal(b.outcome_count, 0);
	tf_memory_set_up(b.t, true);
	peer_until(&b, b.count, 2);
	assert_string_equal(b.messages[1].body, "1");
	assert_true(b.messages[1].redelivered);
	tf_transport_settle(b.t, old, TF_ACK); /* void */
	peer_idle(&b, 5);
	assert_int_equal(b.count, 2);
	b.settle = TF_ACK;
	tf_transport_settle(b.t, b.messages[1].tag, TF_ACK);
	peer_until(&b, b.count, 4);
	assert_string_equal(b.messages[2].body, "2");
	assert_string_equal(b.messages[3].body, "3");
	assert_int_equal(b.outcomes[0].id, 3);
	assert_int_equal(b.ups, 2);
	tf_memory_drop(a.t, 1);
	peer_send(&a, "t", "gone", 0, 4);
	peer_send(&a, "t", "here", 0, 5);
	peer_until(&b, b.count, 5);
	assert_string_equal(b.messages[4].body, "here");
	peer_until(&a, a.outcome_count, 4);
	peer_close(&a);
	peer_close(&b);
}

static void test_limits(void **state)
{
	struct tf_transport_config config = {
		.transport = "memory", .exchange = "ex", .max_message = 4, .max_queued = 2};
	struct tf_message m = {.topic = "t", .body = "12345", .body_len = 5};
	struct peer a, big;
	struct tf_err err;
	int i;

	(void)state;
	assert_int_equal(peer_open_config(&a, loop, &config, &err), 0);
	assert_int_equal(tf_transport_publish(a.t, &m, 0, 1, &err), TF_ELIMIT);
	assert_non_null(strstr(err.message, "5 bytes"));
	for (i = 0; i < 2; i++)
		peer_send(&a, "t", "x", TF_PUBLISH_DECLARE, 1);
	m.body_len = 1;
	assert_int_equal(tf_transport_publish(a.t, &m, 0, 1, &err), TF_EAGAIN);
	peer_until(&a, a.outcome_count, 2);
	/* room again, but nobody reads */
	peer_send(&a, "t", "x", 0, 3);
	peer_until(&a, a.outcome_count, 3);
	assert_int_equal(a.outcomes[2].status, TF_PUBLISH_FAILED);
	assert_int_equal(a.outcomes[2].err.code, TF_ELIMIT);
	peer_consume(&a, "u", 0);
	peer_open(&big, loop, "memory", "ex", NULL);
	peer_send(&big, "u", "12345", 0, 0); /* longer than the reader takes */
	peer_send(&big, "u", "1234", 0, 0);
	peer_until(&a, a.count, 1);
	assert_string_equal(a.messages[0].body, "1234");
	assert_int_equal(a.t->stats.oversized, 1);
	peer_close(&a);
	peer_close(&big);
}

static void refused(struct tf_transport_config config, const char *options, const char *why)
{
	struct peer p;
	struct tf_err err = {0};
	int rc;

	config.options = options ? tf_value_parse(options, strlen(options), 0, &err) : NULL;
	rc = peer_open_config(&p, loop, &config, &err);
	tf_value_unref(config.options);
	assert_int_equal(rc, TF_EINVAL);
	if (!strstr(err.message, why))
		fail_msg("\"%s\" does not say \"%s\"", err.message, why);
}

static void test_refused_configurations(void **state)
{
	char name[256];
	struct tf_transport_config ok = {.transport = "memory", .exchange = "ex"}, c;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[255] = '\0';
	c = ok;
	c.exchange = NULL;
	refused(c, NULL, "exchange");
	c.exchange = "";
	refused(c, NULL, "exchange");
	c.exchange = name;
	refused(c, NULL, "255 bytes");
	c = ok;
	c.retry.interval_max = -1;
	refused(c, NULL, "retry_options");
	refused(ok, "{\"poling_interval\": 1}", "\"poling_interval\", did you mean \"polling_interval\"?");
	refused(ok, "[1]", "object");
	refused(ok, "3", "object");
}

static void test_refused_names(void **state)
{
	struct peer a;
	char name[256];
	struct tf_message m = {.body = "", .topic = ""};
	struct tf_err err;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[255] = '\0';
	peer_open(&a, loop, "memory", "ex", NULL);
	assert_int_equal(tf_transport_consume(a.t, "", 0, &err), TF_EINVAL);
	assert_int_equal(tf_transport_consume(a.t, name + 2, 0, &err), TF_EINVAL); /* 2 + 253 */
	peer_consume(&a, name + 3, 0);
	assert_int_equal(tf_transport_consume(a.t, name + 3, 0, &err), TF_EEXIST);
	assert_int_equal(tf_transport_publish(a.t, &m, 0, 0, &err), TF_EINVAL);
	m.topic = "t";
	m.reply_to = name;
	assert_int_equal(tf_transport_publish(a.t, &m, TF_PUBLISH_DECLARE, 0, &err), 0);
	m.reply_to = NULL;
	char longer[300];
	memset(longer, 'y', sizeof(longer) - 1);
	longer[299] = '\0';
	m.correlation_id = longer;
	assert_int_equal(tf_transport_publish(a.t, &m, 0, 0, &err), TF_EINVAL);
	assert_non_null(strstr(err.message, "correlation_id"));
	peer_close(&a);
}

static void count_each(void *arg, void *message)
{
	uintptr_t *last = arg;

	assert_true((uintptr_t)message > *last); /* in order of delivery */
	*last = (uintptr_t)message;
}

static void test_tags(void **state)
{
	enum { N = 1000 };
	struct tf_tags t = TF_TAGS_INIT;
	uint64_t tags[N];
	uintptr_t last = 0;
	size_t i;

	(void)state;
	for (i = 0; i < N; i++)
		tags[i] = tf_tags_add(&t, (void *)(i + 1));
	for (i = 0; i < N; i += 2)
		assert_ptr_equal(tf_tags_take(&t, tags[i]), (void *)(i + 1));
	for (i = 0; i < N; i += 2)
		assert_null(tf_tags_take(&t, tags[i]));
	for (i = 0; i < N; i += 2) { /* slots are used again, tags are not */
		uint64_t tag = tf_tags_add(&t, (void *)(N + i + 1));

		assert_null(tf_tags_take(&t, tags[i]));
		assert_int_not_equal(tag, tags[i]);
	}
	assert_null(tf_tags_take(&t, 0));
	assert_null(tf_tags_take(&t, UINT64_MAX));
	assert_int_equal(t.count, N);
	tf_tags_drain(&t, count_each, &last);
	assert_int_equal(last, 2 * N - 1);
	assert_null(tf_tags_take(&t, tags[1]));
	i = (size_t)tf_tags_add(&t, &last);
	assert_ptr_equal(tf_tags_take(&t, i), &last);
	tf_tags_destroy(&t);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_message_arrives_whole),
		CASE(test_unroutable),
		CASE(test_prefetch_and_order),
		CASE(test_requeue_keeps_the_place),
		CASE(test_consumers_take_turns),
		CASE(test_close_in_a_callback),
		CASE(test_publish_in_a_callback),
		CASE(test_connection_cut),
		CASE(test_limits),
		CASE(test_refused_configurations),
		CASE(test_refused_names),
		CASE(test_tags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
