#include "pool/generations.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "base/json.h"
#include "base/excerpt.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

enum {
	GENERATION_BAD_STARTS = 3, /* slots of a new generation that may end before one is ready */
	GENERATION_RETRY_MS = 100, /* to replace a lost loader; doubled */
	GENERATION_RETRY_MAX_MS = 10000,
};

#define GENERATION_STATES(X) X(LOADING) X(CANARY) X(CURRENT) X(PREVIOUS) X(FINISHING)
enum generation_state {
#define X(name) GENERATION_##name,
	GENERATION_STATES(X)
#undef X
};
static const char *const state_names[] = {
#define X(name) #name,
	GENERATION_STATES(X)
#undef X
};

struct generation {
	TAILQ_ENTRY(generation) link;
	struct tf_generations *all;
	struct tf_pool *pool;
	enum generation_state state;
	struct tf_label label;
	char **names; /* NULL-terminated; NULL before it has loaded */
	size_t name_count;
	struct tf_class_limits *limits; /* owned; of the names */
	struct tf_map *classes;         /* name -> its limits */
	uint64_t begun_ms;              /* began to load */
	unsigned bad_starts;
	uint64_t succeeded, failed;
};

/* One who waits for what comes of a load. */
struct waiter {
	STAILQ_ENTRY(waiter) link;
	tf_generations_done *done;
	void *arg;
	struct generation *rollback; /* waits for this one; NULL: for the one that loads */
};

struct tf_generations {
	struct tf_loop *loop;
	struct tf_generations_config config;
	struct tf_pool_events events;
	void *arg;
	struct tf_timer *limit; /* of the load */
	struct tf_timer *retry; /* a lost loader is replaced */
	unsigned retries;
	TAILQ_HEAD(, generation) list;                                        /* oldest first */
	struct generation *current, *previous, *canary, *loading, *returning; /* each may be NULL */
	uint64_t last_number;
	const struct generation *told; /* tf_generations_label */
	struct tf_canary trial;
	struct tf_reload wish; /* what is to be done with the one that loads */
	STAILQ_HEAD(, waiter) waiters;
	struct tf_buf files;
	struct tf_err error; /* of the last load; code 0: none */
	time_t error_at;
	void (*loaded)(void *arg);
	void *loaded_arg;
	void (*stopped)(void *arg);
	void *stopped_arg;
	uint64_t loads;
	struct tf_generations_stats stats;
};

static const struct tf_pool_events generation_events;

/* ---- lives ---- */

static void names_free(struct generation *n)
{
	for (size_t i = 0; i < n->name_count; i++)
		free(n->names[i]);
	free(n->names);
	free(n->limits);
	tf_map_delete(n->classes, NULL);
}

static void generation_delete(struct generation *n)
{
	struct tf_generations *g = n->all;
	struct generation **const places[] = {
		&g->current, &g->previous, &g->canary, &g->loading, &g->returning};
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (*places[i] == n)
			*places[i] = NULL;
	}
	if (g->told == n)
		g->told = NULL;
	TAILQ_REMOVE(&g->list, n, link);
	tf_pool_delete(n->pool);
	names_free(n);
	free(n);
}

/* It finishes what it runs; what it had not begun is the caller's again. It may be gone afterwards. */
static void generation_retire(struct generation *n, enum generation_state state)
{
	n->state = state;
	tf_pool_want(n->pool, 0);
	tf_pool_take_back(n->pool);
	if (state == GENERATION_FINISHING && tf_pool_live_slots(n->pool) == 0)
		generation_delete(n);
}

static int generation_load(struct tf_generations *g, struct tf_err *err)
{
	struct generation *n = TF_NEW(struct generation);
	struct tf_pool_config config = g->config.pool;
	config.idle_start = true;
	config.counters = &g->stats.slots;
	n->all = g;
	n->begun_ms = tf_clock_ms(tf_loop_clock(g->loop));
	int rc = tf_pool_new(g->loop, &config, &generation_events, n, &n->pool, err);
	if (rc < 0) {
		free(n);
		return rc;
	}
	TAILQ_INSERT_TAIL(&g->list, n, link);
	g->loading = n;
	g->loads++;
	tf_timer_start(g->limit, g->config.load_ms, 0);
	return 0;
}

