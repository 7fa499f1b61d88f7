/* What the amqp transport says of a message that cannot be delivered, or not yet. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp_env.h"
#include "amqp_raw.h"
#include "base/mem.h"
#include "cmocka_all.h"

static void test_returned(void **state)
{
	struct peer a;
	int i;

	(void)state;
	amqp_open_peer(&a, amqp_url(), NULL);
	peer_consume(&a, "here", 0);
	a.settle = TF_ACK;
	/* Same text in all: returns carry no number, and must meet the right ones. */
	for (i = 0; i < 300; i++)
		peer_send(&a, i % 3 ? "nowhere" : "here", "x", 0, (uint64_t)i + 1);
	peer_until(&a, a.outcome_count, 300);
	peer_until(&a, a.count, 100);
	for (i = 0; i < 300; i++)
		assert_int_equal(
			a.outcomes[i].status, (a.outcomes[i].id - 1) % 3 ? TF_RETURNED : TF_PUBLISHED);
	assert_int_equal(a.t->stats.returned, 200);
	assert_int_equal(a.t->stats.published, 100);
	char *queue = amqp_queue("nowhere");
	assert_int_equal(raw_count(amqp_url(), queue), -1); /* not declared by us */
	free(queue);
	peer_close(&a);
}

/* A queue is declared once, vanishes, and is declared again when the broker returns a message. */
static void test_declared_again(void **state)
{
	struct peer a;
	char *queue = amqp_queue("later");
	amqp_connection_state_t c = raw_open(amqp_url());

	(void)state;
	amqp_open_peer(&a, amqp_url(), NULL);
	peer_consume(&a, "me", 0); /* keeps the exchange */
	peer_send(&a, "later", "1", TF_PUBLISH_DECLARE, 1);
	peer_until(&a, a.outcome_count, 1);
	assert_int_equal(raw_count(amqp_url(), queue), 1);
	raw_delete_queue(c, queue);
	peer_send(&a, "later", "2", TF_PUBLISH_DECLARE, 2);
	peer_send(&a, "later", "3", TF_PUBLISH_DECLARE, 3);
	peer_until(&a, a.outcome_count, 3);
	assert_int_equal(a.outcomes[1].status, TF_PUBLISHED);
	assert_int_equal(a.outcomes[2].status, TF_PUBLISHED);
	char *body;
	assert_true(raw_get(c, queue, &body));
	assert_string_equal(body, "2");
	free(body);
	assert_true(raw_get(c, queue, &body));
	assert_string_equal(body, "3");
	free(body);
	raw_delete_queue(c, queue);
	raw_close(c);
	free(queue);
	assert_int_equal(a.downs, 0);
	peer_close(&a);
}

/* The exchange goes with its last queue: the broker closes the channel over the next publish. */
static void test_exchange_vanishes(void **state)
{
	struct peer a;
	char *queue = amqp_queue("only"), text[16];
	amqp_connection_state_t c = raw_open(amqp_url());
	int i;

	(void)state;
	amqp_open_peer(&a, amqp_url(), NULL);
	peer_send(&a, "only", "0", TF_PUBLISH_DECLARE, 1000);
	peer_until(&a, a.outcome_count, 1);
	raw_delete_queue(c, queue);
	for (i = 1; i < 200; i++) {
		snprintf(text, sizeof(text), "%d", i);
		peer_send(&a, "only", text, i % 2 ? TF_PUBLISH_DECLARE : 0, (uint64_t)i);
	}
	peer_until(&a, a.outcome_count, 200);
	for (i = 1; i < 200; i++)
		if (a.outcomes[i].id % 2)
			assert_int_equal(a.outcomes[i].status, TF_PUBLISHED);
	char *body;
	int last = 0, odd = 0;
	while (raw_get(c, queue, &body)) { /* at least once, in order */
		if (atoi(body) % 2 && atoi(body) > last)
			odd++;
		if (atoi(body) > last)
			last = atoi(body);
		free(body);
	}
	assert_int_equal(odd, 100);
	raw_delete_queue(c, queue);
	raw_close(c);
	free(queue);
	assert_int_equal(a.downs, 0);
	peer_close(&a);
}

