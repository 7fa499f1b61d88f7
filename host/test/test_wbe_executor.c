/* The engine side over a scripted transport and a clock that the test steps: what is sent, where and when. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cmocka_all.h"
#include "executor_rig.h"
#include "loop/loop.h"
#include "protocol/peer.h"

#define POISON "{\"a\": {\"__type__\": \"x\", \"__value__\": 1}}"

static void probes_every_topic_at_once_and_every_5_s(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_open(&r);
	assert_string_equal(r.wire->topics, FLOW " ");
	executor_pass(&r, 6000);
	assert_int_equal(r.wire->sent_count, 0); /* nobody there to hear it */
	executor_up(&r);
	for (int i = 0; i < 2; i++) {
		struct fake_sent *s = executor_sent(&r, "NOTIFY", r.config.topics[i]);
		assert_string_equal(s->m.body, "{}");
		assert_true(tf_peer_parse(s->m.peer).echo >= 0); /* tells which probe an answer is to */
		assert_null(s->m.correlation_id);
		assert_int_equal(s->flags, TF_PUBLISH_DECLARE);
		assert_int_equal(s->id, 0);
		fake_sent_free(s);
	}
	executor_pass(&r, 4900);
	assert_int_equal(r.wire->sent_count, 0);
	executor_pass(&r, 100);
	assert_int_equal(fake_wire_drop(r.wire), 2);
	executor_pass(&r, 60000);
	assert_int_equal(fake_wire_drop(r.wire), 24);
	executor_close(&r);
}

/* A topic's queue is not flooded; what waits here goes out as the others begin, in order, and holds up no other topic. */
static void fill_a_queue(bool broker, size_t least, size_t highest)
{
	struct executor_rig r = {.config.transition_timeout_ms = -1};
	char id[40];
	executor_open(&r);
	if (broker)
		fake_wire_broker(r.wire);
	executor_up(&r);
	executor_answer(&r, "alpha", "m.T", NULL);
	executor_answer(&r, "beta", "m.U", NULL);
	fake_wire_drop(r.wire);
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(id, sizeof(id), "00000000-0000-0000-0000-%012u", i);
		executor_submit(&r, id, "m.T");
	}
	size_t most = fake_wire_drop(r.wire);
	assert_in_range(most, least, highest);
	executor_submit(&r, A1, "m.U");
	fake_sent_free(executor_sent(&r, "REQUEST", "beta"));
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(id, sizeof(id), "00000000-0000-0000-0000-%012u", i);
		executor_respond(&r, id, NULL, i % 2 ? "RUNNING" : "FAILURE",
			i % 2 ? "{}" : "{\"result\": " GOOD_FAILURE "}");
		tf_executor_wbe_tick(r.x);
		if (i + most >= 3000) {
			assert_int_equal(r.wire->sent_count, 0);
			continue;
		}
		struct fake_sent *s = executor_sent(&r, "REQUEST", "alpha");
		snprintf(id, sizeof(id), "00000000-0000-0000-0000-%012zu", i + most);
		assert_string_equal(s->m.correlation_id, id);
		fake_sent_free(s);
	}
	executor_close(&r);
}

static void a_queue_gets_what_it_can_use(void **state)
{
	(void)state;
	fill_a_queue(true, 512, 2048);
	fill_a_queue(false, 128, 512);
}

static void a_request_waits_for_its_worker_then_goes_out(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_open(&r);
	executor_up(&r);
	fake_wire_drop(r.wire);
	executor_submit(&r, A1, "m.T");
	assert_int_equal(r.wire->sent_count, 0);
	executor_answer(&r, "beta", "m.Other", NULL);
	assert_int_equal(r.wire->sent_count, 0);
	executor_answer(&r, "alpha", "m.T", NULL);
	struct fake_sent *s = executor_sent(&r, "REQUEST", "alpha");
	assert_string_equal(s->m.correlation_id, A1);
	assert_null(s->m.peer); /* a Python worker gets what TaskFlow sends */
	assert_string_equal(s->m.body,
		"{\"task_cls\": \"m.T\", \"task_name\": \"add\", \"task_version\": [1, 0], "
		"\"action\": \"execute\", \"arguments\": {}}");
	assert_int_equal(s->flags, TF_PUBLISH_DECLARE);
	fake_wire_confirm(r.wire, s->id, TF_PUBLISHED);
	fake_sent_free(s);

	/* with a known worker, submission places at once */
	executor_submit(&r, A2, "m.T");
	fake_sent_free(executor_sent(&r, "REQUEST", "alpha"));

	executor_respond(&r, A1, NULL, "RUNNING", "{}");
	executor_respond(&r, A1, NULL, "SUCCESS", "{\"result\": [1.0, {}]}");
	assert_int_equal(r.done, 0); /* never inside a callback of the transport */
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	assert_int_equal(r.last.atom, 7);
	assert_int_equal(r.last.round, 1);
	assert_false(r.last.failed);
	assert_string_equal(tf_value_text(r.last.result), "[1.0, {}]");
	assert_int_equal(r.wire->unsettled, 0);
	assert_int_equal(executor_stats(&r).in_flight, 1);
	executor_close(&r);
}

