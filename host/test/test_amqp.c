/* The amqp transport against a broker that works: messages there and back. test_amqp_delivery.c has those that do not
 * arrive, test_amqp_faults.c a broker that is gone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "amqp_env.h"
#include "amqp_raw.h"
#include "base/mem.h"
#include "cmocka_all.h"

static void test_round_trip(void **state)
{
	struct peer a, b;
	const struct tf_message full = {.topic = "work",
		.type = "REQUEST",
		.reply_to = "me",
		.correlation_id = "c-1",
		.peer = "{\"v\": 1}",
		.body = "{\"a\": \"\\u00e9\"}",
		.body_len = 14};
	const struct tf_message bare = {.topic = "work", .body = "", .body_len = 0};

	(void)state;
	amqp_open_peer(&a, amqp_url(), NULL);
	amqp_open_peer(&b, amqp_url(), NULL);
	peer_consume(&b, "work", 0);
	b.settle = TF_ACK;
	amqp_send(&a, &full, TF_PUBLISH_DECLARE, 7);
	amqp_send(&a, &bare, TF_PUBLISH_DECLARE, 0);
	peer_until(&b, b.count, 2);
	assert_string_equal(b.messages[0].topic, "work");
	assert_string_equal(b.messages[0].type, "REQUEST");
	assert_string_equal(b.messages[0].reply_to, "me");
	assert_string_equal(b.messages[0].correlation_id, "c-1");
	assert_string_equal(b.messages[0].peer, "{\"v\": 1}");
	assert_string_equal(b.messages[0].content_type, "application/json");
	assert_int_equal(b.messages[0].body_len, 14);
	assert_memory_equal(b.messages[0].body, full.body, 14);
	assert_false(b.messages[0].redelivered);
	assert_null(b.messages[1].type);
	assert_null(b.messages[1].reply_to);
	assert_null(b.messages[1].correlation_id);
	assert_null(b.messages[1].peer);
	assert_int_equal(b.messages[1].body_len, 0);
	peer_until(&a, a.outcome_count, 1);
	assert_int_equal(a.outcomes[0].id, 7);
	assert_int_equal(a.outcomes[0].status, TF_PUBLISHED);
	peer_until(&a, a.t->stats.published, 2);
	assert_int_equal(a.outcome_count, 1); /* none for id 0 */
	peer_until(&b, b.ups, 1);
	assert_true(tf_transport_is_up(a.t) && tf_transport_is_up(b.t));
	assert_int_equal(a.ups, 1);
	assert_int_equal(a.downs, 0);
	peer_close(&a);
	peer_close(&b);
	/* Settled: with its consumer gone the queue is gone too. */
	char *queue = amqp_queue("work");
	assert_int_equal(raw_count(amqp_url(), queue), -1);
	free(queue);
}

/* What other clients may leave out, or put in. */
static void test_foreign_properties(void **state)
{
	struct peer b;
	char *queue = amqp_queue("work"), nul[] = "NO\0TIFY";
	amqp_connection_state_t c = raw_open(amqp_url());
	amqp_basic_properties_t none = {0}, typed = {0};
	amqp_table_entry_t entry = {
		.key = amqp_cstring_bytes("x-tfhost"), .value = {.kind = AMQP_FIELD_KIND_I32}};

	(void)state;
	amqp_open_peer(&b, amqp_url(), NULL);
	b.settle = TF_ACK;
	peer_consume(&b, "work", 0);
	peer_until(&b, b.ups, 1);
	raw_publish(c, queue, &none, "\0x", 2);
	typed._flags = AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_HEADERS_FLAG;
	typed.type = amqp_cstring_bytes("");
	typed.headers = (amqp_table_t){.num_entries = 1, .entries = &entry};
	raw_publish(c, queue, &typed, "y", 1);
	typed.type = (amqp_bytes_t){.bytes = nul, .len = 7}; /* would read as another type */
	raw_publish(c, queue, &typed, "z", 1);
	typed.type = amqp_cstring_bytes("LAST");
	raw_publish(c, queue, &typed, "", 0);
	peer_until(&b, b.count, 3);
	assert_null(b.messages[0].type);
	assert_null(b.messages[0].content_type);
	assert_int_equal(b.messages[0].body_len, 2);
	assert_string_equal(b.messages[1].type, "");
	assert_null(b.messages[1].peer); /* not text */
	assert_string_equal(b.messages[2].type, "LAST");
	peer_until(&b, b.t->stats.malformed, 1);
	raw_close(c);
	peer_close(&b);
	free(queue);
}

