/* How a worker says that it lives and is ready, and how it ends: drained, cut short, without its pool. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cmocka_all.h"
#include "server_rig.h"

static size_t notifies(struct server_rig *r, const char *topic, bool header)
{
	size_t n = 0;
	struct fake_sent *s;
	while ((s = fake_wire_take(r->wire)) != NULL) {
		if (!strcmp(s->m.type, "NOTIFY") && !strcmp(s->m.topic, topic)) {
			assert_int_equal(s->m.peer != NULL, header);
			n++;
		}
		fake_sent_free(s);
	}
	return n;
}

static void beats_while_it_works_for_engines_of_our_kind(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	server_pass(&r, 10000);
	assert_int_equal(r.wire->sent_count, 0);
	server_request(&r, A1, HEADER);
	server_request(&r, A2, HEADER);
	server_pass(&r, 10000);
	assert_in_range(notifies(&r, ENGINE, true), 19, 21); /* each engine once, however many requests */
	fake_wire_state(r.wire, false);
	server_pass(&r, 10000);
	assert_int_equal(r.wire->sent_count, 0);
	server_close(&r);
}

/* No broker waits for ever for an acknowledgement. */
static void a_long_task_is_acknowledged_once_it_is_supervised(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	server_request(&r, A1, HEADER);
	server_request(&r, A2, NULL);
	server_begin(&r, 0);
	server_begin(&r, 1);
	server_pass(&r, 9000);
	assert_int_equal(r.wire->unsettled, 2);
	server_pass(&r, 2000);
	assert_int_equal(r.wire->unsettled, 1); /* Python's engine supervises nobody */
	server_pass(&r, 3600 * 1000);
	assert_int_equal(r.wire->unsettled, 1);
	server_close(&r);
}

static void a_full_window_speaks_unasked(void **state)
{
	(void)state;
	struct server_rig r = {.config.transport.prefetch = 2};
	server_open(&r);
	server_request(&r, A1, NULL);
	server_pass(&r, 30000);
	assert_int_equal(notifies(&r, ENGINE, false), 0); /* there is room: probes come through */
	server_request(&r, A2, NULL);
	server_pass(&r, 30000);
	assert_in_range(notifies(&r, ENGINE, false), 5, 7);
	server_close(&r);
}

static void expect_not_ready(struct server_rig *r, const char *why)
{
	struct tf_err err;
	assert_int_equal(tf_server_check_ready(r->s, &err), TF_ESTATE);
	assert_non_null(strstr(err.message, why));
}

static void it_is_ready_with_scripts_and_a_connection_until_it_drains(void **state)
{
	struct server_rig r = {.config.pool.slots = 1};
	(void)state;
	server_make(&r);
	fake_wire_state(r.wire, true);
	expect_not_ready(&r, "have not loaded");
	fake_pool_ready(r.pool, r.classes);
	assert_int_equal(tf_server_check_ready(r.s, NULL), 0);
	fake_wire_state(r.wire, false);
	expect_not_ready(&r, "not connected");
	fake_wire_state(r.wire, true);
	assert_int_equal(tf_server_check_ready(r.s, NULL), 0);
	tf_server_drain(r.s, 0);
	expect_not_ready(&r, "drains");
	server_close(&r);
}

static void a_drain_finishes_what_runs_and_gives_back_the_rest(void **state)
{
	(void)state;
	struct server_rig r = {.config = {.pool.slots = 1, .transport.prefetch = 4}};
	server_open(&r);
	server_request(&r, A1, NULL);
	server_request(&r, A2, NULL);
	tf_server_drain(r.s, 0);
	assert_int_equal(r.wire->requeued, 1);
	server_request(&r, A2, NULL); /* straight back, there is no other worker: not in a tight loop */
	server_deliver(&r, "NOTIFY", NULL, NULL, "{}", false);
	assert_int_equal(r.wire->requeued, 1);
	server_pass(&r, 1100);
	assert_int_equal(r.wire->requeued, 3);
	assert_int_equal(r.stops, 0);
	fake_pool_started(r.pool, 0);
	server_expect(&r, "RESPONSE", A1, RUNNING);
	fake_pool_done(r.pool, 0, false, "1");
	server_pass(&r, 5000);
	assert_int_equal(r.stops, 0); /* not confirmed yet */
	fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A1, "SUCCESS"), TF_PUBLISHED);
	assert_int_equal(r.stops, 0);
	r.delete_in_stopped = true;
	tf_server_tick(r.s);
	assert_int_equal(r.stops, 1);
	assert_int_equal(r.stop_err.code, 0);
	server_close(&r);
}

