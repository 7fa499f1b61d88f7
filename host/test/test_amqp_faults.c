/* The amqp transport when things break: connections, brokers, certificates, rights. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "amqp_env.h"
#include "amqp_raw.h"
#include "base/mem.h"
#include "cmocka_all.h"

/* A node of this program's own, which may be stopped; started by the first test that asks. */
static char *node;

static void need_node(void)
{
	char name[] = "/tmp/tfhost-test-amqp.XXXXXX";

	if (node)
		return;
	assert_non_null(mkdtemp(name));
	node = tf_strdup(name);
	amqp_shell("RABBIT_OWNER=%d RABBIT_TLS=1 RABBIT_TLS_VERIFY=1 spec/support/rabbitmq start %s",
		(int)getpid(), node);
}

static int end_node(void **state)
{
	(void)state;
	if (!node)
		return 0;
	amqp_shell("spec/support/rabbitmq kill9 %s", node);
	amqp_shell("rm -rf %s", node);
	free(node);
	return 0;
}

static void send_number(struct peer *p, const char *topic, int i, unsigned flags)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", i);
	peer_send(p, topic, text, flags, (uint64_t)i + 1);
}

/* How many numbers from 0 on came, each for the first time in order; fails the test if one is late. */
static int in_order(const struct peer *p)
{
	int next = 0;
	size_t i;

	for (i = 0; i < p->count; i++) {
		int x = atoi(p->messages[i].body);

		if (x > next)
			fail_msg("%d came before %d", x, next);
		if (x == next)
			next++;
	}
	return next;
}

static void assert_all_published(const struct peer *p, size_t n)
{
	size_t i;

	assert_int_equal(p->outcome_count, n);
	for (i = 0; i < n; i++)
		assert_int_equal(p->outcomes[i].status, TF_PUBLISHED);
}

/* The sender's connections break at every possible place in the stream. */
static void test_cut_while_publishing(void **state)
{
	enum { ROUNDS = 12, EACH = 100 };
	struct tcp_proxy *proxy = tcp_proxy_new(amqp_port(amqp_url()));
	char *url = amqp_url_through(proxy);
	struct peer a, b;
	int i, round;

	(void)state;
	amqp_open_peer(&b, amqp_url(), NULL);
	b.settle = TF_ACK;
	peer_consume(&b, "work", 0);
	amqp_open_peer(&a, url, NULL);
	peer_until(&a, a.ups, 1);
	for (round = 0; round < ROUNDS; round++) {
		tcp_proxy_cut_after(proxy, 1 + (size_t)round * 997);
		for (i = round * EACH; i < (round + 1) * EACH; i++)
			send_number(&a, "work", i, TF_PUBLISH_DECLARE);
		amqp_until(&a, 20, a.outcome_count == (size_t)(round + 1) * EACH);
	}
	assert_all_published(&a, (size_t)ROUNDS * EACH);
	amqp_until(&b, 10, in_order(&b) == ROUNDS * EACH);
	assert_true(a.t->stats.reconnects >= ROUNDS / 2);
	assert_true(a.downs >= a.t->stats.reconnects);
	assert_int_equal(b.downs, 0);
	peer_close(&a);
	peer_close(&b);
	tcp_proxy_delete(proxy);
	free(url);
}

static bool all_came(const struct peer *p, int n)
{
	bool *came = tf_calloc((size_t)n, sizeof(*came));
	int left = n;
	size_t i;

	for (i = 0; i < p->count; i++) {
		left -= !came[atoi(p->messages[i].body)];
		came[atoi(p->messages[i].body)] = true;
	}
	free(came);
	return left == 0;
}

