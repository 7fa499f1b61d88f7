#include "executor_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmocka_all.h"
#include "loop/loop.h"
#include "protocol/failure.h"
#include "protocol/peer.h"

static void on_done(void *arg, const struct tf_completion *c)
{
	struct executor_rig *r = arg;
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

static void on_began(void *arg, unsigned atom, int64_t round, const char *performer)
{
	struct executor_rig *r = arg;
	(void)atom, (void)round;
	snprintf(r->performer_seen, sizeof(r->performer_seen), "%s", performer);
}

static void on_event(void *arg, unsigned atom, int64_t round, const char *type, struct tf_value *details)
{
	struct executor_rig *r = arg;
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
	struct executor_rig *r = arg;
	(void)atom, (void)round;
	r->withdrawn++;
}

static const char *const topics[] = {"alpha", "beta", NULL};

void executor_start(struct executor_rig *r)
{
	struct tf_err err;
	if (r->x->ops->start(r->x, &err) < 0)
		fail_msg("%s", err.message);
	r->wire = fake_wire_last;
}

static void make(struct executor_rig *r)
{
	const struct tf_wbe_seam seam = {.clock = &r->clock.clock, .open = fake_wire_open};
	struct tf_err err;
	r->config.reply_topic = FLOW;
	r->config.topics = r->config.topics ? r->config.topics : topics;
	if (tf_executor_wbe_new_with(r->loop, &r->config, &seam, &r->x, &err) < 0)
		fail_msg("%s", err.message);
	r->x->events = (struct tf_executor_events){
		.done = on_done, .began = on_began, .event = on_event, .withdrawn = on_withdrawn};
	r->x->arg = r;
	executor_start(r);
}

void executor_open(struct executor_rig *r)
{
	r->loop = tf_loop_new();
	tf_clock_fake_init(&r->clock, 1000000);
	make(r);
}

static void hear_nothing(void *arg, const struct tf_completion *c)
{
	(void)arg, (void)c;
}

void executor_resume(struct executor_rig *r)
{
	r->x->events.done = hear_nothing;
	r->x->ops->destroy(r->x);
	make(r);
}

void executor_up(struct executor_rig *r)
{
	r->inside = true;
	fake_wire_state(r->wire, true);
	r->inside = false;
	tf_executor_wbe_tick(r->x);
}

void executor_ready(struct executor_rig *r, const char *worker)
{
	executor_open(r);
	executor_up(r);
	executor_answer(r, "alpha", "m.T", worker ? executor_by(worker, -1) : NULL);
}

void executor_close(struct executor_rig *r)
{
	r->x->ops->destroy(r->x);
	tf_loop_delete(r->loop);
	tf_value_unref(r->last.result);
	free(r->last_event);
	memset(r, 0, sizeof(*r));
}

void executor_pass(struct executor_rig *r, uint64_t ms)
{
	while (ms) {
		uint64_t step = ms < 100 ? ms : 100;
		tf_clock_fake_advance(&r->clock, step);
		tf_executor_wbe_tick(r->x);
		ms -= step;
	}
}

int executor_submit_as(
	struct executor_rig *r, const char *uuid, const char *cls, enum tf_action action, int64_t round)
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
		.performer = r->performer,
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

void executor_submit(struct executor_rig *r, const char *uuid, const char *cls)
{
	assert_int_equal(executor_submit_as(r, uuid, cls, TF_EXECUTE, 1), 0);
}

void executor_deliver(
	struct executor_rig *r, const char *type, const char *id, const char *peer, const char *body)
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

void executor_answer(struct executor_rig *r, const char *topic, const char *cls, const char *peer)
{
	char *body = tf_asprintf("{\"topic\": \"%s\", \"tasks\": [\"%s\"]}", topic, cls);
	executor_deliver(r, "NOTIFY", NULL, peer, body);
	free(body);
}

const char *executor_by(const char *worker, int64_t round)
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

void executor_respond(
	struct executor_rig *r, const char *id, const char *peer, const char *state, const char *data)
{
	char *body = tf_asprintf("{\"state\": \"%s\", \"data\": %s}", state, data);
	executor_deliver(r, "RESPONSE", id, peer, body);
	free(body);
}

struct fake_sent *executor_sent(struct executor_rig *r, const char *type, const char *topic)
{
	struct fake_sent *s = fake_wire_take(r->wire);
	if (!s)
		fail_msg("nothing was sent, expected %s to %s", type, topic);
	assert_string_equal(s->m.type, type);
	assert_string_equal(s->m.topic, topic);
	assert_string_equal(s->m.reply_to, FLOW);
	return s;
}

struct fake_sent *executor_next_request(struct executor_rig *r)
{
	struct fake_sent *s;
	while ((s = fake_wire_take(r->wire)) != NULL && strcmp(s->m.type, "REQUEST") != 0)
		fake_sent_free(s);
	return s;
}

void assert_executor_failed(struct executor_rig *r, const char *type, const char *text)
{
	assert_true(r->last.failed);
	char *have = tf_failure_summary(tf_value_json(r->last.result));
	if (!tf_failure_is(tf_value_json(r->last.result), type) || !strstr(have, text))
		fail_msg("want %s ... %s, have %s", type, text, have);
	assert_int_equal(tf_failure_check_schema(tf_value_json(r->last.result), NULL), 0);
	free(have);
}

struct tf_wbe_stats executor_stats(struct executor_rig *r)
{
	struct tf_wbe_stats s;
	tf_executor_wbe_stats(r->x, &s);
	return s;
}
