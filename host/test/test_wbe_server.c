/* The worker side over a scripted transport, a scripted pool, and a clock that the test steps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "clock_fake.h"
#include "cmocka_all.h"
#include "fake_pool.h"
#include "fake_wire.h"
#include "loop/loop.h"
#include "protocol/failure.h"
#include "protocol/peer.h"
#include "vectors.h"
#include "wbe/server.h"

#define ENGINE "6227eb8f-222c-44bd-8b77-78f8133307bb"
#define ENGINE2 "7227eb8f-222c-44bd-8b77-78f8133307bb"
#define A1 "aaaaaaaa-0000-4000-8000-000000000001"
#define A2 "aaaaaaaa-0000-4000-8000-000000000002"
#define GOOD_FAILURE \
	"{\"exception_str\": \"x\", \"traceback_str\": \"\", \"exc_type_names\": [\"E\", \"Exception\"], " \
	"\"version\": 1}"
#define HEADER "{\"v\":1,\"round\":1,\"dispatch\":1}"
#define AGAIN "{\"v\":1,\"round\":1,\"dispatch\":2}"

static const char *const classes[] = {"m.T", "m.U", NULL};

struct rig {
	struct tf_loop *loop;
	struct tf_clock_fake clock;
	struct tf_server *s;
	struct fake_wire *wire;
	struct fake_pool *pool;
	struct tf_server_config config;
	size_t readies, stops;
	struct tf_err stop_err;
	bool delete_in_stopped;
};

static void on_ready(void *arg, char *const *names, size_t count, const struct tf_err *err)
{
	struct rig *r = arg;
	assert_null(err);
	assert_int_equal(count, 2);
	assert_string_equal(names[0], "m.T");
	r->readies++;
}

static void on_stopped(void *arg, const struct tf_err *err)
{
	struct rig *r = arg;
	r->stops++;
	if (err)
		r->stop_err = *err;
	if (r->delete_in_stopped) {
		tf_server_delete(r->s);
		r->s = NULL;
	}
}

static void rig_open(struct rig *r)
{
	const struct tf_wbe_seam seam = {.clock = &r->clock.clock, .open = fake_wire_open};
	static const struct tf_server_events events = {.ready = on_ready, .stopped = on_stopped};
	struct tf_err err;
	r->loop = tf_loop_new();
	tf_clock_fake_init(&r->clock, 1000000);
	r->config.transport.exchange = "x";
	r->config.topic = "tasks";
	if (!r->config.pool.slots)
		r->config.pool.slots = 2;
	if (tf_server_new_with(r->loop, &r->config, &seam, &fake_pool_ops, &events, r, &r->s, &err) < 0)
		fail_msg("%s", err.message);
	r->wire = fake_wire_last;
	r->pool = fake_pool_last;
	fake_wire_state(r->wire, true);
	tf_server_tick(r->s);
	assert_null(r->wire->topics); /* nothing is taken before the scripts are there */
	fake_pool_ready(r->pool, classes);
	tf_server_tick(r->s);
	assert_int_equal(r->readies, 1);
	assert_int_equal(r->wire->sent_count, 0);
}

static void rig_close(struct rig *r)
{
	tf_server_delete(r->s);
	tf_loop_delete(r->loop);
	memset(r, 0, sizeof(*r));
}

static void pass(struct rig *r, uint64_t ms)
{
	while (ms) {
		uint64_t step = ms < 100 ? ms : 100;
		tf_clock_fake_advance(&r->clock, step);
		tf_server_tick(r->s);
		ms -= step;
	}
}

static uint64_t deliver(
	struct rig *r, const char *type, const char *id, const char *peer, const char *body, bool redelivered)
{
	return fake_wire_deliver(r->wire, &(struct tf_message){.topic = "tasks",
						  .type = type,
						  .reply_to = ENGINE,
						  .correlation_id = id,
						  .peer = peer,
						  .content_type = "application/json",
						  .body = body,
						  .body_len = strlen(body),
						  .redelivered = redelivered});
}

static const char execute_body[] = "{\"task_cls\": \"m.T\", \"task_name\": \"t\", \"task_version\": [1, 0], "
				   "\"action\": \"execute\", \"arguments\": {\"a\": 1}}";

static uint64_t request(struct rig *r, const char *id, const char *peer)
{
	return deliver(r, "REQUEST", id, peer, execute_body, false);
}

/* Take the next message and check what it is; its publish id. */
static uint64_t expect(struct rig *r, const char *type, const char *id, const char *body)
{
	struct fake_sent *s = fake_wire_take(r->wire);
	if (!s)
		fail_msg("nothing was sent, expected %s %s", type, body);
	assert_string_equal(s->m.type, type);
	assert_string_equal(s->m.topic, ENGINE);
	assert_null(s->m.reply_to);
	if (id)
		assert_string_equal(s->m.correlation_id, id);
	else
		assert_null(s->m.correlation_id);
	if (!strstr(s->m.body, body))
		fail_msg("want %s\nhave %s", body, s->m.body);
	uint64_t publish = s->id;
	fake_sent_free(s);
	return publish;
}

#define RUNNING "{\"state\": \"RUNNING\", \"data\": {}}"

/* A task runs, longer than a turn of the loop: an engine of our kind is told, too. */
static void begin(struct rig *r, size_t i)
{
	fake_pool_started(r->pool, i);
	tf_server_tick(r->s);
}

static void finish(struct rig *r, const char *id, const char *result)
{
	char *body = tf_asprintf("{\"state\": \"SUCCESS\", \"data\": {\"result\": %s}}", result);
	fake_pool_done(r->pool, 0, false, result);
	uint64_t publish = expect(r, "RESPONSE", id, body);
	assert_int_not_equal(publish, 0);
	fake_wire_confirm(r->wire, publish, TF_PUBLISHED);
	free(body);
}

