/* Watching over what running tasks may use. A slot tells the limits of its task as that begins; only then is there anything
 * to do here: one timer looks at the slots whose tasks have limits, at the moment of the next one, and while there are
 * limits of memory every few milliseconds. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "pool/pool_private.h"
#include "pool/usage.h"
#include "protocol/failure.h"

enum { LIMITS_MEMORY_MS = 20 };

static void limits_arm(struct tf_pool *p, uint64_t now, uint64_t due)
{
	if (due != UINT64_MAX)
		tf_timer_start(p->limits, due > now ? due - now : 0, 0);
}

static uint64_t limits_sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When to look at this job again. */
static uint64_t limits_due(const struct pool_job *j, uint64_t now)
{
	uint64_t due = UINT64_MAX;
	if (j->limits.time_ms)
		due = limits_sooner(due, j->limited_ms + j->limits.time_ms);
	if (j->limits.warning_ms && !j->warned)
		due = limits_sooner(due, j->limited_ms + j->limits.warning_ms);
	if (j->limits.memory)
		due = limits_sooner(due, now + LIMITS_MEMORY_MS);
	return due;
}

static void limits_stop(struct pool_slot *s, const char *const *types, char *why)
{
	s->job->stop_types = types;
	s->job->stop_why = why;
	pool_slot_stop(s);
}

void pool_limits_breach(struct pool_slot *s, uint64_t bytes)
{
	limits_stop(s, tf_types_memory_limit,
		tf_asprintf("task '%s' used %.1f MB of memory, its limit is %.1f MB", s->job->name,
			(double)bytes / 1048576, (double)s->job->limits.memory / 1048576));
}

/* The engine hears of it as of any event of the task; the task sees it in time_left. */
static void limits_warn(struct pool_slot *s, uint64_t ran_ms)
{
	struct tf_pool *p = s->pool;
	struct pool_job *j = s->job;
	struct tf_buf text = TF_BUF_INIT;
	j->warned = true;
	const struct tf_log_ids ids = pool_log_ids(j);
	tf_warn_of(&ids, "pool", "task '%s' (%s, pid %d) has run for %.1f s", j->name, j->cls, (int)s->pid,
		(double)ran_ms / 1000);
	pool_slot_tell_started(s);
	if (p->deleted || !p->events.event)
		return;
	tf_buf_printf(&text, "{\"seconds\": %.3f", (double)ran_ms / 1000);
	if (j->limits.time_ms)
		tf_buf_printf(&text, ", \"time_limit\": %.3f", (double)j->limits.time_ms / 1000);
	tf_buf_putc(&text, '}');
	struct tf_value *details = tf_value_take(&text);
	p->events.event(p->arg, j->id, "time_warning", details);
	tf_value_unref(details);
}

static void limits_check(struct pool_slot *s, uint64_t now)
{
	struct pool_job *j = s->job;
	const struct tf_limits *l = &j->limits;
	uint64_t ran = now - j->limited_ms, bytes = l->memory ? tf_usage_memory(s->pid) : 0;
	if (l->time_ms && ran >= l->time_ms)
		limits_stop(s, tf_types_time_limit,
			tf_asprintf("task '%s' ran for %.1f s, its time limit is %.1f s", j->name,
				(double)ran / 1000, (double)l->time_ms / 1000));
	else if (l->memory && bytes > l->memory && (j->heavy || bytes > 2 * l->memory))
		pool_limits_breach(s, bytes);
	if (s->state != POOL_SLOT_BUSY)
		return;
	j->heavy = l->memory && bytes > l->memory; /* once may be garbage */
	if (l->warning_ms && !j->warned && ran >= l->warning_ms)
		limits_warn(s, ran);
}

void pool_limits_begin(struct pool_slot *s, const struct tf_limits *l)
{
	uint64_t now = pool_now(s->pool);
	s->job->limits = *l;
	s->job->limited_ms = now;
	uint64_t due = limits_due(s->job, now);
	if (!tf_timer_active(s->pool->limits) || due < s->pool->limits_at) {
		s->pool->limits_at = due;
		limits_arm(s->pool, now, due);
	}
}

void pool_on_limits(void *arg)
{
	struct tf_pool *p = arg;
	uint64_t now = pool_now(p), due = UINT64_MAX;
	pool_enter(p);
	for (unsigned i = 0; i < p->slot_count && !p->deleted; i++) {
		struct pool_slot *s = &p->slots[i];
		if (s->state != POOL_SLOT_BUSY || !tf_limits_any(&s->job->limits))
			continue;
		limits_check(s, now);
		if (!p->deleted && s->state == POOL_SLOT_BUSY && s->job)
			due = limits_sooner(due, limits_due(s->job, now));
	}
	if (!p->deleted) {
		p->limits_at = due;
		limits_arm(p, now, due);
	}
	pool_leave(p);
}
