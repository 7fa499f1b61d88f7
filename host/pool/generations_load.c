/* How a generation comes to serve: it is loaded, gets slots and takes over, or its scripts cannot be used. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/excerpt.h"
#include "base/log.h"
#include "base/mem.h"
#include "pool/generations_private.h"

enum {
	GENERATION_RETRY_MS = 100, /* to replace a lost loader; doubled */
	GENERATION_RETRY_MAX_MS = 10000,
};

int generation_load(struct tf_generations *g, struct tf_err *err)
{
	struct generation *n = TF_NEW(struct generation);
	struct tf_pool_config config = g->config.pool;
	config.idle_start = true;
	config.counters = &g->stats.slots;
	n->all = g;
	n->begun_ms = g->released_ms = generation_now(g);
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

void generation_retry_later(struct tf_generations *g)
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
void generation_load_failed(struct tf_generations *g, const struct tf_err *err)
{
	struct generation *n = g->loading;
	const struct tf_err why = *err; /* it may be the pool's */
	bool known = g->error.code && !strcmp(g->error.message, why.message);
	tf_timer_stop(g->limit);
	if (g->wish.hold) {
		n->failure = why;
		return;
	}
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
		generation_retry_later(g);
	generation_answer(g, NULL, NULL, &why);
}

/* How long each step took that the one which loads has made. */
static void describe_steps(const struct tf_generations *g, char *out, size_t size)
{
	const struct generation *n = g->loading;
	uint64_t now = generation_now(g), since = g->wish.since_ms;
	uint64_t begun = n->loaded_ms > g->released_ms ? n->loaded_ms : g->released_ms; /* with the slots */
	char text[40] = "";
	if (since)
		snprintf(text, sizeof(text), "settled in %" PRIu64 " ms, ", g->released_ms - since);
	snprintf(out, size, " after %" PRIu64 " ms: %sloaded in %" PRIu64 " ms, slots in %" PRIu64 " ms",
		now - (since ? since : n->begun_ms), text, n->loaded_ms - n->begun_ms, now - begun);
}

/* It has loaded and a slot is ready. */
void generation_load_done(struct tf_generations *g)
{
	struct generation *n = g->loading;
	const struct tf_reload wish = g->wish;
	char steps[160];
	describe_steps(g, steps, sizeof(steps));
	g->loading = NULL;
	tf_timer_stop(g->limit);
	tell_loaded(g, n);
	if (wish.check) {
		const struct tf_label label = n->label;
		generation_delete(n);
		generation_answer(g, NULL, &label, NULL);
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
		generation_activate(n, steps);
	}
	const struct tf_label label = n->label;
	generation_answer(g, NULL, &label, NULL);
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
		generation_end_canary(g, "its scripts are gone");
	generation_answer(g, NULL, &label, NULL);
}

unsigned generation_slots(const struct tf_generations *g)
{
	unsigned slots = g->config.pool.slots;
	if (g->wish.check || !g->current)
		return g->wish.check ? 1 : slots;
	return g->wish.share > 0 ? (unsigned)ceil(g->wish.share * slots) : slots;
}

/* It has loaded: slots, if it is of use. */
static void use_loaded(struct tf_generations *g)
{
	struct generation *n = g->loading;
	if (g->wish.if_new && g->current && !current_needs_loader(g) &&
		!strcmp(n->label.hash, g->current->label.hash))
		load_needless(g);
	else
		tf_pool_want(n->pool, generation_slots(g));
}

void generation_on_ready(void *arg, char *const *names, size_t count, const struct tf_err *err)
{
	struct generation *n = arg;
	struct tf_generations *g = n->all;
	if (n != g->loading)
		return;
	if (err) {
		generation_load_failed(g, err);
		return;
	}
	n->loaded_ms = generation_now(g);
	snprintf(n->label.hash, sizeof(n->label.hash), "%s", tf_pool_hash(n->pool));
	n->names = tf_calloc(count + 1, sizeof(*n->names));
	n->name_count = count;
	n->classes = tf_map_new();
	n->limits = tf_calloc(count + 1, sizeof(*n->limits));
	memcpy(n->limits, tf_pool_class_limits(n->pool), count * sizeof(*n->limits));
	for (size_t i = 0; i < count; i++) {
		n->names[i] = tf_strdup(names[i]);
		tf_map_set(n->classes, names[i], &n->limits[i]);
	}
	if (!g->wish.hold)
		use_loaded(g);
}

bool tf_generations_release(struct tf_generations *g)
{
	struct generation *n = g->loading;
	if (!n || !g->wish.hold)
		return false;
	g->wish.hold = false;
	g->released_ms = generation_now(g);
	if (n->failure.code)
		generation_load_failed(g, &n->failure);
	else if (n->names)
		use_loaded(g);
	return true;
}

void generation_on_limit(void *arg)
{
	struct tf_generations *g = arg;
	struct tf_err err;
	tf_err_set(&err, TF_ETIMEOUT, "%s after %g s",
		g->loading->names ? "no slot of the new scripts is ready: setup has not returned"
				  : "the scripts are not loaded",
		(double)g->config.load_ms / 1000);
	generation_load_failed(g, &err);
}

void generation_on_retry(void *arg)
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
		wish.hold |= g->wish.hold && how->check;
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
	generation_wait_for(g, how->done, how->arg, NULL);
	if (generation_load(g, &err) < 0) {
		tf_error("reload", "cannot start a loader: %s", err.message);
		generation_answer(g, NULL, NULL, &err);
	}
}