static void a_drain_ends_what_takes_longer_than_its_limit(void **state)
{
	(void)state;
	struct server_rig r = {.config = {.pool.slots = 2, .transport.prefetch = 4}};
	server_open(&r);
	server_request(&r, A1, NULL);
	server_request(&r, A2, "{\"v\":1,\"round\":1,\"once\":1}");
	server_begin(&r, 0);
	server_begin(&r, 1);
	fake_wire_drop(r.wire);
	tf_server_drain(r.s, 2000);
	server_pass(&r, 1900);
	assert_int_equal(r.pool->count, 2);
	size_t before = r.wire->requeued;
	server_pass(&r, 200);
	assert_int_equal(r.pool->count, 0);
	assert_int_equal(r.wire->requeued, before + 1); /* that of A1, and no outcome */
	while (r.wire->sent_count > 1)                  /* beats */
		fake_sent_free(fake_wire_take(r.wire));
	fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A2, "tfhost.WorkerLost"), TF_PUBLISHED);
	assert_int_equal(server_stats(&r).given_back, 2);
	server_pass(&r, 100);
	assert_int_equal(r.stops, 1);
	server_close(&r);
}

static void an_idle_worker_drains_at_once(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	tf_server_drain(r.s, 0);
	assert_int_equal(r.stops, 0);
	tf_server_tick(r.s);
	assert_int_equal(r.stops, 1);
	server_pass(&r, 5000);
	assert_int_equal(r.stops, 1);
	server_close(&r);
}

static void a_drain_does_not_wait_for_engines_that_are_gone(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	server_request(&r, A1, NULL);
	fake_pool_started(r.pool, 0);
	server_expect(&r, "RESPONSE", A1, RUNNING);
	fake_pool_done(r.pool, 0, false, "1");
	tf_server_drain(r.s, 60000);
	for (int seconds = 0; r.stops == 0; seconds++) {
		assert_true(seconds < 5);
		fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A1, "SUCCESS"), TF_RETURNED);
		server_pass(&r, 1000);
	}
	assert_int_equal(server_stats(&r).dropped, 1);
	server_close(&r);
}

static void a_drain_without_a_connection_ends(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	server_request(&r, A1, NULL);
	fake_wire_state(r.wire, false);
	tf_server_drain(r.s, 0);
	server_pass(&r, 60000);
	assert_int_equal(r.stops, 0); /* the task runs */
	fake_pool_done(r.pool, 0, false, "1");
	server_pass(&r, 1000);
	assert_int_equal(r.stops, 1);
	assert_int_equal(r.stop_err.code, TF_EIO);
	server_close(&r);
}

static void a_lost_pool_fails_what_ran_and_ends(void **state)
{
	(void)state;
	struct server_rig r = {.config = {.pool.slots = 1, .transport.prefetch = 4}};
	struct tf_err err;
	server_open(&r);
	server_request(&r, A1, NULL);
	server_request(&r, A2, NULL);
	fake_pool_started(r.pool, 0);
	server_expect(&r, "RESPONSE", A1, RUNNING);
	tf_err_set(&err, TF_ESYS, "the loader died");
	r.pool->events.lost(r.pool->arg, &err);
	assert_int_equal(r.wire->requeued, 1);
	uint64_t id = server_expect(&r, "RESPONSE", A1, "lost its slots while task 't' ran: the loader died");
	fake_wire_confirm(r.wire, id, TF_PUBLISHED);
	tf_server_tick(r.s);
	assert_int_equal(r.stops, 1);
	assert_int_equal(r.stop_err.code, TF_ESYS);
	server_close(&r);
}

static void a_second_signal_gives_everything_back(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	server_request(&r, A1, NULL);
	fake_pool_started(r.pool, 0);
	size_t before = r.wire->requeued;
	assert_int_equal(before, 0);
	server_close(&r); /* the fake transport checks that each tag is settled once at most */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(beats_while_it_works_for_engines_of_our_kind),
		cmocka_unit_test(a_long_task_is_acknowledged_once_it_is_supervised),
		cmocka_unit_test(a_full_window_speaks_unasked),
		cmocka_unit_test(it_is_ready_with_scripts_and_a_connection_until_it_drains),
		cmocka_unit_test(a_drain_finishes_what_runs_and_gives_back_the_rest),
		cmocka_unit_test(a_drain_ends_what_takes_longer_than_its_limit),
		cmocka_unit_test(an_idle_worker_drains_at_once),
		cmocka_unit_test(a_drain_does_not_wait_for_engines_that_are_gone),
		cmocka_unit_test(a_drain_without_a_connection_ends),
		cmocka_unit_test(a_lost_pool_fails_what_ran_and_ends),
		cmocka_unit_test(a_second_signal_gives_everything_back),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("wbe_life", tests, NULL, NULL);
}
