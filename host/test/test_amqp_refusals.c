/* What a broker refuses while we publish, and what becomes of it: an operator who takes a permission away, or deletes the
 * vhost, made requests fail that had only to wait. */
#include <stdio.h>
#include <string.h>

#include "amqp_env.h"
#include "amqp_raw.h"
#include "base/mem.h"
#include "cmocka_all.h"

#define ALL "'.*' '.*' '.*'"

/* A vhost and a user of the test's own. */
static char *url;

static void ctl(const char *words)
{
	amqp_shell("spec/support/rabbitmq ctl '%s' -q %s", getenv("TFHOST_TEST_AMQP_DIR"), words);
}

static int set_up(void **state)
{
	amqp_set_up(state);
	ctl("eval 'rabbit_vhost:add(<<\"refusals\">>, <<\"test\">>),"
	    "rabbit_auth_backend_internal:add_user(<<\"refused\">>, <<\"secret\">>, <<\"test\">>).'");
	ctl("set_permissions -p refusals refused " ALL);
	url = tf_asprintf("amqp://refused:secret@127.0.0.1:%d/refusals", amqp_port(amqp_url()));
	return 0;
}

static int tear_down(void **state)
{
	ctl("eval 'rabbit_vhost:delete(<<\"refusals\">>, <<\"test\">>),"
	    "rabbit_auth_backend_internal:delete_user(<<\"refused\">>, <<\"test\">>).'");
	free(url);
	return amqp_tear_down(state);
}

static void assert_published(const struct peer *p)
{
	for (size_t i = 0; i < p->outcome_count; i++)
		if (p->outcomes[i].status != TF_PUBLISHED)
			fail_msg("message %d: %s", (int)p->outcomes[i].id, p->outcomes[i].err.message);
}

/* The messages to that queue wait, the others do not. */
static void test_queue_forbidden(void **state)
{
	enum { EACH = 10 };
	static struct peer a; /* outlives a failure */

	(void)state;
	ctl("set_permissions -p refusals refused '^(?!.*_closed).*$' '.*' '.*'");
	amqp_open_peer(&a, url, NULL);
	a.settle = TF_ACK;
	peer_consume(&a, "me", 0);
	for (uint64_t i = 0; i < EACH; i++) {
		peer_send(&a, "closed", "x", TF_PUBLISH_DECLARE, 2 * i + 1);
		peer_send(&a, "closed", "probe", TF_PUBLISH_DECLARE, 0); /* it is nobody's loss */
		peer_send(&a, "me", "x", 0, 2 * i + 2);
	}
	peer_until(&a, a.count, EACH);
	peer_idle(&a, 1500);
	assert_int_equal(a.outcome_count, EACH);
	assert_published(&a);
	assert_int_equal(a.downs, 0);
	ctl("set_permissions -p refusals refused " ALL);
	amqp_until(&a, 10, a.outcome_count == 2 * EACH);
	assert_published(&a);
	char *queue = amqp_queue("closed");
	assert_int_equal(raw_count(url, queue), EACH);
	free(queue);
	peer_close(&a);
}

/* Nothing can be sent at all: that is told once, until something is. */
static void test_writing_forbidden(void **state)
{
	enum { N = 5 };
	static struct peer a; /* outlives a failure */

	(void)state;
	amqp_open_peer(&a, url, NULL);
	a.settle = TF_ACK;
	peer_consume(&a, "me", 0);
	peer_until(&a, a.ups, 1);
	ctl("set_permissions -p refusals refused '.*' '_me$' '.*'");
	for (uint64_t i = 1; i <= N; i++)
		peer_send(&a, "me", "x", 0, i);
	peer_until(&a, a.downs, 1);
	assert_non_null(strstr(a.down_err.message, "set_permissions"));
	peer_idle(&a, 2500);
	assert_int_equal(a.downs, 1);
	assert_int_equal(a.ups, 1);
	assert_int_equal(a.outcome_count, 0);
	ctl("set_permissions -p refusals refused " ALL);
	amqp_until(&a, 10, a.outcome_count == N);
	assert_published(&a);
	peer_until(&a, a.ups, 2);
	peer_close(&a);
}

/* While queues are declared one after the other. */
static void test_vhost_deleted(void **state)
{
	static struct peer a; /* outlives a failure */
	char topic[32];
	uint64_t sent = 0;

	(void)state;
	amqp_open_peer(&a, url, NULL);
	peer_until(&a, a.ups, 1);
	FILE *operator=
		popen("spec/support/rabbitmq ctl \"$TFHOST_TEST_AMQP_DIR\" -q delete_vhost refusals", "r");
	assert_non_null(operator);
	for (uint64_t end = tf_clock_ms(&tf_clock_real) + 20000;
		a.downs == 0 && tf_clock_ms(&tf_clock_real) < end;) {
		snprintf(topic, sizeof(topic), "t%d", (int)(sent % 50));
		if (sent - a.outcome_count < 100)
			peer_send(&a, topic, "x", TF_PUBLISH_DECLARE | TF_PUBLISH_TRACK, ++sent);
		peer_idle(&a, 1);
	}
	assert_int_equal(pclose(operator), 0);
	assert_int_equal(a.downs, 1);
	assert_non_null(strstr(a.down_err.message, "refusals"));
	assert_published(&a);
	ctl("add_vhost refusals");
	ctl("set_permissions -p refusals refused " ALL);
	amqp_until(&a, 20, a.outcome_count == sent);
	assert_published(&a);
	peer_close(&a);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_queue_forbidden),
		T(test_writing_forbidden),
		T(test_vhost_deleted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
