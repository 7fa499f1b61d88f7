/* The engine side over a scripted transport and a clock that the test steps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/log.h"
#include "base/uuid.h"
#include "clock_fake.h"
#include "cmocka_all.h"
#include "fake_wire.h"
#include "loop/loop.h"
#include "protocol/failure.h"
#include "protocol/peer.h"
#include "wbe/executor.h"

#define FLOW "6227eb8f-222c-44bd-8b77-78f8133307bb"
#define W1 "00000000-0000-4000-8000-000000000001"
#define W2 "00000000-0000-4000-8000-000000000002"
#define A1 "aaaaaaaa-0000-4000-8000-000000000001"
#define A2 "aaaaaaaa-0000-4000-8000-000000000002"
#define A3 "aaaaaaaa-0000-4000-8000-000000000003"
#define A4 "aaaaaaaa-0000-4000-8000-000000000004"
#define GOOD_FAILURE \
	"{\"exception_str\": \"x\", \"traceback_str\": \"\", \"exc_type_names\": [\"E\", \"Exception\"], " \
	"\"version\": 1}"

#define POISON "{\"a\": {\"__type__\": \"x\", \"__value__\": 1}}"

struct rig {
	struct tf_loop *loop;
	struct tf_clock_fake clock;
	struct tf_executor *x;
	struct fake_wire *wire;
	struct tf_wbe_config config;
	size_t done, failed, events, withdrawn;
	struct tf_completion last; /* result owned */
	char *last_event;
	bool inside;       /* no callback may come */
	uint64_t queue_ms; /* of what is submitted */
	int priority;
	struct tf_limits limits;
	bool stop_in_done;
	bool hold_receipts;    /* the outcomes are not safe yet */
	const char *order[64]; /* names of what was delivered */
	size_t order_count;
};

static void on_done(void *arg, const struct tf_completion *c)
{
	struct rig *r = arg;
	assert_false(r->inside);
	r->done++;
	r->failed += c->failed;
	tf_value_unref(r->last.result);
	r->last = *c;
	tf_value_ref(r->last.result);
	if (r->order_count < 64)
		r->order[r->order_count++] = "done";
	if (c->receipt && !r->hold_receipts)
		r->x->ops->settle(r->x, c->receipt);
	if (r->stop_in_done) {
		r->stop_in_done = false;
		r->x->ops->stop(r->x);
	}
}

static void on_event(void *arg, unsigned atom, int64_t round, const char *type, struct tf_value *details)
{
	struct rig *r = arg;
	(void)atom, (void)round;
	assert_false(r->inside);
	assert_non_null(details);
	r->events++;
	free(r->last_event);
	r->last_event = tf_strdup(type);
	if (r->order_count < 64)
		r->order[r->order_count++] = "event";
}

static void on_withdrawn(void *arg, unsigned atom, int64_t round)
{
	struct rig *r = arg;
	(void)atom, (void)round;
	r->withdrawn++;
}

static const char *const topics[] = {"alpha", "beta", NULL};

static void rig_start(struct rig *r)
{
	struct tf_err err;
	if (r->x->ops->start(r->x, &err) < 0)
		fail_msg("%s", err.message);
	r->wire = fake_wire_last;
}

static void rig_open(struct rig *r)
{
	const struct tf_wbe_seam seam = {.clock = &r->clock.clock, .open = fake_wire_open};
	struct tf_err err;
	r->loop = tf_loop_new();
	tf_clock_fake_init(&r->clock, 1000000);
	r->config.reply_topic = FLOW;
	r->config.topics = r->config.topics ? r->config.topics : topics;
	if (tf_executor_wbe_new_with(r->loop, &r->config, &seam, &r->x, &err) < 0)
		fail_msg("%s", err.message);
	r->x->events =
		(struct tf_executor_events){.done = on_done, .event = on_event, .withdrawn = on_withdrawn};
	r->x->arg = r;
	rig_start(r);
}

static void rig_up(struct rig *r)
{
	r->inside = true;
	fake_wire_state(r->wire, true);
	r->inside = false;
	tf_executor_wbe_tick(r->x);
}

static void rig_close(struct rig *r)
{
	r->x->ops->destroy(r->x);
	tf_loop_delete(r->loop);
	tf_value_unref(r->last.result);
	free(r->last_event);
	memset(r, 0, sizeof(*r));
}

/* An hour is a matter of milliseconds: steps as the timer would make them. */
static void pass(struct rig *r, uint64_t ms)
{
	while (ms) {
		uint64_t step = ms < 100 ? ms : 100;
		tf_clock_fake_advance(&r->clock, step);
		tf_executor_wbe_tick(r->x);
		ms -= step;
	}
}

static int submit_as(struct rig *r, const char *uuid, const char *cls, enum tf_action action, int64_t round)
{
	struct tf_value *version = tf_value_parse("[1, 0]", 6, 0, NULL), *none = tf_value_empty_object();
	struct tf_err err;
	const struct tf_work w = {.atom = 7,
		.round = round,
		.uuid = uuid,
		.name = "add",
		.task_cls = cls,
		.task_version = version,
		.queue_ms = r->queue_ms,
		.priority = r->priority,
		.limits = &r->limits,
		.action = action,
		.arguments = none,
		.failures = action == TF_REVERT ? none : NULL};
	r->inside = true;
	int rc = r->x->ops->submit(r->x, &w, &err);
	r->inside = false;
	tf_value_unref(version);
	tf_value_unref(none);
	return rc;
}

static void submit(struct rig *r, const char *uuid, const char *cls)
{
	assert_int_equal(submit_as(r, uuid, cls, TF_EXECUTE, 1), 0);
}

static void deliver(struct rig *r, const char *type, const char *id, const char *peer, const char *body)
{
	r->inside = true;
	fake_wire_deliver(r->wire, &(struct tf_message){.topic = FLOW,
					   .type = type,
					   .correlation_id = id,
					   .peer = peer,
					   .content_type = "application/json",
					   .body = body,
					   .body_len = strlen(body)});
	r->inside = false;
}

static void answer(struct rig *r, const char *topic, const char *cls, const char *peer)
{
	char *body = tf_asprintf("{\"topic\": \"%s\", \"tasks\": [\"%s\"]}", topic, cls);
	deliver(r, "NOTIFY", NULL, peer, body);
	free(body);
}

/* Header of a reply by `worker` for this round. */
static const char *by(const char *worker, int64_t round)
{
	static char buf[TF_PEER_MAX];
	struct tf_peer p = TF_PEER_INIT;
	strcpy(p.worker, worker);
	strcpy(p.host, "node1");
	p.pid = 4711;
	p.round = round;
	p.action = TF_EXECUTE;
	return tf_peer_write(&p, buf);
}

static void respond(struct rig *r, const char *id, const char *peer, const char *state, const char *data)
{
	char *body = tf_asprintf("{\"state\": \"%s\", \"data\": %s}", state, data);
	deliver(r, "RESPONSE", id, peer, body);
	free(body);
}

