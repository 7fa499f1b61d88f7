#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "protocol/failure.h"
#include "wbe/service.h"

#define ID_TEXT 17 /* 16 hex digits and NUL */
/* What waits behind long tasks is given back after so long, and when it comes straight back (there is
 * no idle worker) at growing distances. */
#define PATIENCE_MS 1000
#define PATIENCE_MAX_MS 30000
/* A task that runs so long for an engine that supervises it is acknowledged (others: server.h, journal_ms): no broker waits for ever (RabbitMQ: 30
 * minutes), and what is unacknowledged takes the place of probes in our window. */
#define RELEASE_MS 10000
/* Requests that wait for their class alone, at most, beside those of the window. */
#define BLOCKED_MAX 512
/* What waits here for longer since its engine was asked whether it is still wanted asks again. */
#define ASK_AGAIN_MS 15000
/* Bytes that a failure may have whatever the limit of results: it has to say what happened. */
#define FAILURE_MIN (64u << 10)

static const char *id_text(uint64_t id, char out[ID_TEXT])
{
	snprintf(out, ID_TEXT, "%" PRIx64, id);
	return out;
}

/* ---- engines */

static struct tf_engine_peer *engine_ref(struct tf_server *s, const char *reply_to, bool tfhost)
{
	struct tf_engine_peer *e = tf_map_get(s->engines_by_topic, reply_to);
	if (!e) {
		e = TF_NEW(struct tf_engine_peer);
		e->reply_to = tf_strdup(reply_to);
		tf_map_set(s->engines_by_topic, reply_to, e);
		TAILQ_INSERT_TAIL(&s->engines, e, link);
	}
	e->tfhost = e->tfhost || tfhost;
	e->jobs++;
	return e;
}

static void engine_unref(struct tf_server *s, struct tf_engine_peer *e)
{
	if (--e->jobs)
		return;
	TAILQ_REMOVE(&s->engines, e, link);
	tf_map_remove(s->engines_by_topic, e->reply_to);
	free(e->reply_to);
	free(e);
}

/* ---- the table */

void tf_jobs_create(struct tf_server *s)
{
	s->by_id = tf_map_new();
	s->by_key = tf_map_new();
	s->engines_by_topic = tf_map_new();
	TAILQ_INIT(&s->jobs);
	tf_runqueue_create(&s->queue);
	TAILQ_INIT(&s->begun);
	TAILQ_INIT(&s->retry);
	TAILQ_INIT(&s->engines);
	s->patience = s->blocked.ms = PATIENCE_MS;
}

struct tf_job *tf_job_new(struct tf_server *s, const struct tf_message *m, const char *key,
	const struct tf_peer *peer, struct tf_request *r)
{
	char text[ID_TEXT];
	struct tf_job *j = TF_NEW(struct tf_job);
	j->id = ++s->last_id;
	j->key = tf_strdup(key);
	j->engine = engine_ref(s, m->reply_to, peer->present);
	j->correlation_id = tf_strdup(m->correlation_id);
	j->peer = *peer;
	j->action = r->action;
	j->task_name = tf_strdup(r->task_name);
	j->came_us = tf_clock_us();
	j->ran_us = -1;
	j->tally = tf_tally_row(s->tally, tf_map_get(s->classes, r->task_cls) ? r->task_cls : NULL);
	j->request = *r;
	j->request.flow = j->engine->reply_to;
	j->request.uuid = j->correlation_id;
	tf_job_limits(s, r, &j->request.limits);
	j->result_limit = j->request.limits.result;
	*r = (struct tf_request){0};
	j->state = TF_JOB_SUBMITTED; /* until it is told to wait */
	j->tag = m->tag;
	j->tag_live = true;
	s->live_tags++;
	tf_map_set(s->by_id, id_text(j->id, text), j);
	tf_map_set(s->by_key, j->key, j);
	TAILQ_INSERT_TAIL(&s->jobs, j, all);
	tf_service_arm(s, s->beat_ms < TF_SERVICE_ATTENTION_MS ? s->beat_ms : TF_SERVICE_ATTENTION_MS);
	return j;
}

