/* Slots that are replaced between two requests, because they have run enough of them or have grown. The successor is forked
 * while the last request runs, and stands by until its predecessor is done with that: there are never more at work than
 * are wanted, and none is missed. */
#include <inttypes.h>

#include "base/log.h"
#include "base/uuid.h"
#include "pool/pool_private.h"
#include "pool/usage.h"

enum {
	RECYCLE_JITTER = 5,    /* a limit is lowered by up to this part of it */
	RECYCLE_WEIGH_MS = 50, /* between two looks at the memory of a slot */
};

static uint64_t recycle_vary(uint64_t limit)
{
	uint64_t part = limit / RECYCLE_JITTER;
	return limit - tf_random(part < UINT32_MAX ? (unsigned)part + 1 : UINT32_MAX);
}

void pool_recycle_begin(struct pool_slot *s)
{
	const struct tf_pool_config *c = &s->pool->config;
	s->life = c->max_tasks ? recycle_vary(c->max_tasks) : UINT64_MAX;
	if (!c->max_growth)
		return;
	s->growth = recycle_vary(c->max_growth);
	s->memory = tf_usage_memory(s->pid);
}

void pool_recycle_count(struct pool_slot *s)
{
	uint64_t now = pool_now(s->pool);
	s->ran++;
	if (!s->pool->config.max_growth || s->grown ||
		(s->weighed_ms && now - s->weighed_ms < RECYCLE_WEIGH_MS))
		return;
	s->weighed_ms = now ? now : 1;
	uint64_t bytes = tf_usage_memory(s->pid);
	if (bytes <= s->memory || bytes - s->memory < s->growth)
		return;
	tf_debug("pool", "slot (pid %d) has grown by %.1f MB", (int)s->pid,
		(double)(bytes - s->memory) / 1048576);
	s->grown = true;
	s->life = s->ran;
	pool_fill(s->pool);
}

bool pool_recycle_is_due(const struct pool_slot *s)
{
	return s->ran + s->jobs >= s->life && s->pool->loader_state == POOL_LOADER_READY &&
	       s->pool->bad_starts == 0;
}

void pool_recycle(struct pool_slot *s)
{
	struct tf_pool *p = s->pool;
	tf_debug("pool", "slot (pid %d) is replaced after %" PRIu64 " tasks", (int)s->pid, s->ran);
	if (p->config.counters && s->grown)
		p->config.counters->grown++;
	else if (p->config.counters)
		p->config.counters->spent++;
	pool_slot_dismiss(s);
	pool_recycle_promote(p);
	pool_fill(p);
}

static bool recycle_is_at_work(const struct pool_slot *s)
{
	return s->state == POOL_SLOT_IDLE || s->state == POOL_SLOT_BUSY;
}

bool pool_recycle_is_full(const struct pool_slot *s)
{
	const struct tf_pool *p = s->pool;
	unsigned others = 0;
	for (unsigned i = 0; i < p->slot_count; i++)
		others += &p->slots[i] != s && recycle_is_at_work(&p->slots[i]);
	return others >= p->wanted;
}

void pool_recycle_promote(struct tf_pool *p)
{
	for (unsigned i = 0; i < p->slot_count; i++) {
		struct pool_slot *s = &p->slots[i];
		if (s->state == POOL_SLOT_STANDBY && !pool_recycle_is_full(s))
			pool_slot_offer(s);
	}
}
