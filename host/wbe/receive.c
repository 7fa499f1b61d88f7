/* Messages that reach an engine: NOTIFY answers and RESPONSEs (PROTOCOL.md 5.4, 9). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "protocol/failure.h"
#include "protocol/peer.h"
#include "wbe/client.h"

static void complain(struct tf_client *c, const struct tf_message *m, const char *what, const char *why)
{
	uint64_t left_out;
	if (!tf_throttle_allows(&c->throttle, tf_client_now(c), &left_out))
		return;
	const struct tf_log_ids ids = {.flow = c->config.reply_topic, .request = m->correlation_id};
	tf_warn_of(&ids, "engine", "%s a %.32s message on topic '%s' (correlation id %.64s, %zu bytes): %s%s",
		what, m->type ? m->type : "typeless", c->config.reply_topic,
		m->correlation_id ? m->correlation_id : "none", m->body_len, why,
		left_out ? " (like others before, not logged)" : "");
}

static void reject(struct tf_client *c, const struct tf_message *m, const char *why)
{
	c->stats.malformed++;
	complain(c, m, "rejected", why);
	tf_transport_settle(c->transport, m->tag, TF_REJECT);
}

/* ---- NOTIFY */

static void take_answer(struct tf_client *c, const struct tf_notify *n, const struct tf_peer *peer)
{
	bool news = tf_finder_answer(c->finder, n);
	tf_client_topic_heard(c, n->topic);
	if (!peer->present)
		tf_map_remove(c->tfhost_topics, n->topic);
	else if (tf_map_count(c->tfhost_topics) < TF_FINDER_MAX_TOPICS)
		tf_map_set(c->tfhost_topics, n->topic, c);
	if (peer->present && tf_map_count(c->tfhost_seen) < TF_FINDER_MAX_TOPICS)
		tf_map_set(c->tfhost_seen, n->topic, c);
	if (peer->present && peer->full == 1)
		tf_client_busy(c, n->topic);
	if (peer->worker[0]) {
		tf_supervision_heard(c->supervision, peer);
		tf_client_met(c, peer, n->topic);
	}
	tf_client_search_answer(c, n->topic, peer);
	tf_client_checked(c, n->topic, peer);
	if (!news)
		return;
	c->stats.seen++;
	const struct tf_log_ids flow = {
		.flow = c->config.reply_topic, .worker = peer->worker[0] ? peer->worker : NULL};
	tf_debug_of(&flow, "engine", "a worker on topic '%s' offers %zu tasks", n->topic, n->task_count);
	tf_client_place(c);
}

static void on_notify(struct tf_client *c, const struct tf_message *m)
{
	struct tf_notify n;
	struct tf_err err;
	if (tf_notify_parse(m->body, m->body_len, &n, &err) < 0) {
		reject(c, m, err.message);
		return;
	}
	if (!n.answer && tf_client_is_echo(c, m)) {
		tf_transport_settle(c->transport, m->tag, TF_ACK);
	} else if (!n.answer) {
		reject(c, m, "topic: missing");
	} else {
		const struct tf_peer peer = tf_peer_parse(m->peer);
		tf_transport_settle(c->transport, m->tag, TF_ACK);
		take_answer(c, &n, &peer);
	}
	tf_notify_free(&n);
}

/* ---- RESPONSE */

/* Its number, for the engine: by host and process, or where its kind tells none by its topic. */
static uint16_t number_of(struct tf_client *c, const struct tf_flight *f, const struct tf_peer *peer)
{
	char text[TF_PEER_HOST_MAX + 24];
	const char *name = f->topic;
	if (peer->host[0] && peer->pid >= 0) {
		snprintf(text, sizeof(text), "%s:%" PRId64, peer->host, peer->pid);
		name = text;
	}
	return name ? (uint16_t)tf_intern_number(c->workers, name, UINT16_MAX) : 0;
}

