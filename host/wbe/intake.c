/* Messages that reach a worker: NOTIFY probes and REQUESTs (PROTOCOL.md 7, 9). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "protocol/failure.h"
#include "wbe/diary.h"
#include "wbe/service.h"

static void complain(struct tf_server *s, const struct tf_message *m, const char *what, const char *why)
{
	uint64_t left_out;
	if (!tf_throttle_allows(&s->throttle, tf_clock_ms(&s->pace.clock), &left_out))
		return;
	const struct tf_log_ids ids = {.flow = m->reply_to, .request = m->correlation_id};
	tf_warn_of(&ids, "worker",
		"%s a %.32s message (topic '%s', reply_to %.64s, correlation id %.64s, %zu bytes): %s%s",
		what, m->type ? m->type : "typeless", m->topic ? m->topic : s->topic,
		m->reply_to ? m->reply_to : "none", m->correlation_id ? m->correlation_id : "none",
		m->body_len, why, left_out ? " (like others before, not logged)" : "");
}

static void reject(struct tf_server *s, const struct tf_message *m, const char *why)
{
	s->stats.malformed++;
	complain(s, m, "rejected", why);
	tf_witness_reason(s, "rejected", why);
	tf_transport_settle(s->transport, m->tag, TF_REJECT);
}

/* Valid, but nobody could be answered. */
static void ignore(struct tf_server *s, const struct tf_message *m, const char *why)
{
	s->stats.malformed++;
	complain(s, m, "ignored", why);
	tf_transport_settle(s->transport, m->tag, TF_ACK);
}

static bool is_absent(const char *property)
{
	return !property || !property[0];
}

static char *request_key(const char *reply_to, const char *correlation_id, int action, int64_t round)
{
	return tf_asprintf(
		"%s %s %s %" PRId64, reply_to, correlation_id, tf_action_name((enum tf_action)action), round);
}

/* ---- NOTIFY */

/* What of this request remains to be done is not done any more. It may have ended meanwhile: then that counts. */
static void on_cancel(struct tf_server *s, const struct tf_message *m)
{
	const struct tf_peer peer = tf_peer_parse(m->peer);
	struct tf_job *j = NULL;
	if (!is_absent(m->correlation_id) && peer.round >= 0 && peer.action >= 0) {
		char *key = request_key(m->reply_to, m->correlation_id, peer.action, peer.round);
		j = tf_map_get(s->by_key, key);
		free(key);
	}
	tf_transport_settle(s->transport, m->tag, TF_ACK);
	if (!j || j->state == TF_JOB_FINISHED)
		return;
	if (peer.drop == 1) {
		if (j->offers || j->state == TF_JOB_QUEUED) {
			j->state = TF_JOB_QUEUED; /* never begun */
			tf_job_delete(s, j, TF_ACK);
		}
		return;
	}
	const struct tf_log_ids ids = tf_job_log_ids(j);
	tf_info_of(&ids, "worker", "task '%s' is cancelled by its engine", j->task_name);
	char *why = tf_asprintf("task '%s' was cancelled by its engine", j->task_name);
	if (j->state == TF_JOB_QUEUED || j->offers)
		tf_job_refuse(s, j, tf_failure_format(tf_types_cancelled, "%s before it began", why));
	else
		s->endpoint.ops->stop_job(s->endpoint.pool, j->id, tf_types_cancelled, why);
	free(why);
}

static void answer(struct tf_server *s, const struct tf_message *m, const char *key,
	const struct tf_peer *peer, struct tf_request *r, const char *body, size_t len)
{
	struct tf_job *j = tf_job_new(s, m, key, peer, r);
	tf_request_free(&j->request);
	j->from_ledger = true;
	j->state = TF_JOB_FINISHED;
	j->finished_at = tf_pace_ms(&s->pace);
	memcpy(&j->label, body, sizeof(j->label)); /* as reply.c put it */
	tf_buf_append(&j->final, body + sizeof(j->label), len - sizeof(j->label));
	tf_reply_final(s, j);
}

