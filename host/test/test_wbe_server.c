/* The worker side over a scripted transport, a scripted pool, and a clock that the test steps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "cmocka_all.h"
#include "loop/loop.h"
#include "protocol/peer.h"
#include "server_rig.h"
#include "vectors.h"

static void serves_its_topic_and_its_own_queue(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	char *want = tf_asprintf("tasks %s tfhost-workers_tasks ", tf_server_uuid(r.s));
	assert_string_equal(r.wire->topics, want);
	assert_true(tf_peer_is_uuid(tf_server_uuid(r.s)));
	free(want);
	assert_int_equal(r.readies, 1);
	assert_int_equal(r.wire->sent_count, 0);
	server_close(&r);
}

static void answers_probes(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	server_deliver(&r, "NOTIFY", NULL, NULL, "{}", false);
	struct fake_sent *s = fake_wire_take(r.wire);
	assert_string_equal(s->m.type, "NOTIFY");
	assert_string_equal(s->m.topic, ENGINE);
	assert_string_equal(s->m.body, "{\"topic\": \"tasks\", \"tasks\": [\"m.T\", \"m.U\"]}");
	assert_null(s->m.peer); /* not one byte that Python would not send */
	assert_null(s->m.correlation_id);
	assert_null(s->m.reply_to);
	fake_sent_free(s);
	server_deliver(&r, "NOTIFY", NULL, "{\"v\":1}", "{}", false);
	s = fake_wire_take(r.wire);
	struct tf_peer p = tf_peer_parse(s->m.peer);
	assert_string_equal(p.worker, tf_server_uuid(r.s));
	assert_true(p.pid > 0 && p.host[0]);
	fake_sent_free(s);
	assert_int_equal(r.wire->acked, 2);
	assert_int_equal(server_stats(&r).probes, 2);
	server_close(&r);
}

static void runs_a_request_and_acknowledges_it_last(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	uint64_t tag = server_request(&r, A1, NULL);
	assert_int_equal(r.pool->count, 1);
	assert_string_equal(r.pool->jobs[0].request.task_name, "t");
	assert_string_equal(tf_value_text(r.pool->jobs[0].request.arguments), "{\"a\": 1}");
	assert_int_equal(r.wire->sent_count, 0); /* RUNNING when it runs, not before */
	fake_pool_started(r.pool, 0);
	assert_int_equal(server_expect(&r, "RESPONSE", A1, RUNNING), 0);
	fake_pool_event(r.pool, 0, "update_progress", "{\"progress\": 0.5}");
	server_expect(&r, "RESPONSE", A1,
		"{\"state\": \"EVENT\", \"data\": {\"event_type\": \"update_progress\", \"details\": "
		"{\"progress\": 0.5}}}");
	fake_pool_done(r.pool, 0, false, "[1.0, {}]");
	uint64_t publish = server_expect(
		&r, "RESPONSE", A1, "{\"state\": \"SUCCESS\", \"data\": {\"result\": [1.0, {}]}}");
	assert_int_equal(r.wire->acked, 0);
	fake_wire_confirm(r.wire, publish, TF_PUBLISHED);
	assert_int_equal(r.wire->acked, 1);
	assert_int_equal(r.wire->last_tag, tag);
	assert_int_equal(server_stats(&r).succeeded, 1);
	server_close(&r);
}

static void only_engines_of_our_kind_get_the_header(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	server_request(&r, A1, NULL);
	server_begin(&r, 0);
	struct fake_sent *s = fake_wire_take(r.wire);
	assert_null(s->m.peer);
	fake_sent_free(s);
	server_request(&r, A2, "{\"v\":1,\"round\":3,\"dispatch\":5}");
	server_begin(&r, 1);
	s = fake_wire_take(r.wire);
	struct tf_peer p = tf_peer_parse(s->m.peer);
	assert_int_equal(p.round, 3);
	assert_int_equal(p.dispatch, 5);
	assert_int_equal(p.action, TF_EXECUTE);
	assert_string_equal(p.worker, tf_server_uuid(r.s));
	fake_sent_free(s);
	server_close(&r);
}

