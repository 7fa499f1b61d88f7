/* Tracked messages of the amqp transport: a queue that is not the one it was is noticed, what is lost with it exactly. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "amqp_env.h"
#include "amqp_raw.h"
#include "base/mem.h"
#include "cmocka_all.h"
#include "transport/amqp_graves.h"

enum { TRACKED = TF_PUBLISH_DECLARE | TF_PUBLISH_TRACK };

static void expect(amqp_connection_state_t c, const char *queue, const char *const *bodies)
{
	char *body;

	for (; *bodies; bodies++) {
		assert_true(raw_get(c, queue, &body));
		assert_string_equal(body, *bodies);
		free(body);
	}
	assert_false(raw_get(c, queue, NULL));
}

/* Gone, and made anew by somebody else before the next message: told before that one's outcome, once. */
static void test_made_anew_by_others(void **state)
{
	struct peer a;
	char *queue = amqp_queue("work");
	amqp_connection_state_t c = raw_open(amqp_url());

	(void)state;
	amqp_open_peer(&a, amqp_url(), NULL);
	peer_consume(&a, "me", 0);
	peer_send(&a, "work", "1", TRACKED, 1);
	peer_send(&a, "work", "2", TRACKED, 2);
	peer_until(&a, a.outcome_count, 2);
	assert_int_equal(a.losts, 0);
	raw_delete_queue(c, queue);
	raw_declare(c, queue, false, true);
	raw_bind(c, queue, amqp_exchange, "work");
	for (int i = 3; i <= 6; i++) /* those on their way meet the loss together */
		peer_send(&a, "work", (const char *[]){"3", "4", "5", "6"}[i - 3], TRACKED, (uint64_t)i);
	peer_until(&a, a.outcome_count, 6);
	assert_int_equal(a.losts, 1);
	assert_string_equal(a.lost, "work");
	assert_int_equal(a.lost_after, 2);
	for (int i = 0; i < 6; i++)
		assert_int_equal(a.outcomes[i].status, TF_PUBLISHED);
	expect(c, queue, (const char *const[]){"3", "4", "5", "6", NULL});
	peer_send(&a, "work", "7", TRACKED, 7);
	peer_until(&a, a.outcome_count, 7);
	assert_int_equal(a.losts, 1); /* it is the one that it was */
	raw_delete_queue(c, queue);
	raw_close(c);
	free(queue);
	assert_int_equal(a.downs, 0);
	peer_close(&a);
}

/* A message that does not declare tells the loss, too, and makes no queue. */
static void test_without_declaring(void **state)
{
	struct peer a;
	char *queue = amqp_queue("work");
	amqp_connection_state_t c = raw_open(amqp_url());

	(void)state;
	amqp_open_peer(&a, amqp_url(), NULL);
	peer_consume(&a, "me", 0);
	peer_send(&a, "work", "0", TF_PUBLISH_TRACK, 1); /* nothing to track yet */
	peer_send(&a, "work", "1", TRACKED, 2);
	peer_until(&a, a.outcome_count, 2);
	assert_int_equal(a.outcomes[0].status, TF_RETURNED);
	raw_delete_queue(c, queue);
	peer_send(&a, "work", "2", TF_PUBLISH_TRACK, 3);
	peer_until(&a, a.outcome_count, 3);
	assert_int_equal(a.outcomes[2].status, TF_RETURNED);
	assert_int_equal(a.losts, 1);
	assert_int_equal(a.lost_after, 2);
	assert_int_equal(raw_count(amqp_url(), queue), -1);
	raw_close(c);
	free(queue);
	peer_close(&a);
}

/* Publish by the key that the proxy has seen. */
static void send_by_key(struct tcp_proxy *proxy, amqp_connection_state_t c)
{
	char key[64] = "", *sent = NULL;
	const char *at = NULL;

	for (size_t i = 0, len; !at && (sent = tcp_proxy_sent(proxy, i, &len)) != NULL; i++) {
		at = memmem(sent, len, "tfhost.", 7);
		for (size_t n = 0; at && n < sizeof(key) - 1 &&
				   (at[n] == '.' || at[n] == '-' || (at[n] >= '0' && at[n] <= '9') ||
					   (at[n] >= 'a' && at[n] <= 'z'));
			n++)
			key[n] = at[n];
		free(sent);
	}
	assert_int_equal(strlen(key), strlen("tfhost.") + 36 + 2);
	assert_int_equal(amqp_basic_publish(c, 1, amqp_cstring_bytes(amqp_exchange), amqp_cstring_bytes(key),
				 0, 0, NULL, amqp_cstring_bytes("by key")),
		AMQP_STATUS_OK);
}