/* A consumer whose connection breaks gets everything, what it had not settled again. */
static void test_cut_while_consuming(void **state)
{
	enum { N = 2000 };
	struct tcp_proxy *proxy = tcp_proxy_new(amqp_port(amqp_url()));
	char *url = amqp_url_through(proxy);
	struct peer a, b, keeper;
	int i;

	(void)state;
	/* The queue must outlive b: another consumer that is never given anything. */
	amqp_open_peer(&keeper, amqp_url(), NULL);
	amqp_open_peer(&a, amqp_url(), NULL);
	amqp_open_peer(&b, url, NULL);
	peer_consume(&keeper, "work", 1);
	peer_until(&keeper, keeper.ups, 1);
	peer_send(&a, "work", "for the keeper", 0, 0);
	peer_until(&keeper, keeper.count, 1);
	b.settle = TF_ACK;
	peer_consume(&b, "work", 50);
	peer_until(&b, b.ups, 1);
	for (i = 0; i < N; i++)
		send_number(&a, "work", i, 0);
	for (size_t k = 1; k <= 4; k++) {
		amqp_until(&b, 10, b.count >= k * N / 8);
		tcp_proxy_cut(proxy);
	}
	amqp_until(&b, 20, all_came(&b, N));
	peer_until(&a, a.outcome_count, N);
	/* Tags of lost connections are harmless. */
	tf_transport_settle(b.t, b.messages[0].tag, TF_ACK);
	tf_transport_settle(b.t, b.messages[0].tag, TF_REQUEUE);
	peer_idle(&b, 100);
	assert_true(b.downs >= b.t->stats.reconnects && b.t->stats.reconnects > 0);
	assert_true(tf_transport_is_up(b.t));
	peer_close(&a);
	peer_close(&b);
	peer_close(&keeper);
	tcp_proxy_delete(proxy);
	free(url);
}

/* A network that swallows everything: noticed by the missing heartbeats. */
static void test_stall(void **state)
{
	struct tcp_proxy *proxy = tcp_proxy_new(amqp_port(amqp_url()));
	char *url = amqp_url_through(proxy), *big = tf_malloc(8 << 20);
	struct tf_err err;
	struct peer a, b;
	int i;

	(void)state;
	memset(big, 'x', 8 << 20);
	amqp_open_peer(&b, amqp_url(), NULL);
	b.settle = TF_ACK;
	peer_consume(&b, "work", 0);
	amqp_open_peer(&a, url, "{\"heartbeat\": 1}");
	peer_consume(&a, "me", 0);
	peer_until(&a, a.ups, 1);
	tcp_proxy_stall(proxy, true);
	for (i = 0; i < 4; i++) { /* more than the sockets' buffers take: the publisher blocks */
		struct tf_message m = {.topic = "work", .body = big, .body_len = 8 << 20};

		assert_int_equal(tf_transport_publish(a.t, &m, TF_PUBLISH_DECLARE, (uint64_t)i + 1, &err), 0);
	}
	peer_until(&a, a.downs, 1);
	tcp_proxy_cut(proxy);
	tcp_proxy_stall(proxy, false);
	peer_until(&a, a.ups, 2);
	amqp_until(&a, 20, a.outcome_count == 4);
	assert_all_published(&a, 4);
	amqp_until(&b, 10, b.count >= 4);
	peer_close(&a);
	peer_close(&b);
	tcp_proxy_delete(proxy);
	free(url);
	free(big);
}

/* Idle connections stay, and cost next to nothing. */
static void test_idle_heartbeats(void **state)
{
	struct rusage before, after;
	struct peer a;

	(void)state;
	amqp_open_peer(&a, amqp_url(), "{\"heartbeat\": 1}");
	peer_consume(&a, "me", 0);
	peer_until(&a, a.ups, 1);
	getrusage(RUSAGE_SELF, &before);
	for (int i = 0; i < 450; i++) { /* sleeps, mostly: the loop's own turns are not what is measured */
		usleep(10000);
		tf_loop_turn(amqp_loop, false);
	}
	getrusage(RUSAGE_SELF, &after);
	assert_int_equal(a.downs, 0);
	assert_true(after.ru_utime.tv_sec - before.ru_utime.tv_sec <= 1);
	peer_close(&a);
}

