/* The requests in a slot's socket: one that runs, and behind it as many as the slot will have done with in a moment.
 *
 * How many is learned: each request that is over at once allows twice as many more, one that takes its time allows
 * none. While a slot has requests that it may not have begun, a short timer looks after it: what waits behind a request
 * that runs for two ticks is taken back for others. The same timer finds out that a task has begun, which therefore
 * costs no message of the slot.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "pool/pool_private.h"
#include "pool/usage.h"

enum {
	AHEAD_TICK_MS = 2,
	AHEAD_TICK_MAX_MS = 64, /* while a slot takes its time to build a task */
	AHEAD_QUICK_MS = 1,     /* a request that is over so soon was a small one */
};

static void ahead_arm(struct tf_pool *p, uint64_t ms)
{
	if (tf_timer_active(p->tick) && p->tick_ms <= ms)
		return;
	p->tick_ms = ms;
	tf_timer_start(p->tick, ms, 0);
}

bool pool_slot_has_room(const struct pool_slot *s)
{
	if (s->state == POOL_SLOT_IDLE)
		return true;
	return s->state == POOL_SLOT_BUSY && !s->ended && s->jobs <= s->ahead && !pool_has_surplus(s->pool) &&
	       s->sent_count - s->over < TF_CLAIMS && !pool_recycle_is_due(s);
}

void pool_slot_run(struct pool_slot *s, struct pool_job *j)
{
	struct pool_job **at = &s->job;
	TF_ASSERT(pool_slot_has_room(s));
	while (*at)
		at = &(*at)->next;
	*at = j;
	j->next = NULL;
	j->number = s->sent_count++;
	if (s->jobs++ == 0) {
		s->pool->idle--;
		s->state = POOL_SLOT_BUSY;
		s->begun_ms = pool_now(s->pool);
	}
	tf_claims_offer(s->claims, j->number);
	tf_buf_append(&s->out, j->frame.data, j->frame.len);
	ahead_arm(s->pool, AHEAD_TICK_MS);
	pool_slot_flush(s);
	if (pool_recycle_is_due(s))
		pool_fill(s->pool);
}

struct pool_job *pool_slot_pop(struct pool_slot *s)
{
	struct pool_job *j = s->job;
	uint64_t now = pool_now(s->pool);
	s->job = j->next;
	j->next = NULL;
	s->jobs--;
	s->over = j->number + 1;
	if (now - s->begun_ms > AHEAD_QUICK_MS)
		s->ahead = 0;
	else if (s->ahead < TF_CLAIMS - 1)
		s->ahead = 2 * s->ahead + 1;
	s->begun_ms = now;
	return j;
}

void pool_slot_tell_started(struct pool_slot *s)
{
	struct tf_pool *p = s->pool;
	struct pool_job *j = s->job;
	if (j->started || tf_claims_get(s->claims, j->number) != TF_CLAIM_STARTED)
		return;
	j->started = true;
	tf_buf_free(&j->frame);
	if (p->events.started)
		p->events.started(p->arg, j->id, tf_claims_begun_us(s->claims, j->number, tf_clock_us()));
}

void pool_add_orphan(struct tf_pool *p, struct pool_job *j)
{
	struct pool_job **at = &p->orphans;
	while (*at && (*at)->order < j->order)
		at = &(*at)->next;
	j->next = *at;
	*at = j;
}

/* What waits behind a request that takes long. */
static void ahead_take_back(struct pool_slot *s)
{
	struct pool_job **at = &s->job->next;
	s->ahead = 0;
	while (*at) {
		struct pool_job *j = *at;
		if (!tf_claims_take_back(s->claims, j->number)) {
			at = &j->next; /* begun, meanwhile */
			continue;
		}
		*at = j->next;
		s->jobs--;
		pool_add_orphan(s->pool, j);
	}
}

void pool_slot_take_back(struct pool_slot *s)
{
	pool_slot_tell_started(s);
	if (s->pool->deleted || s->state != POOL_SLOT_BUSY)
		return;
	ahead_take_back(s);
	if (s->jobs > 1 || !tf_claims_take_back(s->claims, s->job->number))
		return;
	struct pool_job *j = pool_slot_pop(s);
	pool_add_orphan(s->pool, j);
	pool_slot_idle(s);
}

struct pool_job *pool_slot_retrieve(struct pool_slot *s, uint64_t job)
{
	struct pool_job **at = &s->job;
	while (*at && (*at)->id != job)
		at = &(*at)->next;
	struct pool_job *j = *at;
	if (!j || j->started || s->state != POOL_SLOT_BUSY || !tf_claims_take_back(s->claims, j->number))
		return NULL;
	if (j == s->job) {
		pool_slot_pop(s);
		if (!s->job)
			pool_slot_idle(s);
		return j;
	}
	*at = j->next;
	j->next = NULL;
	s->jobs--;
	return j;
}

void pool_return_orphans(struct tf_pool *p)
{
	struct pool_job *j;
	while (p->events.back && !p->deleted && (j = p->orphans) != NULL) {
		p->orphans = j->next;
		p->events.back(p->arg, j->id);
		pool_job_free(j);
	}
}

/* Without an idle slot the owner may know better. */
static void ahead_return(struct tf_pool *p)
{
	struct pool_job **at = &p->orphans;
	while (p->events.back && !p->deleted && *at) {
		struct pool_job *j = *at;
		if (j->attempts > 1) {
			at = &j->next;
			continue;
		}
		*at = j->next;
		p->events.back(p->arg, j->id);
		pool_job_free(j);
		at = &p->orphans;
	}
}

static void ahead_feed(struct tf_pool *p)
{
	for (unsigned i = 0; i < p->slot_count && p->orphans && p->idle; i++) {
		struct pool_slot *s = &p->slots[i];
		struct pool_job *j = p->orphans;
		if (s->state != POOL_SLOT_IDLE)
			continue;
		p->orphans = j->next;
		pool_slot_run(s, j);
	}
}

void pool_on_tick(void *arg)
{
	struct tf_pool *p = arg;
	bool moved = false, unsure = false;
	pool_enter(p);
	for (unsigned i = 0; i < p->slot_count && !p->deleted; i++) {
		struct pool_slot *s = &p->slots[i];
		if (s->state != POOL_SLOT_BUSY)
			continue;
		pool_slot_tell_started(s);
		if (p->deleted || s->state != POOL_SLOT_BUSY)
			continue;
		if (s->job->started && !s->job->accounted) { /* what is over sooner needs no account */
			s->job->accounted = true;
			s->job->cpu_ns = tf_usage_cpu_ns(s->pid);
			s->job->oom_count = p->oom_count = tf_oom_count(p->oom);
		}
		if (s->job->stop_types) {
			pool_slot_stop(s);
			continue;
		}
		if (s->seen != s->job->number + 1)
			moved = true;
		else if (s->jobs > 1)
			ahead_take_back(s);
		s->seen = s->job->number + 1;
		unsure |= !s->job->started || s->jobs > 1;
	}
	if (!p->deleted)
		ahead_feed(p);
	if (!p->deleted)
		ahead_return(p);
	if (!p->deleted) {
		uint64_t longer = 2 * p->tick_ms < AHEAD_TICK_MAX_MS ? 2 * p->tick_ms : AHEAD_TICK_MAX_MS;
		if (unsure)
			ahead_arm(p, moved ? AHEAD_TICK_MS : longer);
	}
	pool_leave(p);
}