/* Messages, tracked or not, arrive in order, and who closes leaves no binding: a queue that lives long would keep them all. */
static void test_bindings_are_taken_back(void **state)
{
	struct tcp_proxy *proxy = tcp_proxy_new(amqp_port(amqp_url()));
	char text[16], *url = amqp_url_through(proxy);
	amqp_connection_state_t c = raw_open(amqp_url());
	struct peer a, b;

	(void)state;
	amqp_open_peer(&b, amqp_url(), NULL);
	b.settle = TF_ACK;
	peer_consume(&b, "work", 0);
	peer_until(&b, b.ups, 1);
	amqp_open_peer(&a, url, NULL);
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "%d", i);
		peer_send(&a, "work", text, i % 3 ? TRACKED : TF_PUBLISH_DECLARE, (uint64_t)i + 1);
	}
	peer_until(&a, a.outcome_count, 100);
	send_by_key(proxy, c);
	peer_until(&b, b.count, 101);
	for (int i = 0; i < 100; i++)
		assert_int_equal(atoi(b.messages[i].body), i);
	peer_close(&a);
	send_by_key(proxy, c);
	peer_idle(&b, 200);
	assert_int_equal(b.count, 101);
	raw_close(c);
	peer_close(&b);
	tcp_proxy_delete(proxy);
	free(url);
}

/* The connection is lost, the queue is not: nothing is lost. */
static void test_a_cut_is_no_loss(void **state)
{
	struct tcp_proxy *proxy = tcp_proxy_new(amqp_port(amqp_url()));
	char *url = amqp_url_through(proxy), *queue = amqp_queue("work");
	amqp_connection_state_t c = raw_open(amqp_url());
	struct peer a;

	(void)state;
	amqp_open_peer(&a, url, NULL);
	peer_send(&a, "work", "1", TRACKED, 1);
	peer_until(&a, a.outcome_count, 1);
	tcp_proxy_cut(proxy);
	peer_until(&a, a.downs, 1);
	peer_until(&a, a.ups, 2);
	peer_send(&a, "work", "2", TRACKED, 2);
	peer_until(&a, a.outcome_count, 2);
	assert_int_equal(a.losts, 0);
	expect(c, queue, (const char *const[]){"1", "2", NULL});
	raw_delete_queue(c, queue);
	peer_send(&a, "work", "3", TRACKED, 3);
	peer_until(&a, a.outcome_count, 3);
	assert_int_equal(a.losts, 1);
	raw_delete_queue(c, queue);
	raw_close(c);
	free(queue);
	peer_close(&a);
	tcp_proxy_delete(proxy);
	free(url);
}

/* What is published to a group comes to each who named it, also after a reconnect; to nobody: it is returned. */
static void test_groups(void **state)
{
	struct tcp_proxy *proxy = tcp_proxy_new(amqp_port(amqp_url()));
	char *url = amqp_url_through(proxy);
	struct peer a, members[2];

	(void)state;
	amqp_open_peer(&a, amqp_url(), NULL);
	peer_consume(&a, "me", 0);
	peer_send(&a, "all", "nobody", 0, 1);
	peer_until(&a, a.outcome_count, 1);
	assert_int_equal(a.outcomes[0].status, TF_RETURNED);
	for (int i = 0; i < 2; i++) {
		amqp_open_peer(&members[i], i ? url : amqp_url(), NULL);
		members[i].settle = TF_ACK;
		assert_int_equal(tf_transport_consume_in(members[i].t, i ? "one" : "two", "all", 0, NULL), 0);
		peer_until(&members[i], members[i].ups, 1);
	}
	tcp_proxy_cut(proxy);
	peer_until(&members[1], members[1].ups, 2);
	peer_send(&a, "all", "both", 0, 2);
	peer_send(&a, "one", "one", 0, 3);
	peer_until(&a, a.outcome_count, 3);
	peer_until(&members[1], members[1].count, 2);
	peer_until(&members[0], members[0].count, 1);
	assert_string_equal(members[0].messages[0].body, "both");
	assert_string_equal(members[1].messages[0].body, "both");
	assert_string_equal(members[1].messages[1].body, "one");
	for (int i = 0; i < 2; i++)
		peer_close(&members[i]);
	peer_close(&a);
	tcp_proxy_delete(proxy);
	free(url);
}

#define T(name) cmocka_unit_test_setup_teardown(name, amqp_set_up, amqp_tear_down)

/* ---- bindings of those who were killed */

static int no_method(void *arg, const amqp_method_t *m, struct tf_err *err)
{
	(void)arg, (void)m, (void)err;
	return 0;
}

static int no_content(void *arg, struct tf_amqp_content *x, struct tf_err *err)
{
	(void)arg, (void)x, (void)err;
	return 0;
}

static const struct tf_amqp_handler NOBODY = {.method = no_method, .content = no_content};

/* A connection as the consumer link has it. */
struct link {
	struct tf_url_list urls;
	struct tf_amqp_shared *shared;
	struct tf_amqp_conn conn;
};

static void link_open(struct link *l)
{
	const struct tf_transport_config config = {.exchange = amqp_exchange};
	struct tf_err err;

	assert_int_equal(tf_url_parse_list(amqp_url(), NULL, &l->urls, &err), 0);
	assert_int_equal(tf_amqp_shared_new(&config, &l->urls, &l->shared, &err), 0);
	l->conn = (struct tf_amqp_conn){.shared = l->shared,
		.link = &l->shared->consumer,
		.handler = &NOBODY,
		.declare_channel = TF_AMQP_CHANNEL};
	if (tf_amqp_conn_open(&l->conn, &l->urls.urls[0], &err) < 0)
		fail_msg("%s", err.message);
}

