/* What an engine makes of silence - of a worker, of the broker, of its own clock - and whom it sends a request next. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cmocka_all.h"
#include "executor_rig.h"
#include "protocol/peer.h"

static void unplaced_and_unstarted_requests_expire(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, NULL);
	executor_submit(&r, A1, "m.T");
	executor_pass(&r, 30000);
	executor_submit(&r, A2, "m.Nobody");
	executor_pass(&r, 29900);
	assert_int_equal(r.done, 0);
	executor_pass(&r, 100);
	assert_int_equal(r.done, 1);
	assert_executor_failed(&r, "taskflow.exceptions.RequestTimeout",
		"Request 'add' (execute of m.T) has expired after waiting for 60.00 seconds for it to "
		"transition out of "
		"(WAITING, PENDING) states; it was sent to topic 'alpha'");
	executor_pass(&r, 30000);
	assert_int_equal(r.done, 2);
	assert_executor_failed(&r, "taskflow.exceptions.RequestTimeout",
		"no worker that offers 'm.Nobody' answered on topics 'alpha', 'beta'");
	assert_int_equal(executor_stats(&r).timeouts, 2);
	assert_int_equal(executor_stats(&r).seen, 1);
	/* RUNNING stops the timer for good, also at a worker that nobody supervises */
	executor_answer(&r, "alpha", "m.T", NULL);
	executor_submit(&r, A1, "m.T");
	executor_respond(&r, A1, NULL, "RUNNING", "{}");
	executor_pass(&r, 3600 * 1000);
	assert_int_equal(r.done, 2);
	executor_close(&r);
}

/* Behind others, for workers that are there: it is no fault of the request, and it would be run all the same. */
static void who_stands_in_line_does_not_expire(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, W1);
	executor_submit(&r, A1, "m.T");
	executor_submit(&r, A2, "m.T");
	executor_respond(&r, A1, executor_by(W1, 1), "RUNNING", "{}");
	for (int i = 0; i < 600; i++) { /* ten minutes */
		executor_answer(&r, "alpha", "m.T", "{\"v\":1,\"worker\":\"" W1 "\",\"full\":1}");
		executor_pass(&r, 1000);
	}
	assert_int_equal(r.done, 0);
	/* A worker with room that does not start it: it was lost on the way. */
	for (int i = 0; i < 80; i++) {
		executor_answer(&r, "alpha", "m.T", executor_by(W1, -1));
		executor_pass(&r, 1000);
	}
	assert_int_equal(r.done, 1);
	assert_executor_failed(&r, "taskflow.exceptions.RequestTimeout", "transition");
	executor_respond(&r, A1, executor_by(W1, 1), "SUCCESS", "{\"result\": 1}");
	executor_pass(&r, 1000);
	assert_int_equal(r.done, 2);
	executor_close(&r);
}

static void what_waited_beyond_its_queue_limit_is_ended_when_it_begins(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, W1);
	r.queue_ms = 2000;
	executor_submit(&r, A1, "m.T");
	r.queue_ms = 0;
	struct fake_sent *s = executor_next_request(&r);
	const int64_t expires = tf_peer_parse(s->m.peer).expires, now = (int64_t)tf_limits_wall_ms();
	assert_true(expires > now && expires <= now + 2000);
	fake_sent_free(s);
	executor_submit(&r, A2, "m.T"); /* without a limit: no time is said */
	s = executor_next_request(&r);
	assert_int_equal(tf_peer_parse(s->m.peer).expires, -1);
	fake_sent_free(s);
	executor_pass(&r, 1900);
	assert_int_equal(r.done, 0);
	executor_pass(&r, 200);
	assert_int_equal(r.done, 1);
	assert_executor_failed(&r, "taskflow.exceptions.RequestTimeout", "after waiting for 2.");
	fake_wire_drop(r.wire);
	executor_respond(&r, A1, executor_by(W1, 1), "RUNNING", "{}");
	s = executor_sent(&r, "NOTIFY", W1);
	assert_string_equal(s->m.correlation_id, A1);
	assert_int_equal(tf_peer_parse(s->m.peer).cancel, 1);
	fake_sent_free(s);
	executor_close(&r);
}

