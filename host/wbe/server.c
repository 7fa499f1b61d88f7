#include "wbe/server.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "protocol/failure.h"
#include "wbe/service.h"

#define BEAT_MS 500
#define JOURNAL_MS 180000
/* The private queue carries repetitions, which are acknowledged or answered at once. */
#define PRIVATE_PREFETCH 64
/* Where there are no groups, their workers share a queue: each is to get a probe. */
#define CENSUS_PREFETCH 1
/* Longest sleep with nothing to do. */
#define IDLE_MS 60000
/* Requests taken from the queue while they are over at once: at least, at most, 32 a slot between. */
#define WINDOW_WIDE 64
#define WINDOW_WIDE_MAX 512
/* While draining, what arrives is given back so often; other workers take it meanwhile. */
#define RELEASE_MS 1000
/* A drain without a connection delivers nothing more: give up after so long. */
#define OFFLINE_MS 30000

/* Longer than anybody who asks has to wait for the answers of others. */
static const struct tf_ledger_limits given_limits = {.count = 10000, .bytes = 4u << 20, .age_ms = 5000};
static const struct tf_ledger_limits gone_limits = {.count = 1000, .bytes = 1u << 20, .age_ms = 60000};
static const struct tf_ledger_limits ledger_limits = {.count = 10000, .bytes = 64u << 20, .age_ms = 600000};

void tf_service_arm(struct tf_server *s, uint64_t ms)
{
	uint64_t at = tf_clock_ms(&s->pace.clock) + ms;
	if (at >= s->armed)
		return;
	s->armed = at;
	tf_timer_start(s->timer, ms, 0);
}

/* ---- the pool */

static void compose_answer(struct tf_server *s, char *const *names, size_t count)
{
	const struct tf_notify n = {
		.answer = true, .topic = s->topic, .tasks = (char **)names, .task_count = count};
	tf_buf_reset(&s->answer);
	tf_notify_write(&n, &s->answer);
}