static struct tf_server_stats stats(struct rig *r)
{
	struct tf_server_stats s;
	tf_server_stats(r->s, &s);
	return s;
}

/* ---- */

static void serves_its_topic_and_its_own_queue(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	char *want = tf_asprintf("tasks %s tfhost-workers_tasks ", tf_server_uuid(r.s));
	assert_string_equal(r.wire->topics, want);
	assert_true(tf_peer_is_uuid(tf_server_uuid(r.s)));
	free(want);
	rig_close(&r);
}

static void answers_probes(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	deliver(&r, "NOTIFY", NULL, NULL, "{}", false);
	struct fake_sent *s = fake_wire_take(r.wire);
	assert_string_equal(s->m.type, "NOTIFY");
	assert_string_equal(s->m.topic, ENGINE);
	assert_string_equal(s->m.body, "{\"topic\": \"tasks\", \"tasks\": [\"m.T\", \"m.U\"]}");
	assert_null(s->m.peer); /* not one byte that Python would not send */
	assert_null(s->m.correlation_id);
	assert_null(s->m.reply_to);
	fake_sent_free(s);
	deliver(&r, "NOTIFY", NULL, "{\"v\":1}", "{}", false);
	s = fake_wire_take(r.wire);
	struct tf_peer p = tf_peer_parse(s->m.peer);
	assert_string_equal(p.worker, tf_server_uuid(r.s));
	assert_true(p.pid > 0 && p.host[0]);
	fake_sent_free(s);
	assert_int_equal(r.wire->acked, 2);
	assert_int_equal(stats(&r).probes, 2);
	rig_close(&r);
}

static void runs_a_request_and_acknowledges_it_last(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	uint64_t tag = request(&r, A1, NULL);
	assert_int_equal(r.pool->count, 1);
	assert_string_equal(r.pool->jobs[0].request.task_name, "t");
	assert_string_equal(tf_value_text(r.pool->jobs[0].request.arguments), "{\"a\": 1}");
	assert_int_equal(r.wire->sent_count, 0); /* RUNNING when it runs, not before */
	fake_pool_started(r.pool, 0);
	assert_int_equal(expect(&r, "RESPONSE", A1, RUNNING), 0);
	fake_pool_event(r.pool, 0, "update_progress", "{\"progress\": 0.5}");
	expect(&r, "RESPONSE", A1,
		"{\"state\": \"EVENT\", \"data\": {\"event_type\": \"update_progress\", \"details\": "
		"{\"progress\": 0.5}}}");
	fake_pool_done(r.pool, 0, false, "[1.0, {}]");
	uint64_t publish =
		expect(&r, "RESPONSE", A1, "{\"state\": \"SUCCESS\", \"data\": {\"result\": [1.0, {}]}}");
	assert_int_equal(r.wire->acked, 0);
	fake_wire_confirm(r.wire, publish, TF_PUBLISHED);
	assert_int_equal(r.wire->acked, 1);
	assert_int_equal(r.wire->last_tag, tag);
	assert_int_equal(stats(&r).succeeded, 1);
	rig_close(&r);
}

static void only_engines_of_our_kind_get_the_header(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	request(&r, A1, NULL);
	begin(&r, 0);
	struct fake_sent *s = fake_wire_take(r.wire);
	assert_null(s->m.peer);
	fake_sent_free(s);
	request(&r, A2, "{\"v\":1,\"round\":3,\"dispatch\":5}");
	begin(&r, 1);
	s = fake_wire_take(r.wire);
	struct tf_peer p = tf_peer_parse(s->m.peer);
	assert_int_equal(p.round, 3);
	assert_int_equal(p.dispatch, 5);
	assert_int_equal(p.action, TF_EXECUTE);
	assert_string_equal(p.worker, tf_server_uuid(r.s));
	fake_sent_free(s);
	rig_close(&r);
}

static void reverts_get_result_and_failures_whatever_was_left_out(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	deliver(&r, "REQUEST", A1, NULL,
		"{\"task_cls\": \"m.T\", \"task_name\": \"t\", \"task_version\": \"1\", \"action\": "
		"\"revert\"}",
		false);
	assert_int_equal(r.pool->count, 1);
	assert_string_equal(tf_value_text(r.pool->jobs[0].request.result), "null");
	assert_string_equal(tf_value_text(r.pool->jobs[0].request.failures), "{}");
	deliver(&r, "REQUEST", A2, NULL,
		"{\"task_cls\": \"m.T\", \"task_name\": \"t\", \"task_version\": \"1\", \"action\": "
		"\"revert\", "
		"\"result\": [\"failure\", " GOOD_FAILURE "], \"failures\": {\"a\": " GOOD_FAILURE "}}",
		false);
	assert_true(r.pool->jobs[1].request.result_failed);
	rig_close(&r);
}

/* As recorded from Python, but for the traceback, which names Python's files. */
static void an_unknown_class_gives_a_key_error(void **state)
{
	(void)state;
	struct rig r = {0};
	struct json_object *req = tf_vector_read("amqp-request-execute-unknown-class.json"),
			   *resp = tf_vector_read("amqp-response-failure-unknown-class.json"), *want, *have;
	rig_open(&r);
	deliver(&r, "REQUEST", A1, NULL, tf_vector_text(req, "body_text"), false);
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
	rig_close(&r);
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
	struct rig r = {0};
	rig_open(&r);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		deliver(&r, "REQUEST", A1, NULL, cases[i].body, false);
		if (cases[i].running)
			expect(&r, "RESPONSE", A1, RUNNING);
		uint64_t id = expect(&r, "RESPONSE", A1, cases[i].type);
		fake_wire_confirm(r.wire, id, TF_PUBLISHED);
		assert_int_equal(r.wire->acked, i + 1);
	}
	assert_int_equal(r.pool->count, 0);
	rig_close(&r);
}