/* A worker that gets it later asks first, at the latest after half the time, and is told. */
static void what_expired_is_dropped_by_who_gets_it_later(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, W1);
	executor_submit(&r, A1, "m.T");
	struct fake_sent *s = executor_next_request(&r);
	const int64_t from = tf_peer_parse(s->m.peer).ask_from, now = (int64_t)tf_limits_wall_ms();
	assert_in_range(from, now + 20000, now + 30000);
	fake_sent_free(s);
	executor_respond(&r, A1, executor_by(W1, 1), "PENDING", "{}"); /* not yet given up */
	executor_pass(&r, 61000);
	assert_int_equal(r.done, 1);
	for (int i = 0; i < 3600; i++) {
		executor_pass(&r, 1000); /* longer than a ledger remembers */
		fake_wire_drop(r.wire);
	}
	executor_respond(&r, A1, executor_by(W1, 1), "PENDING", "{}");
	s = executor_sent(&r, "NOTIFY", W1);
	assert_int_equal(tf_peer_parse(s->m.peer).drop, 1);
	fake_sent_free(s);
	/* Nor does it want what another engine of the flow gave up, once it has gone on. */
	executor_answer(&r, "alpha", "m.T", executor_by(W1, -1));
	assert_int_equal(executor_submit_as(&r, A2, "m.T", TF_REVERT, 3), 0);
	fake_wire_drop(r.wire);
	for (int64_t round = 2; round <= 4; round++) {
		executor_respond(&r, A2, executor_by(W1, round), "PENDING", "{}");
		assert_int_equal(r.wire->sent_count, round <= 3);
		if (round > 3)
			break;
		s = executor_sent(&r, "NOTIFY", W1);
		assert_int_equal(tf_peer_parse(s->m.peer).drop, 1);
		fake_sent_free(s);
	}
	executor_close(&r);
}

static void assert_told_to_drop(struct executor_rig *r, const char *worker)
{
	struct fake_sent *s = executor_sent(r, "NOTIFY", worker);
	assert_int_equal(tf_peer_parse(s->m.peer).drop, 1);
	assert_string_equal(s->m.correlation_id, A1);
	fake_sent_free(s);
}

/* The engine before us had its outcome, or it is not its turn yet: it is sent again then. */
static void what_is_not_in_flight_is_dropped_by_who_gets_it_again(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, W1);
	fake_wire_drop(r.wire);
	executor_respond(&r, A1, executor_by(W1, 2), "PENDING", "{}");
	assert_told_to_drop(&r, W1);
	executor_respond(&r, A1, "{\"v\":1}", "PENDING", "{}"); /* nobody we could tell */
	assert_null(fake_wire_take(r.wire));
	executor_close(&r);
}

/* Two workers have it, as one was silent; who begins it counts. */
static void the_copy_is_dropped_when_another_worker_begins(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, W1);
	executor_submit(&r, A1, "m.T");
	fake_sent_free(executor_next_request(&r));
	executor_respond(&r, A1, executor_by(W1, 1), "PENDING", "{}");
	assert_null(fake_wire_take(r.wire));
	executor_respond(&r, A1, executor_by(W2, 1), "RUNNING", "{}");
	assert_told_to_drop(&r, W1);
	executor_respond(&r, A1, executor_by(W1, 1), "PENDING", "{}"); /* who knows whether W2 lives */
	assert_null(fake_wire_take(r.wire));
	executor_close(&r);
}

static void who_had_it_waiting_may_begin_it(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, W1);
	executor_submit(&r, A1, "m.T");
	fake_sent_free(executor_next_request(&r));
	executor_respond(&r, A1, executor_by(W1, 1), "PENDING", "{}");
	executor_respond(&r, A1, executor_by(W1, 1), "RUNNING", "{}");
	assert_null(fake_wire_take(r.wire));
	executor_close(&r);
}