static void free_names(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

static void on_ready(void *arg, char *const *names, size_t count, const struct tf_err *err)
{
	struct tf_server *s = arg;
	s->report_ready = true;
	tf_service_arm(s, 0);
	if (err) {
		s->ready_err = *err;
		return;
	}
	free_names(s->names);
	s->names = tf_calloc(count + 1, sizeof(*s->names));
	tf_map_delete(s->classes, NULL);
	s->classes = tf_map_new();
	for (size_t i = 0; i < count; i++) {
		s->names[i] = tf_strdup(names[i]);
		tf_map_set(s->classes, names[i], s);
	}
	tf_jobs_limit(s);
	char *before = s->consuming ? tf_strdup(s->answer.data) : NULL;
	compose_answer(s, names, count);
	if (before) {
		if (strcmp(before, s->answer.data) != 0)
			tf_audience_announce(s);
		free(before);
		return;
	}
	s->consuming = true;
	s->asked = s->window.size;
	struct tf_err why = {0};
	char *own = s->diary ? tf_inherit_key(s->self.worker) : NULL;
	if (tf_transport_consume_in(s->transport, s->topic, own, s->window.size, &why) < 0 ||
		tf_transport_consume_in(s->transport, s->self.worker, s->group, PRIVATE_PREFETCH, &why) < 0)
		s->ready_err = why;
	else if (s->group && !s->transport->ops->groups &&
		 tf_transport_consume(s->transport, s->group, CENSUS_PREFETCH, &why) < 0)
		s->ready_err = why;
	free(own);
}

/* The pool tells about `j`: whose code runs it? */
static void keep_label(struct tf_server *s, struct tf_job *j)
{
	if (s->endpoint.ops->label)
		j->label = *s->endpoint.ops->label(s->endpoint.pool);
}

static void on_started(void *arg, uint64_t job, uint64_t begun_us)
{
	struct tf_server *s = arg;
	struct tf_job *j = tf_job_find(s, job);
	if (!j || j->state != TF_JOB_SUBMITTED)
		return;
	j->state = TF_JOB_RUNNING;
	j->begun_at = tf_pace_ms(&s->pace);
	j->begun_us = begun_us > j->came_us ? begun_us : j->came_us;
	tf_histogram_add(&s->stats.wait, j->begun_us - j->came_us);
	keep_label(s, j);
	tf_witness_job(s, j, "started", NULL);
	tf_promise_begin(s, j);
	tf_request_free(&j->request);
	if (j->peer.once == 1) { /* if we die, its engine decides, not the queue; so it has to know before */
		tf_reply_running(s, j);
		tf_job_acknowledge(s, j);
	} else {
		tf_reply_begun(s, j);
	}
}

static void on_event(void *arg, uint64_t job, const char *type, struct tf_value *details)
{
	struct tf_server *s = arg;
	struct tf_job *j = tf_job_find(s, job);
	if (!j || j->state != TF_JOB_RUNNING)
		return;
	tf_witness_notified(s, j, type, details);
	tf_reply_event(s, j, type, details);
}

static void on_back(void *arg, uint64_t job)
{
	struct tf_server *s = arg;
	struct tf_job *j = tf_job_find(s, job);
	if (!j || j->state != TF_JOB_SUBMITTED)
		return;
	tf_job_put_back(s, j);
	if (s->draining)
		tf_jobs_return(s);
}

static void on_done(void *arg, uint64_t job, bool failed, struct tf_value *result)
{
	struct tf_server *s = arg;
	struct tf_job *j = tf_job_find(s, job);
	if (j && j->state != TF_JOB_FINISHED) {
		keep_label(s, j);
		tf_job_finish(s, j, failed, tf_value_ref(result));
	}
	tf_jobs_pump(s);
}

static void on_slot_free(void *arg)
{
	tf_jobs_pump(arg);
}

static void on_lost(void *arg, const struct tf_err *err)
{
	struct tf_server *s = arg;
	struct tf_job *j, *next;
	tf_error("worker", "the slots are lost: %s", err->message);
	s->stopped_err = *err;
	tf_jobs_withdraw(s);
	for (j = TAILQ_FIRST(&s->jobs); j; j = next) {
		next = TAILQ_NEXT(j, all);
		if (j->state == TF_JOB_SUBMITTED || j->state == TF_JOB_RUNNING)
			tf_job_finish(s, j, true,
				tf_failure_format(tf_types_worker_lost,
					"worker %s lost its slots while task '%s' ran: %s", s->self.worker,
					j->task_name, err->message));
	}
	tf_server_drain(s, 0);
}

/* ---- the connection */

static void on_state(void *arg, bool up, const struct tf_err *err)
{
	struct tf_server *s = arg;
	struct tf_job *j;
	tf_pace_pause(&s->pace, !up);
	if (!up) {
		tf_warn("worker", "the connection is down: %s", err ? err->message : "no reason given");
		s->offline_since = tf_clock_ms(&s->pace.clock);
		tf_witness_reason(s, "disconnected", err ? err->message : "no reason given");
		tf_jobs_disconnected(s);
		return;
	}
	tf_info("worker", "connected; topic '%s'", s->topic);
	tf_witness_tell(s, "connected", NULL);
	/* Engines of our kind wait for a sign; what was said before may be lost with the broker. */
	TAILQ_FOREACH(j, &s->jobs, all)
	{
		if (j->state == TF_JOB_RUNNING && j->peer.present)
			tf_reply_running(s, j);
	}
	s->beat_at = tf_pace_ms(&s->pace);
	tf_service_arm(s, 0);
}

/* ---- time */

static void release_held(struct tf_server *s)
{
	struct tf_held *h;
	uint64_t now = tf_pace_ms(&s->pace);
	if (now < s->release_at)
		return;
	s->release_at = now + RELEASE_MS;
	while ((h = TAILQ_FIRST(&s->held)) != NULL) {
		TAILQ_REMOVE(&s->held, h, link);
		tf_transport_settle(s->transport, h->tag, TF_REQUEUE);
		free(h);
	}
}

/* The time of the drain is over. Its own engine decides about a task that must not run twice. */
static void give_back_running(struct tf_server *s)
{
	struct tf_job *j, *next;
	if (!s->drain_until || tf_clock_ms(&s->pace.clock) < s->drain_until)
		return;
	s->drain_until = 0;
	for (j = TAILQ_FIRST(&s->jobs); j; j = next) {
		next = TAILQ_NEXT(j, all);
		if (j->state != TF_JOB_SUBMITTED && j->state != TF_JOB_RUNNING)
			continue;
		uint64_t id = j->id;
		char *why =
			tf_asprintf("worker %s had to end while task '%s' ran", s->self.worker, j->task_name);
		const struct tf_log_ids ids = tf_job_log_ids(j);
		tf_warn_of(&ids, "worker", "task '%s' is ended: it did not finish within the drain timeout",
			j->task_name);
		s->stats.given_back++;
		if (j->tag_live || j->entry) /* the diary is for who comes next */
			tf_job_delete(s, j, TF_REQUEUE);
		s->endpoint.ops->stop_job(s->endpoint.pool, id, tf_types_worker_lost, why);
		free(why);
	}
}

static void drain_step(struct tf_server *s)
{
	release_held(s);
	give_back_running(s);
	if (s->stopped)
		return;
	bool offline = !tf_transport_is_up(s->transport) && !s->endpoint.ops->busy_slots(s->endpoint.pool) &&
		       tf_clock_ms(&s->pace.clock) - s->offline_since >= OFFLINE_MS;
	if (!TAILQ_EMPTY(&s->jobs) && !offline)
		return;
	if (!TAILQ_EMPTY(&s->jobs) && !s->stopped_err.code)
		tf_err_set(&s->stopped_err, TF_EIO,
			"no connection for %d s: the outcomes of some requests could not be delivered",
			OFFLINE_MS / 1000);
	s->stopped = s->report_stopped = true;
}

static void report_ready(struct tf_server *s)
{
	size_t count = 0;
	s->report_ready = false;
	while (s->names && s->names[count])
		count++;
	tf_witness_generation(s, count);
	if (s->events.ready)
		s->events.ready(s->arg, s->names, count, s->ready_err.code ? &s->ready_err : NULL);
}

void tf_server_tick(struct tf_server *s)
{
	s->armed = UINT64_MAX;
	tf_pace_tick(&s->pace);
	tf_reply_all_begun(s);
	tf_audience_step(s);
	tf_reply_retry(s);
	tf_jobs_look(s);
	tf_jobs_pump(s);
	tf_jobs_give_back(s);
	tf_jobs_release(s);
	tf_inherit_look(s);
	tf_reply_beats(s);
	if (s->draining)
		drain_step(s);
	bool idle = TAILQ_EMPTY(&s->jobs) && !s->draining;
	tf_service_arm(s, tf_reply_next(s, idle ? IDLE_MS : TF_SERVICE_ATTENTION_MS));
	if (s->drain_until) {
		uint64_t now = tf_clock_ms(&s->pace.clock);
		tf_service_arm(s, s->drain_until > now ? s->drain_until - now : 0);
	}
	/* The owner may delete us in the last call that is due; nothing may be touched after it. */
	bool ready = s->report_ready, stopped = s->report_stopped;
	if (ready && stopped)
		tf_service_arm(s, 0);
	if (ready) {
		report_ready(s);
	} else if (stopped) {
		s->report_stopped = false;
		if (s->events.stopped)
			s->events.stopped(s->arg, s->stopped_err.code ? &s->stopped_err : NULL);
	}
}

static void on_timer(void *arg)
{
	tf_server_tick(arg);
}

/* ---- life */

static void identify(struct tf_peer *self, const char *uuid)
{
	*self = TF_PEER_INIT;
	if (uuid)
		snprintf(self->worker, sizeof(self->worker), "%s", uuid);
	else
		tf_uuid(self->worker);
	self->pid = getpid();
	if (gethostname(self->host, sizeof(self->host)) < 0)
		self->host[0] = '\0';
	self->host[sizeof(self->host) - 1] = '\0';
	for (char *c = self->host; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("-._", *c))
			*c = '_';
	}
}