static void test_order_of_many(void **state)
{
	enum { N = 10000 };
	struct peer a, b;
	char text[32];
	int i;

	(void)state;
	amqp_open_peer(&a, amqp_url(), NULL);
	amqp_open_peer(&b, amqp_url(), NULL);
	peer_consume(&b, "work", 0);
	b.settle = TF_ACK;
	for (i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "%d", i);
		peer_send(&a, "work", text, TF_PUBLISH_DECLARE, (uint64_t)i + 1);
	}
	peer_until(&b, b.count, N);
	peer_until(&a, a.outcome_count, N);
	for (i = 0; i < N; i++) {
		assert_int_equal(atoi(b.messages[i].body), i);
		assert_int_equal(a.outcomes[i].id, i + 1);
		assert_int_equal(a.outcomes[i].status, TF_PUBLISHED);
	}
	peer_close(&a);
	peer_close(&b);
}

static void test_settling(void **state)
{
	struct peer a, b;

	(void)state;
	amqp_open_peer(&a, amqp_url(), NULL);
	amqp_open_peer(&b, amqp_url(), NULL);
	peer_consume(&b, "work", 0);
	peer_send(&a, "work", "requeued", TF_PUBLISH_DECLARE, 0);
	peer_until(&b, b.count, 1);
	tf_transport_settle(b.t, b.messages[0].tag, TF_REQUEUE);
	peer_until(&b, b.count, 2);
	assert_string_equal(b.messages[1].body, "requeued");
	assert_true(b.messages[1].redelivered);
	tf_transport_settle(b.t, b.messages[1].tag, TF_REJECT);
	peer_send(&a, "work", "acked", TF_PUBLISH_DECLARE, 0);
	peer_send(&a, "work", "left", TF_PUBLISH_DECLARE, 0);
	peer_until(&b, b.count, 4);
	tf_transport_settle(b.t, b.messages[2].tag, TF_ACK);
	assert_int_equal(b.t->stats.received, 4);
	assert_int_equal(b.t->stats.rejected, 1);
	assert_int_equal(b.t->stats.requeued, 1);
	/* Another consumer keeps the queue when the first goes without settling. */
	struct peer c;
	amqp_open_peer(&c, amqp_url(), NULL);
	c.settle = TF_ACK;
	peer_consume(&c, "work", 0);
	peer_until(&c, c.ups, 1);
	peer_close(&b);
	peer_until(&c, c.count, 1);
	assert_string_equal(c.messages[0].body, "left");
	assert_true(c.messages[0].redelivered);
	peer_idle(&c, 100);
	assert_int_equal(c.count, 1);
	peer_close(&a);
	peer_close(&c);
}

static void test_prefetch(void **state)
{
	struct peer a, b;
	char text[16];
	int i;

	(void)state;
	amqp_open_peer(&a, amqp_url(), NULL);
	amqp_open_peer(&b, amqp_url(), NULL);
	peer_consume(&b, "few", 2);
	peer_consume(&b, "all", 0);
	for (i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "%d", i);
		peer_send(&a, "few", text, TF_PUBLISH_DECLARE, 0);
		peer_send(&a, "all", text, TF_PUBLISH_DECLARE, 0);
	}
	peer_until(&b, b.count, 12);
	peer_idle(&b, 200);
	assert_int_equal(b.count, 12); /* 10 of all, 2 of few */
	for (i = 0; i < 12; i++)
		if (strcmp(b.messages[i].topic, "few") == 0) {
			tf_transport_settle(b.t, b.messages[i].tag, TF_ACK);
			break;
		}
	peer_until(&b, b.count, 13);
	peer_idle(&b, 100);
	assert_int_equal(b.count, 13);
	assert_string_equal(b.messages[12].topic, "few");
	assert_string_equal(b.messages[12].body, "2");
	peer_close(&a);
	peer_close(&b);
}

/* "Up" says that the topics are consumed, also when they are named long after the connection stands. */
static void test_up_means_consuming(void **state)
{
	struct peer a, b;

	(void)state;
	amqp_open_peer(&b, amqp_url(), NULL);
	peer_until(&b, b.ups, 1);
	amqp_open_peer(&a, amqp_url(), NULL);
	usleep(300000); /* connected by now, and nobody has looked yet */
	peer_consume(&a, "work", 0);
	peer_until(&a, a.ups, 1);
	peer_send(&b, "work", "x", 0, 1);
	peer_until(&b, b.outcome_count, 1);
	assert_int_equal(b.outcomes[0].status, TF_PUBLISHED);
	peer_close(&a);
	peer_close(&b);
}