static void requests_beyond_the_slots_wait_in_order(void **state)
{
	(void)state;
	struct rig r = {.config.transport.prefetch = 8};
	char id[TF_UUID_LEN + 1];
	rig_open(&r);
	for (int i = 0; i < 5; i++) {
		snprintf(id, sizeof(id), "aaaaaaaa-0000-4000-8000-00000000000%u", (unsigned)i % 8u);
		request(&r, id, NULL);
	}
	assert_int_equal(r.pool->count, 2);
	for (int i = 0; i < 5; i++) {
		snprintf(id, sizeof(id), "aaaaaaaa-0000-4000-8000-00000000000%u", (unsigned)i % 8u);
		fake_pool_started(r.pool, 0);
		expect(&r, "RESPONSE", id, RUNNING);
		finish(&r, id, "1");
	}
	assert_int_equal(r.wire->acked, 5);
	rig_close(&r);
}

/* Behind a long task a request waits here for a second at most: another worker may be idle. */
static void what_waits_too_long_is_given_back(void **state)
{
	(void)state;
	struct rig r = {.config.pool.slots = 1};
	rig_open(&r);
	request(&r, A1, NULL);
	pass(&r, 600);
	request(&r, A2, NULL);
	pass(&r, 900);
	assert_int_equal(r.wire->requeued, 0);
	pass(&r, 200);
	assert_int_equal(r.wire->requeued, 1);
	/* there is none: it comes straight back, and is offered at growing distances */
	size_t offers = 1;
	uint64_t passed = 0;
	for (; passed < 120000; passed += 100) {
		if (r.wire->requeued == offers) {
			deliver(&r, "REQUEST", A2, NULL, execute_body, true);
			offers++;
		}
		pass(&r, 100);
	}
	assert_in_range(offers, 6, 10);
	if (r.wire->requeued == offers)
		deliver(&r, "REQUEST", A2, NULL, execute_body, true);
	assert_int_equal(r.pool->count, 1);
	fake_pool_started(r.pool, 0);
	fake_pool_done(r.pool, 0, false, "1");
	assert_int_equal(r.pool->count, 1);
	assert_int_equal(stats(&r).answered_from_ledger + stats(&r).joined, 0);
	rig_close(&r);
}

static void outcomes_that_cannot_be_sent_become_failures(void **state)
{
	(void)state;
	struct rig r = {.config.transport.max_message = 2000};
	rig_open(&r);
	/* no success without RUNNING before it */
	request(&r, A1, NULL);
	fake_pool_done(r.pool, 0, false, "1");
	expect(&r, "RESPONSE", A1, RUNNING);
	fake_wire_confirm(r.wire, expect(&r, "RESPONSE", A1, "SUCCESS"), TF_PUBLISHED);
	/* kills newer Python peers */
	request(&r, A1, NULL);
	fake_pool_started(r.pool, 0);
	expect(&r, "RESPONSE", A1, RUNNING);
	fake_pool_event(r.pool, 0, "e", "{\"__type__\": \"x\", \"__value__\": 1}");
	fake_pool_event(r.pool, 0, "e", "[1]");
	assert_int_equal(r.wire->sent_count, 0);
	assert_int_equal(stats(&r).events_dropped, 2);
	fake_pool_done(r.pool, 0, false, "{\"__type__\": \"x\", \"__value__\": 1}");
	fake_wire_confirm(
		r.wire, expect(&r, "RESPONSE", A1, "the result of task 't' cannot be sent"), TF_PUBLISHED);
	/* no failure dict */
	request(&r, A1, NULL);
	fake_pool_done(r.pool, 0, true, "5");
	fake_wire_confirm(r.wire, expect(&r, "RESPONSE", A1, "without a proper failure"), TF_PUBLISHED);
	/* too large */
	char *large = tf_malloc(4001);
	memset(large, '1', 4000);
	large[4000] = '\0';
	request(&r, A1, NULL);
	fake_pool_started(r.pool, 0);
	expect(&r, "RESPONSE", A1, RUNNING);
	fake_pool_done(r.pool, 0, false, large);
	fake_wire_confirm(r.wire,
		expect(&r, "RESPONSE", A1,
			"the result of task 't' cannot be sent: message to " ENGINE " has"),
		TF_PUBLISHED);
	free(large);
	/* the pool cannot take it */
	r.pool->refuse = TF_ELIMIT;
	request(&r, A1, NULL);
	fake_wire_confirm(r.wire,
		expect(&r, "RESPONSE", A1, "task 't' could not be started: refused by the test"),
		TF_PUBLISHED);
	assert_int_equal(r.wire->acked, 5);
	assert_int_equal(stats(&r).failed, 4);
	rig_close(&r);
}

static void a_full_transport_keeps_the_order(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	request(&r, A1, NULL);
	r.wire->refuse = TF_EAGAIN;
	fake_pool_started(r.pool, 0);
	fake_pool_done(r.pool, 0, false, "1");
	pass(&r, 1000);
	assert_int_equal(r.wire->sent_count, 0);
	r.wire->refuse = 0;
	pass(&r, 100);
	expect(&r, "RESPONSE", A1, RUNNING);
	fake_wire_confirm(r.wire, expect(&r, "RESPONSE", A1, "SUCCESS"), TF_PUBLISHED);
	assert_int_equal(r.wire->acked, 1);
	rig_close(&r);
}