static void what_waits_goes_out_by_priority(void **state)
{
	static const char *const ids[] = {A1, A2, A3, A4};
	static const int priorities[] = {0, -7, 3, 3}, order[] = {2, 3, 0, 1};
	(void)state;
	struct executor_rig r = {0};
	executor_open(&r);
	executor_up(&r);
	fake_wire_drop(r.wire);
	for (size_t i = 0; i < 4; i++) {
		r.priority = priorities[i];
		executor_submit(&r, ids[i], "m.T");
	}
	executor_answer(&r, "alpha", "m.T", "{\"v\":1,\"worker\":\"" W1 "\"}");
	for (size_t i = 0; i < 4; i++) {
		struct fake_sent *s = executor_sent(&r, "REQUEST", "alpha");
		assert_string_equal(s->m.correlation_id, ids[order[i]]);
		assert_int_equal(s->m.priority, priorities[order[i]]);
		assert_int_equal(tf_peer_parse(s->m.peer).priority, priorities[order[i]]);
		fake_sent_free(s);
	}
	executor_close(&r);
}

/* An engine that knows the limit does not send what is beyond it. */
static void arguments_that_are_too_large_stay_here(void **state)
{
	(void)state;
	struct executor_rig r = {.limits = {.arguments = 1}};
	executor_ready(&r, NULL);
	fake_wire_drop(r.wire);
	executor_submit(&r, A1, "m.T");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.wire->sent_count, 0);
	assert_executor_failed(&r, "tfhost.SizeLimitExceeded", "'add': its arguments of 2 bytes");
	executor_close(&r);
}

static void the_header_goes_where_a_tfhost_worker_was_seen(void **state)
{
	(void)state;
	struct executor_rig r = {.config.transition_timeout_ms = -1}; /* no times in it */
	executor_ready(&r, W1);
	executor_answer(&r, "beta", "m.Python", NULL);
	fake_wire_drop(r.wire);
	executor_submit(&r, A1, "m.T");
	struct fake_sent *s = executor_sent(&r, "REQUEST", "alpha");
	assert_string_equal(s->m.peer, "{\"v\":1,\"round\":1,\"dispatch\":1}");
	fake_sent_free(s);
	executor_answer(&r, "alpha", "m.T", NULL); /* a Python worker on the same topic */
	executor_submit(&r, A2, "m.T");
	s = executor_sent(&r, "REQUEST", "alpha");
	assert_non_null(s->m.peer);
	fake_sent_free(s);
	executor_submit(&r, W2, "m.Python");
	s = executor_sent(&r, "REQUEST", "beta");
	assert_null(s->m.peer);
	fake_sent_free(s);
	executor_close(&r);
}

/* A waiting request is looked for fast at first; probes then thin out, and only the regular ones
 * declare the queue, where they would pile up. */
static void the_hunt_for_a_worker_slows_down(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_open(&r);
	executor_up(&r);
	fake_wire_drop(r.wire);
	executor_submit(&r, A1, "m.T");
	executor_pass(&r, 100);
	assert_int_equal(fake_wire_drop(r.wire), 2);
	executor_pass(&r, 1000);
	size_t early = fake_wire_drop(r.wire) / 2;
	assert_in_range(early, 3, 7);
	executor_pass(&r, 30000);
	size_t declared = 0, all = 0;
	struct fake_sent *s;
	while ((s = fake_wire_take(r.wire)) != NULL) {
		declared += s->flags == TF_PUBLISH_DECLARE;
		all++;
		fake_sent_free(s);
	}
	assert_int_equal(declared, 2 * 6);
	assert_in_range(all, 12, 28);
	executor_close(&r);
}

static void what_cannot_be_sent_fails(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, NULL);
	fake_wire_drop(r.wire);
	executor_submit(&r, A1, "m.T");
	struct fake_sent *s = executor_sent(&r, "REQUEST", "alpha");
	fake_wire_confirm(r.wire, s->id, TF_PUBLISH_FAILED);
	fake_wire_confirm(r.wire, s->id, TF_PUBLISH_FAILED);
	fake_sent_free(s);
	assert_int_equal(r.done, 0);
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	assert_executor_failed(&r, "OSError", "could not be sent to topic 'alpha': failed by the test");

	r.wire->refuse = TF_ELIMIT;
	executor_submit(&r, A1, "m.T");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 2);
	assert_executor_failed(&r, "ValueError", "refused by the test");

	/* a full queue is no failure */
	r.wire->refuse = TF_EAGAIN;
	executor_submit(&r, A1, "m.T");
	executor_pass(&r, 1000);
	assert_int_equal(r.done, 2);
	fake_wire_drop(r.wire);
	r.wire->refuse = 0;
	executor_pass(&r, 100);
	fake_sent_free(executor_sent(&r, "REQUEST", "alpha"));

	/* an object that kills newer Python peers */
	struct tf_value *poison = tf_value_parse(POISON, strlen(POISON), 0, NULL);
	struct tf_value *version = tf_value_parse("[1, 0]", 6, 0, NULL);
	const struct tf_work w = {
		.uuid = A2, .name = "n", .task_cls = "m.T", .task_version = version, .arguments = poison};
	assert_int_equal(r.x->ops->submit(r.x, &w, NULL), 0);
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 3);
	assert_executor_failed(&r, "ValueError", "arguments: \"a\": an object with just the keys");
	tf_value_unref(poison);
	tf_value_unref(version);
	assert_int_equal(r.wire->sent_count, 0);
	executor_close(&r);
}