/* A queue that something declared with other arguments concerns the messages to it, no others. */
static void test_destination_refused(void **state)
{
	struct peer a;
	char *queue = amqp_queue("odd");
	amqp_connection_state_t c = raw_open(amqp_url());
	int i;

	(void)state;
	raw_declare(c, queue, true, false);
	amqp_open_peer(&a, amqp_url(), NULL);
	a.settle = TF_ACK;
	peer_consume(&a, "good", 0);
	for (i = 0; i < 40; i++)
		peer_send(&a, i % 10 == 5 ? "odd" : "good", "x", TF_PUBLISH_DECLARE, (uint64_t)i + 1);
	peer_until(&a, a.outcome_count, 40);
	peer_until(&a, a.count, 36);
	peer_idle(&a, 50);
	assert_int_equal(a.count, 36); /* none twice */
	for (i = 0; i < 40; i++) {
		if (a.outcomes[i].id % 10 != 6) {
			assert_int_equal(a.outcomes[i].status, TF_PUBLISHED);
			continue;
		}
		assert_int_equal(a.outcomes[i].status, TF_PUBLISH_FAILED);
		assert_non_null(strstr(a.outcomes[i].err.message, queue));
		assert_non_null(strstr(a.outcomes[i].err.message, "other arguments"));
	}
	assert_int_equal(a.downs, 0);
	peer_close(&a);
	raw_delete_queue(c, queue);
	raw_close(c);
	free(queue);
}

/* What nobody has taken in time the broker drops: a Python worker cannot be told otherwise. */
static void test_expiry(void **state)
{
	struct peer a;
	char *queue = amqp_queue("late");
	struct tf_message m = {.topic = "late", .type = "REQUEST", .body = "x", .body_len = 1};

	(void)state;
	amqp_open_peer(&a, amqp_url(), NULL);
	peer_consume(&a, "me", 0);
	peer_until(&a, a.ups, 1);
	assert_int_equal(tf_transport_publish(a.t, &m, TF_PUBLISH_DECLARE, 1, NULL), 0);
	m.expires_ms = 300;
	assert_int_equal(tf_transport_publish(a.t, &m, TF_PUBLISH_DECLARE, 2, NULL), 0);
	m.expires_ms = 60000;
	assert_int_equal(tf_transport_publish(a.t, &m, TF_PUBLISH_DECLARE, 3, NULL), 0);
	peer_until(&a, a.outcome_count, 3);
	amqp_connection_state_t c = raw_open(amqp_url());
	assert_true(raw_get(c, queue, NULL));
	peer_idle(&a, 400);
	assert_int_equal(raw_count(amqp_url(), queue), 1);
	raw_delete_queue(c, queue);
	raw_close(c);
	free(queue);
	peer_close(&a);
}

/* A full queue that refuses: told after some tries; the next message goes its way. */
static void test_refused_by_the_queue(void **state)
{
	struct peer a;
	char *queue = amqp_queue("full");
	amqp_connection_state_t c = raw_open(amqp_url());
	amqp_table_entry_t args[2] = {
		{.key = amqp_cstring_bytes("x-max-length"), .value = {.kind = AMQP_FIELD_KIND_I32}},
		{.key = amqp_cstring_bytes("x-overflow"), .value = {.kind = AMQP_FIELD_KIND_UTF8}},
	};

	(void)state;
	args[0].value.value.i32 = 2;
	args[1].value.value.bytes = amqp_cstring_bytes("reject-publish");
	assert_non_null(amqp_queue_declare(c, 1, amqp_cstring_bytes(queue), 0, 0, 0, 1,
		(amqp_table_t){.num_entries = 2, .entries = args}));
	raw_bind(c, queue, amqp_exchange, "full");
	amqp_open_peer(&a, amqp_url(), NULL);
	a.settle = TF_ACK;
	peer_consume(&a, "me", 0);
	for (uint64_t i = 1; i <= 3; i++)
		peer_send(&a, "full", "x", 0, i);
	peer_send(&a, "me", "x", 0, 4);
	peer_until(&a, a.outcome_count, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			a.outcomes[i].status, a.outcomes[i].id == 3 ? TF_PUBLISH_FAILED : TF_PUBLISHED);
	assert_int_equal(a.downs, 0);
	peer_close(&a);
	raw_delete_queue(c, queue);
	raw_close(c);
	free(queue);
}