static void an_outcome_that_nobody_takes_is_offered_for_a_minute(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	request(&r, A1, NULL);
	fake_pool_started(r.pool, 0);
	expect(&r, "RESPONSE", A1, RUNNING);
	fake_pool_done(r.pool, 0, false, "1");
	size_t offers = 0;
	while (stats(&r).dropped == 0 && offers < 1000) {
		fake_wire_confirm(r.wire, expect(&r, "RESPONSE", A1, "SUCCESS"), TF_RETURNED);
		assert_int_equal(r.wire->acked, 1); /* the next request does not wait for it */
		offers++;
		pass(&r, 1000);
	}
	assert_in_range(offers, 59, 62);
	assert_int_equal(stats(&r).dropped, 1);
	/* had the engine come back, it would have got it */
	request(&r, A2, NULL);
	fake_pool_started(r.pool, 0);
	expect(&r, "RESPONSE", A2, RUNNING);
	fake_pool_done(r.pool, 0, false, "2");
	fake_wire_confirm(r.wire, expect(&r, "RESPONSE", A2, "SUCCESS"), TF_RETURNED);
	pass(&r, 1000);
	fake_wire_confirm(r.wire, expect(&r, "RESPONSE", A2, "SUCCESS"), TF_PUBLISHED);
	assert_int_equal(stats(&r).succeeded, 1);
	rig_close(&r);
}

/* ---- repetitions */

/* One message for two: what ends in the turn in which it began says both, to an engine of our kind alone. */
static void an_outcome_says_that_it_ran(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	request(&r, A1, "{\"v\":1,\"round\":0,\"dispatch\":1}");
	fake_pool_started(r.pool, 0);
	finish(&r, A1, "1");
	tf_server_tick(r.s);
	assert_int_equal(r.wire->sent_count, 0);
	request(&r, A1, "{\"v\":1,\"round\":1,\"dispatch\":2}");
	fake_pool_started(r.pool, 0);
	fake_pool_event(r.pool, 0, "tick", "{}"); /* an event is not before RUNNING */
	expect(&r, "RESPONSE", A1, RUNNING);
	expect(&r, "RESPONSE", A1, "EVENT");
	finish(&r, A1, "2");
	request(&r, A2, NULL);
	fake_pool_started(r.pool, 0);
	expect(&r, "RESPONSE", A2, RUNNING);
	finish(&r, A2, "3");
	rig_close(&r);
}

static void a_request_in_progress_is_joined(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	request(&r, A1, HEADER);
	request(&r, A1, AGAIN); /* queued: joined in silence */
	assert_int_equal(r.wire->sent_count, 0);
	begin(&r, 0);
	expect(&r, "RESPONSE", A1, RUNNING);
	request(&r, A1, AGAIN);
	expect(&r, "RESPONSE", A1, RUNNING);
	assert_int_equal(r.pool->count, 1);
	assert_int_equal(r.wire->acked, 2); /* one delivery keeps it safe */
	finish(&r, A1, "1");
	assert_int_equal(r.wire->acked, 3);
	assert_int_equal(stats(&r).joined, 2);
	assert_int_equal(stats(&r).requests, 1);
	rig_close(&r);
}

static void a_known_outcome_is_answered_from_the_ledger(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	request(&r, A1, HEADER);
	begin(&r, 0);
	expect(&r, "RESPONSE", A1, RUNNING);
	finish(&r, A1, "{\"n\": 1}");
	request(&r, A1, AGAIN);
	assert_int_equal(r.pool->count, 0);
	struct fake_sent *s = fake_wire_take(r.wire);
	assert_string_equal(s->m.body, "{\"state\": \"SUCCESS\", \"data\": {\"result\": {\"n\": 1}}}");
	assert_int_equal(tf_peer_parse(s->m.peer).dispatch, 2);
	assert_int_equal(r.wire->acked, 1);
	fake_wire_confirm(r.wire, s->id, TF_PUBLISHED);
	assert_int_equal(r.wire->acked, 2);
	fake_sent_free(s);
	assert_int_equal(stats(&r).answered_from_ledger, 1);
	/* another round, another action, another engine: not the same */
	request(&r, A1, "{\"v\":1,\"round\":2,\"dispatch\":1}");
	assert_int_equal(r.pool->count, 1);
	deliver(&r, "REQUEST", A1, HEADER, REV "\"failures\": {}}", false);
	assert_int_equal(r.pool->count, 2);
	/* ten minutes later nobody remembers */
	fake_pool_done(r.pool, 0, false, "1");
	fake_pool_done(r.pool, 0, false, "1");
	tf_clock_fake_advance(&r.clock, 601000);
	request(&r, A1, AGAIN);
	assert_int_equal(r.pool->count, 1);
	rig_close(&r);
}

static void outcomes_say_which_code_produced_them(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	request(&r, A1, HEADER);
	r.pool->label = (struct tf_label){.number = 4, .hash = "00000000deadbeef"};
	begin(&r, 0);
	expect(&r, "RESPONSE", A1, RUNNING);
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
			request(&r, A1, AGAIN); /* from the ledger */
	}
	rig_close(&r);
}

static void changed_classes_are_told_at_once(void **state)
{
	(void)state;
	static const char *const more[] = {"m.T", "m.New", NULL};
	struct rig r = {0};
	rig_open(&r);
	request(&r, A1, NULL); /* its engine listens */
	fake_pool_ready(r.pool, more);
	tf_server_tick(r.s);
	struct fake_sent *s = fake_wire_take(r.wire);
	assert_string_equal(s->m.type, "NOTIFY");
	assert_non_null(strstr(s->m.body, "\"m.New\""));
	fake_sent_free(s);
	fake_pool_ready(r.pool, more); /* nothing that engines need to know */
	tf_server_tick(r.s);
	assert_int_equal(r.wire->sent_count, 0);
	rig_close(&r);
}

/* Without the header, the same atom comes again for each retry: only a redelivered message with the
 * same body is the same request. */