/* ---- who waits ---- */

static void wait_for(
	struct tf_generations *g, tf_generations_done *done, void *arg, struct generation *rollback)
{
	if (!done)
		return;
	struct waiter *w = TF_NEW(struct waiter);
	*w = (struct waiter){.done = done, .arg = arg, .rollback = rollback};
	STAILQ_INSERT_TAIL(&g->waiters, w, link);
}

static void answer(struct tf_generations *g, const struct generation *rollback, const struct tf_label *label,
	const struct tf_err *err)
{
	struct waiter *w, *next;
	STAILQ_HEAD(, waiter) due = STAILQ_HEAD_INITIALIZER(due);
	for (w = STAILQ_FIRST(&g->waiters); w; w = next) {
		next = STAILQ_NEXT(w, link);
		if (w->rollback != rollback)
			continue;
		STAILQ_REMOVE(&g->waiters, w, waiter, link);
		STAILQ_INSERT_TAIL(&due, w, link);
	}
	while ((w = STAILQ_FIRST(&due)) != NULL) {
		STAILQ_REMOVE_HEAD(&due, link);
		w->done(w->arg, label, err);
		free(w);
	}
}

/* ---- the one that serves ---- */

static void activate(struct tf_generations *g, struct generation *n)
{
	struct generation *old = g->current, *before = g->previous;
	if (old == n)
		return;
	n->state = GENERATION_CURRENT;
	g->current = n;
	g->previous = old;
	if (g->canary == n)
		g->canary = NULL;
	tf_pool_want(n->pool, g->config.pool.slots);
	if (old)
		tf_info("reload", "generation %" PRIu64 " (%s) serves instead of %" PRIu64 " (%s)",
			n->label.number, n->label.hash, old->label.number, old->label.hash);
	if (before && before != n)
		generation_retire(before, GENERATION_FINISHING);
	if (old)
		generation_retire(old, GENERATION_PREVIOUS);
	g->told = n;
	if (g->events.ready)
		g->events.ready(g->arg, n->names, n->name_count, NULL);
	if (g->events.slot_free)
		g->events.slot_free(g->arg);
}

static void end_canary(struct tf_generations *g, const char *why)
{
	struct generation *n = g->canary;
	g->canary = NULL;
	tf_warn("reload", "generation %" PRIu64 " (%s) is taken back: %s", n->label.number, n->label.hash,
		why);
	g->stats.rollbacks++;
	generation_retire(n, GENERATION_FINISHING);
	if (g->events.slot_free)
		g->events.slot_free(g->arg);
}

static void judge(struct tf_generations *g)
{
	char why[160];
	const struct tf_canary *c = &g->trial;
	struct generation *n = g->canary;
	switch (tf_canary_judge(c)) {
	case TF_CANARY_PROMOTE:
		tf_info("reload",
			"the canary, generation %" PRIu64 ", passed: %" PRIu64 " of %" PRIu64 " failed",
			n->label.number, c->trial.failed, c->trial.ended);
		activate(g, n);
		break;
	case TF_CANARY_ROLL_BACK:
		snprintf(why, sizeof(why),
			"%" PRIu64 " of its %" PRIu64 " requests failed, and %" PRIu64 " of the %" PRIu64
			" others",
			c->trial.failed, c->trial.ended, c->base.failed, c->base.ended);
		tf_err_set(&g->error, TF_ESTATE, "the canary, generation %" PRIu64 ", was taken back: %s",
			n->label.number, why);
		g->error_at = time(NULL);
		end_canary(g, why);
		break;
	default:
		break;
	}
}

/* ---- loading ---- */

static void tell_loaded(struct tf_generations *g, const struct generation *n)
{
	const struct tf_buf *files = tf_pool_files(n->pool);
	const struct tf_buf *served = g->current ? tf_pool_files(g->current->pool) : NULL;
	tf_buf_reset(&g->files);
	if (files->len)
		tf_buf_append(&g->files, files->data, files->len);
	if (served && served->len && served != files) /* what failed may have read less */
		tf_buf_append(&g->files, served->data, served->len);
	if (g->loaded)
		g->loaded(g->loaded_arg);
}