static void reverts_get_result_and_failures_whatever_was_left_out(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	server_deliver(&r, "REQUEST", A1, NULL,
		"{\"task_cls\": \"m.T\", \"task_name\": \"t\", \"task_version\": \"1\", \"action\": "
		"\"revert\"}",
		false);
	assert_int_equal(r.pool->count, 1);
	assert_string_equal(tf_value_text(r.pool->jobs[0].request.result), "null");
	assert_string_equal(tf_value_text(r.pool->jobs[0].request.failures), "{}");
	server_deliver(&r, "REQUEST", A2, NULL,
		"{\"task_cls\": \"m.T\", \"task_name\": \"t\", \"task_version\": \"1\", \"action\": "
		"\"revert\", "
		"\"result\": [\"failure\", " GOOD_FAILURE "], \"failures\": {\"a\": " GOOD_FAILURE "}}",
		false);
	assert_true(r.pool->jobs[1].request.result_failed);
	server_close(&r);
}

/* As recorded from Python, but for the traceback, which names Python's files. */
static void an_unknown_class_gives_a_key_error(void **state)
{
	(void)state;
	struct server_rig r = {0};
	struct json_object *req = tf_vector_read("amqp-request-execute-unknown-class.json"),
			   *resp = tf_vector_read("amqp-response-failure-unknown-class.json"), *want, *have;
	server_open(&r);
	server_deliver(&r, "REQUEST", A1, NULL, tf_vector_text(req, "body_text"), false);
	struct fake_sent *s = fake_wire_take(r.wire);
	json_object_object_get_ex(resp, "body", &want);
	have = json_tokener_parse(s->m.body);
	struct json_object *data, *result;
	json_object_object_get_ex(want, "data", &data);
	json_object_object_get_ex(data, "result", &result);
	json_object_object_add(result, "traceback_str", json_object_new_string(""));
	assert_string_equal(json_object_to_json_string(have), json_object_to_json_string(want));
	fake_wire_confirm(r.wire, s->id, TF_PUBLISHED);
	assert_int_equal(r.wire->acked, 1);
	assert_int_equal(r.wire->sent_count, 0);
	assert_int_equal(r.pool->count, 0);
	fake_sent_free(s);
	json_object_put(have);
	json_object_put(req);
	json_object_put(resp);
	server_close(&r);
}

#define REV "{\"task_cls\": \"m.T\", \"task_name\": \"t\", \"task_version\": [], \"action\": \"revert\", "
#define DICT(more) \
	"{\"exception_str\": \"x\", \"traceback_str\": \"\", \"exc_type_names\": [\"Exception\"]" more "}"

static void requests_that_python_chokes_on_are_answered(void **state)
{
	(void)state;
	static const struct {
		const char *body, *type;
		bool running;
	} cases[] = {
		{REV "\"result\": [\"failure\", " DICT(", \"version\": 2") "], \"failures\": {}}",
			"\"ValueError\"", false},
		{REV "\"result\": [\"success\", 1], \"failures\": {\"a\": " DICT("") "}}", "\"ValueError\"",
			false},
		{REV "\"failures\": {\"a\": " DICT(", \"version\": 1, \"more\": 1") "}}", "\"TypeError\"",
			false},
		{"{\"task_cls\": \"m.T\", \"task_name\": \"t\", \"task_version\": [], \"action\": "
		 "\"execute\", "
		 "\"result\": [\"success\", 1]}",
			"\"TypeError\"", true},
		{"{\"task_cls\": \"m.T\", \"task_name\": \"t\", \"task_version\": [], \"action\": "
		 "\"execute\", "
		 "\"failures\": {}}",
			"\"TypeError\"", true},
	};
	struct server_rig r = {0};
	server_open(&r);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		server_deliver(&r, "REQUEST", A1, NULL, cases[i].body, false);
		if (cases[i].running)
			server_expect(&r, "RESPONSE", A1, RUNNING);
		uint64_t id = server_expect(&r, "RESPONSE", A1, cases[i].type);
		fake_wire_confirm(r.wire, id, TF_PUBLISHED);
		assert_int_equal(r.wire->acked, i + 1);
	}
	assert_int_equal(r.pool->count, 0);
	server_close(&r);
}