static void requests_of_python_repeat_only_when_redelivered_and_equal(void **state)
{
	(void)state;
	struct rig r = {.config.pool.slots = 8};
	rig_open(&r);
	request(&r, A1, NULL);
	request(&r, A1, NULL); /* a retry that came while the timed-out attempt runs */
	assert_int_equal(r.pool->count, 2);
	deliver(&r, "REQUEST", A1, NULL, execute_body, true);
	assert_int_equal(r.pool->count, 2);
	assert_int_equal(stats(&r).joined, 1);
	deliver(&r, "REQUEST", A1, NULL,
		"{\"task_cls\": \"m.T\", \"task_name\": \"t\", \"task_version\": [1, 0], "
		"\"action\": \"execute\", \"arguments\": {\"a\": 2}}",
		true);
	assert_int_equal(r.pool->count, 3);
	while (r.pool->count) {
		fake_pool_started(r.pool, 0);
		expect(&r, "RESPONSE", A1, RUNNING);
		finish(&r, A1, "1");
	}
	request(&r, A1, NULL); /* not redelivered: a new attempt */
	assert_int_equal(r.pool->count, 1);
	fake_pool_done(r.pool, 0, false, "2");
	expect(&r, "RESPONSE", A1, RUNNING);
	fake_wire_confirm(r.wire, expect(&r, "RESPONSE", A1, "SUCCESS"), TF_PUBLISHED);
	deliver(&r, "REQUEST", A1, NULL, execute_body, true);
	assert_int_equal(r.pool->count, 0);
	fake_wire_confirm(r.wire, expect(&r, "RESPONSE", A1, "{\"result\": 2}"), TF_PUBLISHED);
	assert_int_equal(stats(&r).answered_from_ledger, 1);
	assert_int_equal(r.wire->unsettled, 0);
	rig_close(&r);
}

/* What was with another worker before may have its outcome by now: its engine is asked. */
static void a_redelivered_request_is_offered_first(void **state)
{
	struct rig r = {0};
	static const char drop[] = "{\"v\":1,\"drop\":1,\"round\":1,\"action\":\"execute\"}";
	static const char pending[] = "{\"state\": \"PENDING\", \"data\": {}}";
	(void)state;
	rig_open(&r);
	fake_wire_tracks(r.wire);
	deliver(&r, "REQUEST", A1, AGAIN, execute_body, true);
	assert_int_equal(r.pool->count, 0);
	fake_wire_confirm(r.wire, expect(&r, "RESPONSE", A1, pending), TF_PUBLISHED);
	deliver(&r, "NOTIFY", A1, drop, "{}", false);
	pass(&r, 200);
	assert_int_equal(r.pool->count, 0);
	assert_int_equal(r.wire->acked, 2);
	deliver(&r, "REQUEST", A1, AGAIN, execute_body, true); /* nobody objects */
	fake_wire_confirm(r.wire, expect(&r, "RESPONSE", A1, pending), TF_PUBLISHED);
	pass(&r, 200);
	assert_int_equal(r.pool->count, 1);
	begin(&r, 0);
	fake_sent_free(fake_wire_take(r.wire));
	finish(&r, A1, "1");
	deliver(&r, "REQUEST", A2, AGAIN, execute_body, true); /* the engine is gone, and stays so */
	for (int i = 0; i < 5; i++) {
		assert_int_equal(r.wire->unsettled, 1);
		struct fake_sent *sent;
		while ((sent = fake_wire_take(r.wire)) && !sent->id) /* beats */
			fake_sent_free(sent);
		assert_non_null(sent);
		assert_string_equal(sent->m.body, pending);
		fake_wire_confirm(r.wire, sent->id, TF_RETURNED);
		fake_sent_free(sent);
		pass(&r, 1000);
	}
	assert_int_equal(r.pool->count, 0);
	assert_int_equal(r.wire->unsettled, 0);
	rig_close(&r);
}

static void a_redelivery_after_a_reconnect_is_adopted(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	request(&r, A1, HEADER);
	begin(&r, 0);
	expect(&r, "RESPONSE", A1, RUNNING);
	request(&r, A2, NULL);
	begin(&r, 1);
	expect(&r, "RESPONSE", A2, RUNNING);
	fake_wire_state(r.wire, false);
	r.wire->unsettled = 0; /* void with their connection */
	fake_wire_state(r.wire, true);
	tf_server_tick(r.s);
	/* the engine of our kind hears at once that its task still runs; Python is told nothing twice */
	expect(&r, "RESPONSE", A1, RUNNING);
	expect(&r, "NOTIFY", NULL, "\"tasks\"");
	assert_int_equal(r.wire->sent_count, 0);
	uint64_t t1 = deliver(&r, "REQUEST", A1, HEADER, execute_body, true);
	expect(&r, "RESPONSE", A1, RUNNING);
	finish(&r, A1, "1");
	assert_int_equal(r.wire->last_tag, t1);
	/* and one that comes back after its outcome was confirmed */
	finish(&r, A2, "2");
	assert_int_equal(r.wire->last_tag, t1);
	uint64_t t2 = deliver(&r, "REQUEST", A2, NULL, execute_body, true);
	fake_wire_confirm(r.wire, expect(&r, "RESPONSE", A2, "{\"result\": 2}"), TF_PUBLISHED);
	assert_int_equal(r.wire->last_tag, t2);
	assert_int_equal(r.pool->count, 0);
	assert_int_equal(stats(&r).requests, 2);
	rig_close(&r);
}