/* An engine that goes on with a flow wants to know who has this request of its former self. */
static void on_ask(struct tf_server *s, const struct tf_message *m, const struct tf_peer *peer)
{
	if (is_absent(m->correlation_id) || peer->round < 0 || peer->action < 0) {
		tf_transport_settle(s->transport, m->tag, TF_ACK);
		return;
	}
	size_t len = 0;
	char *key = request_key(m->reply_to, m->correlation_id, peer->action, peer->round);
	struct tf_job *j = tf_map_get(s->by_key, key);
	const char *body = j ? NULL : tf_ledger_get(s->ledger, key, &len);
	tf_audience_heard(s, m->reply_to, true);
	if (body) {
		struct tf_request r = {.task_cls = tf_strdup(""),
			.task_name = tf_strdup(m->correlation_id),
			.action = (enum tf_action)peer->action};
		answer(s, m, key, peer, &r, body, len);
		tf_request_free(&r);
	} else {
		tf_transport_settle(s->transport, m->tag, TF_ACK);
	}
	if (j && j->state == TF_JOB_RUNNING)
		tf_reply_running(s, j);
	else if (j && j->state == TF_JOB_FINISHED)
		tf_reply_hurry(s, j);
	else if (j || tf_ledger_get(s->given, key, &len))
		tf_reply_pending(s, m, peer, !j);
	free(key);
}

static void on_notify(struct tf_server *s, const struct tf_message *m)
{
	const struct tf_peer peer = tf_peer_parse(m->peer);
	struct tf_notify n;
	struct tf_err err;
	if (tf_notify_parse(m->body, m->body_len, &n, &err) < 0) {
		reject(s, m, err.message);
		return;
	}
	bool answer = n.answer;
	tf_notify_free(&n);
	if (answer && m->reply_to == NULL && !strcmp(m->topic, s->self.worker)) {
		tf_transport_settle(s->transport, m->tag, TF_ACK); /* inherit.c has asked */
	} else if (answer) {
		reject(s, m, "unexpected member \"topic\": a worker takes probes, not answers");
	} else if (is_absent(m->reply_to)) {
		ignore(s, m, "the reply_to property is missing");
	} else if (peer.cancel == 1 || peer.drop == 1) {
		on_cancel(s, m);
	} else if (peer.ask == 1) {
		on_ask(s, m, &peer);
	} else if (m->topic && s->group && !strcmp(m->topic, s->group)) {
		tf_reply_census(s, m->reply_to);
		tf_transport_settle(s->transport, m->tag, TF_ACK);
	} else {
		s->stats.probes++;
		tf_audience_heard(s, m->reply_to, peer.present);
		tf_reply_notify(s, m->reply_to, peer.present, peer.echo);
		tf_transport_settle(s->transport, m->tag, TF_ACK);
	}
}

/* ---- REQUEST */

/* Python's repr() of a name, as KeyError shows it. */
static char *quoted(const char *name)
{
	const char *quote = strchr(name, '\'') && !strchr(name, '"') ? "\"" : "'";
	return tf_asprintf("%s%s%s", quote, name, quote);
}

static struct tf_value *unknown_class(const char *name)
{
	struct tf_buf args = TF_BUF_INIT;
	char *text = quoted(name);
	tf_buf_putc(&args, '[');
	tf_json_write_string(&args, name, strlen(name));
	tf_buf_putc(&args, ']');
	struct tf_value *v = tf_value_take(&args);
	struct tf_value *failure = tf_failure_value(&(struct tf_failure){
		.exception_str = text, .exc_type_names = tf_types_key_error, .exc_args = v});
	tf_value_unref(v);
	free(text);
	return failure;
}