static void on_running(struct tf_client *c, struct tf_flight *f, const struct tf_peer *peer)
{
	if (!f->topic) /* our former self has sent it, who knows where */
		f->topic = tf_strdup(c->config.topics[0] && !c->config.topics[1] ? c->config.topics[0] : "?");
	if (tf_inflight_move(c->inflight, f, TF_REQUEST_RUNNING)) {
		f->begun_us = tf_clock_us();
		f->worker = number_of(c, f, peer);
		const struct tf_log_ids ids = tf_flight_log_ids(c, f);
		tf_debug_of(&ids, "engine", "task '%s' runs on topic '%s'", f->request.task_name, f->topic);
	}
	if (f->state != TF_REQUEST_RUNNING)
		return;
	if (f->queue != TF_QUEUE_UNREADABLE)
		tf_inflight_dequeue(c->inflight, f); /* not lost: no need to send it again */
	if (!peer->worker[0])
		return;
	tf_client_drop_copy(c, f, peer);
	tf_supervision_watch(c->supervision, &f->watch, peer);
	tf_outbox_began(&c->outbox, f->atom, f->round, peer->worker);
	tf_client_cancel_running(c, f);
	tf_client_arm(c, 0);
}

/* What the worker says of times counts, where it can be: both clocks go at the same pace. */
static void note_end(
	struct tf_client *c, struct tf_flight *f, const struct tf_response *r, const struct tf_peer *peer)
{
	uint64_t now = tf_clock_us();
	f->worker = number_of(c, f, peer);
	if (peer->ran_us >= 0 && (uint64_t)peer->ran_us <= now - f->came_us)
		f->begun_us = now - (uint64_t)peer->ran_us;
	if (r->state == TF_RESPONSE_FAILURE &&
		tf_failure_is(tf_value_json(r->result), tf_types_worker_lost[0]))
		c->stats.died++;
}

/* It waits with that worker, or was there: a copy, if another one begins it before. If one runs it already, that one
 * may have died just now. */
static void on_held(struct tf_client *c, struct tf_flight *f, const struct tf_peer *peer)
{
	if (peer->given != 1 && f->state != TF_REQUEST_RUNNING) {
		free(f->holder);
		f->holder = tf_strdup(peer->worker);
	}
	tf_client_found(c, f, peer);
}

/* Whether the message is to be acknowledged now; an outcome waits until the engine has it safe. */
static bool take_response(struct tf_client *c, const struct tf_message *m, struct tf_flight *f,
	struct tf_response *r, const struct tf_peer *peer)
{
	bool taken = false;
	if (f->lane && r->state != TF_RESPONSE_EVENT) /* it was PENDING: its turn has come */
		f->lane->busy_at = tf_pace_ms(&c->pace) + 1;
	switch (r->state) {
	case TF_RESPONSE_RUNNING:
		on_running(c, f, peer);
		break;
	case TF_RESPONSE_EVENT:
		tf_outbox_event(&c->outbox, f->atom, f->round, r->event_type, r->details);
		tf_client_arm(c, 0);
		break;
	case TF_RESPONSE_SUCCESS:
	case TF_RESPONSE_FAILURE:
		if (f->state == TF_REQUEST_WAITING) /* sent by the engine that ours resumes */
			tf_inflight_move(c->inflight, f, TF_REQUEST_PENDING);
		note_end(c, f, r, peer);
		taken = tf_client_outcome(c, f, r->state == TF_RESPONSE_FAILURE, r->result, m->tag);
		r->result = NULL;
		break;
	case TF_RESPONSE_PENDING:
		if (peer->worker[0]) {
			on_held(c, f, peer);
			break;
		}
		complain(c, m, "ignored", "a worker does not report this state");
		break;
	case TF_RESPONSE_WAITING:
		complain(c, m, "ignored", "a worker does not report this state");
		break;
	}
	return !taken;
}

static bool is_outcome(const struct tf_response *r)
{
	return r->state == TF_RESPONSE_SUCCESS || r->state == TF_RESPONSE_FAILURE;
}

/* A reply to an earlier attempt: its request is not the one in flight now. One that names our round and action
 * answers ours, though it was an earlier engine of this flow that sent it. */