static void what_has_not_started_is_forgotten_with_its_connection(void **state)
{
	(void)state;
	struct rig r = {.config = {.pool.slots = 1, .transport.prefetch = 4}};
	rig_open(&r);
	request(&r, A1, NULL);
	request(&r, A2, NULL);
	fake_wire_state(r.wire, false);
	r.wire->unsettled = 0;
	fake_wire_state(r.wire, true);
	fake_pool_done(r.pool, 0, false, "1");
	assert_int_equal(r.pool->count, 0);
	deliver(&r, "REQUEST", A2, NULL, execute_body, true); /* the broker's again */
	assert_int_equal(r.pool->count, 1);
	rig_close(&r);
}

/* ---- signs of life */

static size_t notifies(struct rig *r, const char *topic, bool header)
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
	struct rig r = {0};
	rig_open(&r);
	pass(&r, 10000);
	assert_int_equal(r.wire->sent_count, 0);
	request(&r, A1, HEADER);
	request(&r, A2, HEADER);
	pass(&r, 10000);
	assert_in_range(notifies(&r, ENGINE, true), 19, 21); /* each engine once, however many requests */
	fake_wire_state(r.wire, false);
	pass(&r, 10000);
	assert_int_equal(r.wire->sent_count, 0);
	rig_close(&r);
}

/* No broker waits for ever for an acknowledgement. */
static void a_long_task_is_acknowledged_once_it_is_supervised(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	request(&r, A1, HEADER);
	request(&r, A2, NULL);
	begin(&r, 0);
	begin(&r, 1);
	pass(&r, 9000);
	assert_int_equal(r.wire->unsettled, 2);
	pass(&r, 2000);
	assert_int_equal(r.wire->unsettled, 1); /* Python's engine supervises nobody */
	pass(&r, 3600 * 1000);
	assert_int_equal(r.wire->unsettled, 1);
	rig_close(&r);
}

static void a_full_window_speaks_unasked(void **state)
{
	(void)state;
	struct rig r = {.config.transport.prefetch = 2};
	rig_open(&r);
	request(&r, A1, NULL);
	pass(&r, 30000);
	assert_int_equal(notifies(&r, ENGINE, false), 0); /* there is room: probes come through */
	request(&r, A2, NULL);
	pass(&r, 30000);
	assert_in_range(notifies(&r, ENGINE, false), 5, 7);
	rig_close(&r);
}

/* ---- foreign bytes */

static void malformed_messages_are_rejected_and_counted(void **state)
{
	(void)state;
	static const char *const shapes[] = {"", "{", "null", "[]", "\xff\xfe", "{\"task_cls\": 1}",
		"{\"topic\": \"t\", \"tasks\": []}", REV "\"result\": 5}", REV "\"failures\": null}",
		"{\"task_cls\": \"m.T\", \"task_name\": \"t\", \"task_version\": 1, \"action\": "
		"\"execute\"}"};
	struct rig r = {0};
	char noise[200];
	size_t bad = 0, good = 0;
	unsigned seed = tf_random(1000000);
	print_message("seed %u\n", seed);
	srand(seed);
	rig_open(&r);
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
			request(&r, A1, NULL);
			fake_pool_started(r.pool, 0);
			expect(&r, "RESPONSE", A1, RUNNING);
			finish(&r, A1, "1");
			good++;
		}
	}
	assert_int_equal(stats(&r).malformed, bad);
	assert_int_equal(r.wire->rejected, bad);
	assert_int_equal(r.wire->acked, good);
	assert_int_equal(r.wire->unsettled, 0);
	assert_int_equal(r.wire->sent_count, 0);
	rig_close(&r);
}

static void what_nobody_could_be_answered_for_is_ignored(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	struct tf_message m = {.topic = "tasks",
		.type = "REQUEST",
		.correlation_id = A1,
		.content_type = "application/json",
		.body = execute_body,
		.body_len = strlen(execute_body)};
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
	rig_close(&r);
}

/* ---- what ends a request before its task does */

static void cancel(struct rig *r, const char *id, int64_t round)
{
	char header[TF_PEER_MAX];
	struct tf_peer peer = TF_PEER_INIT;
	peer.cancel = 1;
	peer.round = round;
	peer.action = TF_EXECUTE;
	deliver(r, "NOTIFY", id, tf_peer_write(&peer, header), "{}", false);
}

static void a_cancelled_request_ends_and_says_so(void **state)
{
	(void)state;
	struct rig r = {.config = {.pool.slots = 1, .transport.prefetch = 4}};
	rig_open(&r);
	request(&r, A1, "{\"v\":1,\"round\":1}");
	request(&r, A2, "{\"v\":1,\"round\":1}"); /* waits for the slot */
	begin(&r, 0);
	expect(&r, "RESPONSE", A1, RUNNING);
	cancel(&r, A1, 2); /* another round */
	cancel(&r, A2, 1);
	uint64_t publish = expect(&r, "RESPONSE", A2, "tfhost.Cancelled");
	fake_wire_confirm(r.wire, publish, TF_PUBLISHED);
	assert_int_equal(r.wire->sent_count, 0); /* a cancel is no probe: it gets no answer of its own */
	cancel(&r, A1, 1);
	fake_wire_confirm(r.wire, expect(&r, "RESPONSE", A1, "tfhost.Cancelled"), TF_PUBLISHED);
	cancel(&r, A1, 1); /* over already */
	assert_int_equal(r.wire->sent_count, 0);
	assert_int_equal(r.pool->count, 0);
	assert_int_equal(r.wire->unsettled, 0);
	rig_close(&r);
}

static void an_expired_request_is_not_run(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	request(&r, A1, "{\"v\":1,\"round\":1,\"expires\":1000}"); /* in 1970 */
	assert_int_equal(r.pool->count, 0);
	fake_wire_confirm(r.wire, expect(&r, "RESPONSE", A1, "RequestTimeout"), TF_PUBLISHED);
	request(&r, A2, "{\"v\":1,\"round\":1,\"expires\":9000000000000}");
	assert_int_equal(r.pool->count, 1);
	rig_close(&r);
}