static struct fake_sent *sent(struct rig *r, const char *type, const char *topic)
{
	struct fake_sent *s = fake_wire_take(r->wire);
	if (!s)
		fail_msg("nothing was sent, expected %s to %s", type, topic);
	assert_string_equal(s->m.type, type);
	assert_string_equal(s->m.topic, topic);
	assert_string_equal(s->m.reply_to, FLOW);
	return s;
}

static void assert_failure(struct rig *r, const char *type, const char *text)
{
	assert_true(r->last.failed);
	char *have = tf_failure_summary(tf_value_json(r->last.result));
	if (!tf_failure_is(tf_value_json(r->last.result), type) || !strstr(have, text))
		fail_msg("want %s ... %s, have %s", type, text, have);
	assert_int_equal(tf_failure_check_schema(tf_value_json(r->last.result), NULL), 0);
	free(have);
}

static struct tf_wbe_stats stats(struct rig *r)
{
	struct tf_wbe_stats s;
	tf_executor_wbe_stats(r->x, &s);
	return s;
}

/* ---- */

static void probes_every_topic_at_once_and_every_5_s(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	assert_string_equal(r.wire->topics, FLOW " ");
	pass(&r, 6000);
	assert_int_equal(r.wire->sent_count, 0); /* nobody there to hear it */
	rig_up(&r);
	for (int i = 0; i < 2; i++) {
		struct fake_sent *s = sent(&r, "NOTIFY", topics[i]);
		assert_string_equal(s->m.body, "{}");
		assert_string_equal(s->m.peer, "{\"v\":1}");
		assert_null(s->m.correlation_id);
		assert_int_equal(s->flags, TF_PUBLISH_DECLARE);
		assert_int_equal(s->id, 0);
		fake_sent_free(s);
	}
	pass(&r, 4900);
	assert_int_equal(r.wire->sent_count, 0);
	pass(&r, 100);
	assert_int_equal(fake_wire_drop(r.wire), 2);
	pass(&r, 60000);
	assert_int_equal(fake_wire_drop(r.wire), 24);
	rig_close(&r);
}

/* A topic's queue is not flooded; what waits here goes out as the others begin, in order, and holds up no other topic. */
static void fill_a_queue(bool broker, size_t least, size_t highest)
{
	struct rig r = {.config.transition_timeout_ms = -1};
	char id[40];
	rig_open(&r);
	if (broker)
		fake_wire_broker(r.wire);
	rig_up(&r);
	answer(&r, "alpha", "m.T", NULL);
	answer(&r, "beta", "m.U", NULL);
	fake_wire_drop(r.wire);
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(id, sizeof(id), "00000000-0000-0000-0000-%012u", i);
		submit(&r, id, "m.T");
	}
	size_t most = fake_wire_drop(r.wire);
	assert_in_range(most, least, highest);
	submit(&r, A1, "m.U");
	fake_sent_free(sent(&r, "REQUEST", "beta"));
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(id, sizeof(id), "00000000-0000-0000-0000-%012u", i);
		respond(&r, id, NULL, i % 2 ? "RUNNING" : "FAILURE",
			i % 2 ? "{}" : "{\"result\": " GOOD_FAILURE "}");
		tf_executor_wbe_tick(r.x);
		if (i + most >= 3000) {
			assert_int_equal(r.wire->sent_count, 0);
			continue;
		}
		struct fake_sent *s = sent(&r, "REQUEST", "alpha");
		snprintf(id, sizeof(id), "00000000-0000-0000-0000-%012zu", i + most);
		assert_string_equal(s->m.correlation_id, id);
		fake_sent_free(s);
	}
	rig_close(&r);
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
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	fake_wire_drop(r.wire);
	submit(&r, A1, "m.T");
	assert_int_equal(r.wire->sent_count, 0);
	answer(&r, "beta", "m.Other", NULL);
	assert_int_equal(r.wire->sent_count, 0);
	answer(&r, "alpha", "m.T", NULL);
	struct fake_sent *s = sent(&r, "REQUEST", "alpha");
	assert_string_equal(s->m.correlation_id, A1);
	assert_null(s->m.peer); /* a Python worker gets what TaskFlow sends */
	assert_string_equal(s->m.body,
		"{\"task_cls\": \"m.T\", \"task_name\": \"add\", \"task_version\": [1, 0], "
		"\"action\": \"execute\", \"arguments\": {}}");
	assert_int_equal(s->flags, TF_PUBLISH_DECLARE);
	fake_wire_confirm(r.wire, s->id, TF_PUBLISHED);
	fake_sent_free(s);

	/* with a known worker, submission places at once */
	submit(&r, A2, "m.T");
	fake_sent_free(sent(&r, "REQUEST", "alpha"));

	respond(&r, A1, NULL, "RUNNING", "{}");
	respond(&r, A1, NULL, "SUCCESS", "{\"result\": [1.0, {}]}");
	assert_int_equal(r.done, 0); /* never inside a callback of the transport */
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	assert_int_equal(r.last.atom, 7);
	assert_int_equal(r.last.round, 1);
	assert_false(r.last.failed);
	assert_string_equal(tf_value_text(r.last.result), "[1.0, {}]");
	assert_int_equal(r.wire->unsettled, 0);
	assert_int_equal(stats(&r).in_flight, 1);
	rig_close(&r);
}

/* The reply is the only copy of an outcome until the engine has written it down. */
static void what_waits_goes_out_by_priority(void **state)
{
	static const char *const ids[] = {A1, A2, A3, A4};
	static const int priorities[] = {0, -7, 3, 3}, order[] = {2, 3, 0, 1};
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	fake_wire_drop(r.wire);
	for (size_t i = 0; i < 4; i++) {
		r.priority = priorities[i];
		submit(&r, ids[i], "m.T");
	}
	answer(&r, "alpha", "m.T", "{\"v\":1,\"worker\":\"" W1 "\"}");
	for (size_t i = 0; i < 4; i++) {
		struct fake_sent *s = sent(&r, "REQUEST", "alpha");
		assert_string_equal(s->m.correlation_id, ids[order[i]]);
		assert_int_equal(s->m.priority, priorities[order[i]]);
		assert_int_equal(tf_peer_parse(s->m.peer).priority, priorities[order[i]]);
		fake_sent_free(s);
	}
	rig_close(&r);
}

/* An engine that knows the limit does not send what is beyond it. */
static void arguments_that_are_too_large_stay_here(void **state)
{
	(void)state;
	struct rig r = {.limits = {.arguments = 1}};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", NULL);
	fake_wire_drop(r.wire);
	submit(&r, A1, "m.T");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.wire->sent_count, 0);
	assert_failure(&r, "tfhost.SizeLimitExceeded", "'add': its arguments of 2 bytes");
	rig_close(&r);
}