/* A Python worker that cannot rebuild a failure says so, or says nothing at all (PROTOCOL.md 4). */
static struct tf_value *cannot_rebuild(const struct tf_request *r)
{
	struct tf_err err;
	const char *const *types =
		r->result_failed ? tf_failure_reconstruct_error(tf_value_json(r->result), &err) : NULL;
	struct tf_json val;
	struct tf_json_iter it = {0};
	if (!types && r->failures)
		it = tf_json_iter(tf_value_json(r->failures));
	while (!types && r->failures && tf_json_next(&it, NULL, &val))
		types = tf_failure_reconstruct_error(val, &err);
	return types ? tf_failure_format(types, "%s", err.message) : NULL;
}

static struct tf_value *too_large(const struct tf_server *s, const struct tf_request *r)
{
	struct tf_limits limits;
	tf_job_limits(s, r, &limits);
	return tf_request_too_large(r, limits.arguments);
}

/* Why this request cannot be run, as a failure; NULL if it can. */
static struct tf_value *objection(const struct tf_server *s, const struct tf_request *r)
{
	struct tf_value *why = cannot_rebuild(r);
	if (!why && !tf_map_get(s->classes, r->task_cls))
		why = unknown_class(r->task_cls);
	return why ? why : too_large(s, r);
}

/* execute() takes no result and no failures: Python finds out when it calls. */
static struct tf_value *misfit(const struct tf_request *r)
{
	if (r->action != TF_EXECUTE || (!r->has_result && !r->failures))
		return NULL;
	return tf_failure_format(tf_types_type_error, "execute() got an unexpected keyword argument '%s'",
		r->has_result ? "result" : "failures");
}

/* The request as the pool gets it: a revert always has both, whatever Python left out. */
static void complete(struct tf_request *r)
{
	if (r->action != TF_REVERT)
		return;
	if (!r->has_result) {
		r->has_result = true;
		r->result = tf_value_null();
	}
	if (!r->failures)
		r->failures = tf_value_empty_object();
}

static void begin(struct tf_server *s, const struct tf_message *m, const char *key,
	const struct tf_peer *peer, struct tf_request *r)
{
	r->limits = peer->limits;
	struct tf_value *against = objection(s, r), *later = misfit(r);
	complete(r);
	struct tf_job *j = tf_job_new(s, m, key, peer, r);
	s->stats.requests++;
	tf_witness_job(s, j, "taken", NULL);
	if (against) {
		tf_job_finish(s, j, true, against);
		tf_value_unref(later);
	} else if (later) {
		tf_reply_running(s, j);
		tf_job_finish(s, j, true, later);
	} else if ((m->redelivered && peer->round >= 0 && s->transport->ops->groups) ||
		   tf_job_is_doubtful(s, j)) { /* it was with another worker before, or is old */
		tf_reply_offer(s, j);
	} else {
		tf_job_enqueue(s, j);
	}
}

/* With the header a round tells attempts apart. Without it execute, revert and every retry of an
 * atom look alike but for their bodies, so only the very same body is the same request. */
static char *key_of(const struct tf_server *s, const struct tf_message *m, const struct tf_peer *peer,
	enum tf_action action)
{
	char digest[TF_DIGEST_TEXT];
	if (peer->present && peer->round >= 0)
		return request_key(m->reply_to, m->correlation_id, (int)action, peer->round);
	return tf_asprintf("%s %s %s =%s", m->reply_to, m->correlation_id, tf_action_name(action),
		tf_digest(&s->digest_key, m->body, m->body_len, digest));
}

static void join(
	struct tf_server *s, struct tf_job *j, const struct tf_message *m, const struct tf_peer *peer)
{
	s->stats.joined++;
	tf_job_join(s, j, m->tag);
	j->peer.dispatch = peer->dispatch;
	if (j->state == TF_JOB_RUNNING)
		tf_reply_running(s, j);
}

/* A request that nobody delivers any more. */
static void disown(struct tf_server *s, struct tf_job *j)
{
	j->tag_live = false;
	s->live_tags--;
	tf_promise_begin(s, j);
	if (j->entry)
		(void)tf_promise_acknowledge(s, j);
}

