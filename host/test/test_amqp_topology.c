/* The amqp transport's topologies: what stays on the broker, what goes, and what a broker says that wants no transient
 * queues. */
#include <stdio.h>
#include <string.h>

#include "amqp_env.h"
#include "amqp_raw.h"
#include "amqp_stub.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "cmocka_all.h"

static const char *const DURABLE[] = {
	"{\"topology\": \"durable\", \"heartbeat\": 2}",
	"{\"topology\": \"durable\", \"queue_type\": \"quorum\", \"heartbeat\": 2}",
};

/* What nobody has acknowledged is there for the next, and the next one gets it. */
static void test_requests_outlive_their_worker(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct peer engine, worker;
		char *topic = tf_asprintf("work%zu", i), *queue = amqp_queue(topic);
		amqp_connection_state_t c = raw_open(amqp_url());

		amqp_open_peer(&engine, amqp_url(), DURABLE[i]);
		amqp_open_peer(&worker, amqp_url(), DURABLE[i]);
		peer_consume(&engine, "engine", 0);
		peer_consume(&worker, topic, 0);
		peer_until(&worker, worker.ups, 1);
		peer_send(&engine, topic, "one", TF_PUBLISH_DECLARE, 1);
		peer_until(&worker, worker.count, 1);
		peer_close(&worker); /* `compat` deletes the queue here */
		peer_send(&engine, topic, "two", TF_PUBLISH_DECLARE, 2);
		peer_until(&engine, engine.outcome_count, 2);
		assert_int_equal(engine.outcomes[1].status, TF_PUBLISHED);
		amqp_open_peer(&worker, amqp_url(), DURABLE[i]);
		worker.settle = TF_ACK;
		peer_consume(&worker, topic, 0);
		peer_until(&worker, worker.count, 2);
		assert_true(worker.messages[0].redelivered);
		peer_close(&worker);
		peer_close(&engine);
		raw_delete_queue(c, queue);
		free(queue);
		queue = amqp_queue("engine");
		raw_delete_queue(c, queue);
		raw_close(c);
		free(queue);
		free(topic);
	}
}

/* A private queue goes with an owner that leaves in order; after the owner's death it waits for a while. */
static void test_private_queues(void **state)
{
	struct tcp_proxy *proxy = tcp_proxy_new(amqp_port(amqp_url()));
	char *url = amqp_url_through(proxy), id[TF_UUID_LEN + 1], *queue;
	struct peer engine, worker;
	int tries = 4;

	(void)state;
	tf_uuid(id);
	queue = amqp_queue(id);
	amqp_open_peer(&engine, url, "{\"topology\": \"durable\", \"expires\": 3}");
	peer_consume(&engine, id, 0);
	peer_until(&engine, engine.ups, 1);
	assert_int_equal(raw_count(amqp_url(), queue), 0);
	tcp_proxy_refuse(proxy, true);
	tcp_proxy_cut(proxy);
	peer_until(&engine, engine.downs, 1);
	/* The reply of a worker finds it; then the engine is back. */
	amqp_open_peer(&worker, amqp_url(), "{\"topology\": \"durable\", \"expires\": 3}");
	peer_send(&worker, id, "reply", 0, 1);
	peer_until(&worker, worker.outcome_count, 1);
	assert_int_equal(worker.outcomes[0].status, TF_PUBLISHED);
	tcp_proxy_refuse(proxy, false);
	peer_until(&engine, engine.count, 1);
	assert_string_equal(engine.messages[0].body, "reply");
	/* Away for good. */
	tcp_proxy_refuse(proxy, true);
	tcp_proxy_cut(proxy);
	do /* looking at the queue is a use of it, too */
		peer_idle(&worker, 4500);
	while (raw_count(amqp_url(), queue) != -1 && --tries);
	assert_int_not_equal(tries, 0);
	tcp_proxy_refuse(proxy, false);
	amqp_until(&engine, 20, raw_count(amqp_url(), queue) == 0);
	peer_close(&engine);
	assert_int_equal(raw_count(amqp_url(), queue), -1);
	peer_close(&worker);
	free(queue);
	free(url);
	tcp_proxy_delete(proxy);
}

/* A topic's queue that looks at priorities gives the highest first, of equals the oldest. */
static void test_priorities(void **state)
{
	static const char options[] = "{\"topology\": \"durable\", \"max_priority\": 5}";
	static const int priorities[] = {0, -3, 5, 1, 99};
	static const char *const bodies[] = {"zero", "below", "five", "one", "far"};
	static const char *const order[] = {"five", "far", "one", "zero", "below"};
	struct tf_err err;
	struct peer engine, worker;

	(void)state;
	amqp_open_peer(&worker, amqp_url(), options); /* declares */
	peer_consume(&worker, "urgent", 1);
	peer_until(&worker, worker.ups, 1);
	peer_close(&worker);
	amqp_open_peer(&engine, amqp_url(), options);
	for (size_t i = 0; i < 5; i++) {
		const struct tf_message m = {.topic = "urgent",
			.type = "REQUEST",
			.priority = priorities[i],
			.body = bodies[i],
			.body_len = strlen(bodies[i])};
		assert_int_equal(tf_transport_publish(engine.t, &m, TF_PUBLISH_DECLARE, i + 1, &err), 0);
	}
	peer_until(&engine, engine.outcome_count, 5);
	amqp_open_peer(&worker, amqp_url(), options);
	worker.settle = TF_ACK;
	peer_consume(&worker, "urgent", 1);
	peer_until(&worker, worker.count, 5);
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(worker.messages[i].body, order[i]);
	peer_close(&worker);
	peer_close(&engine);
}

static void test_peers_that_disagree(void **state)
{
	struct peer a, b;

	(void)state;
	amqp_open_peer(&a, amqp_url(), NULL);
	peer_consume(&a, "me", 0);
	peer_until(&a, a.ups, 1);
	amqp_open_peer(&b, amqp_url(), DURABLE[0]);
	peer_consume(&b, "other", 0);
	peer_until(&b, b.downs, 1);
	assert_non_null(strstr(b.down_err.message, "another topology"));
	assert_non_null(strstr(b.down_err.message, amqp_exchange));
	peer_close(&a); /* and the transient exchange with it */
	peer_until(&b, b.ups, 1);
	peer_close(&b);
}

/* A stub plays RabbitMQ 4.3. */
static void test_transient_queues_refused(void **state)
{
	struct amqp_stub *stub = amqp_stub_new();
	char *url = tf_asprintf("amqp://guest:guest@127.0.0.1:%d//", amqp_stub_port(stub));
	struct peer a;

	(void)state;
	amqp_open_peer(&a, url, NULL);
	peer_consume(&a, "me", 0);
	peer_until(&a, a.downs, 1);
	assert_non_null(strstr(a.down_err.message, "transient_nonexcl_queues"));
	assert_non_null(strstr(a.down_err.message, "topology=durable"));
	assert_non_null(strstr(a.down_err.message, "RabbitMQ does from 4.3 on"));
	assert_int_equal(a.ups, 0);
	peer_close(&a);
	/* The way out that it names. */
	amqp_open_peer(&a, url, DURABLE[0]);
	peer_consume(&a, "me", 0);
	peer_until(&a, a.ups, 1);
	assert_int_equal(a.downs, 0);
	peer_close(&a);
	amqp_stub_delete(stub);
	free(url);
}

#define T(name) cmocka_unit_test_setup_teardown(name, amqp_set_up, amqp_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_requests_outlive_their_worker),
		T(test_private_queues),
		T(test_priorities),
		T(test_peers_that_disagree),
		T(test_transient_queues_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