static void a_second_request_of_an_atom_in_flight_is_refused(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_open(&r);
	executor_submit(&r, A1, "m.T");
	assert_int_equal(executor_submit_as(&r, A1, "m.T", TF_REVERT, 1), TF_EEXIST);
	executor_close(&r);
}

static void what_was_sent_to_nobody_can_be_withdrawn(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, NULL);
	executor_submit(&r, A1, "m.T");
	executor_submit(&r, A2, "m.Unknown");
	r.x->ops->withdraw(r.x);
	assert_int_equal(r.withdrawn, 1); /* A2; A1 is on its way */
	executor_answer(&r, "beta", "m.Unknown", NULL);
	executor_respond(&r, A1, NULL, "SUCCESS", "{\"result\": 1}");
	executor_pass(&r, 120000);
	assert_int_equal(r.done, 1);
	assert_int_equal(r.failed, 0);
	executor_answer(&r, "beta", "m.Unknown", NULL);
	executor_submit(&r, A2, "m.Unknown"); /* the next run */
	executor_respond(&r, A2, NULL, "SUCCESS", "{\"result\": 2}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 2);
	executor_close(&r);
}

static void stop_gives_up_everything(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, W1);
	executor_submit(&r, A1, "m.T");
	executor_respond(&r, A1, executor_by(W1, 1), "RUNNING", "{}");
	executor_submit(&r, A2, "m.Nobody");
	r.x->ops->stop(r.x);
	assert_int_equal(r.done, 2);
	assert_int_equal(r.failed, 2);
	assert_executor_failed(
		&r, "taskflow.exceptions.RequestTimeout", "in state WAITING: the engine was stopped");
	assert_null(fake_wire_last);
	assert_int_equal(executor_submit_as(&r, A1, "m.T", TF_EXECUTE, 1), TF_ESTATE);
	r.x->ops->stop(r.x);
	/* and another run */
	executor_start(&r);
	executor_up(&r);
	fake_wire_drop(r.wire);
	executor_submit(&r, A1, "m.T");
	executor_answer(&r, "alpha", "m.T", NULL);
	fake_sent_free(executor_sent(&r, "REQUEST", "alpha"));
	assert_int_equal(r.x->ops->start(r.x, NULL), TF_ESTATE);
	executor_close(&r);
}

static void done_may_stop_the_executor(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, NULL);
	executor_submit(&r, A1, "m.T");
	executor_submit(&r, A2, "m.T");
	executor_respond(&r, A1, NULL, "SUCCESS", "{\"result\": 1}");
	r.stop_in_done = true;
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 2);
	assert_int_equal(r.failed, 1);
	executor_close(&r);
}

static void a_reply_topic_is_needed(void **state)
{
	(void)state;
	struct tf_loop *loop = tf_loop_new();
	struct tf_executor *x;
	assert_int_equal(tf_executor_wbe_new(loop, &(struct tf_wbe_config){0}, &x, NULL), TF_EINVAL);
	tf_loop_delete(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probes_every_topic_at_once_and_every_5_s),
		cmocka_unit_test(a_queue_gets_what_it_can_use),
		cmocka_unit_test(a_request_waits_for_its_worker_then_goes_out),
		cmocka_unit_test(what_waits_goes_out_by_priority),
		cmocka_unit_test(arguments_that_are_too_large_stay_here),
		cmocka_unit_test(the_header_goes_where_a_tfhost_worker_was_seen),
		cmocka_unit_test(the_hunt_for_a_worker_slows_down),
		cmocka_unit_test(what_cannot_be_sent_fails),
		cmocka_unit_test(a_second_request_of_an_atom_in_flight_is_refused),
		cmocka_unit_test(what_was_sent_to_nobody_can_be_withdrawn),
		cmocka_unit_test(stop_gives_up_everything),
		cmocka_unit_test(done_may_stop_the_executor),
		cmocka_unit_test(a_reply_topic_is_needed),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("wbe_executor", tests, NULL, NULL);
}