/* close() does not wait for a broker that does not answer. */
static void test_close_of_the_dead(void **state)
{
	struct tcp_proxy *proxy = tcp_proxy_new(amqp_port(amqp_url()));
	char *url = amqp_url_through(proxy);
	struct peer a;
	uint64_t start;

	(void)state;
	amqp_open_peer(&a, url, NULL);
	peer_consume(&a, "me", 0);
	peer_until(&a, a.ups, 1);
	tcp_proxy_stall(proxy, true);
	peer_send(&a, "me", "x", 0, 1);
	start = tf_clock_ms(&tf_clock_real);
	peer_close(&a);
	assert_in_range(tf_clock_ms(&tf_clock_real) - start, 0, 3500);
	/* And while it connects. */
	amqp_open_peer(&a, url, NULL);
	peer_idle(&a, 50);
	start = tf_clock_ms(&tf_clock_real);
	peer_close(&a);
	assert_in_range(tf_clock_ms(&tf_clock_real) - start, 0, 3500);
	tcp_proxy_delete(proxy);
	free(url);
}

static void assert_down_says(const char *url, const char *options, const char *says)
{
	struct peer a;

	amqp_open_peer(&a, url, options);
	peer_consume(&a, "me", 0);
	peer_until(&a, a.downs, 1);
	if (!strstr(a.down_err.message, says))
		fail_msg("\"%s\" lacks \"%s\"", a.down_err.message, says);
	assert_null(strstr(a.down_err.message, "s3cret"));
	peer_idle(&a, 300);
	assert_int_equal(a.downs, 1); /* the same story is told once */
	assert_int_equal(a.ups, 0);
	assert_false(tf_transport_is_up(a.t));
	peer_close(&a);
}

static void test_refusals(void **state)
{
	int port = amqp_port(amqp_url());
	char *url;

	(void)state;
	url = tf_asprintf("amqp://guest:s3cret@127.0.0.1:%d//", port);
	assert_down_says(url, NULL, "check user and password");
	free(url);
	url = tf_asprintf("amqp://guest:guest@127.0.0.1:%d/none", port);
	assert_down_says(url, NULL, "check the vhost");
	free(url);
	assert_down_says("amqp://guest:s3cret@127.0.0.1:1//", NULL, "Connection refused");
	assert_down_says("amqp://guest:s3cret@no.such.host.invalid//", NULL, "check the host");
	/* Not a broker at all: a proxy to nowhere. */
	struct tcp_proxy *proxy = tcp_proxy_new(1);
	struct peer a;
	url = amqp_url_through(proxy);
	amqp_open_peer(&a, url, NULL);
	peer_until(&a, a.downs, 1);
	peer_close(&a);
	free(url);
	tcp_proxy_delete(proxy);
}

static void test_other_arguments(void **state)
{
	struct peer a;
	char *queue = amqp_queue("me");
	amqp_connection_state_t c = raw_open(amqp_url());

	(void)state;
	raw_declare(c, queue, true, false);
	amqp_open_peer(&a, amqp_url(), NULL);
	peer_consume(&a, "me", 0);
	peer_until(&a, a.downs, 1);
	assert_non_null(strstr(a.down_err.message, "other arguments"));
	assert_non_null(strstr(a.down_err.message, queue));
	raw_delete_queue(c, queue); /* the operator does what the error says */
	peer_until(&a, a.ups, 1);
	peer_close(&a);
	raw_close(c);
	free(queue);
}

static void test_fail_over(void **state)
{
	struct tcp_proxy *first = tcp_proxy_new(amqp_port(amqp_url()));
	struct tcp_proxy *second = tcp_proxy_new(amqp_port(amqp_url()));
	char *url = tf_asprintf("amqp://127.0.0.1:1;amqp://127.0.0.1:%d;amqp://127.0.0.1:%d",
		tcp_proxy_port(first), tcp_proxy_port(second));
	struct peer a;

	(void)state;
	amqp_open_peer(&a, url, NULL);
	a.settle = TF_ACK;
	peer_consume(&a, "me", 0);
	peer_until(&a, a.ups, 1);
	assert_int_equal(tcp_proxy_accepted(first), 2); /* both links */
	assert_int_equal(tcp_proxy_accepted(second), 0);
	tcp_proxy_refuse(first, true);
	tcp_proxy_cut(first);
	send_number(&a, "me", 0, 0);
	peer_until(&a, a.count, 1);
	peer_until(&a, a.ups, 2);
	/* One more if the broker removed the exchange with the queue of the cut connection right then. */
	assert_in_range(tcp_proxy_accepted(second), 2, 3);
	/* And back again. */
	tcp_proxy_refuse(first, false);
	tcp_proxy_refuse(second, true);
	tcp_proxy_cut(second);
	send_number(&a, "me", 1, 0);
	amqp_until(&a, 10, a.outcome_count == 2);
	assert_all_published(&a, 2);
	peer_close(&a);
	tcp_proxy_delete(first);
	tcp_proxy_delete(second);
	free(url);
}