/* Who asks for a prefetch gets that one. */
static void create_window(struct tf_server *s, unsigned prefetch)
{
	unsigned narrow = 2 * s->slots, wide = 32 * s->slots;
	if (wide < WINDOW_WIDE)
		wide = WINDOW_WIDE;
	if (wide > WINDOW_WIDE_MAX)
		wide = narrow > WINDOW_WIDE_MAX ? narrow : WINDOW_WIDE_MAX;
	tf_window_create(
		&s->window, prefetch ? prefetch : narrow, prefetch ? prefetch : wide, tf_pace_ms(&s->pace));
}

static int open_all(struct tf_server *s, struct tf_loop *loop, const struct tf_server_config *config,
	const struct tf_wbe_seam *seam, const struct tf_endpoint_ops *endpoint, struct tf_err *err)
{
	static const struct tf_pool_events pool_events = {.ready = on_ready,
		.started = on_started,
		.event = on_event,
		.back = on_back,
		.done = on_done,
		.slot_free = on_slot_free,
		.lost = on_lost};
	static const struct tf_transport_events transport_events = {
		.message = tf_service_message, .published = tf_reply_published, .state = on_state};
	struct tf_transport_config transport = config->transport;
	const struct tf_generations_config generations = {.pool = config->pool, .load_ms = config->load_ms};
	transport.prefetch = s->asked = s->window.size;
	int rc = seam->open(loop, &transport, &transport_events, s, &s->transport, err);
	if (rc == 0)
		rc = endpoint->open(loop, &generations, &pool_events, s, &s->endpoint.pool, err);
	if (rc == 0)
		s->endpoint.ops = endpoint;
	return rc;
}