static void settle(struct tf_server *s, struct tf_job *j, enum tf_settle how)
{
	s->live_tags -= j->tag_live;
	j->tag_live = false;
	if (j->tag)
		tf_transport_settle(s->transport, j->tag, how);
	j->tag = 0;
}

void tf_job_acknowledge(struct tf_server *s, struct tf_job *j)
{
	settle(s, j, TF_ACK);
}

static void leave_lists(struct tf_server *s, struct tf_job *j)
{
	if (j->unsaid)
		TAILQ_REMOVE(&s->begun, j, list);
	else if (j->retrying)
		TAILQ_REMOVE(&s->retry, j, list);
	j->unsaid = j->retrying = false;
}

void tf_job_delete(struct tf_server *s, struct tf_job *j, enum tf_settle how)
{
	char text[ID_TEXT];
	if (how == TF_REQUEUE)
		tf_witness_job(s, j, "given-back", NULL);
	if (j->state == TF_JOB_QUEUED)
		s->stats.requests--; /* not ours any more */
	leave_lists(s, j);
	tf_runqueue_leave(&s->queue, &j->place);
	s->stranded -= j->stranded;
	if (how == TF_REQUEUE && j->tag_live)
		tf_ledger_put(s->given, j->key, "", 0);
	settle(s, j, how);
	TAILQ_REMOVE(&s->jobs, j, all);
	tf_map_remove(s->by_id, id_text(j->id, text));
	if (tf_map_get(s->by_key, j->key) == j)
		tf_map_remove(s->by_key, j->key);
	engine_unref(s, j->engine);
	tf_request_free(&j->request);
	tf_buf_free(&j->final);
	free(j->key);
	free(j->correlation_id);
	free(j->task_name);
	free(j);
	if (s->draining && TAILQ_EMPTY(&s->jobs))
		tf_service_arm(s, 0);
}

unsigned tf_jobs_waiting(const struct tf_server *s)
{
	const struct tf_runplace *w;
	unsigned n = 0;
	TAILQ_FOREACH(w, &s->queue.all, all)
	n++;
	return n;
}

struct tf_job *tf_job_find(const struct tf_server *s, uint64_t id)
{
	char text[ID_TEXT];
	return tf_map_get(s->by_id, id_text(id, text));
}

/* ---- limits */

void tf_job_limits(const struct tf_server *s, const struct tf_request *r, struct tf_limits *out)
{
	const struct tf_class_limits *cls = NULL;
	*out = r->limits;
	if (s->endpoint.ops->class_limits)
		cls = s->endpoint.ops->class_limits(s->endpoint.pool, r->task_cls);
	if (cls) {
		const struct tf_limits own = {.arguments = cls->arguments, .result = cls->result};
		tf_limits_fill(out, &own);
	}
	tf_limits_fill(out, &s->limits);
}

static unsigned concurrency_of(const struct tf_server *s, const char *cls)
{
	for (size_t i = 0; i < s->concurrency_count; i++) {
		if (!strcmp(s->concurrency[i].cls, cls))
			return s->concurrency[i].limit;
	}
	const struct tf_class_limits *own =
		s->endpoint.ops->class_limits ? s->endpoint.ops->class_limits(s->endpoint.pool, cls) : NULL;
	return own ? (unsigned)own->concurrency : 0;
}

void tf_jobs_limit(struct tf_server *s)
{
	for (char **n = s->names; n && *n; n++)
		tf_runqueue_limit(&s->queue, *n, concurrency_of(s, *n));
	for (size_t i = 0; i < s->concurrency_count; i++) {
		if (!tf_map_get(s->classes, s->concurrency[i].cls))
			tf_warn("worker", "concurrency: no class '%s' is served here", s->concurrency[i].cls);
	}
}