/* ---- the end */

static void a_drain_ends_what_takes_longer_than_its_limit(void **state)
{
	(void)state;
	struct rig r = {.config = {.pool.slots = 2, .transport.prefetch = 4}};
	rig_open(&r);
	request(&r, A1, NULL);
	request(&r, A2, "{\"v\":1,\"round\":1,\"once\":1}");
	begin(&r, 0);
	begin(&r, 1);
	fake_wire_drop(r.wire);
	tf_server_drain(r.s, 2000);
	pass(&r, 1900);
	assert_int_equal(r.pool->count, 2);
	size_t before = r.wire->requeued;
	pass(&r, 200);
	assert_int_equal(r.pool->count, 0);
	assert_int_equal(r.wire->requeued, before + 1); /* that of A1, and no outcome */
	while (r.wire->sent_count > 1)                  /* beats */
		fake_sent_free(fake_wire_take(r.wire));
	fake_wire_confirm(r.wire, expect(&r, "RESPONSE", A2, "tfhost.WorkerLost"), TF_PUBLISHED);
	assert_int_equal(stats(&r).given_back, 2);
	pass(&r, 100);
	assert_int_equal(r.stops, 1);
	rig_close(&r);
}

static void a_drain_finishes_what_runs_and_gives_back_the_rest(void **state)
{
	(void)state;
	struct rig r = {.config = {.pool.slots = 1, .transport.prefetch = 4}};
	rig_open(&r);
	request(&r, A1, NULL);
	request(&r, A2, NULL);
	tf_server_drain(r.s, 0);
	assert_int_equal(r.wire->requeued, 1);
	request(&r, A2, NULL); /* straight back, there is no other worker: not in a tight loop */
	deliver(&r, "NOTIFY", NULL, NULL, "{}", false);
	assert_int_equal(r.wire->requeued, 1);
	pass(&r, 1100);
	assert_int_equal(r.wire->requeued, 3);
	assert_int_equal(r.stops, 0);
	fake_pool_started(r.pool, 0);
	expect(&r, "RESPONSE", A1, RUNNING);
	fake_pool_done(r.pool, 0, false, "1");
	pass(&r, 5000);
	assert_int_equal(r.stops, 0); /* not confirmed yet */
	fake_wire_confirm(r.wire, expect(&r, "RESPONSE", A1, "SUCCESS"), TF_PUBLISHED);
	assert_int_equal(r.stops, 0);
	r.delete_in_stopped = true;
	tf_server_tick(r.s);
	assert_int_equal(r.stops, 1);
	assert_int_equal(r.stop_err.code, 0);
	rig_close(&r);
}

static void expect_not_ready(struct rig *r, const char *why)
{
	struct tf_err err;
	assert_int_equal(tf_server_check_ready(r->s, &err), TF_ESTATE);
	assert_non_null(strstr(err.message, why));
}

static void it_is_ready_with_scripts_and_a_connection_until_it_drains(void **state)
{
	static const struct tf_server_events events = {.ready = on_ready, .stopped = on_stopped};
	struct rig r = {.config = {.transport.exchange = "x", .topic = "tasks", .pool.slots = 1}};
	const struct tf_wbe_seam seam = {.clock = &r.clock.clock, .open = fake_wire_open};
	struct tf_err err;
	(void)state;
	r.loop = tf_loop_new();
	tf_clock_fake_init(&r.clock, 1000000);
	assert_int_equal(
		tf_server_new_with(r.loop, &r.config, &seam, &fake_pool_ops, &events, &r, &r.s, &err), 0);
	fake_wire_state(fake_wire_last, true);
	expect_not_ready(&r, "have not loaded");
	fake_pool_ready(fake_pool_last, classes);
	assert_int_equal(tf_server_check_ready(r.s, &err), 0);
	fake_wire_state(fake_wire_last, false);
	expect_not_ready(&r, "not connected");
	fake_wire_state(fake_wire_last, true);
	assert_int_equal(tf_server_check_ready(r.s, &err), 0);
	tf_server_drain(r.s, 0);
	expect_not_ready(&r, "drains");
	rig_close(&r);
}

static void an_idle_worker_drains_at_once(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	tf_server_drain(r.s, 0);
	assert_int_equal(r.stops, 0);
	tf_server_tick(r.s);
	assert_int_equal(r.stops, 1);
	pass(&r, 5000);
	assert_int_equal(r.stops, 1);
	rig_close(&r);
}

static void a_drain_does_not_wait_for_engines_that_are_gone(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	request(&r, A1, NULL);
	fake_pool_started(r.pool, 0);
	expect(&r, "RESPONSE", A1, RUNNING);
	fake_pool_done(r.pool, 0, false, "1");
	tf_server_drain(r.s, 60000);
	for (int seconds = 0; r.stops == 0; seconds++) {
		assert_true(seconds < 5);
		fake_wire_confirm(r.wire, expect(&r, "RESPONSE", A1, "SUCCESS"), TF_RETURNED);
		pass(&r, 1000);
	}
	assert_int_equal(stats(&r).dropped, 1);
	rig_close(&r);
}

static void a_drain_without_a_connection_ends(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	request(&r, A1, NULL);
	fake_wire_state(r.wire, false);
	tf_server_drain(r.s, 0);
	pass(&r, 60000);
	assert_int_equal(r.stops, 0); /* the task runs */
	fake_pool_done(r.pool, 0, false, "1");
	pass(&r, 1000);
	assert_int_equal(r.stops, 1);
	assert_int_equal(r.stop_err.code, TF_EIO);
	rig_close(&r);
}