/* The loop stood still (a long call, a stopped process): what came meanwhile is unread, not late. */
static void a_jump_of_the_clock_expires_nothing(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_open(&r);
	executor_up(&r);
	executor_answer(&r, "alpha", "m.T", "{\"v\":1}");
	executor_submit(&r, A1, "m.T");
	executor_submit(&r, A2, "m.T");
	executor_respond(&r, A2, executor_by(W1, 1), "RUNNING", "{}");
	tf_clock_fake_advance(&r.clock, 3600 * 1000);
	tf_executor_wbe_tick(r.x);
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 0);
	executor_respond(&r, A1, executor_by(W1, 1), "SUCCESS", "{\"result\": 1}");
	executor_respond(&r, A2, executor_by(W1, 1), "SUCCESS", "{\"result\": 2}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 2);
	assert_int_equal(r.failed, 0);
	executor_close(&r);
}

static void a_silent_worker_is_lost(void **state)
{
	(void)state;
	struct executor_rig r = {.config.attempts = 1};
	executor_ready(&r, W1);
	executor_submit(&r, A1, "m.T");
	executor_submit(&r, A2, "m.T");
	executor_respond(&r, A1, executor_by(W1, 1), "RUNNING", "{}");
	executor_respond(&r, A2, executor_by(W2, 1), "RUNNING", "{}");
	for (int i = 0; i < 20; i++) { /* W1 beats, W2 does not, though its topic's answers come */
		executor_pass(&r, 500);
		executor_answer(&r, "alpha", "m.T", executor_by(W1, -1));
	}
	assert_int_equal(r.done, 1);
	assert_executor_failed(&r, "tfhost.WorkerLost",
		"worker " W2
		" (topic 'alpha', host node1, pid 4711) was silent for 2.4 s while it ran task 'add'");
	executor_pass(&r, 2300);
	assert_int_equal(r.done, 1);
	executor_pass(&r, 200);
	assert_int_equal(r.done, 2);
	assert_int_equal(executor_stats(&r).lost, 2);
	/* the late outcome of a worker that was given up changes nothing */
	executor_respond(&r, A1, executor_by(W1, 1), "SUCCESS", "{\"result\": 1}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 2);
	assert_int_equal(executor_stats(&r).stale, 1);
	executor_close(&r);
}

/* The broker gave the request of a dead worker to another one. */
static void a_request_may_change_its_worker(void **state)
{
	(void)state;
	struct executor_rig r = {.config.attempts = 1};
	executor_ready(&r, W1);
	executor_submit(&r, A1, "m.T");
	executor_respond(&r, A1, executor_by(W1, 1), "RUNNING", "{}");
	executor_pass(&r, 2000);
	executor_respond(&r, A1, executor_by(W2, 1), "RUNNING", "{}");
	for (int i = 0; i < 10; i++) {
		executor_pass(&r, 1000);
		executor_answer(&r, "alpha", "m.T", executor_by(W2, -1));
	}
	assert_int_equal(r.done, 0);
	executor_pass(&r, 2600);
	assert_int_equal(r.done, 1);
	assert_executor_failed(&r, "tfhost.WorkerLost", W2);
	executor_close(&r);
}

/* Give the engine the questions that it sent to itself; returns how many there were. */
static size_t echo(struct executor_rig *r)
{
	struct fake_sent *s;
	size_t n = 0;
	while ((s = fake_wire_take(r->wire)) != NULL) {
		if (!strcmp(s->m.topic, FLOW)) {
			s->m.content_type = "application/json";
			s->m.body_len = strlen(s->m.body);
			fake_wire_deliver(r->wire, &s->m);
			n++;
		}
		fake_sent_free(s);
	}
	return n;
}

/* A broker that stood still for 3 s cost every running task its worker. */
static void a_silent_broker_is_not_a_silent_worker(void **state)
{
	(void)state;
	struct executor_rig r = {.config.attempts = 1};
	executor_open(&r);
	fake_wire_broker(r.wire);
	executor_up(&r);
	executor_answer(&r, "alpha", "m.T", executor_by(W1, -1));
	executor_submit(&r, A1, "m.T");
	executor_respond(&r, A1, executor_by(W1, 1), "RUNNING", "{}");
	fake_wire_drop(r.wire);
	for (int i = 0; i < 20; i++) { /* beats: nothing is asked */
		executor_pass(&r, 500);
		executor_answer(&r, "alpha", "m.T", executor_by(W1, -1));
		assert_int_equal(echo(&r), 0);
	}
	executor_pass(&r, 15000);
	assert_int_equal(r.done, 0);
	assert_true(echo(&r) > 0); /* it delivers again; the worker has some time to be heard */
	executor_pass(&r, 1000);
	assert_int_equal(r.done, 0);
	executor_answer(&r, "alpha", "m.T", executor_by(W1, -1));
	/* now the worker is silent while the broker is not */
	for (int i = 0; i < 5; i++) {
		assert_int_equal(r.done, 0);
		executor_pass(&r, 500);
		echo(&r);
	}
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	assert_executor_failed(&r, "tfhost.WorkerLost", "worker " W1);
	assert_int_equal(executor_stats(&r).malformed, 0);
	assert_int_equal(r.wire->unsettled, 0);
	executor_close(&r);
}

static void while_the_connection_is_down_no_timer_runs(void **state)
{
	(void)state;
	struct executor_rig r = {.config.attempts = 1};
	executor_ready(&r, W1);
	executor_submit(&r, A1, "m.T");
	executor_submit(&r, A2, "m.T");
	executor_respond(&r, A2, executor_by(W1, 1), "RUNNING", "{}");
	fake_wire_drop(r.wire);
	fake_wire_state(r.wire, false);
	executor_pass(&r, 600000);
	assert_int_equal(r.done, 0);
	assert_int_equal(r.wire->sent_count, 0);
	executor_up(&r);
	executor_pass(&r, 9000); /* grace */
	assert_int_equal(r.done, 0);
	executor_pass(&r, 2000);
	assert_int_equal(r.done, 1);
	assert_executor_failed(&r, "tfhost.WorkerLost", W1);
	executor_close(&r);
}

static void a_broker_that_never_came_is_reported(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_open(&r);
	fake_wire_state(r.wire, false);
	executor_submit(&r, A1, "m.T");
	executor_pass(&r, 61000);
	assert_int_equal(r.done, 1);
	assert_executor_failed(
		&r, "taskflow.exceptions.RequestTimeout", "there is no connection: cut by the test");
	executor_close(&r);
}

static void what_may_be_lost_with_the_broker_is_sent_again(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, W1);
	executor_submit(&r, A1, "m.T");
	executor_submit(&r, A2, "m.T");
	executor_respond(&r, A2, executor_by(W1, 1), "RUNNING", "{}");
	fake_wire_state(r.wire, false);
	executor_pass(&r, 20000);
	fake_wire_drop(r.wire);
	executor_up(&r);
	/* the running one to its worker alone, at once and until the worker's queue is back */
	for (int dispatch = 2; dispatch < 5; dispatch++) {
		struct fake_sent *s = fake_wire_take(r.wire);
		while (!strcmp(s->m.type, "NOTIFY")) {
			fake_sent_free(s);
			s = fake_wire_take(r.wire);
		}
		assert_string_equal(s->m.type, "REQUEST");
		assert_string_equal(s->m.topic, W1);
		assert_string_equal(s->m.correlation_id, A2);
		assert_int_equal(s->flags, 0);
		assert_int_equal(tf_peer_parse(s->m.peer).dispatch, dispatch);
		assert_int_equal(tf_peer_parse(s->m.peer).round, 1);
		fake_wire_confirm(r.wire, s->id, dispatch < 4 ? TF_RETURNED : TF_PUBLISHED);
		fake_sent_free(s);
		executor_pass(&r, dispatch == 4 ? 400 : 1000);
	}
	executor_answer(&r, "alpha", "m.T", executor_by(W1, -1));
	/* by now the pending one went to everybody on its topic */
	executor_pass(&r, 200);
	struct fake_sent *s = executor_sent(&r, "REQUEST", "alpha");
	assert_string_equal(s->m.correlation_id, A1);
	assert_int_equal(tf_peer_parse(s->m.peer).dispatch, 2);
	fake_sent_free(s);
	assert_int_equal(executor_stats(&r).resent, 4);
	/* the ledger's answer */
	executor_respond(&r, A2, executor_by(W1, 1), "SUCCESS", "{\"result\": 1}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	assert_int_equal(r.failed, 0);
	executor_close(&r);
}

static void nothing_is_sent_to_python_workers_twice(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, NULL);
	executor_submit(&r, A1, "m.T");
	executor_submit(&r, A2, "m.T");
	executor_respond(&r, A2, NULL, "RUNNING", "{}");
	fake_wire_state(r.wire, false);
	executor_pass(&r, 20000);
	executor_up(&r);
	executor_pass(&r, 20000);
	fake_wire_drop(r.wire);
	assert_int_equal(executor_stats(&r).resent, 0);
	executor_respond(&r, A2, NULL, "SUCCESS", "{\"result\": 1}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	executor_close(&r);
}

static void assert_request(struct executor_rig *r, const char *topic, int64_t dispatch)
{
	struct fake_sent *s = executor_next_request(r);
	if (!s)
		fail_msg("no request to %s", topic);
	assert_string_equal(s->m.topic, topic);
	assert_string_equal(s->m.correlation_id, A1);
	assert_int_equal(tf_peer_parse(s->m.peer).dispatch, dispatch);
	fake_sent_free(s);
	assert_null(executor_next_request(r));
}

/* One of two workers was killed with SIGKILL while it ran a task: the flow failed though the other could run it. */
static void another_worker_takes_what_a_lost_one_ran(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, W1);
	executor_submit(&r, A1, "m.T");
	assert_request(&r, "alpha", 1);
	executor_respond(&r, A1, executor_by(W1, 1), "RUNNING", "{}");
	executor_pass(&r, 2600);
	assert_int_equal(r.done, 0);
	assert_null(executor_next_request(
		&r)); /* the topic may have died with its worker: who answers, gets it */
	executor_answer(&r, "beta", "m.T", executor_by(W2, -1));
	assert_request(&r, "beta", 2);
	executor_respond(&r, A1, executor_by(W2, 1), "RUNNING", "{}");
	executor_respond(&r, A1, executor_by(W2, 1), "SUCCESS", "{\"result\": 2}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	assert_int_equal(r.failed, 0);
	assert_int_equal(executor_stats(&r).lost, 1);
	assert_int_equal(executor_stats(&r).handed_over, 1);
	executor_close(&r);
}

static void a_cancel_reaches_what_runs_on_workers_of_ours(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, W1);
	executor_submit(&r, A1, "m.T");
	executor_submit(&r, A2, "m.Unknown");
	assert_request(&r, "alpha", 1);
	executor_respond(&r, A1, executor_by(W1, 1), "RUNNING", "{}");
	fake_wire_drop(r.wire);
	r.x->ops->cancel(r.x);
	struct fake_sent *s = executor_sent(&r, "NOTIFY", W1);
	const struct tf_peer peer = tf_peer_parse(s->m.peer);
	assert_string_equal(s->m.correlation_id, A1);
	assert_int_equal(peer.cancel, 1);
	assert_int_equal(peer.round, 1);
	assert_int_equal(peer.action, TF_EXECUTE);
	fake_sent_free(s);
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1); /* nobody runs the other one */
	assert_executor_failed(&r, "tfhost.Cancelled", "no worker runs it");
	executor_pass(&r, 2600); /* the worker is lost: nobody else gets the task */
	assert_int_equal(r.done, 2);
	assert_executor_failed(&r, "tfhost.Cancelled", "was silent");
	assert_int_equal(executor_stats(&r).handed_over, 0);
	executor_close(&r);
}