/* ---- the way of a job */

static void enqueue(struct tf_server *s, struct tf_job *j)
{
	uint64_t now = tf_pace_ms(&s->pace);
	if (TAILQ_EMPTY(&s->queue.all))
		s->stalled_since = now;
	j->state = TF_JOB_QUEUED;
	j->queued_at = now;
	tf_runqueue_leave(&s->queue, &j->place); /* if it comes back */
	tf_runqueue_add(&s->queue, &j->place, j->request.task_cls, j->peer.priority, j->id);
}

void tf_job_enqueue(struct tf_server *s, struct tf_job *j)
{
	enqueue(s, j);
	tf_jobs_pump(s);
}

void tf_job_put_back(struct tf_server *s, struct tf_job *j)
{
	if (j->tag_live || j->entry)
		enqueue(s, j);
	else /* the broker has it already */
		tf_job_delete(s, j, TF_REQUEUE);
}

/* What waits for its class alone keeps no other request from coming: it does not count in the window. In steps, for each
 * costs a word to the broker. */
static unsigned allowance(const struct tf_server *s)
{
	size_t blocked = tf_runqueue_blocked(&s->queue), room = s->slots;
	if (blocked == 0)
		return 0;
	while (room < blocked && room < BLOCKED_MAX)
		room *= 2;
	return (unsigned)(room < BLOCKED_MAX ? room : BLOCKED_MAX);
}

void tf_jobs_ask(struct tf_server *s)
{
	unsigned wanted = s->window.size + allowance(s);
	if (wanted == s->asked || !s->consuming)
		return;
	s->asked = wanted;
	tf_transport_limit(s->transport, s->topic, wanted);
}

void tf_jobs_look(struct tf_server *s)
{
	struct tf_runplace *w, *before;
	if (s->window.size != s->window.narrow)
		tf_service_arm(s, TF_WINDOW_LOOK_MS);
	if (!tf_window_look(&s->window, tf_pace_ms(&s->pace)))
		return;
	tf_jobs_ask(s);
	for (w = TAILQ_LAST(&s->queue.all, tf_runplaces); w && s->live_tags > s->asked; w = before) {
		before = TAILQ_PREV(w, tf_runplaces, all);
		if (!tf_job_at(w)->entry)
			tf_job_delete(s, tf_job_at(w), TF_REQUEUE);
	}
}

/* Of those that are on offer while we drain. */
void tf_jobs_withdraw(struct tf_server *s)
{
	struct tf_job *j, *next;
	for (j = TAILQ_FIRST(&s->jobs); j; j = next) {
		next = TAILQ_NEXT(j, all);
		if (!j->offers)
			continue;
		j->state = TF_JOB_QUEUED; /* never begun */
		tf_job_delete(s, j, TF_REQUEUE);
	}
}

void tf_jobs_return(struct tf_server *s)
{
	struct tf_runplace *w, *next;
	for (w = TAILQ_FIRST(&s->queue.all); w; w = next) {
		next = TAILQ_NEXT(w, all);
		if (!tf_job_at(w)->entry || s->draining) /* else nobody else can have it */
			tf_job_delete(s, tf_job_at(w), TF_REQUEUE);
	}
}

static uint64_t longer(uint64_t patience)
{
	return 2 * patience < PATIENCE_MAX_MS ? 2 * patience : PATIENCE_MAX_MS;
}