static void link_close(struct link *l)
{
	tf_amqp_conn_close(&l->conn, true, 1000);
	tf_amqp_shared_unref(l->shared);
	tf_url_list_free(&l->urls);
}

static void look_at(struct tf_graves *g, struct link *l, uint64_t now)
{
	static const char *const topics[] = {"work"};
	struct tf_err err;

	if (tf_graves_look(g, &l->conn, topics, 1, now, &err) < 0)
		fail_msg("%s", err.message);
}

/* Whether the queue "work" is bound under this key: then it has one more message. */
static bool is_bound(amqp_connection_state_t c, const char *key)
{
	char *queue = amqp_queue("work");
	long before = raw_count(amqp_url(), queue), after = before;

	assert_int_equal(amqp_basic_publish(c, 1, amqp_cstring_bytes(amqp_exchange), amqp_cstring_bytes(key),
				 0, 0, NULL, amqp_cstring_bytes("x")),
		AMQP_STATUS_OK);
	for (int i = 0; i < 20 && after == before; i++) {
		usleep(10000);
		after = raw_count(amqp_url(), queue);
	}
	free(queue);
	return after > before;
}

#define MARK "11111111-0000-4000-8000-000000000001"

static void test_bindings_of_the_dead(void **state)
{
	static const struct {
		const char *key, *owner;
		bool alive;
	} all[] = {{"tfhost." MARK ".1", "dead", false},
		{"tfhost." MARK ".2", "left", false}, /* its queue is still there */
		{"tfhost." MARK ".3", "here", true}, {"tfhost." MARK ".4", "late", true}};
	enum { COUNT = sizeof(all) / sizeof(all[0]) };
	char *work = amqp_queue("work"), *left = amqp_queue("left");
	amqp_connection_state_t c = raw_open(amqp_url());
	struct tf_graves g;
	struct link l;
	struct peer here;

	(void)state;
	amqp_open_peer(&here, amqp_url(), NULL);
	peer_consume(&here, "here", 0);
	peer_until(&here, here.ups, 1);
	raw_declare(c, work, false, false);
	raw_declare(c, left, true, false);
	raw_bind(c, work, amqp_exchange, "work");
	link_open(&l);
	tf_graves_create(&g);
	for (size_t i = 0; i < COUNT; i++) {
		raw_bind(c, work, amqp_exchange, all[i].key);
		tf_graves_heard(&g, all[i].key, all[i].owner, 1000);
	}
	tf_graves_heard(&g, "work", "dead", 1000); /* no key of anybody's own */
	assert_int_equal(tf_graves_due(&g, 1000), 15000);
	look_at(&g, &l, 15999);
	for (size_t i = 0; i < COUNT; i++) /* two looks must agree */
		look_at(&g, &l, 16000);
	for (size_t i = 0; i < COUNT; i++)
		assert_true(is_bound(c, all[i].key));
	tf_graves_heard(&g, all[3].key, all[3].owner, 20000);
	for (size_t i = 0; i < COUNT; i++) /* a few at a time */
		look_at(&g, &l, 31000);
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(is_bound(c, all[i].key), all[i].alive);
	assert_true(is_bound(c, "work"));
	tf_graves_destroy(&g);
	link_close(&l);
	raw_delete_queue(c, work);
	raw_delete_queue(c, left);
	raw_close(c);
	free(work);
	free(left);
	peer_close(&here);
}

static size_t allocated(void)
{
	const struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* rabbitmq-c keeps the answers to calls until it is told that nobody looks at them any more: a worker that asked about each
 * engine that it had heard of grew by a megabyte in three minutes. */
static void test_calls_leave_nothing(void **state)
{
	enum { CALLS = 2000 };
	struct link l;
	struct tf_err err;
	unsigned count;
	char *queue = amqp_queue("here");
	amqp_connection_state_t c = raw_open(amqp_url());

	(void)state;
	raw_declare(c, queue, false, false);
	link_open(&l);
	size_t before = 0;
	for (int i = 0; i < CALLS; i++) {
		if (i == CALLS / 4)
			before = allocated();
		assert_int_equal(tf_amqp_conn_count_consumers(&l.conn, "here", &count, &err), 0);
		assert_int_equal(tf_amqp_conn_count_consumers(&l.conn, "nobody", &count, &err), TF_ESTATE);
	}
	assert_true(allocated() < before + 65536);
	link_close(&l);
	raw_delete_queue(c, queue);
	raw_close(c);
	free(queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_made_anew_by_others),
		T(test_without_declaring),
		T(test_bindings_are_taken_back),
		T(test_a_cut_is_no_loss),
		T(test_groups),
		T(test_bindings_of_the_dead),
		T(test_calls_leave_nothing),
	};

	return cmocka_run_group_tests_name("amqp_routes", tests, NULL, NULL);
}