static void test_queue_deleted_under_us(void **state)
{
	struct peer a;
	char *queue = amqp_queue("mine");
	amqp_connection_state_t c = raw_open(amqp_url());

	(void)state;
	amqp_open_peer(&a, amqp_url(), NULL);
	a.settle = TF_ACK;
	peer_consume(&a, "mine", 0);
	peer_consume(&a, "other", 0);
	peer_until(&a, a.ups, 1);
	raw_delete_queue(c, queue);
	amqp_until(&a, 10, raw_count(amqp_url(), queue) == 0);
	peer_send(&a, "mine", "1", 0, 1);
	peer_send(&a, "other", "2", 0, 2);
	peer_until(&a, a.count, 2);
	peer_until(&a, a.outcome_count, 2);
	assert_int_equal(a.outcomes[0].status, TF_PUBLISHED);
	assert_int_equal(a.downs, 0);
	peer_close(&a);
	raw_close(c);
	free(queue);
}

/* What is published after consume() finds the queue: an answer must not overtake the declaration. */
static void test_publish_waits_for_consume(void **state)
{
	struct peer a;
	char topic[16];
	int i;

	(void)state;
	amqp_open_peer(&a, amqp_url(), NULL);
	a.settle = TF_ACK;
	peer_until(&a, a.ups, 1);
	for (i = 0; i < 20; i++) {
		snprintf(topic, sizeof(topic), "t%d", i);
		peer_consume(&a, topic, 0);
		peer_send(&a, topic, "x", 0, (uint64_t)i + 1);
		peer_until(&a, a.count, (uint64_t)i + 1);
	}
	peer_until(&a, a.outcome_count, 20);
	for (i = 0; i < 20; i++)
		assert_int_equal(a.outcomes[i].status, TF_PUBLISHED);
	peer_close(&a);
}

static void test_queue_limits(void **state)
{
	struct peer a;
	struct tf_err err;
	struct tf_transport_config config = {.url = "amqp://127.0.0.1:1",
		.exchange = amqp_exchange,
		.max_queued = 10,
		.max_message = 1 << 20};
	char *body = tf_calloc(1, 1 << 20);
	struct tf_message m = {.topic = "x", .body = body, .body_len = 1 << 20};
	int i, rc;

	(void)state;
	assert_int_equal(peer_open_config(&a, amqp_loop, &config, &err), 0);
	for (i = 0; (rc = tf_transport_publish(a.t, &m, 0, 0, &err)) == 0 && i < 100; i++)
		;
	assert_int_equal(rc, TF_EAGAIN); /* bytes */
	assert_in_range(i, 3, 4);
	m.body_len = 1;
	for (; (rc = tf_transport_publish(a.t, &m, 0, 0, &err)) == 0 && i < 100; i++)
		;
	assert_int_equal(rc, TF_EAGAIN); /* number */
	assert_int_equal(i, 10);
	free(body);
	peer_close(&a);
}

static void test_close_flushes(void **state)
{
	enum { N = 500 };
	struct peer a, b;
	char *queue = amqp_queue("flushed");
	amqp_connection_state_t c = raw_open(amqp_url());
	int i, n = 0;

	(void)state;
	/* Not even connected yet. */
	amqp_open_peer(&a, amqp_url(), NULL);
	for (i = 0; i < N; i++)
		peer_send(&a, "flushed", "x", TF_PUBLISH_DECLARE, 0);
	peer_close(&a);
	assert_int_equal(raw_count(amqp_url(), queue), N);
	/* Settles. */
	amqp_open_peer(&b, amqp_url(), NULL);
	b.settle = TF_ACK;
	peer_consume(&b, "flushed", 100);
	raw_declare(c, "keeper", false, true);
	raw_bind(c, "keeper", amqp_exchange, "keeper");
	peer_until(&b, b.count, 200);
	n = (int)b.count;
	peer_close(&b);
	/* auto_delete took the queue with its consumer; what matters is that it ended at once. */
	assert_in_range(n, 200, N);
	raw_delete_queue(c, "keeper");
	raw_close(c);
	free(queue);
}

#define T(name) cmocka_unit_test_setup_teardown(name, amqp_set_up, amqp_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_returned),
		T(test_declared_again),
		T(test_exchange_vanishes),
		T(test_destination_refused),
		T(test_expiry),
		T(test_refused_by_the_queue),
		T(test_queue_deleted_under_us),
		T(test_publish_waits_for_consume),
		T(test_queue_limits),
		T(test_close_flushes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