bool tf_service_inherit(struct tf_server *s, const struct tf_diary_entry *e)
{
	struct tf_request r;
	const struct tf_peer peer = tf_peer_parse(NULL);
	const struct tf_message m = {.topic = s->topic,
		.type = TF_TYPE_REQUEST,
		.reply_to = e->reply_to,
		.correlation_id = e->correlation_id,
		.body = e->body,
		.body_len = e->body_len};
	if (tf_request_parse(m.body, m.body_len, &r, NULL) < 0)
		return false;
	char *key = key_of(s, &m, &peer, r.action);
	bool fresh = !tf_map_get(s->by_key, key);
	if (fresh) {
		struct tf_value *against = e->final ? NULL : objection(s, &r);
		struct tf_job *j = tf_job_new(s, &m, key, &peer, &r);
		disown(s, j);
		if (e->final) {
			j->state = TF_JOB_FINISHED;
			j->failed = e->failed;
			j->finished_at = tf_pace_ms(&s->pace);
			tf_buf_append(&j->final, e->final, e->final_len);
			tf_promise_outcome(s, j);
			tf_reply_final(s, j);
		} else if (against) {
			tf_job_finish(s, j, true, against);
		} else {
			s->stats.requests++;
			tf_job_enqueue(s, j);
		}
	}
	free(key);
	tf_request_free(&r);
	return fresh;
}

static void on_valid_request(struct tf_server *s, const struct tf_message *m, struct tf_request *r)
{
	const struct tf_peer peer = tf_peer_parse(m->peer);
	char *key = key_of(s, m, &peer, r->action);
	tf_audience_heard(s, m->reply_to, peer.present);
	s->stats.redelivered += m->redelivered;
	bool known = m->redelivered || (peer.present && peer.round >= 0);
	struct tf_job *j = known ? tf_map_get(s->by_key, key) : NULL;
	size_t len = 0;
	const char *body = known && !j ? tf_ledger_get(s->ledger, key, &len) : NULL;
	if (j)
		join(s, j, m, &peer);
	else if (body)
		answer(s, m, key, &peer, r, body, len);
	else
		begin(s, m, key, &peer, r);
	free(key);
}

static void on_request(struct tf_server *s, const struct tf_message *m)
{
	struct tf_request r;
	struct tf_err err;
	if (tf_request_parse(m->body, m->body_len, &r, &err) < 0) {
		reject(s, m, err.message);
		return;
	}
	if (is_absent(m->reply_to) || is_absent(m->correlation_id))
		ignore(s, m,
			is_absent(m->reply_to) ? "the reply_to property is missing"
					       : "the correlation_id property is missing");
	else
		on_valid_request(s, m, &r);
	tf_request_free(&r);
}

/* ---- all */

/* Given back a little later: with no other worker on the queue it comes straight back. */
static void hold(struct tf_server *s, const struct tf_message *m)
{
	struct tf_held *h = TF_NEW(struct tf_held);
	h->tag = m->tag;
	TAILQ_INSERT_TAIL(&s->held, h, link);
}

/* About what we have, from its engine. */
static bool is_to_us(const struct tf_message *m)
{
	const struct tf_peer peer = tf_peer_parse(m->peer);
	return peer.ask == 1 || peer.cancel == 1 || peer.drop == 1;
}

void tf_service_message(void *arg, const struct tf_message *m)
{
	struct tf_server *s = arg;
	if (s->draining && !is_to_us(m))
		hold(s, m);
	else if (!m->type)
		reject(s, m, "the type property is missing");
	else if (!tf_message_is_json(m->content_type))
		reject(s, m, "content type is not application/json");
	else if (!strcmp(m->type, TF_TYPE_NOTIFY))
		on_notify(s, m);
	else if (!strcmp(m->type, TF_TYPE_REQUEST))
		on_request(s, m);
	else
		reject(s, m, "a worker takes NOTIFY and REQUEST alone");
}