static void an_outcome_is_acknowledged_once_it_is_settled(void **state)
{
	(void)state;
	struct rig r = {.hold_receipts = true};
	rig_open(&r);
	rig_up(&r);
	fake_sent_free(sent(&r, "NOTIFY", "alpha"));
	fake_sent_free(sent(&r, "NOTIFY", "beta"));
	answer(&r, "alpha", "m.T", NULL);
	submit(&r, A1, "m.T");
	respond(&r, A1, NULL, "RUNNING", "{}");
	assert_int_equal(r.wire->unsettled, 0);
	respond(&r, A1, NULL, "SUCCESS", "{\"result\": 1}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	assert_int_equal(r.wire->unsettled, 1);
	r.x->ops->settle(r.x, r.last.receipt);
	assert_int_equal(r.wire->unsettled, 0);
	rig_close(&r);
}

/* The engine that this one resumes sent the request; this one has not, for it knows no worker yet. */
static void an_outcome_for_an_earlier_engine_counts(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	submit(&r, A1, "m.T"); /* round 1 */
	respond(&r, A1, "{\"v\":1,\"worker\":\"" W1 "\",\"round\":0,\"action\":\"execute\"}", "SUCCESS",
		"{\"result\": 0}");
	respond(&r, A1, NULL, "SUCCESS", "{\"result\": 0}"); /* it may be of any round */
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 0);
	assert_int_equal(stats(&r).stale, 2);
	respond(&r, A1, "{\"v\":1,\"worker\":\"" W1 "\",\"round\":1,\"action\":\"execute\"}", "SUCCESS",
		"{\"result\": 1}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	assert_string_equal(tf_value_text(r.last.result), "1");
	assert_int_equal(r.wire->unsettled, 0);
	assert_int_equal(stats(&r).in_flight, 0);
	rig_close(&r);
}

static void the_header_goes_where_a_tfhost_worker_was_seen(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", by(W1, -1));
	answer(&r, "beta", "m.Python", NULL);
	fake_wire_drop(r.wire);
	submit(&r, A1, "m.T");
	struct fake_sent *s = sent(&r, "REQUEST", "alpha");
	assert_string_equal(s->m.peer, "{\"v\":1,\"round\":1,\"dispatch\":1}");
	fake_sent_free(s);
	answer(&r, "alpha", "m.T", NULL); /* a Python worker on the same topic */
	submit(&r, A2, "m.T");
	s = sent(&r, "REQUEST", "alpha");
	assert_non_null(s->m.peer);
	fake_sent_free(s);
	submit(&r, W2, "m.Python");
	s = sent(&r, "REQUEST", "beta");
	assert_null(s->m.peer);
	fake_sent_free(s);
	rig_close(&r);
}

/* A waiting request is looked for fast at first; probes then thin out, and only the regular ones
 * declare the queue, where they would pile up. */
static void the_hunt_for_a_worker_slows_down(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	fake_wire_drop(r.wire);
	submit(&r, A1, "m.T");
	pass(&r, 100);
	assert_int_equal(fake_wire_drop(r.wire), 2);
	pass(&r, 1000);
	size_t early = fake_wire_drop(r.wire) / 2;
	assert_in_range(early, 3, 7);
	pass(&r, 30000);
	size_t declared = 0, all = 0;
	struct fake_sent *s;
	while ((s = fake_wire_take(r.wire)) != NULL) {
		declared += s->flags == TF_PUBLISH_DECLARE;
		all++;
		fake_sent_free(s);
	}
	assert_int_equal(declared, 2 * 6);
	assert_in_range(all, 12, 28);
	rig_close(&r);
}

static void unplaced_and_unstarted_requests_expire(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", NULL);
	submit(&r, A1, "m.T");
	pass(&r, 30000);
	submit(&r, A2, "m.Nobody");
	pass(&r, 29900);
	assert_int_equal(r.done, 0);
	pass(&r, 100);
	assert_int_equal(r.done, 1);
	assert_failure(&r, "taskflow.exceptions.RequestTimeout",
		"Request 'add' (execute of m.T) has expired after waiting for 60.00 seconds for it to "
		"transition out of "
		"(WAITING, PENDING) states; it was sent to topic 'alpha'");
	pass(&r, 30000);
	assert_int_equal(r.done, 2);
	assert_failure(&r, "taskflow.exceptions.RequestTimeout",
		"no worker that offers 'm.Nobody' answered on topics 'alpha', 'beta'");
	assert_int_equal(stats(&r).timeouts, 2);
	assert_int_equal(stats(&r).seen, 1);
	/* RUNNING stops the timer for good, also at a worker that nobody supervises */
	answer(&r, "alpha", "m.T", NULL);
	submit(&r, A1, "m.T");
	respond(&r, A1, NULL, "RUNNING", "{}");
	pass(&r, 3600 * 1000);
	assert_int_equal(r.done, 2);
	rig_close(&r);
}

/* The loop stood still (a long call, a stopped process): what came meanwhile is unread, not late. */
/* Behind others, for workers that are there: it is no fault of the request, and it would be run all the same. */
static void who_stands_in_line_does_not_expire(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", by(W1, -1));
	submit(&r, A1, "m.T");
	submit(&r, A2, "m.T");
	respond(&r, A1, by(W1, 1), "RUNNING", "{}");
	for (int i = 0; i < 600; i++) { /* ten minutes */
		answer(&r, "alpha", "m.T", "{\"v\":1,\"worker\":\"" W1 "\",\"full\":1}");
		pass(&r, 1000);
	}
	assert_int_equal(r.done, 0);
	/* A worker with room that does not start it: it was lost on the way. */
	for (int i = 0; i < 80; i++) {
		answer(&r, "alpha", "m.T", by(W1, -1));
		pass(&r, 1000);
	}
	assert_int_equal(r.done, 1);
	assert_failure(&r, "taskflow.exceptions.RequestTimeout", "transition");
	respond(&r, A1, by(W1, 1), "SUCCESS", "{\"result\": 1}");
	pass(&r, 1000);
	assert_int_equal(r.done, 2);
	rig_close(&r);
}

static void a_jump_of_the_clock_expires_nothing(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", "{\"v\":1}");
	submit(&r, A1, "m.T");
	submit(&r, A2, "m.T");
	respond(&r, A2, by(W1, 1), "RUNNING", "{}");
	tf_clock_fake_advance(&r.clock, 3600 * 1000);
	tf_executor_wbe_tick(r.x);
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 0);
	respond(&r, A1, by(W1, 1), "SUCCESS", "{\"result\": 1}");
	respond(&r, A2, by(W1, 1), "SUCCESS", "{\"result\": 2}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 2);
	assert_int_equal(r.failed, 0);
	rig_close(&r);
}

static void a_silent_worker_is_lost(void **state)
{
	(void)state;
	struct rig r = {.config.attempts = 1};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", by(W1, -1));
	submit(&r, A1, "m.T");
	submit(&r, A2, "m.T");
	respond(&r, A1, by(W1, 1), "RUNNING", "{}");
	respond(&r, A2, by(W2, 1), "RUNNING", "{}");
	for (int i = 0; i < 20; i++) { /* W1 beats, W2 does not, though its topic's answers come */
		pass(&r, 500);
		answer(&r, "alpha", "m.T", by(W1, -1));
	}
	assert_int_equal(r.done, 1);
	assert_failure(&r, "tfhost.WorkerLost",
		"worker " W2
		" (topic 'alpha', host node1, pid 4711) was silent for 2.4 s while it ran task 'add'");
	pass(&r, 2300);
	assert_int_equal(r.done, 1);
	pass(&r, 200);
	assert_int_equal(r.done, 2);
	assert_int_equal(stats(&r).lost, 2);
	/* the late outcome of a worker that was given up changes nothing */
	respond(&r, A1, by(W1, 1), "SUCCESS", "{\"result\": 1}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 2);
	assert_int_equal(stats(&r).stale, 1);
	rig_close(&r);
}

/* The broker gave the request of a dead worker to another one. */
static void a_request_may_change_its_worker(void **state)
{
	(void)state;
	struct rig r = {.config.attempts = 1};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", by(W1, -1));
	submit(&r, A1, "m.T");
	respond(&r, A1, by(W1, 1), "RUNNING", "{}");
	pass(&r, 2000);
	respond(&r, A1, by(W2, 1), "RUNNING", "{}");
	for (int i = 0; i < 10; i++) {
		pass(&r, 1000);
		answer(&r, "alpha", "m.T", by(W2, -1));
	}
	assert_int_equal(r.done, 0);
	pass(&r, 2600);
	assert_int_equal(r.done, 1);
	assert_failure(&r, "tfhost.WorkerLost", W2);
	rig_close(&r);
}

static void events_come_in_any_state_and_in_order(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", NULL);
	submit(&r, A1, "m.T");
	respond(&r, A1, NULL, "EVENT", "{\"event_type\": \"early\", \"details\": {}}");
	respond(&r, A1, NULL, "RUNNING", "{}");
	respond(&r, A1, NULL, "EVENT",
		"{\"event_type\": \"update_progress\", \"details\": {\"progress\": 0.5}}");
	respond(&r, A1, NULL, "FAILURE", "{\"result\": " GOOD_FAILURE "}");
	respond(&r, A1, NULL, "EVENT", "{\"event_type\": \"late\", \"details\": {}}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.events, 2);
	assert_string_equal(r.last_event, "update_progress");
	assert_int_equal(r.done, 1);
	assert_string_equal(r.order[0], "event");
	assert_string_equal(r.order[2], "done");
	assert_failure(&r, "E", "x");
	rig_close(&r);
}

static void replies_of_other_rounds_and_actions_are_stale(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", NULL);
	assert_int_equal(submit_as(&r, A1, "m.T", TF_EXECUTE, 3), 0);
	respond(&r, A1, by(W1, 2), "RUNNING", "{}");
	respond(&r, A1, by(W1, 2), "SUCCESS", "{\"result\": 1}");
	respond(&r, A1, by(W1, 4), "SUCCESS", "{\"result\": 1}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 0);
	assert_int_equal(stats(&r).stale, 3);
	respond(&r, A1, by(W1, 3), "SUCCESS", "{\"result\": 1}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	/* the revert of the same round is not answered by a late execute */
	assert_int_equal(submit_as(&r, A1, "m.T", TF_REVERT, 3), 0);
	respond(&r, A1, by(W1, 3), "FAILURE", "{\"result\": " GOOD_FAILURE "}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	assert_int_equal(stats(&r).stale, 4);
	/* a Python worker cannot say; it is believed */
	respond(&r, A1, NULL, "SUCCESS", "{\"result\": \"undone\"}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 2);
	assert_int_equal(r.last.action, TF_REVERT);
	rig_close(&r);
}

/* Give the engine the questions that it sent to itself; returns how many there were. */
static size_t echo(struct rig *r)
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
	struct rig r = {.config.attempts = 1};
	rig_open(&r);
	fake_wire_broker(r.wire);
	rig_up(&r);
	answer(&r, "alpha", "m.T", by(W1, -1));
	submit(&r, A1, "m.T");
	respond(&r, A1, by(W1, 1), "RUNNING", "{}");
	fake_wire_drop(r.wire);
	for (int i = 0; i < 20; i++) { /* beats: nothing is asked */
		pass(&r, 500);
		answer(&r, "alpha", "m.T", by(W1, -1));
		assert_int_equal(echo(&r), 0);
	}
	pass(&r, 15000);
	assert_int_equal(r.done, 0);
	assert_true(echo(&r) > 0); /* it delivers again; the worker has some time to be heard */
	pass(&r, 1000);
	assert_int_equal(r.done, 0);
	answer(&r, "alpha", "m.T", by(W1, -1));
	/* now the worker is silent while the broker is not */
	for (int i = 0; i < 5; i++) {
		assert_int_equal(r.done, 0);
		pass(&r, 500);
		echo(&r);
	}
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	assert_failure(&r, "tfhost.WorkerLost", "worker " W1);
	assert_int_equal(stats(&r).malformed, 0);
	assert_int_equal(r.wire->unsettled, 0);
	rig_close(&r);
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
			struct rig r = {0};
			rig_open(&r);
			rig_up(&r);
			answer(&r, "alpha", "m.T", NULL);
			submit(&r, A1, "m.T");
			submit(&r, A2, "m.T");
			if (running)
				respond(&r, A1, NULL, "RUNNING", "{}");
			respond(&r, A1, NULL, poison[i].state, data);
			respond(&r, A2, NULL, "EVENT", "{}"); /* its outcome may still come */
			respond(&r, A2, NULL, poison[i].state, data);
			assert_int_equal(stats(&r).malformed, 3);
			pass(&r, 1000);
			assert_int_equal(r.done, 0);
			respond(&r, A2, NULL, "SUCCESS", "{\"result\": 1}");
			tf_executor_wbe_tick(r.x);
			assert_int_equal(r.done, 1);
			assert_false(r.last.failed);
			pass(&r, 3000);
			assert_int_equal(r.done, 2);
			assert_failure(&r, "ValueError", poison[i].story);
			rig_close(&r);
		}
	}
}

/* The transport takes no body that large; a Python worker does not mind to send it. */
static void an_outcome_that_is_too_large_fails_the_request(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", NULL);
	submit(&r, A1, "m.T");
	respond(&r, A1, NULL, "RUNNING", "{}");
	struct tf_message m = {.topic = FLOW, .type = "RESPONSE", .correlation_id = A2, .body = ""};
	r.wire->base.events.oversized(r.wire->base.arg, &m); /* of nobody */
	m.correlation_id = A1;
	r.wire->base.events.oversized(r.wire->base.arg, &m);
	pass(&r, 3100);
	assert_int_equal(r.done, 1);
	assert_failure(&r, "ValueError", "it has more than 67108864 bytes");
	rig_close(&r);
}

/* Not an outcome: the task may run for hours yet. */
static void a_malformed_event_does_not_end_its_request(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", NULL);
	submit(&r, A1, "m.T");
	respond(&r, A1, NULL, "RUNNING", "{}");
	respond(&r, A1, NULL, "EVENT", "{}");
	respond(&r, A1, NULL, "NOPE", "{}");
	deliver(&r, "RESPONSE", A1, NULL, "{\"state\": \"SUC");
	deliver(&r, "RESPONSE", A1, NULL, "[]");
	pass(&r, 60000);
	assert_int_equal(r.done, 0);
	respond(&r, A1, NULL, "SUCCESS", "{\"result\": 1}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	rig_close(&r);
}

static void a_request_that_was_not_sent_yet_cannot_be_answered(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	submit(&r, A1, "m.T");
	respond(&r, A1, NULL, "RUNNING", "{}");
	respond(&r, A1, NULL, "SUCCESS", "{\"result\": 1}");
	respond(&r, A1, NULL, "FAILURE", "{\"result\": " GOOD_FAILURE "}");
	respond(&r, A2, NULL, "SUCCESS", "{\"result\": 1}"); /* never heard of */
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 0);
	assert_int_equal(stats(&r).stale, 4);
	rig_close(&r);
}

static void what_cannot_be_sent_fails(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", NULL);
	fake_wire_drop(r.wire);
	submit(&r, A1, "m.T");
	struct fake_sent *s = sent(&r, "REQUEST", "alpha");
	fake_wire_confirm(r.wire, s->id, TF_PUBLISH_FAILED);
	fake_wire_confirm(r.wire, s->id, TF_PUBLISH_FAILED);
	fake_sent_free(s);
	assert_int_equal(r.done, 0);
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	assert_failure(&r, "OSError", "could not be sent to topic 'alpha': failed by the test");

	r.wire->refuse = TF_ELIMIT;
	submit(&r, A1, "m.T");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 2);
	assert_failure(&r, "ValueError", "refused by the test");

	/* a full queue is no failure */
	r.wire->refuse = TF_EAGAIN;
	submit(&r, A1, "m.T");
	pass(&r, 1000);
	assert_int_equal(r.done, 2);
	fake_wire_drop(r.wire);
	r.wire->refuse = 0;
	pass(&r, 100);
	fake_sent_free(sent(&r, "REQUEST", "alpha"));

	/* an object that kills newer Python peers */
	struct tf_value *poison = tf_value_parse(POISON, strlen(POISON), 0, NULL);
	struct tf_value *version = tf_value_parse("[1, 0]", 6, 0, NULL);
	const struct tf_work w = {
		.uuid = A2, .name = "n", .task_cls = "m.T", .task_version = version, .arguments = poison};
	assert_int_equal(r.x->ops->submit(r.x, &w, NULL), 0);
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 3);
	assert_failure(&r, "ValueError", "arguments: \"a\": an object with just the keys");
	tf_value_unref(poison);
	tf_value_unref(version);
	assert_int_equal(r.wire->sent_count, 0);
	rig_close(&r);
}

static void a_second_request_of_an_atom_in_flight_is_refused(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	submit(&r, A1, "m.T");
	assert_int_equal(submit_as(&r, A1, "m.T", TF_REVERT, 1), TF_EEXIST);
	rig_close(&r);
}

/* ---- the broker goes and comes back */

static void while_the_connection_is_down_no_timer_runs(void **state)
{
	(void)state;
	struct rig r = {.config.attempts = 1};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", by(W1, -1));
	submit(&r, A1, "m.T");
	submit(&r, A2, "m.T");
	respond(&r, A2, by(W1, 1), "RUNNING", "{}");
	fake_wire_drop(r.wire);
	fake_wire_state(r.wire, false);
	pass(&r, 600000);
	assert_int_equal(r.done, 0);
	assert_int_equal(r.wire->sent_count, 0);
	rig_up(&r);
	pass(&r, 9000); /* grace */
	assert_int_equal(r.done, 0);
	pass(&r, 2000);
	assert_int_equal(r.done, 1);
	assert_failure(&r, "tfhost.WorkerLost", W1);
	rig_close(&r);
}

static void a_broker_that_never_came_is_reported(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	fake_wire_state(r.wire, false);
	submit(&r, A1, "m.T");
	pass(&r, 61000);
	assert_int_equal(r.done, 1);
	assert_failure(&r, "taskflow.exceptions.RequestTimeout", "there is no connection: cut by the test");
	rig_close(&r);
}

static void what_may_be_lost_with_the_broker_is_sent_again(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", by(W1, -1));
	submit(&r, A1, "m.T");
	submit(&r, A2, "m.T");
	respond(&r, A2, by(W1, 1), "RUNNING", "{}");
	fake_wire_state(r.wire, false);
	pass(&r, 20000);
	fake_wire_drop(r.wire);
	rig_up(&r);
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
		pass(&r, dispatch == 4 ? 400 : 1000);
	}
	answer(&r, "alpha", "m.T", by(W1, -1));
	/* by now the pending one went to everybody on its topic */
	pass(&r, 200);
	struct fake_sent *s = sent(&r, "REQUEST", "alpha");
	assert_string_equal(s->m.correlation_id, A1);
	assert_int_equal(tf_peer_parse(s->m.peer).dispatch, 2);
	fake_sent_free(s);
	assert_int_equal(stats(&r).resent, 4);
	/* the ledger's answer */
	respond(&r, A2, by(W1, 1), "SUCCESS", "{\"result\": 1}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	assert_int_equal(r.failed, 0);
	rig_close(&r);
}

static void nothing_is_sent_to_python_workers_twice(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", NULL);
	submit(&r, A1, "m.T");
	submit(&r, A2, "m.T");
	respond(&r, A2, NULL, "RUNNING", "{}");
	fake_wire_state(r.wire, false);
	pass(&r, 20000);
	rig_up(&r);
	pass(&r, 20000);
	fake_wire_drop(r.wire);
	assert_int_equal(stats(&r).resent, 0);
	respond(&r, A2, NULL, "SUCCESS", "{\"result\": 1}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	rig_close(&r);
}

/* ---- every order of what can happen to one request */

enum happening { RUNNING, SUCCESS, AGAIN, FAILED, EXPIRY, LOSS, STALE, HAPPENINGS };

static void happen(struct rig *r, enum happening h)
{
	switch (h) {
	case RUNNING:
		respond(r, A1, by(W1, 1), "RUNNING", "{}");
		break;
	case SUCCESS:
	case AGAIN:
		respond(r, A1, by(W1, 1), "SUCCESS", "{\"result\": 1}");
		break;
	case FAILED:
		respond(r, A1, by(W1, 1), "FAILURE", "{\"result\": " GOOD_FAILURE "}");
		break;
	case EXPIRY:
		for (int i = 0; i < 61; i++) { /* the worker lives, it just does not start */
			tf_clock_fake_advance(&r->clock, 1000);
			answer(r, "alpha", "m.T", by(W1, -1));
			tf_executor_wbe_tick(r->x);
		}
		break;
	case LOSS:
		for (int i = 0; i < 3; i++) {
			tf_clock_fake_advance(&r->clock, 1000);
			tf_executor_wbe_tick(r->x);
		}
		break;
	default:
		respond(r, A1, by(W1, 0), "SUCCESS", "{\"result\": 0}");
		break;
	}
	tf_executor_wbe_tick(r->x);
}

/* What should come of it, told in a few lines of its own. */
static const char *expected(const enum happening *order, size_t n)
{
	bool running = false;
	for (size_t i = 0; i < n; i++) {
		if (order[i] == RUNNING)
			running = true;
		else if (order[i] == SUCCESS || order[i] == AGAIN)
			return "success";
		else if (order[i] == FAILED)
			return "E";
		else if (order[i] == EXPIRY && !running)
			return "taskflow.exceptions.RequestTimeout";
		else if (order[i] == LOSS && running)
			return "tfhost.WorkerLost";
	}
	return NULL;
}

static size_t try_order(struct rig *r, const enum happening *order, size_t n)
{
	const char *want = expected(order, n);
	r->done = r->failed = 0;
	answer(r, "alpha", "m.T", by(W1, -1)); /* a topic is forgotten with its worker */
	submit(r, A1, "m.T");
	for (size_t i = 0; i < n; i++)
		happen(r, order[i]);
	if (r->done != (want != NULL))
		fail_msg("%zu outcomes", r->done);
	if (!want) { /* clear the table for the next order */
		happen(r, FAILED);
	} else if (strcmp(want, "success") != 0) {
		assert_true(r->last.failed && tf_failure_is(tf_value_json(r->last.result), want));
	} else {
		assert_false(r->last.failed);
		assert_string_equal(tf_value_text(r->last.result), "1");
	}
	assert_int_equal(stats(r).in_flight, 0);
	fake_wire_drop(r->wire);
	return 1;
}

/* All ordered selections of `left` of the happenings not yet used. */
static size_t permute(struct rig *r, enum happening *order, size_t n, unsigned used, size_t left)
{
	if (!left)
		return try_order(r, order, n);
	size_t tried = 0;
	for (int h = 0; h < HAPPENINGS; h++) {
		if (used & 1u << h)
			continue;
		order[n] = (enum happening)h;
		tried += permute(r, order, n + 1, used | 1u << h, left - 1);
	}
	return tried;
}

static void every_order_gives_exactly_one_outcome(void **state)
{
	(void)state;
	struct rig r = {.config.attempts = 1};
	enum happening order[HAPPENINGS];
	size_t tried = 0;
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", by(W1, -1));
	for (size_t n = 0; n <= 5; n++)
		tried += permute(&r, order, 0, 0, n);
	assert_int_equal(tried, 1 + 7 + 42 + 210 + 840 + 2520);
	assert_int_equal(r.wire->unsettled, 0);
	rig_close(&r);
}

/* ---- fail-over */

/* The next REQUEST, probes aside; NULL if none. */
static struct fake_sent *next_request(struct rig *r)
{
	struct fake_sent *s;
	while ((s = fake_wire_take(r->wire)) != NULL && strcmp(s->m.type, "REQUEST") != 0)
		fake_sent_free(s);
	return s;
}

static void assert_request(struct rig *r, const char *topic, int64_t dispatch)
{
	struct fake_sent *s = next_request(r);
	if (!s)
		fail_msg("no request to %s", topic);
	assert_string_equal(s->m.topic, topic);
	assert_string_equal(s->m.correlation_id, A1);
	assert_int_equal(tf_peer_parse(s->m.peer).dispatch, dispatch);
	fake_sent_free(s);
	assert_null(next_request(r));
}

/* One of two workers was killed with SIGKILL while it ran a task: the flow failed though the other could run it. */
static void another_worker_takes_what_a_lost_one_ran(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", by(W1, -1));
	submit(&r, A1, "m.T");
	assert_request(&r, "alpha", 1);
	respond(&r, A1, by(W1, 1), "RUNNING", "{}");
	pass(&r, 2600);
	assert_int_equal(r.done, 0);
	assert_null(next_request(&r)); /* the topic may have died with its worker: who answers, gets it */
	answer(&r, "beta", "m.T", by(W2, -1));
	assert_request(&r, "beta", 2);
	respond(&r, A1, by(W2, 1), "RUNNING", "{}");
	respond(&r, A1, by(W2, 1), "SUCCESS", "{\"result\": 2}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1);
	assert_int_equal(r.failed, 0);
	assert_int_equal(stats(&r).lost, 1);
	assert_int_equal(stats(&r).handed_over, 1);
	rig_close(&r);
}

static void a_cancel_reaches_what_runs_on_workers_of_ours(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", by(W1, -1));
	submit(&r, A1, "m.T");
	submit(&r, A2, "m.Unknown");
	assert_request(&r, "alpha", 1);
	respond(&r, A1, by(W1, 1), "RUNNING", "{}");
	fake_wire_drop(r.wire);
	r.x->ops->cancel(r.x);
	struct fake_sent *s = sent(&r, "NOTIFY", W1);
	const struct tf_peer peer = tf_peer_parse(s->m.peer);
	assert_string_equal(s->m.correlation_id, A1);
	assert_int_equal(peer.cancel, 1);
	assert_int_equal(peer.round, 1);
	assert_int_equal(peer.action, TF_EXECUTE);
	fake_sent_free(s);
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 1); /* nobody runs the other one */
	assert_failure(&r, "tfhost.Cancelled", "no worker runs it");
	pass(&r, 2600); /* the worker is lost: nobody else gets the task */
	assert_int_equal(r.done, 2);
	assert_failure(&r, "tfhost.Cancelled", "was silent");
	assert_int_equal(stats(&r).handed_over, 0);
	rig_close(&r);
}

static void what_waited_beyond_its_queue_limit_is_ended_when_it_begins(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", by(W1, -1));
	r.queue_ms = 2000;
	submit(&r, A1, "m.T");
	r.queue_ms = 0;
	struct fake_sent *s = next_request(&r);
	const int64_t expires = tf_peer_parse(s->m.peer).expires, now = (int64_t)tf_limits_wall_ms();
	assert_true(expires > now && expires <= now + 2000);
	fake_sent_free(s);
	submit(&r, A2, "m.T"); /* without a limit: no time is said */
	s = next_request(&r);
	assert_int_equal(tf_peer_parse(s->m.peer).expires, -1);
	fake_sent_free(s);
	pass(&r, 1900);
	assert_int_equal(r.done, 0);
	pass(&r, 200);
	assert_int_equal(r.done, 1);
	assert_failure(&r, "taskflow.exceptions.RequestTimeout", "after waiting for 2.");
	fake_wire_drop(r.wire);
	respond(&r, A1, by(W1, 1), "RUNNING", "{}");
	s = sent(&r, "NOTIFY", W1);
	assert_string_equal(s->m.correlation_id, A1);
	assert_int_equal(tf_peer_parse(s->m.peer).cancel, 1);
	fake_sent_free(s);
	rig_close(&r);
}

static void attempts_end_with_the_last_loss(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	submit(&r, A1, "m.T");
	for (int i = 1; i <= 3; i++) {
		answer(&r, "alpha", "m.T", by(W1, -1));
		assert_request(&r, "alpha", i);
		respond(&r, A1, by(W1, 1), "RUNNING", "{}");
		assert_int_equal(r.done, 0);
		pass(&r, 2600);
	}
	assert_int_equal(r.done, 1);
	assert_failure(&r, "tfhost.WorkerLost", "attempts used up: 3 of 3");
	rig_close(&r);
}

static void nobody_takes_over_is_a_lost_worker_after_a_while(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", by(W1, -1));
	submit(&r, A1, "m.T");
	pass(&r, 30000);
	respond(&r, A1, by(W1, 1), "RUNNING", "{}");
	pass(&r, 2600 + 59000);
	assert_int_equal(r.done, 0);
	pass(&r, 1000);
	assert_int_equal(r.done, 1);
	assert_failure(&r, "tfhost.WorkerLost", "no other worker took it over within 60.");
	rig_close(&r);
}

/* It was only stopped. Its outcome counts, whether the request is with another one by then or not. */
static void a_worker_presumed_lost_may_still_be_first(void **state)
{
	(void)state;
	for (int taken = 0; taken < 2; taken++) {
		struct rig r = {0};
		rig_open(&r);
		rig_up(&r);
		answer(&r, "alpha", "m.T", by(W1, -1));
		submit(&r, A1, "m.T");
		respond(&r, A1, by(W1, 1), "RUNNING", "{}");
		pass(&r, 2600);
		if (taken)
			answer(&r, "beta", "m.T", by(W2, -1));
		respond(&r, A1, by(W1, 1), "SUCCESS", "{\"result\": 1}");
		respond(&r, A1, by(W2, 1), "SUCCESS", "{\"result\": 2}");
		tf_executor_wbe_tick(r.x);
		assert_int_equal(r.done, 1);
		assert_string_equal(tf_value_text(r.last.result), "1");
		assert_int_equal(stats(&r).in_flight, 0);
		rig_close(&r);
	}
}

/* Two workers, two attempts: what can happen to one request, in every order. */
enum turn { RUNS_1, RUNS_2, ENDS_1, ENDS_2, FAILS, WAITS, LOST, LOST_AGAIN, OLD_ROUND, TURNS };

static void turn(struct rig *r, enum turn t)
{
	switch (t) {
	case RUNS_1:
	case RUNS_2:
		respond(r, A1, by(t == RUNS_1 ? W1 : W2, 1), "RUNNING", "{}");
		break;
	case ENDS_1:
	case ENDS_2:
		respond(r, A1, by(t == ENDS_1 ? W1 : W2, 1), "SUCCESS", "{\"result\": 1}");
		break;
	case FAILS:
		respond(r, A1, by(W2, 1), "FAILURE", "{\"result\": " GOOD_FAILURE "}");
		break;
	case WAITS:
		for (int i = 0; i < 61; i++) {
			tf_clock_fake_advance(&r->clock, 1000);
			answer(r, "alpha", "m.T", by(W1, -1));
			answer(r, "alpha", "m.T", by(W2, -1));
			tf_executor_wbe_tick(r->x);
		}
		break;
	case LOST:
	case LOST_AGAIN:
		for (int i = 0; i < 3; i++) {
			tf_clock_fake_advance(&r->clock, 1000);
			tf_executor_wbe_tick(r->x);
		}
		answer(r, "alpha", "m.T", "{\"v\":1}"); /* somebody is there */
		break;
	default:
		respond(r, A1, by(W1, 0), "SUCCESS", "{\"result\": 0}");
		break;
	}
	tf_executor_wbe_tick(r->x);
}

/* The outcome, and how often the request was sent. */
static const char *foretold(const enum turn *order, size_t n, int64_t *sendings)
{
	bool running = false;
	*sendings = 1;
	for (size_t i = 0; i < n; i++) {
		switch (order[i]) {
		case RUNS_1:
		case RUNS_2:
			running = true;
			break;
		case ENDS_1:
		case ENDS_2:
			return "success";
		case FAILS:
			return "E";
		case WAITS:
			if (!running)
				return *sendings == 1 ? "taskflow.exceptions.RequestTimeout"
						      : "tfhost.WorkerLost";
			break;
		case LOST:
		case LOST_AGAIN:
			if (running && *sendings == 2)
				return "tfhost.WorkerLost";
			*sendings += running;
			running = false;
			break;
		default:
			break;
		}
	}
	return NULL;
}

static void try_turns(struct rig *r, const enum turn *order, size_t n)
{
	int64_t sendings, last = 0;
	const char *want = foretold(order, n, &sendings);
	struct fake_sent *s;
	r->done = 0;
	answer(r, "alpha", "m.T", by(W1, -1));
	submit(r, A1, "m.T");
	for (size_t i = 0; i < n; i++)
		turn(r, order[i]);
	if (r->done != (want != NULL))
		fail_msg("%zu outcomes", r->done);
	if (want && strcmp(want, "success") != 0)
		assert_true(r->last.failed && tf_failure_is(tf_value_json(r->last.result), want));
	else if (want)
		assert_true(!r->last.failed && !strcmp(tf_value_text(r->last.result), "1"));
	else
		turn(r, FAILS);
	assert_int_equal(r->done, 1);
	assert_int_equal(stats(r).in_flight, 0);
	while ((s = next_request(r)) != NULL) {
		assert_int_equal(tf_peer_parse(s->m.peer).dispatch, ++last);
		fake_sent_free(s);
	}
	assert_int_equal(last, sendings);
}

static size_t permute_turns(struct rig *r, enum turn *order, size_t n, unsigned used, size_t left)
{
	size_t tried = 1;
	try_turns(r, order, n);
	for (int t = 0; left && t < TURNS; t++) {
		if (used & 1u << t)
			continue;
		order[n] = (enum turn)t;
		tried += permute_turns(r, order, n + 1, used | 1u << t, left - 1);
	}
	return tried;
}

static void every_order_of_a_fail_over_gives_one_outcome(void **state)
{
	(void)state;
	struct rig r = {.config.attempts = 2};
	enum turn order[TURNS];
	rig_open(&r);
	rig_up(&r);
	assert_int_equal(permute_turns(&r, order, 0, 0, 5), 1 + 9 + 72 + 504 + 3024 + 15120);
	assert_int_equal(r.wire->unsettled, 0);
	rig_close(&r);
}

/* ---- foreign bytes */

static const char *const shapes[] = {"", "{", "null", "[]", "{}", "\xff\xfe\xfd", "{\"state\": \"RUNNING\"}",
	"{\"state\": \"SUCCESS\", \"data\": {}}", "{\"state\": \"EVENT\", \"data\": {}}",
	"{\"state\": \"FAILURE\", \"data\": {\"result\": 5}}", "{\"topic\": 1, \"tasks\": []}",
	"{\"topic\": \"alpha\", \"tasks\": [1]}", "{\"topic\": \"alpha\", \"tasks\": [\"m.T\"], \"x\": 1}",
	"{\"state\": \"DONE\", \"data\": {\"result\": 1}}",
	"{\"state\": \"FAILURE\", \"data\": {\"result\": {\"version\": 2, \"exception_str\": \"\"}}}"};

static void malformed_messages_are_rejected_and_counted(void **state)
{
	(void)state;
	struct rig r = {0};
	char noise[200];
	size_t bad = 0;
	unsigned seed = tf_random(1000000);
	print_message("seed %u\n", seed);
	srand(seed);
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", NULL);
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
			submit(&r, A1, "m.T");
			respond(&r, A1, NULL, "RUNNING", "{}");
			respond(&r, A1, NULL, "SUCCESS", "{\"result\": 1}");
			tf_executor_wbe_tick(r.x);
			good += 2;
		}
	}
	assert_int_equal(r.done, 10);
	assert_int_equal(r.failed, 0);
	assert_int_equal(stats(&r).malformed, bad);
	assert_int_equal(r.wire->rejected, bad);
	assert_int_equal(r.wire->acked, good);
	assert_int_equal(r.wire->unsettled, 0);
	rig_close(&r);
}

static void a_reply_without_an_id_is_acknowledged_and_ignored(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	respond(&r, NULL, NULL, "SUCCESS", "{\"result\": 1}");
	assert_int_equal(r.wire->acked, 1);
	assert_int_equal(stats(&r).malformed, 1);
	rig_close(&r);
}

/* ---- life */

static void stop_gives_up_everything(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", by(W1, -1));
	submit(&r, A1, "m.T");
	respond(&r, A1, by(W1, 1), "RUNNING", "{}");
	submit(&r, A2, "m.Nobody");
	r.x->ops->stop(r.x);
	assert_int_equal(r.done, 2);
	assert_int_equal(r.failed, 2);
	assert_failure(&r, "taskflow.exceptions.RequestTimeout", "in state WAITING: the engine was stopped");
	assert_null(fake_wire_last);
	assert_int_equal(submit_as(&r, A1, "m.T", TF_EXECUTE, 1), TF_ESTATE);
	r.x->ops->stop(r.x);
	/* and another run */
	rig_start(&r);
	rig_up(&r);
	fake_wire_drop(r.wire);
	submit(&r, A1, "m.T");
	answer(&r, "alpha", "m.T", NULL);
	fake_sent_free(sent(&r, "REQUEST", "alpha"));
	assert_int_equal(r.x->ops->start(r.x, NULL), TF_ESTATE);
	rig_close(&r);
}

static void done_may_stop_the_executor(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", NULL);
	submit(&r, A1, "m.T");
	submit(&r, A2, "m.T");
	respond(&r, A1, NULL, "SUCCESS", "{\"result\": 1}");
	r.stop_in_done = true;
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 2);
	assert_int_equal(r.failed, 1);
	rig_close(&r);
}