static void requests_beyond_the_slots_wait_in_order(void **state)
{
	(void)state;
	struct server_rig r = {.config.transport.prefetch = 8};
	char id[TF_UUID_LEN + 1];
	server_open(&r);
	for (int i = 0; i < 5; i++) {
		snprintf(id, sizeof(id), "aaaaaaaa-0000-4000-8000-00000000000%u", (unsigned)i % 8u);
		server_request(&r, id, NULL);
	}
	assert_int_equal(r.pool->count, 2);
	for (int i = 0; i < 5; i++) {
		snprintf(id, sizeof(id), "aaaaaaaa-0000-4000-8000-00000000000%u", (unsigned)i % 8u);
		fake_pool_started(r.pool, 0);
		server_expect(&r, "RESPONSE", id, RUNNING);
		server_finish(&r, id, "1");
	}
	assert_int_equal(r.wire->acked, 5);
	server_close(&r);
}

/* Behind a long task a request waits here for a second at most: another worker may be idle. */
static void what_waits_too_long_is_given_back(void **state)
{
	(void)state;
	struct server_rig r = {.config.pool.slots = 1};
	server_open(&r);
	server_request(&r, A1, NULL);
	server_pass(&r, 600);
	server_request(&r, A2, NULL);
	server_pass(&r, 900);
	assert_int_equal(r.wire->requeued, 0);
	server_pass(&r, 200);
	assert_int_equal(r.wire->requeued, 1);
	/* there is none: it comes straight back, and is offered at growing distances */
	size_t offers = 1;
	uint64_t passed = 0;
	for (; passed < 120000; passed += 100) {
		if (r.wire->requeued == offers) {
			server_deliver(&r, "REQUEST", A2, NULL, EXECUTE, true);
			offers++;
		}
		server_pass(&r, 100);
	}
	assert_in_range(offers, 6, 10);
	if (r.wire->requeued == offers)
		server_deliver(&r, "REQUEST", A2, NULL, EXECUTE, true);
	assert_int_equal(r.pool->count, 1);
	fake_pool_started(r.pool, 0);
	fake_pool_done(r.pool, 0, false, "1");
	assert_int_equal(r.pool->count, 1);
	assert_int_equal(server_stats(&r).answered_from_ledger + server_stats(&r).joined, 0);
	server_close(&r);
}

static void outcomes_that_cannot_be_sent_become_failures(void **state)
{
	(void)state;
	struct server_rig r = {.config.transport.max_message = 2000};
	server_open(&r);
	/* no success without RUNNING before it */
	server_request(&r, A1, NULL);
	fake_pool_done(r.pool, 0, false, "1");
	server_expect(&r, "RESPONSE", A1, RUNNING);
	fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A1, "SUCCESS"), TF_PUBLISHED);
	/* kills newer Python peers */
	server_request(&r, A1, NULL);
	fake_pool_started(r.pool, 0);
	server_expect(&r, "RESPONSE", A1, RUNNING);
	fake_pool_event(r.pool, 0, "e", "{\"__type__\": \"x\", \"__value__\": 1}");
	fake_pool_event(r.pool, 0, "e", "[1]");
	assert_int_equal(r.wire->sent_count, 0);
	assert_int_equal(server_stats(&r).events_dropped, 2);
	fake_pool_done(r.pool, 0, false, "{\"__type__\": \"x\", \"__value__\": 1}");
	fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A1, "the result of task 't' cannot be sent"),
		TF_PUBLISHED);
	/* no failure dict */
	server_request(&r, A1, NULL);
	fake_pool_done(r.pool, 0, true, "5");
	fake_wire_confirm(
		r.wire, server_expect(&r, "RESPONSE", A1, "without a proper failure"), TF_PUBLISHED);
	/* too large */
	char *large = tf_malloc(4001);
	memset(large, '1', 4000);
	large[4000] = '\0';
	server_request(&r, A1, NULL);
	fake_pool_started(r.pool, 0);
	server_expect(&r, "RESPONSE", A1, RUNNING);
	fake_pool_done(r.pool, 0, false, large);
	fake_wire_confirm(r.wire,
		server_expect(&r, "RESPONSE", A1,
			"the result of task 't' cannot be sent: message to " ENGINE " has"),
		TF_PUBLISHED);
	free(large);
	/* the pool cannot take it */
	r.pool->refuse = TF_ELIMIT;
	server_request(&r, A1, NULL);
	fake_wire_confirm(r.wire,
		server_expect(&r, "RESPONSE", A1, "task 't' could not be started: refused by the test"),
		TF_PUBLISHED);
	assert_int_equal(r.wire->acked, 5);
	assert_int_equal(server_stats(&r).failed, 4);
	server_close(&r);
}