/* The broker dies, comes back with nothing, and everything that was not confirmed arrives. */
static void test_broker_restart(void **state)
{
	enum { BEFORE = 200, DURING = 300, N = BEFORE + DURING };
	struct peer a, b;
	char *url;
	int i;

	(void)state;
	need_node();
	url = amqp_read_file(node, "url");
	amqp_open_peer(&a, url, NULL);
	amqp_open_peer(&b, url, NULL);
	b.settle = TF_ACK;
	peer_consume(&b, "work", 0);
	peer_until(&b, b.ups, 1);
	for (i = 0; i < BEFORE; i++)
		send_number(&a, "work", i, TF_PUBLISH_DECLARE);
	amqp_until(&b, 10, b.count >= BEFORE);
	amqp_shell("spec/support/rabbitmq kill9 %s", node);
	for (; i < N; i++)
		send_number(&a, "work", i, TF_PUBLISH_DECLARE);
	peer_until(&a, a.downs, 1);
	peer_until(&b, b.downs, 1);
	amqp_shell("RABBIT_OWNER=%d spec/support/rabbitmq start %s", (int)getpid(), node);
	amqp_until(&a, 20, a.outcome_count == N);
	amqp_until(&b, 20, in_order(&b) == N);
	assert_all_published(&a, N);
	assert_int_equal(a.ups, 2);
	/* Orderly: the broker says good-bye. */
	amqp_shell("spec/support/rabbitmq stop %s", node);
	peer_until(&a, a.downs, 2);
	assert_non_null(strstr(a.down_err.message, "127.0.0.1"));
	send_number(&a, "work", N, TF_PUBLISH_DECLARE);
	amqp_shell("RABBIT_OWNER=%d spec/support/rabbitmq start %s", (int)getpid(), node);
	amqp_until(&b, 20, b.count && atoi(b.messages[b.count - 1].body) == N);
	peer_close(&a);
	peer_close(&b);
	free(url);
}

static void test_blocked(void **state)
{
	struct peer a;
	char *url;

	(void)state;
	need_node();
	url = amqp_read_file(node, "url");
	amqp_open_peer(&a, url, "{\"heartbeat\": 2}");
	a.settle = TF_ACK;
	peer_consume(&a, "me", 0);
	send_number(&a, "me", 0, 0);
	peer_until(&a, a.outcome_count, 1);
	amqp_shell("spec/support/rabbitmq ctl %s set_vm_memory_high_watermark 0.00001 >/dev/null", node);
	send_number(&a, "me", 1, 0); /* the first publish makes the broker say so */
	peer_idle(&a, 1000);
	send_number(&a, "me", 2, 0);
	peer_idle(&a, 4500); /* two heartbeats */
	assert_int_equal(a.outcome_count, 1);
	assert_int_equal(a.downs, 0);
	amqp_shell("spec/support/rabbitmq ctl %s set_vm_memory_high_watermark 0.4 >/dev/null", node);
	peer_until(&a, a.outcome_count, 3);
	assert_all_published(&a, 3);
	peer_until(&a, a.count, 3); /* on the other connection: confirmed is not delivered */
	assert_int_equal(a.downs, 0);
	/* The broker's own limit of a message's size: that message fails, others do not. */
	amqp_shell("spec/support/rabbitmq ctl %s eval 'application:set_env(rabbit, max_message_size, 1000), "
		   "persistent_term:put(max_message_size, 1000).' >/dev/null",
		node);
	free(url);
	url = tf_calloc(1, 2000);
	memset(url, 'x', 1999);
	peer_close(&a);
	peer_forget(&a);
	char *node_url = amqp_read_file(node, "url");
	amqp_open_peer(&a, node_url, NULL);
	a.settle = TF_ACK;
	peer_consume(&a, "me", 0);
	for (int i = 0; i < 9; i++) {
		struct tf_message m = {.topic = "me", .body = url, .body_len = i == 4 ? 1999 : 10};
		struct tf_err err;

		assert_int_equal(tf_transport_publish(a.t, &m, 0, (uint64_t)i + 1, &err), 0);
	}
	peer_until(&a, a.outcome_count, 9);
	for (int i = 0; i < 9; i++)
		assert_int_equal(
			a.outcomes[i].status, a.outcomes[i].id == 5 ? TF_PUBLISH_FAILED : TF_PUBLISHED);
	peer_close(&a);
	free(node_url);
	free(url);
}