static void a_lost_pool_fails_what_ran_and_ends(void **state)
{
	(void)state;
	struct rig r = {.config = {.pool.slots = 1, .transport.prefetch = 4}};
	struct tf_err err;
	rig_open(&r);
	request(&r, A1, NULL);
	request(&r, A2, NULL);
	fake_pool_started(r.pool, 0);
	expect(&r, "RESPONSE", A1, RUNNING);
	tf_err_set(&err, TF_ESYS, "the loader died");
	r.pool->events.lost(r.pool->arg, &err);
	assert_int_equal(r.wire->requeued, 1);
	uint64_t id = expect(&r, "RESPONSE", A1, "lost its slots while task 't' ran: the loader died");
	fake_wire_confirm(r.wire, id, TF_PUBLISHED);
	tf_server_tick(r.s);
	assert_int_equal(r.stops, 1);
	assert_int_equal(r.stop_err.code, TF_ESYS);
	rig_close(&r);
}

static void a_second_signal_gives_everything_back(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	request(&r, A1, NULL);
	fake_pool_started(r.pool, 0);
	size_t before = r.wire->requeued;
	assert_int_equal(before, 0);
	rig_close(&r); /* the fake transport checks that each tag is settled once at most */
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

/* Random histories of one worker: whatever happens, each delivery is settled exactly once, each
 * request gets at most one final message a delivery, and RUNNING goes before a success. */
static void random_histories_leave_nothing_behind(void **state)
{
	(void)state;
	unsigned seed = tf_random(1000000);
	print_message("seed %u\n", seed);
	srand(seed);
	for (int round = 0; round < 200; round++) {
		struct rig r = {.config = {.pool.slots = 3, .transport.prefetch = 6}};
		size_t deliveries = 0;
		rig_open(&r);
		for (int step = 0; step < 100; step++) {
			char id[TF_UUID_LEN + 1];
			struct fake_sent *s;
			snprintf(id, sizeof(id), "aaaaaaaa-0000-4000-8000-00000000000%u",
				(unsigned)rand() % 8u);
			switch (rand() % 6) {
			case 0:
			case 1:
				deliver(&r, "REQUEST", id, rand() % 2 ? HEADER : NULL, execute_body,
					rand() % 2);
				deliveries++;
				break;
			case 2:
				if (r.pool->count)
					fake_pool_started(r.pool, (size_t)rand() % r.pool->count);
				break;
			case 3:
				if (r.pool->count)
					fake_pool_done(r.pool, (size_t)rand() % r.pool->count, rand() % 2,
						GOOD_FAILURE);
				break;
			case 4:
				if ((s = fake_wire_take(r.wire)) != NULL) {
					if (s->id)
						fake_wire_confirm(r.wire, s->id,
							rand() % 4 ? TF_PUBLISHED : TF_RETURNED);
					fake_sent_free(s);
				}
				break;
			default:
				pass(&r, 1000);
				break;
			}
		}
		/* let all end well, also what is acknowledged because its engine was away: the last tries a second after */
		for (int i = 0, more = 3; i < 100 && (r.wire->unsettled || more-- > 0); i++) {
			struct fake_sent *s;
			while (r.pool->count)
				fake_pool_done(r.pool, 0, false, "1");
			while ((s = fake_wire_take(r.wire)) != NULL) {
				if (s->id)
					fake_wire_confirm(r.wire, s->id, TF_PUBLISHED);
				fake_sent_free(s);
			}
			pass(&r, 1000);
		}
		assert_int_equal(r.wire->unsettled, 0);
		assert_int_equal(r.wire->acked + r.wire->requeued, deliveries);
		struct tf_server_stats st = stats(&r);
		assert_int_equal(st.requests, st.succeeded + st.failed + st.dropped);
		assert_int_equal(r.wire->acked, st.requests + st.joined + st.answered_from_ledger);
		rig_close(&r);
	}
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
		cmocka_unit_test(a_request_in_progress_is_joined),
		cmocka_unit_test(a_known_outcome_is_answered_from_the_ledger),
		cmocka_unit_test(outcomes_say_which_code_produced_them),
		cmocka_unit_test(changed_classes_are_told_at_once),
		cmocka_unit_test(requests_of_python_repeat_only_when_redelivered_and_equal),
		cmocka_unit_test(a_redelivered_request_is_offered_first),
		cmocka_unit_test(a_redelivery_after_a_reconnect_is_adopted),
		cmocka_unit_test(what_has_not_started_is_forgotten_with_its_connection),
		cmocka_unit_test(beats_while_it_works_for_engines_of_our_kind),
		cmocka_unit_test(a_long_task_is_acknowledged_once_it_is_supervised),
		cmocka_unit_test(a_full_window_speaks_unasked),
		cmocka_unit_test(malformed_messages_are_rejected_and_counted),
		cmocka_unit_test(what_nobody_could_be_answered_for_is_ignored),
		cmocka_unit_test(a_drain_finishes_what_runs_and_gives_back_the_rest),
		cmocka_unit_test(a_cancelled_request_ends_and_says_so),
		cmocka_unit_test(an_expired_request_is_not_run),
		cmocka_unit_test(a_drain_ends_what_takes_longer_than_its_limit),
		cmocka_unit_test(it_is_ready_with_scripts_and_a_connection_until_it_drains),
		cmocka_unit_test(an_idle_worker_drains_at_once),
		cmocka_unit_test(a_drain_does_not_wait_for_engines_that_are_gone),
		cmocka_unit_test(a_drain_without_a_connection_ends),
		cmocka_unit_test(a_lost_pool_fails_what_ran_and_ends),
		cmocka_unit_test(a_second_signal_gives_everything_back),
		cmocka_unit_test(a_topic_and_a_slot_are_needed),
		cmocka_unit_test(random_histories_leave_nothing_behind),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("wbe_server", tests, NULL, NULL);
}