static void a_full_transport_keeps_the_order(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	server_request(&r, A1, NULL);
	r.wire->refuse = TF_EAGAIN;
	fake_pool_started(r.pool, 0);
	fake_pool_done(r.pool, 0, false, "1");
	server_pass(&r, 1000);
	assert_int_equal(r.wire->sent_count, 0);
	r.wire->refuse = 0;
	server_pass(&r, 100);
	server_expect(&r, "RESPONSE", A1, RUNNING);
	fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A1, "SUCCESS"), TF_PUBLISHED);
	assert_int_equal(r.wire->acked, 1);
	server_close(&r);
}

static void an_outcome_that_nobody_takes_is_offered_for_a_minute(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	server_request(&r, A1, NULL);
	fake_pool_started(r.pool, 0);
	server_expect(&r, "RESPONSE", A1, RUNNING);
	fake_pool_done(r.pool, 0, false, "1");
	size_t offers = 0;
	while (server_stats(&r).dropped == 0 && offers < 1000) {
		fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A1, "SUCCESS"), TF_RETURNED);
		assert_int_equal(r.wire->acked, 1); /* the next request does not wait for it */
		offers++;
		server_pass(&r, 1000);
	}
	assert_in_range(offers, 59, 62);
	assert_int_equal(server_stats(&r).dropped, 1);
	/* had the engine come back, it would have got it */
	server_request(&r, A2, NULL);
	fake_pool_started(r.pool, 0);
	server_expect(&r, "RESPONSE", A2, RUNNING);
	fake_pool_done(r.pool, 0, false, "2");
	fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A2, "SUCCESS"), TF_RETURNED);
	server_pass(&r, 1000);
	fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A2, "SUCCESS"), TF_PUBLISHED);
	assert_int_equal(server_stats(&r).succeeded, 1);
	server_close(&r);
}

/* One message for two: what ends in the turn in which it began says both, to an engine of our kind alone. */
static void an_outcome_says_that_it_ran(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	server_request(&r, A1, "{\"v\":1,\"round\":0,\"dispatch\":1}");
	fake_pool_started(r.pool, 0);
	server_finish(&r, A1, "1");
	tf_server_tick(r.s);
	assert_int_equal(r.wire->sent_count, 0);
	server_request(&r, A1, "{\"v\":1,\"round\":1,\"dispatch\":2}");
	fake_pool_started(r.pool, 0);
	fake_pool_event(r.pool, 0, "tick", "{}"); /* an event is not before RUNNING */
	server_expect(&r, "RESPONSE", A1, RUNNING);
	server_expect(&r, "RESPONSE", A1, "EVENT");
	server_finish(&r, A1, "2");
	server_request(&r, A2, NULL);
	fake_pool_started(r.pool, 0);
	server_expect(&r, "RESPONSE", A2, RUNNING);
	server_finish(&r, A2, "3");
	server_close(&r);
}

static void outcomes_say_which_code_produced_them(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	server_request(&r, A1, HEADER);
	r.pool->label = (struct tf_label){.number = 4, .hash = "00000000deadbeef"};
	server_begin(&r, 0);
	server_expect(&r, "RESPONSE", A1, RUNNING);
	fake_pool_done(r.pool, 0, false, "1");
	for (int i = 0; i < 2; i++) {
		struct fake_sent *s = fake_wire_take(r.wire);
		struct tf_peer p = tf_peer_parse(s->m.peer);
		assert_int_equal(p.generation, 4);
		assert_string_equal(p.hash, "00000000deadbeef");
		fake_wire_confirm(r.wire, s->id, TF_PUBLISHED);
		fake_sent_free(s);
		r.pool->label = (struct tf_label){.number = 5}; /* other scripts, meanwhile */
		if (i == 0)
			server_request(&r, A1, AGAIN); /* from the ledger */
	}
	server_close(&r);
}