static bool is_stale(const struct tf_flight *f, const struct tf_response *r, const struct tf_peer *peer)
{
	if (!f)
		return true;
	bool ours = peer->round == f->round && peer->action == (int)f->request.action;
	if (f->state == TF_REQUEST_WAITING && !f->losses && r->state != TF_RESPONSE_EVENT)
		return !ours;
	return (peer->round >= 0 && peer->round != f->round) ||
	       (peer->action >= 0 && peer->action != (int)f->request.action);
}

/* The task has ended and nothing more may come: wait a while for an outcome that can be read (the
 * message may be a stranger's), then fail. Without this the flow would hang. */
static void on_unreadable(
	struct tf_client *c, const struct tf_message *m, const struct tf_response *r, const char *why)
{
	const struct tf_peer peer = tf_peer_parse(m->peer);
	struct tf_flight *f = m->correlation_id ? tf_inflight_find(c->inflight, m->correlation_id) : NULL;
	if (!is_outcome(r) || is_stale(f, r, &peer) || f->queue == TF_QUEUE_UNREADABLE)
		return;
	free(f->unreadable);
	f->unreadable = tf_strdup(why);
	tf_inflight_again(
		c->inflight, f, TF_QUEUE_UNREADABLE, tf_pace_ms(&c->pace) + TF_CLIENT_UNREADABLE_MS);
	tf_client_arm(c, TF_CLIENT_UNREADABLE_MS);
}

static void on_response(struct tf_client *c, const struct tf_message *m)
{
	struct tf_response r;
	struct tf_err err;
	if (tf_response_parse(m->body, m->body_len, &r, &err) < 0) {
		reject(c, m, err.message);
		on_unreadable(c, m, &r, err.message);
		return;
	}
	bool settle = true;
	const struct tf_peer peer = tf_peer_parse(m->peer);
	if (peer.worker[0])
		tf_supervision_heard(c->supervision, &peer);
	struct tf_flight *f = m->correlation_id ? tf_inflight_find(c->inflight, m->correlation_id) : NULL;
	if (!m->correlation_id) {
		c->stats.malformed++;
		complain(c, m, "ignored", "the correlation_id property is missing");
	} else if (is_stale(f, &r, &peer)) {
		c->stats.stale++;
		if (!f && r.state == TF_RESPONSE_RUNNING)
			tf_client_stop_expired(c, m->correlation_id, &peer);
		if (r.state == TF_RESPONSE_PENDING)
			tf_client_drop_unwanted(c, f, m->correlation_id, &peer);
	} else {
		settle = take_response(c, m, f, &r, &peer);
	}
	if (settle)
		tf_transport_settle(c->transport, m->tag, TF_ACK);
	tf_response_free(&r);
}

/* What it says of the state is not known, but only an outcome has a reason to be that large. */
void tf_client_oversized(void *arg, const struct tf_message *m)
{
	struct tf_client *c = arg;
	const struct tf_response r = {.state = TF_RESPONSE_FAILURE};
	char why[64];
	if (!c->transport || !m->type || strcmp(m->type, TF_TYPE_RESPONSE))
		return;
	tf_client_heard(c);
	snprintf(why, sizeof(why), "it has more than %zu bytes", c->transport->max_message);
	on_unreadable(c, m, &r, why);
}

void tf_client_message(void *arg, const struct tf_message *m)
{
	struct tf_client *c = arg;
	if (!c->transport)
		return; /* stopping: not settled, so the broker keeps it */
	tf_client_heard(c);
	if (!m->type)
		reject(c, m, "the type property is missing");
	else if (!tf_message_is_json(m->content_type))
		reject(c, m, "content type is not application/json");
	else if (!strcmp(m->type, TF_TYPE_NOTIFY))
		on_notify(c, m);
	else if (!strcmp(m->type, TF_TYPE_RESPONSE))
		on_response(c, m);
	else
		reject(c, m, "an engine takes NOTIFY and RESPONSE alone");
}
