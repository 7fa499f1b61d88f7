/* What workers say to an engine: outcomes, events, and bytes that are neither. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/uuid.h"
#include "cmocka_all.h"
#include "executor_rig.h"

/* The reply is the only copy of an outcome until the engine has written it down. */
static void an_outcome_is_acknowledged_once_it_is_settled(void **state)
{
	(void)state;
	struct executor_rig r = {.hold_receipts = true};
	executor_open(&r);
	executor_up(&r);
	fake_sent_free(executor_sent(&r, "NOTIFY", "alpha"));
	fake_sent_free(executor_sent(&r, "NOTIFY", "beta"));
	executor_answer(&r, "alpha", "m.T", NULL);
	executor_submit(&r, A1, "m.T");
	executor_respond(&r, A1, NULL, "RUNNING", "{}");
	assert_int_equal(r.wire->unsettled, 0);
	executor_respond(&r, A1, NULL, "SUCCESS", "{\"result\": 1}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	assert_int_equal(r.wire->unsettled, 1);
	r.x->ops->settle(r.x, r.last.receipt);
	assert_int_equal(r.wire->unsettled, 0);
	executor_close(&r);
}

/* The engine that this one resumes sent the request; this one has not, for it knows no worker yet. */
static void an_outcome_for_an_earlier_engine_counts(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_open(&r);
	executor_up(&r);
	executor_submit(&r, A1, "m.T"); /* round 1 */
	executor_respond(&r, A1, "{\"v\":1,\"worker\":\"" W1 "\",\"round\":0,\"action\":\"execute\"}",
		"SUCCESS", "{\"result\": 0}");
	executor_respond(&r, A1, NULL, "SUCCESS", "{\"result\": 0}"); /* it may be of any round */
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 0);
	assert_int_equal(executor_stats(&r).stale, 2);
	executor_respond(&r, A1, "{\"v\":1,\"worker\":\"" W1 "\",\"round\":1,\"action\":\"execute\"}",
		"SUCCESS", "{\"result\": 1}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	assert_string_equal(tf_value_text(r.last.result), "1");
	assert_int_equal(r.wire->unsettled, 0);
	assert_int_equal(executor_stats(&r).in_flight, 0);
	executor_close(&r);
}

static void events_come_in_any_state_and_in_order(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, NULL);
	executor_submit(&r, A1, "m.T");
	executor_respond(&r, A1, NULL, "EVENT", "{\"event_type\": \"early\", \"details\": {}}");
	executor_respond(&r, A1, NULL, "RUNNING", "{}");
	executor_respond(&r, A1, NULL, "EVENT",
		"{\"event_type\": \"update_progress\", \"details\": {\"progress\": 0.5}}");
	executor_respond(&r, A1, NULL, "FAILURE", "{\"result\": " GOOD_FAILURE "}");
	executor_respond(&r, A1, NULL, "EVENT", "{\"event_type\": \"late\", \"details\": {}}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.events, 2);
	assert_string_equal(r.last_event, "update_progress");
	assert_int_equal(r.done, 1);
	assert_string_equal(r.order[0], "event");
	assert_string_equal(r.order[2], "done");
	assert_executor_failed(&r, "E", "x");
	executor_close(&r);
}

static void replies_of_other_rounds_and_actions_are_stale(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, NULL);
	assert_int_equal(executor_submit_as(&r, A1, "m.T", TF_EXECUTE, 3), 0);
	executor_respond(&r, A1, executor_by(W1, 2), "RUNNING", "{}");
	executor_respond(&r, A1, executor_by(W1, 2), "SUCCESS", "{\"result\": 1}");
	executor_respond(&r, A1, executor_by(W1, 4), "SUCCESS", "{\"result\": 1}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 0);
	assert_int_equal(executor_stats(&r).stale, 3);
	executor_respond(&r, A1, executor_by(W1, 3), "SUCCESS", "{\"result\": 1}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	/* the revert of the same round is not answered by a late execute */
	assert_int_equal(executor_submit_as(&r, A1, "m.T", TF_REVERT, 3), 0);
	executor_respond(&r, A1, executor_by(W1, 3), "FAILURE", "{\"result\": " GOOD_FAILURE "}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	assert_int_equal(executor_stats(&r).stale, 4);
	/* a Python worker cannot say; it is believed */
	executor_respond(&r, A1, NULL, "SUCCESS", "{\"result\": \"undone\"}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 2);
	assert_int_equal(r.last.action, TF_REVERT);
	executor_close(&r);
}

/* A worker said that the task failed, in a failure of version 2: the flow ran on for ever. */
static void an_outcome_that_cannot_be_read_fails_the_request(void **state)
{
	(void)state;
	static const struct {
		const char *state, *data, *story;
	} poison[] = {
		{"FAILURE", "{\"result\": {\"version\": 2}}", "version"},
		{"FAILURE", "{\"result\": 5}", "expected a failure object"},
		{"FAILURE", "{}", "data.result: missing"},
		{"SUCCESS", "{}", "data.result: missing"},
		{"SUCCESS", NULL, "nested deeper"},
	};
	char deep[1200] = "{\"result\": ";
	memset(deep + 11, '[', 500);
	memset(deep + 511, ']', 500);
	deep[1011] = '}';
	for (size_t i = 0; i < sizeof(poison) / sizeof(poison[0]); i++) {
		const char *data = poison[i].data ? poison[i].data : deep;
		for (int running = 0; running < 2; running++) {
			struct executor_rig r = {0};
			executor_open(&r);
			executor_up(&r);
			executor_answer(&r, "alpha", "m.T", NULL);
			executor_submit(&r, A1, "m.T");
			executor_submit(&r, A2, "m.T");
			if (running)
				executor_respond(&r, A1, NULL, "RUNNING", "{}");
			executor_respond(&r, A1, NULL, poison[i].state, data);
			executor_respond(&r, A2, NULL, "EVENT", "{}"); /* its outcome may still come */
			executor_respond(&r, A2, NULL, poison[i].state, data);
			assert_int_equal(executor_stats(&r).malformed, 3);
			executor_pass(&r, 1000);
			assert_int_equal(r.done, 0);
			executor_respond(&r, A2, NULL, "SUCCESS", "{\"result\": 1}");
			tf_executor_wbe_tick(r.x);
			assert_int_equal(r.done, 1);
			assert_false(r.last.failed);
			executor_pass(&r, 3000);
			assert_int_equal(r.done, 2);
			assert_executor_failed(&r, "ValueError", poison[i].story);
			executor_close(&r);
		}
	}
}

/* The transport takes no body that large; a Python worker does not mind to send it. */
static void an_outcome_that_is_too_large_fails_the_request(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, NULL);
	executor_submit(&r, A1, "m.T");
	executor_respond(&r, A1, NULL, "RUNNING", "{}");
	struct tf_message m = {.topic = FLOW, .type = "RESPONSE", .correlation_id = A2, .body = ""};
	r.wire->base.events.oversized(r.wire->base.arg, &m); /* of nobody */
	m.correlation_id = A1;
	r.wire->base.events.oversized(r.wire->base.arg, &m);
	executor_pass(&r, 3100);
	assert_int_equal(r.done, 1);
	assert_executor_failed(&r, "ValueError", "it has more than 67108864 bytes");
	executor_close(&r);
}

/* Not an outcome: the task may run for hours yet. */
static void a_malformed_event_does_not_end_its_request(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_ready(&r, NULL);
	executor_submit(&r, A1, "m.T");
	executor_respond(&r, A1, NULL, "RUNNING", "{}");
	executor_respond(&r, A1, NULL, "EVENT", "{}");
	executor_respond(&r, A1, NULL, "NOPE", "{}");
	executor_deliver(&r, "RESPONSE", A1, NULL, "{\"state\": \"SUC");
	executor_deliver(&r, "RESPONSE", A1, NULL, "[]");
	executor_pass(&r, 60000);
	assert_int_equal(r.done, 0);
	executor_respond(&r, A1, NULL, "SUCCESS", "{\"result\": 1}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	executor_close(&r);
}

static void a_request_that_was_not_sent_yet_cannot_be_answered(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_open(&r);
	executor_up(&r);
	executor_submit(&r, A1, "m.T");
	executor_respond(&r, A1, NULL, "RUNNING", "{}");
	executor_respond(&r, A1, NULL, "SUCCESS", "{\"result\": 1}");
	executor_respond(&r, A1, NULL, "FAILURE", "{\"result\": " GOOD_FAILURE "}");
	executor_respond(&r, A2, NULL, "SUCCESS", "{\"result\": 1}"); /* never heard of */
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 0);
	assert_int_equal(executor_stats(&r).stale, 4);
	executor_close(&r);
}

static const char *const shapes[] = {"", "{", "null", "[]", "{}", "\xff\xfe\xfd", "{\"state\": \"RUNNING\"}",
	"{\"state\": \"SUCCESS\", \"data\": {}}", "{\"state\": \"EVENT\", \"data\": {}}",
	"{\"state\": \"FAILURE\", \"data\": {\"result\": 5}}", "{\"topic\": 1, \"tasks\": []}",
	"{\"topic\": \"alpha\", \"tasks\": [1]}", "{\"topic\": \"alpha\", \"tasks\": [\"m.T\"], \"x\": 1}",
	"{\"state\": \"DONE\", \"data\": {\"result\": 1}}",
	"{\"state\": \"FAILURE\", \"data\": {\"result\": {\"version\": 2, \"exception_str\": \"\"}}}"};

static void malformed_messages_are_rejected_and_counted(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	char noise[200];
	size_t bad = 0;
	unsigned seed = tf_random(1000000);
	print_message("seed %u\n", seed);
	srand(seed);
	executor_ready(&r, NULL);
	size_t good = r.wire->acked;
	for (size_t i = 0; i < 10000; i++) {
		static const char *const types[] = {"NOTIFY", "RESPONSE", "REQUEST", "", "notify", NULL};
		const char *body = shapes[(size_t)rand() % (sizeof(shapes) / sizeof(shapes[0]))];
		size_t len = strlen(body);
		if (i % 3 == 0) {
			len = (size_t)rand() % sizeof(noise);
			for (size_t k = 0; k < len; k++)
				noise[k] = (char)rand();
			body = noise;
		}
		fake_wire_deliver(
			r.wire, &(struct tf_message){.topic = FLOW,
					.type = types[i % 6],
					.correlation_id = A1,
					.body = body,
					.content_type = i % 50 ? "application/json" : "application/x-yaml",
					.body_len = len});
		bad++;
		if (i % 1000 == 0) { /* real work goes on */
			executor_submit(&r, A1, "m.T");
			executor_respond(&r, A1, NULL, "RUNNING", "{}");
			executor_respond(&r, A1, NULL, "SUCCESS", "{\"result\": 1}");
			tf_executor_wbe_tick(r.x);
			good += 2;
		}
	}
	assert_int_equal(r.done, 10);
	assert_int_equal(r.failed, 0);
	assert_int_equal(executor_stats(&r).malformed, bad);
	assert_int_equal(r.wire->rejected, bad);
	assert_int_equal(r.wire->acked, good);
	assert_int_equal(r.wire->unsettled, 0);
	executor_close(&r);
}

static void a_reply_without_an_id_is_acknowledged_and_ignored(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	executor_open(&r);
	executor_up(&r);
	executor_respond(&r, NULL, NULL, "SUCCESS", "{\"result\": 1}");
	assert_int_equal(r.wire->acked, 1);
	assert_int_equal(executor_stats(&r).malformed, 1);
	executor_close(&r);
}

static void the_cost_of_a_reply_does_not_grow_with_the_requests(void **state)
{
	(void)state;
	struct executor_rig r = {0};
	char uuid[TF_UUID_LEN + 1];
	enum { MANY = 50000 };
	executor_ready(&r, W1);
	char(*ids)[TF_UUID_LEN + 1] = tf_calloc(MANY, sizeof(*ids));
	for (size_t i = 0; i < MANY; i++) {
		tf_uuid(uuid);
		memcpy(ids[i], uuid, sizeof(uuid));
		executor_submit(&r, uuid, "m.T");
		executor_respond(&r, uuid, executor_by(W1, 1), "RUNNING", "{}");
	}
	/* Were one reply to look at all others, this would be billions of steps. */
	for (size_t i = MANY; i-- > 0;) {
		executor_respond(&r, ids[i], executor_by(W1, 1), "SUCCESS", "{\"result\": 1}");
		tf_executor_wbe_tick(r.x);
	}
	assert_int_equal(r.done, MANY);
	free(ids);
	executor_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_outcome_is_acknowledged_once_it_is_settled),
		cmocka_unit_test(an_outcome_for_an_earlier_engine_counts),
		cmocka_unit_test(events_come_in_any_state_and_in_order),
		cmocka_unit_test(replies_of_other_rounds_and_actions_are_stale),
		cmocka_unit_test(an_outcome_that_cannot_be_read_fails_the_request),
		cmocka_unit_test(an_outcome_that_is_too_large_fails_the_request),
		cmocka_unit_test(a_malformed_event_does_not_end_its_request),
		cmocka_unit_test(a_request_that_was_not_sent_yet_cannot_be_answered),
		cmocka_unit_test(malformed_messages_are_rejected_and_counted),
		cmocka_unit_test(a_reply_without_an_id_is_acknowledged_and_ignored),
		cmocka_unit_test(the_cost_of_a_reply_does_not_grow_with_the_requests),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("wbe_replies", tests, NULL, NULL);
}