static void changed_classes_are_told_at_once(void **state)
{
	(void)state;
	static const char *const more[] = {"m.T", "m.New", NULL};
	struct server_rig r = {0};
	server_open(&r);
	server_request(&r, A1, NULL); /* its engine listens */
	fake_pool_ready(r.pool, more);
	tf_server_tick(r.s);
	struct fake_sent *s = fake_wire_take(r.wire);
	assert_string_equal(s->m.type, "NOTIFY");
	assert_non_null(strstr(s->m.body, "\"m.New\""));
	fake_sent_free(s);
	fake_pool_ready(r.pool, more); /* nothing that engines need to know */
	tf_server_tick(r.s);
	assert_int_equal(r.wire->sent_count, 0);
	server_close(&r);
}

static void malformed_messages_are_rejected_and_counted(void **state)
{
	(void)state;
	static const char *const shapes[] = {"", "{", "null", "[]", "\xff\xfe", "{\"task_cls\": 1}",
		"{\"topic\": \"t\", \"tasks\": []}", REV "\"result\": 5}", REV "\"failures\": null}",
		"{\"task_cls\": \"m.T\", \"task_name\": \"t\", \"task_version\": 1, \"action\": "
		"\"execute\"}"};
	struct server_rig r = {0};
	char noise[200];
	size_t bad = 0, good = 0;
	unsigned seed = tf_random(1000000);
	print_message("seed %u\n", seed);
	srand(seed);
	server_open(&r);
	for (size_t i = 0; i < 10000; i++) {
		static const char *const types[] = {"NOTIFY", "RESPONSE", "REQUEST", "", "request", NULL};
		const char *body = shapes[(size_t)rand() % (sizeof(shapes) / sizeof(shapes[0]))];
		size_t len = strlen(body);
		if (i % 3 == 0) {
			len = (size_t)rand() % sizeof(noise);
			for (size_t k = 0; k < len; k++)
				noise[k] = (char)rand();
			body = noise;
		}
		fake_wire_deliver(r.wire, &(struct tf_message){.topic = "tasks",
						  .type = types[i % 6],
						  .reply_to = ENGINE,
						  .correlation_id = A1,
						  .body = body,
						  .body_len = len,
						  .content_type = i % 50 ? "application/json"
									 : "application/x-python-serialize"});
		bad++;
		if (i % 1000 == 0) {
			server_request(&r, A1, NULL);
			fake_pool_started(r.pool, 0);
			server_expect(&r, "RESPONSE", A1, RUNNING);
			server_finish(&r, A1, "1");
			good++;
		}
	}
	assert_int_equal(server_stats(&r).malformed, bad);
	assert_int_equal(r.wire->rejected, bad);
	assert_int_equal(r.wire->acked, good);
	assert_int_equal(r.wire->unsettled, 0);
	assert_int_equal(r.wire->sent_count, 0);
	server_close(&r);
}

static void what_nobody_could_be_answered_for_is_ignored(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	struct tf_message m = {.topic = "tasks",
		.type = "REQUEST",
		.correlation_id = A1,
		.content_type = "application/json",
		.body = EXECUTE,
		.body_len = strlen(EXECUTE)};
	fake_wire_deliver(r.wire, &m);
	m.reply_to = ENGINE;
	m.correlation_id = NULL;
	fake_wire_deliver(r.wire, &m);
	m.type = "NOTIFY";
	m.reply_to = NULL;
	m.body = "{}";
	m.body_len = 2;
	fake_wire_deliver(r.wire, &m);
	assert_int_equal(r.wire->acked, 3);
	assert_int_equal(r.wire->sent_count, 0);
	assert_int_equal(r.pool->count, 0);
	server_close(&r);
}

static void cancel(struct server_rig *r, const char *id, int64_t round)
{
	char header[TF_PEER_MAX];
	struct tf_peer peer = TF_PEER_INIT;
	peer.cancel = 1;
	peer.round = round;
	peer.action = TF_EXECUTE;
	server_deliver(r, "NOTIFY", id, tf_peer_write(&peer, header), "{}", false);
}

