#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "cmocka_all.h"
#include "transport_peer.h"

static char exchange[64];

static struct tf_loop *loop;

static const char *url(void)
{
	const char *u = getenv("TFHOST_TEST_AMQP_URL");

	if (!u || !*u)
		fail_msg("TFHOST_TEST_AMQP_URL is not set: run through spec/support/rabbitmq run");
	return u;
}

static int set_up(void **state)
{
	char uuid[TF_UUID_LEN + 1];

	(void)state;
	tf_uuid(uuid);
	snprintf(exchange, sizeof(exchange), "t-%.8s", uuid);
	loop = tf_loop_new();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tf_loop_delete(loop);
	return 0;
}

static void open_peer(struct peer *p)
{
	struct tf_transport_config config = {.url = url(), .exchange = exchange};
	struct tf_err err = {0};

	if (peer_open_config(p, loop, &config, &err) < 0)
		fail_msg("%s", err.message);
}

static void test_round_trip(void **state)
{
	struct peer a, b;

	(void)state;
	open_peer(&a);
	open_peer(&b);
	peer_consume(&b, "work", 0);
	b.settle = TF_ACK;
	peer_send(&a, "work", "hello", TF_PUBLISH_DECLARE, 7);
	peer_until(&b, b.count, 1);
	peer_until(&a, a.outcome_count, 1);
	assert_int_equal(a.outcomes[0].id, 7);
	assert_int_equal(a.outcomes[0].status, TF_PUBLISHED);
	assert_string_equal(b.messages[0].body, "hello");
	peer_close(&a);
	peer_close(&b);
}

static void test_many(void **state)
{
	struct peer a, b;
	char text[32];
	int i;

	(void)state;
	open_peer(&a);
	open_peer(&b);
	peer_consume(&b, "work", 0);
	b.settle = TF_ACK;
	for (i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), "%d", i);
		peer_send(&a, "work", text, TF_PUBLISH_DECLARE, (uint64_t)i + 1);
	}
	peer_until(&b, b.count, 10000);
	peer_until(&a, a.outcome_count, 10000);
	for (i = 0; i < 10000; i++) {
		assert_int_equal(atoi(b.messages[i].body), i);
		assert_int_equal(a.outcomes[i].id, i + 1);
	}
	peer_close(&a);
	peer_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