static void assert_tls_up(const char *url, const char *options)
{
	struct peer a;

	amqp_open_peer(&a, url, options);
	a.settle = TF_ACK;
	peer_consume(&a, "me", 0);
	amqp_until(&a, 10, a.ups || a.downs);
	if (a.downs)
		fail_msg("%s: %s", options, a.down_err.message);
	char *big = tf_malloc(3 << 20);
	memset(big, 'x', 3 << 20);
	struct tf_message m = {.topic = "me", .body = big, .body_len = 3 << 20};
	struct tf_err err;
	assert_int_equal(tf_transport_publish(a.t, &m, 0, 1, &err), 0);
	for (int i = 1; i < 500; i++)
		send_number(&a, "me", i, 0);
	amqp_until(&a, 20, a.count == 500 && a.outcome_count == 500);
	assert_all_published(&a, 500);
	assert_int_equal(a.messages[0].body_len, 3 << 20);
	assert_int_equal(a.downs, 0);
	peer_close(&a);
	free(big);
}

static char *ssl_options(const char *ca, const char *more)
{
	return tf_asprintf("{\"ssl\": {\"ca_certs\": \"%s/%s\"%s}}", node, ca, more);
}

static void test_tls(void **state)
{
	char *url, *by_number, *o, *client;

	(void)state;
	need_node();
	url = amqp_read_file(node, "url_tls");
	client = tf_asprintf(", \"certfile\": \"%s/client.pem\", \"keyfile\": \"%s/client.key\"", node, node);
	o = ssl_options("ca.pem", client);
	assert_tls_up(url, o);
	by_number = tf_asprintf("amqp://guest:guest@localhost:%d//", amqp_port(url));
	assert_tls_up(by_number, o); /* `ssl` alone makes it TLS */
	free(by_number);
	free(o);
	o = ssl_options("other-ca.pem", client);
	assert_down_says(url, o, "signed by ca_certs");
	free(o);
	o = ssl_options("ca.pem", "");
	assert_down_says(url, o, "certificate");
	free(o);
	/* Without any authority of ours, the system's: they did not sign it. */
	assert_down_says(url, NULL, "certificate");
	/* Names are compared, addresses not. */
	by_number = tf_asprintf("amqps://guest:guest@127.0.0.1:%d//", amqp_port(url));
	o = ssl_options("ca.pem", client);
	assert_down_says(by_number, o, "host name");
	free(o);
	char *unchecked = tf_asprintf("%s, \"check_hostname\": false", client);
	o = ssl_options("ca.pem", unchecked);
	assert_tls_up(by_number, o);
	free(o);
	free(unchecked);
	unchecked = tf_asprintf("%s, \"cert_reqs\": \"CERT_NONE\"", client);
	o = ssl_options("other-ca.pem", unchecked);
	assert_tls_up(by_number, o);
	free(o);
	free(unchecked);
	free(by_number);
	free(client);
	free(url);
}

#define T(name) cmocka_unit_test_setup_teardown(name, amqp_set_up, amqp_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_cut_while_publishing),
		T(test_cut_while_consuming),
		T(test_stall),
		T(test_idle_heartbeats),
		T(test_close_of_the_dead),
		T(test_refusals),
		T(test_other_arguments),
		T(test_fail_over),
		T(test_tls),
		T(test_blocked),
		T(test_broker_restart),
	};

	return cmocka_run_group_tests(tests, NULL, end_node);
}
