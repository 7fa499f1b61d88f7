/* What a worker makes of a request that it has seen before, or whose connection is gone. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cmocka_all.h"
#include "protocol/peer.h"
#include "server_rig.h"

#define REVERT \
	"{\"task_cls\": \"m.T\", \"task_name\": \"t\", \"task_version\": [], " \
	"\"action\": \"revert\", \"failures\": {}}"

static void a_request_in_progress_is_joined(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	server_request(&r, A1, HEADER);
	server_request(&r, A1, AGAIN); /* queued: joined in silence */
	assert_int_equal(r.wire->sent_count, 0);
	server_begin(&r, 0);
	server_expect(&r, "RESPONSE", A1, RUNNING);
	server_request(&r, A1, AGAIN);
	server_expect(&r, "RESPONSE", A1, RUNNING);
	assert_int_equal(r.pool->count, 1);
	assert_int_equal(r.wire->acked, 2); /* one delivery keeps it safe */
	server_finish(&r, A1, "1");
	assert_int_equal(r.wire->acked, 3);
	assert_int_equal(server_stats(&r).joined, 2);
	assert_int_equal(server_stats(&r).requests, 1);
	server_close(&r);
}

static void a_known_outcome_is_answered_from_the_ledger(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	server_request(&r, A1, HEADER);
	server_begin(&r, 0);
	server_expect(&r, "RESPONSE", A1, RUNNING);
	server_finish(&r, A1, "{\"n\": 1}");
	server_request(&r, A1, AGAIN);
	assert_int_equal(r.pool->count, 0);
	struct fake_sent *s = fake_wire_take(r.wire);
	assert_string_equal(s->m.body, "{\"state\": \"SUCCESS\", \"data\": {\"result\": {\"n\": 1}}}");
	assert_int_equal(tf_peer_parse(s->m.peer).dispatch, 2);
	assert_int_equal(r.wire->acked, 1);
	fake_wire_confirm(r.wire, s->id, TF_PUBLISHED);
	assert_int_equal(r.wire->acked, 2);
	fake_sent_free(s);
	assert_int_equal(server_stats(&r).answered_from_ledger, 1);
	/* another round, another action, another engine: not the same */
	server_request(&r, A1, "{\"v\":1,\"round\":2,\"dispatch\":1}");
	assert_int_equal(r.pool->count, 1);
	server_deliver(&r, "REQUEST", A1, HEADER, REVERT, false);
	assert_int_equal(r.pool->count, 2);
	/* ten minutes later nobody remembers */
	fake_pool_done(r.pool, 0, false, "1");
	fake_pool_done(r.pool, 0, false, "1");
	tf_clock_fake_advance(&r.clock, 601000);
	server_request(&r, A1, AGAIN);
	assert_int_equal(r.pool->count, 1);
	server_close(&r);
}

/* Without the header, the same atom comes again for each retry: only a redelivered message with the
 * same body is the same request. */
static void requests_of_python_repeat_only_when_redelivered_and_equal(void **state)
{
	(void)state;
	struct server_rig r = {.config.pool.slots = 8};
	server_open(&r);
	server_request(&r, A1, NULL);
	server_request(&r, A1, NULL); /* a retry that came while the timed-out attempt runs */
	assert_int_equal(r.pool->count, 2);
	server_deliver(&r, "REQUEST", A1, NULL, EXECUTE, true);
	assert_int_equal(r.pool->count, 2);
	assert_int_equal(server_stats(&r).joined, 1);
	server_deliver(&r, "REQUEST", A1, NULL,
		"{\"task_cls\": \"m.T\", \"task_name\": \"t\", \"task_version\": [1, 0], "
		"\"action\": \"execute\", \"arguments\": {\"a\": 2}}",
		true);
	assert_int_equal(r.pool->count, 3);
	while (r.pool->count) {
		fake_pool_started(r.pool, 0);
		server_expect(&r, "RESPONSE", A1, RUNNING);
		server_finish(&r, A1, "1");
	}
	server_request(&r, A1, NULL); /* not redelivered: a new attempt */
	assert_int_equal(r.pool->count, 1);
	fake_pool_done(r.pool, 0, false, "2");
	server_expect(&r, "RESPONSE", A1, RUNNING);
	fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A1, "SUCCESS"), TF_PUBLISHED);
	server_deliver(&r, "REQUEST", A1, NULL, EXECUTE, true);
	assert_int_equal(r.pool->count, 0);
	fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A1, "{\"result\": 2}"), TF_PUBLISHED);
	assert_int_equal(server_stats(&r).answered_from_ledger, 1);
	assert_int_equal(r.wire->unsettled, 0);
	server_close(&r);
}