static void test_sizes(void **state)
{
	static const size_t SIZES[] = {
		0, 1, 131063, 131064, 131065, 131072, 262128, 262129, 1 << 20, TF_MAX_MESSAGE};
	const size_t count = sizeof(SIZES) / sizeof(*SIZES);
	struct peer a, b;
	struct tf_err err;
	char *body = tf_malloc(TF_MAX_MESSAGE + 1);
	size_t i, k;

	(void)state;
	for (k = 0; k <= TF_MAX_MESSAGE; k++)
		body[k] = (char)('a' + k % 23);
	amqp_open_peer(&a, amqp_url(), NULL);
	amqp_open_peer(&b, amqp_url(), NULL);
	b.settle = TF_ACK;
	peer_consume(&b, "big", 0);
	for (i = 0; i < count; i++) {
		struct tf_message m = {.topic = "big", .type = "REQUEST", .body = body, .body_len = SIZES[i]};

		amqp_send(&a, &m, TF_PUBLISH_DECLARE, i + 1);
		amqp_until(&b, 30, b.count == 1);
		assert_int_equal(b.messages[0].body_len, SIZES[i]);
		assert_memory_equal(b.messages[0].body, body, SIZES[i]);
		peer_forget(&b);
	}
	peer_until(&a, a.outcome_count, count);
	struct tf_message m = {.topic = "big", .body = body, .body_len = TF_MAX_MESSAGE + 1};
	assert_int_equal(tf_transport_publish(a.t, &m, 0, 99, &err), TF_ELIMIT);
	peer_close(&a);
	peer_close(&b);
	free(body);
}

static unsigned told_oversized;

static void count_oversized(void *arg, const struct tf_message *m)
{
	(void)arg;
	assert_string_equal(m->topic, "small");
	assert_string_equal(m->correlation_id, "too-large");
	assert_int_equal(m->body_len, 0);
	told_oversized++;
}

static void test_oversized_is_rejected(void **state)
{
	static const size_t SIZES[] = {1000, 1001, 1, 400000, 400000, 400000};
	struct peer a, b;
	struct tf_err err;
	struct tf_transport_config config = {
		.url = amqp_url(), .exchange = amqp_exchange, .max_message = 1000};
	char *body = tf_malloc(400000);

	(void)state;
	memset(body, 'x', 400000);
	amqp_open_peer(&a, amqp_url(), NULL);
	assert_int_equal(peer_open_config(&b, amqp_loop, &config, &err), 0);
	b.settle = TF_ACK;
	b.t->events.oversized = count_oversized;
	told_oversized = 0;
	peer_consume(&b, "small", 0);
	peer_until(&b, b.ups, 1);
	for (size_t i = 0; i < sizeof(SIZES) / sizeof(*SIZES); i++) {
		struct tf_message m = {
			.topic = "small", .correlation_id = "too-large", .body = body, .body_len = SIZES[i]};

		amqp_send(&a, &m, 0, 0);
	}
	peer_send(&a, "small", "y", 0, 0);
	peer_until(&b, b.count, 3);
	assert_int_equal(b.messages[0].body_len, 1000);
	assert_string_equal(b.messages[2].body, "y");
	peer_until(&b, b.t->stats.oversized, 4);
	assert_int_equal(told_oversized, 4);
	char *queue = amqp_queue("small");
	assert_int_equal(raw_count(amqp_url(), queue), 0); /* rejected for good */
	free(queue);
	peer_close(&a);
	peer_close(&b);
	free(body);
}

static void close_inside(struct peer *p, const struct peer_message *m)
{
	(void)m;
	tf_transport_close(p->t);
	p->t = NULL;
	p->settle = -1;
}

static void test_close_in_callback(void **state)
{
	struct peer a, b;
	int i;

	(void)state;
	amqp_open_peer(&a, amqp_url(), NULL);
	amqp_open_peer(&b, amqp_url(), NULL);
	b.hook = close_inside;
	peer_consume(&b, "work", 0);
	peer_until(&b, b.ups, 1);
	for (i = 0; i < 100; i++)
		peer_send(&a, "work", "x", 0, 0);
	peer_until(&b, b.count, 1);
	peer_idle(&a, 50);
	assert_int_equal(b.count, 1);
	peer_close(&a);
	peer_close(&b);
}

