#include "pool/generations.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "pool/generations_private.h"

enum { GENERATION_BAD_STARTS = 3 }; /* slots of a new generation that may end before one is ready */

static const char *const state_names[] = {
#define X(name) #name,
	GENERATION_STATES(X)
#undef X
};

/* ---- lives ---- */

static void names_free(struct generation *n)
{
	for (size_t i = 0; i < n->name_count; i++)
		free(n->names[i]);
	free(n->names);
	free(n->limits);
	tf_map_delete(n->classes, NULL);
}

void generation_delete(struct generation *n)
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
void generation_retire(struct generation *n, enum generation_state state)
{
	n->state = state;
	tf_pool_want(n->pool, 0);
	tf_pool_take_back(n->pool);
	if (state == GENERATION_FINISHING && tf_pool_live_slots(n->pool) == 0)
		generation_delete(n);
}

uint64_t generation_now(const struct tf_generations *g)
{
	return tf_clock_ms(tf_loop_clock(g->loop));
}

/* ---- who waits ---- */

void generation_wait_for(
	struct tf_generations *g, tf_generations_done *done, void *arg, struct generation *rollback)
{
	if (!done)
		return;
	struct waiter *w = TF_NEW(struct waiter);
	*w = (struct waiter){.done = done, .arg = arg, .rollback = rollback};
	STAILQ_INSERT_TAIL(&g->waiters, w, link);
}

void generation_answer(struct tf_generations *g, const struct generation *rollback,
	const struct tf_label *label, const struct tf_err *err)
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

void generation_activate(struct generation *n, const char *how)
{
	struct tf_generations *g = n->all;
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
		tf_info("reload", "generation %" PRIu64 " (%s) serves instead of %" PRIu64 " (%s)%s",
			n->label.number, n->label.hash, old->label.number, old->label.hash, how);
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

void generation_end_canary(struct tf_generations *g, const char *why)
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
		generation_activate(n, "");
		break;
	case TF_CANARY_ROLL_BACK:
		snprintf(why, sizeof(why),
			"%" PRIu64 " of its %" PRIu64 " requests failed, and %" PRIu64 " of the %" PRIu64
			" others",
			c->trial.failed, c->trial.ended, c->base.failed, c->base.ended);
		tf_err_set(&g->error, TF_ESTATE, "the canary, generation %" PRIu64 ", was taken back: %s",
			n->label.number, why);
		g->error_at = time(NULL);
		generation_end_canary(g, why);
		break;
	default:
		break;
	}
}

/* ---- rollback ---- */

static void returned(struct tf_generations *g)
{
	struct generation *n = g->returning;
	const struct tf_label label = n->label;
	g->returning = NULL;
	generation_activate(n, "");
	generation_answer(g, n, &label, NULL);
}

int tf_generations_rollback(
	struct tf_generations *g, tf_generations_done *done, void *arg, struct tf_err *err)
{
	if (g->canary) {
		generation_wait_for(g, done, arg, g->current);
		generation_end_canary(g, "rollback was asked for");
		generation_answer(g, g->current, &g->current->label, NULL);
		return 0;
	}
	if (!g->previous || g->stopped)
		return tf_err_set(err, TF_ESTATE, "there is no generation before to go back to");
	g->stats.rollbacks++;
	generation_wait_for(g, done, arg, g->previous);
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
		generation_load_done(g);
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
		generation_load_failed(g, &why);
	} else if (n == g->canary) {
		generation_end_canary(g, why.message);
	} else if (n == g->current) {
		generation_retry_later(g);
	} else if (n == g->previous) {
		g->previous = NULL;
		if (g->returning == n)
			g->returning = NULL;
		generation_answer(g, n, NULL, &why);
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
		generation_load_failed(g, &why);
	} else if (n == g->returning) {
		g->returning = NULL;
		tf_pool_want(n->pool, 0);
		generation_answer(g, n, NULL, &why);
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

const struct tf_pool_events generation_events = {
	.ready = generation_on_ready,
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
	g->limit = tf_timer_new(loop, generation_on_limit, g);
	g->retry = tf_timer_new(loop, generation_on_retry, g);
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
		else if (n == g->loading && n->names && !g->wish.hold)
			tf_pool_want(n->pool, generation_slots(g));
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