/* What was with another worker before may have its outcome by now: its engine is asked. */
static void a_redelivered_request_is_offered_first(void **state)
{
	struct server_rig r = {0};
	static const char drop[] = "{\"v\":1,\"drop\":1,\"round\":1,\"action\":\"execute\"}";
	static const char pending[] = "{\"state\": \"PENDING\", \"data\": {}}";
	(void)state;
	server_open(&r);
	fake_wire_tracks(r.wire);
	server_deliver(&r, "REQUEST", A1, AGAIN, EXECUTE, true);
	assert_int_equal(r.pool->count, 0);
	fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A1, pending), TF_PUBLISHED);
	server_deliver(&r, "NOTIFY", A1, drop, "{}", false);
	server_pass(&r, 200);
	assert_int_equal(r.pool->count, 0);
	assert_int_equal(r.wire->acked, 2);
	server_deliver(&r, "REQUEST", A1, AGAIN, EXECUTE, true); /* nobody objects */
	fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A1, pending), TF_PUBLISHED);
	server_pass(&r, 200);
	assert_int_equal(r.pool->count, 1);
	server_begin(&r, 0);
	fake_sent_free(fake_wire_take(r.wire));
	server_finish(&r, A1, "1");
	server_deliver(&r, "REQUEST", A2, AGAIN, EXECUTE, true); /* the engine is gone, and stays so */
	for (int i = 0; i < 5; i++) {
		assert_int_equal(r.wire->unsettled, 1);
		struct fake_sent *sent;
		while ((sent = fake_wire_take(r.wire)) && !sent->id) /* beats */
			fake_sent_free(sent);
		assert_non_null(sent);
		assert_string_equal(sent->m.body, pending);
		fake_wire_confirm(r.wire, sent->id, TF_RETURNED);
		fake_sent_free(sent);
		server_pass(&r, 1000);
	}
	assert_int_equal(r.pool->count, 0);
	assert_int_equal(r.wire->unsettled, 0);
	fake_wire_drop(r.wire);
	/* it was asked for just now */
	server_deliver(&r, "REQUEST", A1, "{\"v\":1,\"round\":7}", EXECUTE, true);
	fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A1, pending), TF_RETURNED);
	assert_int_equal(r.wire->unsettled, 0);
	assert_int_equal(r.pool->count, 0);
	server_close(&r);
}