/* Another worker may have room for these classes. */
static void give_back_blocked(struct tf_server *s, uint64_t now)
{
	struct tf_runplace *w, *next;
	bool any = false;
	if (tf_runqueue_blocked(&s->queue) == 0) {
		if (now - s->blocked.renewed > 2 * s->blocked.ms)
			s->blocked.ms = PATIENCE_MS;
		return;
	}
	s->blocked.renewed = now;
	for (w = TAILQ_FIRST(&s->queue.all); w; w = next) {
		next = TAILQ_NEXT(w, all);
		if (!tf_runqueue_is_blocked(w) || tf_job_at(w)->entry ||
			now - tf_job_at(w)->queued_at < s->blocked.ms)
			continue;
		any = true;
		tf_job_delete(s, tf_job_at(w), TF_REQUEUE);
	}
	if (any)
		s->blocked.ms = longer(s->blocked.ms);
}

void tf_jobs_give_back(struct tf_server *s)
{
	uint64_t now = tf_pace_ms(&s->pace);
	give_back_blocked(s, now);
	if (!tf_runqueue_next(&s->queue)) /* who waits for his class does not wait for a slot */
		s->stalled_since = now;
	if (now - s->stalled_since < s->patience)
		return;
	s->stalled_since = now;
	s->patience = longer(s->patience);
	tf_jobs_return(s);
}

void tf_jobs_release(struct tf_server *s)
{
	struct tf_job *j;
	uint64_t now = tf_pace_ms(&s->pace);

	if (s->transport->queued) /* the broker may not have the RUNNING yet that supervision begins with */
		return;
	TAILQ_FOREACH(j, &s->jobs, all)
	{
		if (j->state != TF_JOB_RUNNING || !j->tag_live)
			continue;
		uint64_t limit = j->peer.present ? RELEASE_MS : s->journal_ms;
		if (now - j->begun_at >= limit && (j->peer.present || tf_promise_acknowledge(s, j)))
			tf_job_acknowledge(s, j);
	}
}

static bool is_expired(const struct tf_job *j)
{
	return j->peer.expires >= 0 && tf_limits_wall_ms() >= (uint64_t)j->peer.expires;
}

bool tf_job_is_doubtful(const struct tf_server *s, const struct tf_job *j)
{
	return j->peer.round >= 0 && j->peer.ask_from >= 0 &&
	       tf_limits_wall_ms() >= (uint64_t)j->peer.ask_from &&
	       (!j->asked_at || tf_pace_ms(&s->pace) - j->asked_at >= ASK_AGAIN_MS);
}

static struct tf_value *expiry_failure(const struct tf_job *j)
{
	uint64_t late = tf_limits_wall_ms() - (uint64_t)j->peer.expires;
	return tf_failure_format(tf_types_request_timeout,
		"task '%s' was not run: when a worker could begin it, its time in the queue (queue_limit) "
		"was "
		"over for %.1f s; if it was not, see to the clocks of the two machines",
		j->task_name, (double)late / 1000);
}

void tf_jobs_pump(struct tf_server *s)
{
	struct tf_job *j;
	while ((j = tf_job_at(tf_runqueue_next(&s->queue))) != NULL) {
		struct tf_err err;
		if (is_expired(j)) {
			tf_job_refuse(s, j, expiry_failure(j));
			continue;
		}
		if (tf_job_is_doubtful(s, j)) {
			tf_runqueue_leave(&s->queue, &j->place);
			j->state = TF_JOB_SUBMITTED;
			tf_reply_offer(s, j);
			continue;
		}
		int rc = s->endpoint.ops->submit(s->endpoint.pool, j->id, &j->request, &err);
		if (rc == TF_EAGAIN)
			break;
		tf_runqueue_take(&s->queue, &j->place);
		j->state = TF_JOB_SUBMITTED;
		s->stalled_since = tf_pace_ms(&s->pace);
		s->patience = PATIENCE_MS;
		if (rc < 0)
			tf_job_finish(s, j, true,
				tf_failure_format(tf_types_value_error, "task '%s' could not be started: %s",
					j->task_name, err.message));
	}
	tf_jobs_ask(s);
}