static void retry_later(struct tf_generations *g)
{
	uint64_t ms = (uint64_t)GENERATION_RETRY_MS << (g->retries < 7 ? g->retries : 7);
	g->retries++;
	tf_timer_start(g->retry, ms < GENERATION_RETRY_MAX_MS ? ms : GENERATION_RETRY_MAX_MS, 0);
}

static bool current_needs_loader(const struct tf_generations *g)
{
	return g->current && tf_pool_loader_pid(g->current->pool) == 0;
}

/* The lines of the script that it is about: a line of the log each. */
static void log_excerpt(const struct tf_err *err, const struct tf_buf *files)
{
	struct tf_buf text = TF_BUF_INIT;
	if (tf_excerpt(err->message, files, &text)) {
		tf_buf_putc(&text, '\0');
		char *rest = NULL;
		for (char *line = strtok_r(text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
			tf_error("reload", "%s", line);
	}
	tf_buf_free(&text);
}

/* The generation that loads will not serve. */
static void load_failed(struct tf_generations *g, const struct tf_err *err)
{
	struct generation *n = g->loading;
	const struct tf_err why = *err; /* it may be the pool's */
	bool known = g->error.code && !strcmp(g->error.message, why.message);
	tf_timer_stop(g->limit);
	tell_loaded(g, n);
	if (!g->wish.check) {
		g->error = why;
		g->error_at = time(NULL);
	}
	generation_delete(n);
	if (!g->current) {
		if (g->events.ready)
			g->events.ready(g->arg, NULL, 0, &why);
		return;
	}
	g->stats.refused += !g->wish.check;
	if (!known && !g->wish.check) {
		tf_error("reload", "generation %" PRIu64 " goes on, the new scripts cannot be used: %s",
			g->current->label.number, why.message);
		log_excerpt(&why, &g->files);
	}
	if (current_needs_loader(g))
		retry_later(g);
	answer(g, NULL, NULL, &why);
}

/* It has loaded and a slot is ready. */
static void load_done(struct tf_generations *g)
{
	struct generation *n = g->loading;
	const struct tf_reload wish = g->wish;
	g->loading = NULL;
	tf_timer_stop(g->limit);
	tell_loaded(g, n);
	if (wish.check) {
		const struct tf_label label = n->label;
		generation_delete(n);
		answer(g, NULL, &label, NULL);
		return;
	}
	g->error.code = 0;
	g->retries = 0;
	n->label.number = ++g->last_number;
	g->stats.reloads += g->current != NULL;
	if (g->canary) /* this one is what is on trial now, or serves at once */
		generation_retire(g->canary, GENERATION_FINISHING);
	g->canary = NULL;
	if (wish.share > 0 && g->current) {
		n->state = GENERATION_CANARY;
		g->canary = n;
		tf_canary_begin(&g->trial, wish.share, wish.canary_wanted);
		tf_info("reload", "generation %" PRIu64 " (%s) gets %g %% of the requests", n->label.number,
			n->label.hash, 100 * wish.share);
		if (g->events.slot_free)
			g->events.slot_free(g->arg);
	} else {
		activate(g, n);
	}
	const struct tf_label label = n->label;
	answer(g, NULL, &label, NULL);
}

/* The files say again what serves already. */
static void load_needless(struct tf_generations *g)
{
	struct generation *n = g->loading;
	const struct tf_label label = g->current->label;
	tf_timer_stop(g->limit);
	tell_loaded(g, n);
	generation_delete(n);
	g->error.code = 0;
	if (g->canary)
		end_canary(g, "its scripts are gone");
	answer(g, NULL, &label, NULL);
}

static unsigned slots_for(const struct tf_generations *g)
{
	unsigned slots = g->config.pool.slots;
	if (g->wish.check || !g->current)
		return g->wish.check ? 1 : slots;
	return g->wish.share > 0 ? (unsigned)ceil(g->wish.share * slots) : slots;
}

static void on_ready(void *arg, char *const *names, size_t count, const struct tf_err *err)
{
	struct generation *n = arg;
	struct tf_generations *g = n->all;
	if (n != g->loading)
		return;
	if (err) {
		load_failed(g, err);
		return;
	}
	snprintf(n->label.hash, sizeof(n->label.hash), "%s", tf_pool_hash(n->pool));
	if (g->wish.if_new && g->current && !current_needs_loader(g) &&
		!strcmp(n->label.hash, g->current->label.hash)) {
		load_needless(g);
		return;
	}
	n->names = tf_calloc(count + 1, sizeof(*n->names));
	n->name_count = count;
	n->classes = tf_map_new();
	n->limits = tf_calloc(count + 1, sizeof(*n->limits));
	memcpy(n->limits, tf_pool_class_limits(n->pool), count * sizeof(*n->limits));
	for (size_t i = 0; i < count; i++) {
		n->names[i] = tf_strdup(names[i]);
		tf_map_set(n->classes, names[i], &n->limits[i]);
	}
	tf_pool_want(n->pool, slots_for(g));
}

static void on_limit(void *arg)
{
	struct tf_generations *g = arg;
	struct tf_err err;
	tf_err_set(&err, TF_ETIMEOUT, "%s after %g s",
		g->loading->names ? "no slot of the new scripts is ready: setup has not returned"
				  : "the scripts are not loaded",
		(double)g->config.load_ms / 1000);
	load_failed(g, &err);
}

static void on_retry(void *arg)
{
	struct tf_generations *g = arg;
	const struct tf_reload again = {0};
	if (!g->loading && current_needs_loader(g))
		tf_generations_reload(g, &again);
}

void tf_generations_reload(struct tf_generations *g, const struct tf_reload *how)
{
	struct tf_err err;
	bool only_checks = !g->loading || g->wish.check;
	struct tf_reload wish = *how;
	if (g->stopped) {
		tf_err_set(&err, TF_ESTATE, "the worker ends");
		if (how->done)
			how->done(how->arg, NULL, &err);
		return;
	}
	if (g->loading) { /* what changed since is not in it */
		wish.check = wish.check && g->wish.check;
		wish.if_new = (wish.check || wish.if_new) && (only_checks || g->wish.if_new);
		if (how->share == 0 && (how->check || how->if_new))
			wish.share = g->wish.share;
		generation_delete(g->loading);
	} else if (how->if_new && g->canary) {
		wish.share = g->trial.share;
		wish.canary_wanted = g->trial.wanted;
	}
	g->wish = wish;
	wait_for(g, how->done, how->arg, NULL);
	if (generation_load(g, &err) < 0) {
		tf_error("reload", "cannot start a loader: %s", err.message);
		answer(g, NULL, NULL, &err);
	}
}

/* ---- rollback ---- */

static void returned(struct tf_generations *g)
{
	struct generation *n = g->returning;
	const struct tf_label label = n->label;
	g->returning = NULL;
	activate(g, n);
	answer(g, n, &label, NULL);
}

int tf_generations_rollback(
	struct tf_generations *g, tf_generations_done *done, void *arg, struct tf_err *err)
{
	if (g->canary) {
		wait_for(g, done, arg, g->current);
		end_canary(g, "rollback was asked for");
		answer(g, g->current, &g->current->label, NULL);
		return 0;
	}
	if (!g->previous || g->stopped)
		return tf_err_set(err, TF_ESTATE, "there is no generation before to go back to");
	g->stats.rollbacks++;
	wait_for(g, done, arg, g->previous);
	g->returning = g->previous;
	tf_pool_want(g->previous->pool, g->config.pool.slots);
	if (tf_pool_busy_slots(g->previous->pool) > 0) /* its slots are at work still */
		returned(g);
	return 0;
}

/* ---- events of the pools ---- */

static void on_started(void *arg, uint64_t job, uint64_t begun_us)
{
	struct generation *n = arg;
	struct tf_generations *g = n->all;
	g->told = n;
	if (g->events.started)
		g->events.started(g->arg, job, begun_us);
}

static void on_event(void *arg, uint64_t job, const char *type, struct tf_value *details)
{
	struct generation *n = arg;
	struct tf_generations *g = n->all;
	g->told = n;
	if (g->events.event)
		g->events.event(g->arg, job, type, details);
}

static void on_back(void *arg, uint64_t job)
{
	struct generation *n = arg;
	n->all->events.back(n->all->arg, job);
}

static void on_done(void *arg, uint64_t job, bool failed, struct tf_value *result)
{
	struct generation *n = arg;
	struct tf_generations *g = n->all;
	enum generation_state state = n->state;
	g->told = n;
	n->succeeded += !failed;
	n->failed += failed;
	if (g->canary && (n == g->canary || n == g->current))
		tf_canary_count(&g->trial, n == g->canary, failed);
	if (g->events.done)
		g->events.done(g->arg, job, failed, result);
	if (g->canary)
		judge(g);
	/* A place is free for the one that serves. */
	if (state >= GENERATION_PREVIOUS && g->events.slot_free)
		g->events.slot_free(g->arg);
}

static void on_slot_free(void *arg)
{
	struct generation *n = arg;
	struct tf_generations *g = n->all;
	if (n == g->loading)
		load_done(g);
	else if (n == g->returning)
		returned(g);
	else if (g->events.slot_free)
		g->events.slot_free(g->arg);
}

static void on_loader_lost(void *arg, const struct tf_err *err)
{
	struct generation *n = arg;
	struct tf_generations *g = n->all;
	const struct tf_err why = *err;
	if (n == g->loading) {
		load_failed(g, &why);
	} else if (n == g->canary) {
		end_canary(g, why.message);
	} else if (n == g->current) {
		retry_later(g);
	} else if (n == g->previous) {
		g->previous = NULL;
		if (g->returning == n)
			g->returning = NULL;
		answer(g, n, NULL, &why);
		generation_retire(n, GENERATION_FINISHING);
	}
}

static void on_slot_failed(void *arg, bool told, const struct tf_err *err)
{
	struct generation *n = arg;
	struct tf_generations *g = n->all;
	const struct tf_err why = *err;
	if (told && n != g->loading)
		tf_error("reload", "generation %" PRIu64 ": %s", n->label.number, why.message);
	if (!told && ++n->bad_starts < GENERATION_BAD_STARTS)
		return;
	if (n == g->loading) {
		load_failed(g, &why);
	} else if (n == g->returning) {
		g->returning = NULL;
		tf_pool_want(n->pool, 0);
		answer(g, n, NULL, &why);
	}
}

static void on_empty(void *arg)
{
	struct generation *n = arg;
	struct tf_generations *g = n->all;
	if (n->state == GENERATION_FINISHING)
		generation_delete(n);
	if (!g->stopped)
		return;
	TAILQ_FOREACH(n, &g->list, link)
	{
		if (tf_pool_live_slots(n->pool) > 0)
			return;
	}
	g->stopped(g->stopped_arg);
}

static const struct tf_pool_events generation_events = {
	.ready = on_ready,
	.started = on_started,
	.event = on_event,
	.back = on_back,
	.done = on_done,
	.slot_free = on_slot_free,
	.loader_lost = on_loader_lost,
	.slot_failed = on_slot_failed,
	.empty = on_empty,
};

/* ---- as a pool ---- */

int tf_generations_new(struct tf_loop *loop, const struct tf_generations_config *config,
	const struct tf_pool_events *events, void *arg, struct tf_generations **out, struct tf_err *err)
{
	struct tf_generations *g = TF_NEW(struct tf_generations);
	g->loop = loop;
	g->config = *config;
	if (g->config.load_ms == 0)
		g->config.load_ms = TF_GENERATIONS_LOAD_MS;
	g->events = *events;
	g->arg = arg;
	TAILQ_INIT(&g->list);
	STAILQ_INIT(&g->waiters);
	g->limit = tf_timer_new(loop, on_limit, g);
	g->retry = tf_timer_new(loop, on_retry, g);
	int rc = generation_load(g, err);
	if (rc < 0) {
		tf_generations_delete(g);
		return rc;
	}
	*out = g;
	return 0;
}

void tf_generations_delete(struct tf_generations *g)
{
	struct generation *n;
	struct waiter *w;
	struct tf_err ends;
	if (!g)
		return;
	while ((n = TAILQ_FIRST(&g->list)) != NULL)
		generation_delete(n);
	tf_err_set(&ends, TF_ECLOSED, "the worker ends");
	while ((w = STAILQ_FIRST(&g->waiters)) != NULL) {
		STAILQ_REMOVE_HEAD(&g->waiters, link);
		w->done(w->arg, NULL, &ends);
		free(w);
	}
	tf_timer_delete(g->limit);
	tf_timer_delete(g->retry);
	tf_buf_free(&g->files);
	free(g);
}

unsigned tf_generations_busy_slots(const struct tf_generations *g)
{
	const struct generation *n;
	unsigned busy = 0;
	TAILQ_FOREACH(n, &g->list, link)
	busy += tf_pool_busy_slots(n->pool);
	return busy;
}

const struct tf_class_limits *tf_generations_class_limits(const struct tf_generations *g, const char *cls)
{
	return g->current ? tf_map_get(g->current->classes, cls) : NULL;
}

const struct tf_label *tf_generations_label(const struct tf_generations *g)
{
	static const struct tf_label none;
	return g->told ? &g->told->label : &none;
}

/* Generations share the slots: what one may begin, others leave. */
static bool others_fill_slots(const struct tf_generations *g, const struct generation *n)
{
	unsigned own = tf_pool_busy_slots(n->pool), others = tf_generations_busy_slots(g) - own;
	return others > 0 && own + others >= g->config.pool.slots;
}

/* Hand it to that generation, if there is a place beside what the others run. */
static int submit_to(struct tf_generations *g, struct generation *n, uint64_t job, const struct tf_request *r,
	struct tf_err *err)
{
	if (others_fill_slots(g, n))
		return tf_err_set(err, TF_EAGAIN, "no slot is free");
	int rc = tf_pool_submit(n->pool, job, r, err);
	if (rc == 0)
		g->told = n;
	return rc;
}

int tf_generations_submit(
	struct tf_generations *g, uint64_t job, const struct tf_request *r, struct tf_err *err)
{
	if (!g->current)
		return tf_err_set(err, TF_EAGAIN, "no script is loaded yet");
	struct generation *n = g->current;
	int rc = TF_EAGAIN;
	if (g->canary && tf_map_get(g->canary->classes, r->task_cls) && tf_canary_turn(&g->trial))
		rc = submit_to(g, n = g->canary, job, r, err);
	/* Quick requests behind others would keep the slots with the current one: it is the canary's turn to get one. */
	bool waits = rc == TF_EAGAIN && n == g->canary && tf_pool_busy_slots(n->pool) == 0 &&
		     others_fill_slots(g, n);
	if (rc == TF_EAGAIN && !waits)
		rc = submit_to(g, n = g->current, job, r, err);
	if (rc == 0 && g->canary)
		tf_canary_gave(&g->trial, n == g->canary);
	return rc;
}

void tf_generations_resize(struct tf_generations *g, unsigned slots)
{
	struct generation *n;
	g->config.pool.slots = slots;
	TAILQ_FOREACH(n, &g->list, link)
	{
		if (n == g->canary)
			tf_pool_want(n->pool, (unsigned)ceil(g->trial.share * slots));
		else if (n == g->loading && n->names)
			tf_pool_want(n->pool, slots_for(g));
		else if (n == g->current || n == g->returning)
			tf_pool_want(n->pool, slots);
	}
	if (g->events.slot_free)
		g->events.slot_free(g->arg);
}

struct slot_visit {
	tf_generations_slot_visit *visit;
	void *arg;
	const struct tf_label *label;
};

static void visit_slot(void *arg, const struct tf_slot_info *info)
{
	const struct slot_visit *v = arg;
	v->visit(v->arg, v->label, info);
}

void tf_generations_each_slot(const struct tf_generations *g, tf_generations_slot_visit *visit, void *arg)
{
	const struct generation *n;
	TAILQ_FOREACH(n, &g->list, link)
	{
		struct slot_visit v = {.visit = visit, .arg = arg, .label = &n->label};
		tf_pool_each_slot(n->pool, visit_slot, &v);
	}
}

void tf_generations_take_back(struct tf_generations *g)
{
	struct generation *n;
	TAILQ_FOREACH(n, &g->list, link)
	tf_pool_take_back(n->pool);
}

bool tf_generations_stop_job(
	struct tf_generations *g, uint64_t job, const char *const *types, const char *why)
{
	struct generation *n;
	TAILQ_FOREACH(n, &g->list, link)
	{
		if (tf_pool_stop_job(n->pool, job, types, why))
			return true;
	}
	return false;
}

void tf_generations_stop(struct tf_generations *g, void (*done)(void *arg), void *arg)
{
	struct generation *n, *next;
	if (g->loading)
		generation_delete(g->loading);
	tf_timer_stop(g->limit);
	tf_timer_stop(g->retry);
	g->stopped = done;
	g->stopped_arg = arg;
	unsigned live = 0;
	for (n = TAILQ_FIRST(&g->list); n; n = next) {
		next = TAILQ_NEXT(n, link);
		tf_pool_want(n->pool, 0);
		live += tf_pool_live_slots(n->pool);
	}
	if (live == 0)
		done(arg);
}

/* ---- what is told ---- */

const struct tf_generations_stats *tf_generations_stats(const struct tf_generations *g)
{
	return &g->stats;
}

const struct tf_buf *tf_generations_files(const struct tf_generations *g)
{
	return &g->files;
}

void tf_generations_on_load(struct tf_generations *g, void (*loaded)(void *arg), void *arg)
{
	g->loaded = loaded;
	g->loaded_arg = arg;
}

static void generation_status(const struct generation *n, struct tf_buf *out)
{
	tf_buf_printf(out,
		"{\"generation\": %" PRIu64 ", \"state\": \"%s\", \"hash\": \"%s\", \"classes\": %zu, "
		"\"loader_pid\": %d, \"slots\": %u, \"busy\": %u, \"succeeded\": %" PRIu64
		", \"failed\": %" PRIu64 "}",
		n->label.number, state_names[n->state], n->label.hash, n->name_count,
		(int)tf_pool_loader_pid(n->pool), tf_pool_live_slots(n->pool), tf_pool_busy_slots(n->pool),
		n->succeeded, n->failed);
}

void tf_generations_status(const struct tf_generations *g, struct tf_buf *out)
{
	const struct generation *n;
	tf_buf_printf(out, "{\"current\": %" PRIu64 ", \"loads\": %" PRIu64 ", \"rollbacks\": %" PRIu64,
		g->current ? g->current->label.number : 0, g->loads, g->stats.rollbacks);
	if (g->canary)
		tf_buf_printf(out,
			", \"canary\": {\"share\": %g, \"ended\": %" PRIu64 ", \"failed\": %" PRIu64
			", \"wanted\": %" PRIu64 "}",
			g->trial.share, g->trial.trial.ended, g->trial.trial.failed, g->trial.wanted);
	tf_buf_printf(out, ", \"recycled\": {\"tasks\": %" PRIu64 ", \"memory\": %" PRIu64 "}",
		g->stats.slots.spent, g->stats.slots.grown);
	tf_buf_puts(out, ", \"load_error\": ");
	if (g->error.code) {
		tf_buf_puts(out, "{\"message\": ");
		tf_json_write_string(out, g->error.message, strlen(g->error.message));
		tf_buf_printf(out, ", \"at\": %lld}", (long long)g->error_at);
	} else {
		tf_buf_puts(out, "null");
	}
	tf_buf_puts(out, ", \"generations\": [");
	TAILQ_FOREACH(n, &g->list, link)
	{
		if (n != TAILQ_FIRST(&g->list))
			tf_buf_puts(out, ", ");
		generation_status(n, out);
	}
	tf_buf_puts(out, "]}");
}