int tf_server_new_with(struct tf_loop *loop, const struct tf_server_config *config,
	const struct tf_wbe_seam *seam, const struct tf_endpoint_ops *endpoint,
	const struct tf_server_events *events, void *arg, struct tf_server **out, struct tf_err *err)
{
	if (!config->topic || !config->topic[0])
		return tf_err_set(err, TF_EINVAL, "worker: a topic is needed");
	if (!config->pool.slots)
		return tf_err_set(err, TF_EINVAL, "worker: at least one slot is needed");
	struct tf_server *s = TF_NEW(struct tf_server);
	s->loop = loop;
	s->events = *events;
	s->arg = arg;
	s->topic = tf_strdup(config->topic);
	s->group = tf_wbe_group(config->topic);
	identify(&s->self, config->uuid);
	s->beat_ms = config->beat_ms ? config->beat_ms : BEAT_MS;
	s->slots = config->pool.slots;
	s->limits =
		(struct tf_limits){.arguments = config->limits.arguments, .result = config->limits.result};
	s->concurrency = config->concurrency;
	s->concurrency_count = config->concurrency_count;
	tf_pace_create(&s->pace, seam->clock);
	s->prefetch = config->transport.prefetch;
	create_window(s, s->prefetch);
	tf_jobs_create(s);
	s->timer = tf_timer_new(loop, on_timer, s);
	s->armed = UINT64_MAX;
	s->classes = tf_map_new();
	s->tally = tf_tally_new();
	TAILQ_INIT(&s->held);
	tf_audience_create(s);
	s->ledger = tf_ledger_new(seam->clock, &ledger_limits);
	s->given = tf_ledger_new(seam->clock, &given_limits);
	s->gone = tf_ledger_new(seam->clock, &gone_limits);
	s->digest_key = tf_digest_random_key();
	s->journal_ms = config->journal_ms ? config->journal_ms : JOURNAL_MS;
	int rc = open_all(s, loop, config, seam, endpoint, err);
	if (rc < 0) {
		tf_server_delete(s);
		return rc;
	}
	tf_inherit_create(s, config->journal);
	tf_service_arm(s, 0);
	*out = s;
	return 0;
}