/* What has waited long may have been given up: its engine is asked, again if it goes on waiting here. */
static void an_old_request_is_offered_first(void **state)
{
	struct server_rig r = {.config = {.pool.slots = 4}};
	static const char old[] = "{\"v\":1,\"round\":1,\"ask_from\":1000}"; /* since 1970 */
	static const char drop[] = "{\"v\":1,\"drop\":1,\"round\":1,\"action\":\"execute\"}";
	static const char pending[] = "{\"state\": \"PENDING\", \"data\": {}}";
	(void)state;
	server_open(&r);
	server_request(&r, A1, old);
	assert_int_equal(r.pool->count, 0);
	fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A1, pending), TF_PUBLISHED);
	server_deliver(&r, "NOTIFY", A1, drop, "{}", false);
	server_pass(&r, 200);
	assert_int_equal(r.pool->count, 0);
	assert_int_equal(r.wire->unsettled, 0);
	server_request(&r, A1, old); /* nobody objects */
	fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A1, pending), TF_PUBLISHED);
	server_pass(&r, 200);
	assert_int_equal(r.pool->count, 1);
	server_request(&r, A2, old); /* has to wait for the slot */
	fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A2, pending), TF_PUBLISHED);
	r.pool->refuse = TF_EAGAIN;
	server_pass(&r, 900);
	r.pool->refuse = 0;
	tf_server_tick(r.s);
	assert_int_equal(r.pool->count, 2); /* was asked just now */
	server_request(&r, "aaaaaaaa-0000-4000-8000-000000000003",
		"{\"v\":1,\"round\":1,\"ask_from\":9000000000000}");
	assert_int_equal(r.pool->count, 3);
	server_close(&r);
}

static void a_redelivery_after_a_reconnect_is_adopted(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	server_request(&r, A1, HEADER);
	server_begin(&r, 0);
	server_expect(&r, "RESPONSE", A1, RUNNING);
	server_request(&r, A2, NULL);
	server_begin(&r, 1);
	server_expect(&r, "RESPONSE", A2, RUNNING);
	fake_wire_state(r.wire, false);
	r.wire->unsettled = 0; /* void with their connection */
	fake_wire_state(r.wire, true);
	tf_server_tick(r.s);
	/* the engine of our kind hears at once that its task still runs; Python is told nothing twice */
	server_expect(&r, "RESPONSE", A1, RUNNING);
	server_expect(&r, "NOTIFY", NULL, "\"tasks\"");
	assert_int_equal(r.wire->sent_count, 0);
	uint64_t t1 = server_deliver(&r, "REQUEST", A1, HEADER, EXECUTE, true);
	server_expect(&r, "RESPONSE", A1, RUNNING);
	server_finish(&r, A1, "1");
	assert_int_equal(r.wire->last_tag, t1);
	/* and one that comes back after its outcome was confirmed */
	server_finish(&r, A2, "2");
	assert_true(r.wire->last_tag < t1); /* nothing comes of that */
	uint64_t t2 = server_deliver(&r, "REQUEST", A2, NULL, EXECUTE, true);
	fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A2, "{\"result\": 2}"), TF_PUBLISHED);
	assert_int_equal(r.wire->last_tag, t2);
	assert_int_equal(r.pool->count, 0);
	assert_int_equal(server_stats(&r).requests, 2);
	server_close(&r);
}

static void what_has_not_started_is_forgotten_with_its_connection(void **state)
{
	(void)state;
	struct server_rig r = {.config = {.pool.slots = 1, .transport.prefetch = 4}};
	server_open(&r);
	server_request(&r, A1, NULL);
	server_request(&r, A2, NULL);
	fake_wire_state(r.wire, false);
	/* it may have been the other connection alone, and the broker would wait for us for ever */
	assert_int_equal(r.wire->requeued, 1);
	r.wire->unsettled = 0;
	fake_wire_state(r.wire, true);
	fake_pool_done(r.pool, 0, false, "1");
	assert_int_equal(r.pool->count, 0);
	server_deliver(&r, "REQUEST", A2, NULL, EXECUTE, true); /* the broker's again */
	assert_int_equal(r.pool->count, 1);
	server_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_in_progress_is_joined),
		cmocka_unit_test(a_known_outcome_is_answered_from_the_ledger),
		cmocka_unit_test(requests_of_python_repeat_only_when_redelivered_and_equal),
		cmocka_unit_test(a_redelivered_request_is_offered_first),
		cmocka_unit_test(an_old_request_is_offered_first),
		cmocka_unit_test(a_redelivery_after_a_reconnect_is_adopted),
		cmocka_unit_test(what_has_not_started_is_forgotten_with_its_connection),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("wbe_repetitions", tests, NULL, NULL);
}