void tf_job_join(struct tf_server *s, struct tf_job *j, uint64_t tag)
{
	if (j->tag_live) { /* one delivery is enough to keep the request safe */
		tf_transport_settle(s->transport, tag, TF_ACK);
		return;
	}
	tf_job_acknowledge(s, j); /* of the connection that was lost, or was not */
	j->tag = tag;
	j->tag_live = true;
	s->live_tags++;
}

/* What may be sent as the outcome; another failure in place of what may not. */
static struct tf_value *fit_to_send(const struct tf_job *j, bool *failed, struct tf_value *result)
{
	struct tf_err err;
	struct tf_json json = tf_value_json(result);
	uint64_t limit = j->result_limit;
	if (*failed && limit && limit < FAILURE_MIN)
		limit = FAILURE_MIN;
	struct tf_value *fit =
		tf_failure_size(j->task_name, *failed ? "failure" : "result", tf_value_len(result), limit);

	if (fit)
		*failed = true;
	else if (*failed &&
		 (tf_failure_check_schema(json, &err) < 0 || tf_failure_check_reconstruct(json, &err) < 0))
		fit = tf_failure_format(tf_types_type_error, "task '%s' failed without a proper failure: %s",
			j->task_name, err.message);
	else if (tf_message_check_value(json, &err) < 0)
		fit = tf_failure_format(tf_types_value_error, "the result of task '%s' cannot be sent: %s",
			j->task_name, err.message);
	if (!fit)
		return result;
	*failed = true;
	tf_value_unref(result);
	return fit;
}

void tf_job_finish(struct tf_server *s, struct tf_job *j, bool failed, struct tf_value *result)
{
	TF_ASSERT(j->state != TF_JOB_QUEUED && j->state != TF_JOB_FINISHED);
	j->offers = 0;
	result = fit_to_send(j, &failed, result);
	tf_runqueue_leave(&s->queue, &j->place);
	if (!failed && j->state == TF_JOB_SUBMITTED && !j->peer.present)
		tf_reply_running(s, j); /* never a success that was not running: PROTOCOL.md 11.2 */
	leave_lists(s, j);              /* to an engine of ours the outcome says that it ran */
	j->state = TF_JOB_FINISHED;
	j->failed = failed;
	j->finished_at = tf_pace_ms(&s->pace);
	if (j->begun_us) {
		j->ran_us = (int64_t)(tf_clock_us() - j->begun_us);
		tf_histogram_add(&s->stats.run, (uint64_t)j->ran_us);
	}
	tf_witness_finished(s, j, failed, result);
	const struct tf_response final = {
		.state = failed ? TF_RESPONSE_FAILURE : TF_RESPONSE_SUCCESS, .result = result};
	tf_response_write(&final, &j->final);
	tf_promise_outcome(s, j);
	tf_value_unref(result);
	tf_request_free(&j->request);
	tf_reply_final(s, j);
}

void tf_job_refuse(struct tf_server *s, struct tf_job *j, struct tf_value *failure)
{
	tf_runqueue_leave(&s->queue, &j->place);
	j->state = TF_JOB_SUBMITTED;
	tf_job_finish(s, j, true, failure);
}

void tf_jobs_disconnected(struct tf_server *s)
{
	struct tf_job *j, *next;
	struct tf_held *h;
	tf_jobs_withdraw(s);
	tf_ledger_clear(s->given); /* the queue may go, now that we do not read it */
	for (j = TAILQ_FIRST(&s->jobs); j; j = next) {
		next = TAILQ_NEXT(j, all);
		s->live_tags -= j->tag_live;
		j->tag_live =
			false; /* unless it was but the publisher's connection: so all are settled some time */
		if (j->state == TF_JOB_QUEUED && !j->entry)
			tf_job_delete(s, j, TF_REQUEUE);
	}
	while ((h = TAILQ_FIRST(&s->held)) != NULL) {
		TAILQ_REMOVE(&s->held, h, link);
		tf_transport_settle(s->transport, h->tag, TF_REQUEUE);
		free(h);
	}
}