int tf_server_new(struct tf_loop *loop, const struct tf_server_config *config,
	const struct tf_server_events *events, void *arg, struct tf_server **out, struct tf_err *err)
{
	const struct tf_wbe_seam real = {.clock = tf_loop_clock(loop), .open = tf_transport_open};
	return tf_server_new_with(loop, config, &real, &tf_endpoint_generations, events, arg, out, err);
}

void tf_server_drain(struct tf_server *s, uint64_t timeout_ms)
{
	uint64_t until = timeout_ms ? tf_clock_ms(&s->pace.clock) + timeout_ms : 0;
	if (until && (!s->drain_until || until < s->drain_until))
		s->drain_until = until;
	tf_service_arm(s, 0);
	if (s->draining)
		return;
	s->draining = true;
	tf_witness_tell(s, "draining", NULL);
	s->offline_since = tf_clock_ms(&s->pace.clock);
	s->release_at = tf_pace_ms(&s->pace) + RELEASE_MS;
	tf_jobs_withdraw(s);
	tf_jobs_return(s);
	s->endpoint.ops->take_back(s->endpoint.pool);
}

int tf_server_resize(struct tf_server *s, unsigned slots, struct tf_err *err)
{
	if (slots < 1 || slots > TF_POOL_MAX_SLOTS)
		return tf_err_set(err, TF_EINVAL, "slots: %u is not in 1..%d", slots, TF_POOL_MAX_SLOTS);
	if (s->draining)
		return tf_err_set(err, TF_ESTATE, "it drains, and takes no more requests");
	tf_info("worker", "%u slots instead of %u", slots, s->slots);
	s->slots = slots;
	create_window(s, s->prefetch);
	s->endpoint.ops->resize(s->endpoint.pool, slots);
	tf_jobs_ask(s);
	char more[32];
	snprintf(more, sizeof(more), "\"slots\": %u", slots);
	tf_witness_tell(s, "slots", more);
	tf_service_arm(s, 0);
	return 0;
}

void tf_server_delete(struct tf_server *s)
{
	struct tf_job *j;
	struct tf_held *h;
	if (!s)
		return;
	if (s->endpoint.ops)
		s->endpoint.ops->destroy(s->endpoint.pool);
	s->draining = false;
	while ((j = TAILQ_FIRST(&s->jobs)) != NULL)
		tf_job_delete(s, j, TF_REQUEUE);
	if (s->transport)
		tf_transport_close(s->transport); /* requeues what is held */
	while ((h = TAILQ_FIRST(&s->held)) != NULL) {
		TAILQ_REMOVE(&s->held, h, link);
		free(h);
	}
	tf_timer_delete(s->timer);
	tf_map_delete(s->classes, NULL);
	tf_tally_delete(s->tally);
	tf_map_delete(s->by_id, NULL);
	tf_map_delete(s->by_key, NULL);
	tf_runqueue_destroy(&s->queue);
	tf_map_delete(s->engines_by_topic, NULL);
	tf_audience_destroy(s);
	tf_inherit_destroy(s);
	tf_ledger_delete(s->ledger);
	tf_ledger_delete(s->given);
	tf_ledger_delete(s->gone);
	free_names(s->names);
	tf_buf_free(&s->answer);
	tf_buf_free(&s->scratch);
	free(s->topic);
	free(s->group);
	free(s);
}