static void what_was_sent_to_nobody_can_be_withdrawn(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", NULL);
	submit(&r, A1, "m.T");
	submit(&r, A2, "m.Unknown");
	r.x->ops->withdraw(r.x);
	assert_int_equal(r.withdrawn, 1); /* A2; A1 is on its way */
	answer(&r, "beta", "m.Unknown", NULL);
	respond(&r, A1, NULL, "SUCCESS", "{\"result\": 1}");
	pass(&r, 120000);
	assert_int_equal(r.done, 1);
	assert_int_equal(r.failed, 0);
	answer(&r, "beta", "m.Unknown", NULL);
	submit(&r, A2, "m.Unknown"); /* the next run */
	respond(&r, A2, NULL, "SUCCESS", "{\"result\": 2}");
	tf_executor_wbe_tick(r.x);
	assert_int_equal(r.done, 2);
	rig_close(&r);
}

static void the_cost_of_a_reply_does_not_grow_with_the_requests(void **state)
{
	(void)state;
	struct rig r = {0};
	char uuid[TF_UUID_LEN + 1];
	enum { MANY = 50000 };
	rig_open(&r);
	rig_up(&r);
	answer(&r, "alpha", "m.T", by(W1, -1));
	char(*ids)[TF_UUID_LEN + 1] = tf_calloc(MANY, sizeof(*ids));
	for (size_t i = 0; i < MANY; i++) {
		tf_uuid(uuid);
		memcpy(ids[i], uuid, sizeof(uuid));
		submit(&r, uuid, "m.T");
		respond(&r, uuid, by(W1, 1), "RUNNING", "{}");
	}
	/* Were one reply to look at all others, this would be billions of steps. */
	for (size_t i = MANY; i-- > 0;) {
		respond(&r, ids[i], by(W1, 1), "SUCCESS", "{\"result\": 1}");
		tf_executor_wbe_tick(r.x);
	}
	assert_int_equal(r.done, MANY);
	free(ids);
	rig_close(&r);
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
		cmocka_unit_test(an_outcome_is_acknowledged_once_it_is_settled),
		cmocka_unit_test(an_outcome_for_an_earlier_engine_counts),
		cmocka_unit_test(the_header_goes_where_a_tfhost_worker_was_seen),
		cmocka_unit_test(the_hunt_for_a_worker_slows_down),
		cmocka_unit_test(unplaced_and_unstarted_requests_expire),
		cmocka_unit_test(who_stands_in_line_does_not_expire),
		cmocka_unit_test(a_jump_of_the_clock_expires_nothing),
		cmocka_unit_test(a_silent_worker_is_lost),
		cmocka_unit_test(a_request_may_change_its_worker),
		cmocka_unit_test(events_come_in_any_state_and_in_order),
		cmocka_unit_test(replies_of_other_rounds_and_actions_are_stale),
		cmocka_unit_test(a_silent_broker_is_not_a_silent_worker),
		cmocka_unit_test(an_outcome_that_cannot_be_read_fails_the_request),
		cmocka_unit_test(an_outcome_that_is_too_large_fails_the_request),
		cmocka_unit_test(a_malformed_event_does_not_end_its_request),
		cmocka_unit_test(a_request_that_was_not_sent_yet_cannot_be_answered),
		cmocka_unit_test(what_cannot_be_sent_fails),
		cmocka_unit_test(a_second_request_of_an_atom_in_flight_is_refused),
		cmocka_unit_test(while_the_connection_is_down_no_timer_runs),
		cmocka_unit_test(a_broker_that_never_came_is_reported),
		cmocka_unit_test(what_may_be_lost_with_the_broker_is_sent_again),
		cmocka_unit_test(nothing_is_sent_to_python_workers_twice),
		cmocka_unit_test(every_order_gives_exactly_one_outcome),
		cmocka_unit_test(another_worker_takes_what_a_lost_one_ran),
		cmocka_unit_test(a_cancel_reaches_what_runs_on_workers_of_ours),
		cmocka_unit_test(what_waited_beyond_its_queue_limit_is_ended_when_it_begins),
		cmocka_unit_test(attempts_end_with_the_last_loss),
		cmocka_unit_test(nobody_takes_over_is_a_lost_worker_after_a_while),
		cmocka_unit_test(a_worker_presumed_lost_may_still_be_first),
		cmocka_unit_test(every_order_of_a_fail_over_gives_one_outcome),
		cmocka_unit_test(malformed_messages_are_rejected_and_counted),
		cmocka_unit_test(a_reply_without_an_id_is_acknowledged_and_ignored),
		cmocka_unit_test(stop_gives_up_everything),
		cmocka_unit_test(done_may_stop_the_executor),
		cmocka_unit_test(what_was_sent_to_nobody_can_be_withdrawn),
		cmocka_unit_test(the_cost_of_a_reply_does_not_grow_with_the_requests),
		cmocka_unit_test(a_reply_topic_is_needed),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("wbe_executor", tests, NULL, NULL);
}