static void a_cancelled_request_ends_and_says_so(void **state)
{
	(void)state;
	struct server_rig r = {.config = {.pool.slots = 1, .transport.prefetch = 4}};
	server_open(&r);
	server_request(&r, A1, "{\"v\":1,\"round\":1}");
	server_request(&r, A2, "{\"v\":1,\"round\":1}"); /* waits for the slot */
	server_begin(&r, 0);
	server_expect(&r, "RESPONSE", A1, RUNNING);
	cancel(&r, A1, 2); /* another round */
	cancel(&r, A2, 1);
	uint64_t publish = server_expect(&r, "RESPONSE", A2, "tfhost.Cancelled");
	fake_wire_confirm(r.wire, publish, TF_PUBLISHED);
	assert_int_equal(r.wire->sent_count, 0); /* a cancel is no probe: it gets no answer of its own */
	cancel(&r, A1, 1);
	fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A1, "tfhost.Cancelled"), TF_PUBLISHED);
	cancel(&r, A1, 1); /* over already */
	assert_int_equal(r.wire->sent_count, 0);
	assert_int_equal(r.pool->count, 0);
	assert_int_equal(r.wire->unsettled, 0);
	server_close(&r);
}

static void an_expired_request_is_not_run(void **state)
{
	(void)state;
	struct server_rig r = {0};
	server_open(&r);
	server_request(&r, A1, "{\"v\":1,\"round\":1,\"expires\":1000}"); /* in 1970 */
	assert_int_equal(r.pool->count, 0);
	fake_wire_confirm(r.wire, server_expect(&r, "RESPONSE", A1, "RequestTimeout"), TF_PUBLISHED);
	server_request(&r, A2, "{\"v\":1,\"round\":1,\"expires\":9000000000000}");
	assert_int_equal(r.pool->count, 1);
	server_close(&r);
}

static void a_topic_and_a_slot_are_needed(void **state)
{
	(void)state;
	struct tf_loop *loop = tf_loop_new();
	struct tf_server_events events = {0};
	struct tf_server *s;
	struct tf_server_config config = {.transport.exchange = "x", .pool.slots = 1};
	assert_int_equal(tf_server_new(loop, &config, &events, NULL, &s, NULL), TF_EINVAL);
	config = (struct tf_server_config){.transport.exchange = "x", .topic = "t"};
	assert_int_equal(tf_server_new(loop, &config, &events, NULL, &s, NULL), TF_EINVAL);
	tf_loop_delete(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serves_its_topic_and_its_own_queue),
		cmocka_unit_test(answers_probes),
		cmocka_unit_test(runs_a_request_and_acknowledges_it_last),
		cmocka_unit_test(only_engines_of_our_kind_get_the_header),
		cmocka_unit_test(reverts_get_result_and_failures_whatever_was_left_out),
		cmocka_unit_test(an_unknown_class_gives_a_key_error),
		cmocka_unit_test(requests_that_python_chokes_on_are_answered),
		cmocka_unit_test(requests_beyond_the_slots_wait_in_order),
		cmocka_unit_test(what_waits_too_long_is_given_back),
		cmocka_unit_test(outcomes_that_cannot_be_sent_become_failures),
		cmocka_unit_test(a_full_transport_keeps_the_order),
		cmocka_unit_test(an_outcome_that_nobody_takes_is_offered_for_a_minute),
		cmocka_unit_test(an_outcome_says_that_it_ran),
		cmocka_unit_test(outcomes_say_which_code_produced_them),
		cmocka_unit_test(changed_classes_are_told_at_once),
		cmocka_unit_test(malformed_messages_are_rejected_and_counted),
		cmocka_unit_test(what_nobody_could_be_answered_for_is_ignored),
		cmocka_unit_test(a_cancelled_request_ends_and_says_so),
		cmocka_unit_test(an_expired_request_is_not_run),
		cmocka_unit_test(a_topic_and_a_slot_are_needed),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("wbe_server", tests, NULL, NULL);
}