static void attempts_end_with_the_last_loss(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_open(&r);
	executor_up(&r);
	executor_submit(&r, A1, "m.T");
	for (int i = 1; i <= 3; i++) {
		executor_answer(&r, "alpha", "m.T", executor_by(W1, -1));
		assert_request(&r, "alpha", i);
		executor_respond(&r, A1, executor_by(W1, 1), "RUNNING", "{}");
		assert_int_equal(r.done, 0);
		executor_pass(&r, 2600);
	}
	assert_int_equal(r.done, 1);
	assert_executor_failed(&r, "tfhost.WorkerLost", "attempts used up: 3 of 3");
	executor_close(&r);
}

static void nobody_takes_over_is_a_lost_worker_after_a_while(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, W1);
	executor_submit(&r, A1, "m.T");
	executor_pass(&r, 30000);
	executor_respond(&r, A1, executor_by(W1, 1), "RUNNING", "{}");
	executor_pass(&r, 2600 + 59000);
	assert_int_equal(r.done, 0);
	executor_pass(&r, 1000);
	assert_int_equal(r.done, 1);
	assert_executor_failed(&r, "tfhost.WorkerLost", "no other worker took it over within 60.");
	executor_close(&r);
}

/* It was only stopped. Its outcome counts, whether the request is with another one by then or not. */
static void a_worker_presumed_lost_may_still_be_first(void **state)
{
	(void)state;
	for (int taken = 0; taken < 2; taken++) {
		struct executor_rig r = {0};
		executor_open(&r);
		executor_up(&r);
		executor_answer(&r, "alpha", "m.T", executor_by(W1, -1));
		executor_submit(&r, A1, "m.T");
		executor_respond(&r, A1, executor_by(W1, 1), "RUNNING", "{}");
		executor_pass(&r, 2600);
		if (taken)
			executor_answer(&r, "beta", "m.T", executor_by(W2, -1));
		executor_respond(&r, A1, executor_by(W1, 1), "SUCCESS", "{\"result\": 1}");
		executor_respond(&r, A1, executor_by(W2, 1), "SUCCESS", "{\"result\": 2}");
		tf_executor_wbe_tick(r.x);
		assert_int_equal(r.done, 1);
		assert_string_equal(tf_value_text(r.last.result), "1");
		assert_int_equal(executor_stats(&r).in_flight, 0);
		executor_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unplaced_and_unstarted_requests_expire),
		cmocka_unit_test(who_stands_in_line_does_not_expire),
		cmocka_unit_test(what_waited_beyond_its_queue_limit_is_ended_when_it_begins),
		cmocka_unit_test(what_expired_is_dropped_by_who_gets_it_later),
		cmocka_unit_test(what_is_not_in_flight_is_dropped_by_who_gets_it_again),
		cmocka_unit_test(the_copy_is_dropped_when_another_worker_begins),
		cmocka_unit_test(who_had_it_waiting_may_begin_it),
		cmocka_unit_test(a_jump_of_the_clock_expires_nothing),
		cmocka_unit_test(a_silent_worker_is_lost),
		cmocka_unit_test(a_request_may_change_its_worker),
		cmocka_unit_test(a_silent_broker_is_not_a_silent_worker),
		cmocka_unit_test(while_the_connection_is_down_no_timer_runs),
		cmocka_unit_test(a_broker_that_never_came_is_reported),
		cmocka_unit_test(what_may_be_lost_with_the_broker_is_sent_again),
		cmocka_unit_test(nothing_is_sent_to_python_workers_twice),
		cmocka_unit_test(another_worker_takes_what_a_lost_one_ran),
		cmocka_unit_test(a_cancel_reaches_what_runs_on_workers_of_ours),
		cmocka_unit_test(attempts_end_with_the_last_loss),
		cmocka_unit_test(nobody_takes_over_is_a_lost_worker_after_a_while),
		cmocka_unit_test(a_worker_presumed_lost_may_still_be_first),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("wbe_supervision", tests, NULL, NULL);
}