static int refused_option(const char *options, const char *says)
{
	struct peer p;
	struct tf_err err = {0};
	struct tf_value *v = tf_value_parse(options, strlen(options), 0, &err);
	struct tf_transport_config config = {.url = "amqp://127.0.0.1:1", .exchange = "x", .options = v};
	int rc = peer_open_config(&p, amqp_loop, &config, &err);

	assert_non_null(v);
	if (rc == 0)
		fail_msg("accepted: %s", options);
	if (!strstr(err.message, says))
		fail_msg("%s: \"%s\" lacks \"%s\"", options, err.message, says);
	tf_value_unref(v);
	return rc;
}

static void test_options(void **state)
{
	struct peer p;

	(void)state;
	assert_int_equal(refused_option("{\"hartbeat\": 1}", "\"hartbeat\""), TF_EINVAL);
	assert_int_equal(refused_option("{\"hartbeat\": 1}", "did you mean \"heartbeat\"?"), TF_EINVAL);
	assert_int_equal(refused_option("{\"colour\": 1}", "connect_timeout, heartbeat"), TF_EINVAL);
	assert_int_equal(refused_option("[]", "object"), TF_EINVAL);
	assert_int_equal(refused_option("{\"heartbeat\": -1}", "heartbeat"), TF_EINVAL);
	assert_int_equal(refused_option("{\"heartbeat\": 1.5}", "heartbeat"), TF_EINVAL);
	assert_int_equal(refused_option("{\"heartbeat\": \"1\"}", "heartbeat"), TF_EINVAL);
	assert_int_equal(refused_option("{\"frame_max\": 4095}", "frame_max"), TF_EINVAL);
	assert_int_equal(refused_option("{\"connect_timeout\": 0}", "connect_timeout"), TF_EINVAL);
	assert_int_equal(refused_option("{\"connect_timeout\": NaN}", "connect_timeout"), TF_EINVAL);
	assert_int_equal(refused_option("{\"login_method\": \"AMQPLAIN\"}", "EXTERNAL"), TF_EINVAL);
	assert_int_equal(refused_option("{\"ssl\": 1}", "ssl"), TF_EINVAL);
	assert_int_equal(refused_option("{\"ssl\": {\"ca_cert\": \"x\"}}", "ca_certs"), TF_EINVAL);
	assert_int_equal(refused_option("{\"ssl\": {\"cert_reqs\": \"maybe\"}}", "CERT_REQUIRED"), TF_EINVAL);
	assert_int_equal(refused_option("{\"ssl\": {\"keyfile\": \"/etc/passwd\"}}", "certfile"), TF_EINVAL);
	assert_int_equal(refused_option("{\"ssl\": {\"ca_certs\": \"/nowhere\"}}", "/nowhere"), TF_ESYS);
	assert_int_equal(
		refused_option("{\"topology\": \"Durable\"}", "\"compat\" or \"durable\""), TF_EINVAL);
	assert_int_equal(refused_option("{\"queue_type\": \"quorum\"}", "topology \"durable\""), TF_EINVAL);
	assert_int_equal(refused_option("{\"expires\": 60}", "topology \"durable\""), TF_EINVAL);
	assert_int_equal(refused_option("{\"max_priority\": 9}", "topology \"durable\""), TF_EINVAL);
	assert_int_equal(refused_option("{\"topology\": \"durable\", \"max_priority\": 256}", "max_priority"),
		TF_EINVAL);
	assert_int_equal(
		refused_option("{\"topology\": \"durable\", \"queue_type\": \"quorum\", \"max_priority\": 9}",
			"classic"),
		TF_EINVAL);
	assert_int_equal(refused_option("{\"topology\": \"durable\", \"expires\": 0}", "expires"), TF_EINVAL);
	amqp_open_peer(&p, amqp_url(),
		"{\"heartbeat\": 0, \"frame_max\": 4096, \"connect_timeout\": 2.5, \"login_method\": "
		"\"PLAIN\", "
		"\"ssl\": false}");
	peer_until(&p, p.ups, 1);
	peer_close(&p);
}

#define T(name) cmocka_unit_test_setup_teardown(name, amqp_set_up, amqp_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_round_trip),
		T(test_foreign_properties),
		T(test_order_of_many),
		T(test_settling),
		T(test_prefetch),
		T(test_up_means_consuming),
		T(test_sizes),
		T(test_oversized_is_rejected),
		T(test_close_in_callback),
		T(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
