/* The time that counts for timeouts towards a peer: a clock that stands still while the connection
 * is down, and that does not jump when this process itself was not running (a long Lua call on the
 * loop, a stopped process): whatever the peer said meanwhile is still unread, so it is not late. */
#ifndef TF_WBE_PACE_H
#define TF_WBE_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

/* Between two ticks at most so much time counts; tick at least half as often while it matters. */
#define TF_PACE_STEP_MS 1000

struct tf_pace {
	struct tf_clock clock;
	uint64_t counted; /* up to `last` */
	uint64_t last;
	bool paused;
};

static inline void tf_pace_create(struct tf_pace *p, const struct tf_clock *clock)
{
	*p = (struct tf_pace){.clock = *clock, .last = tf_clock_ms(clock)};
}

/* Counted milliseconds since creation. */
static inline uint64_t tf_pace_ms(const struct tf_pace *p)
{
	uint64_t passed = tf_clock_ms(&p->clock) - p->last;
	if (p->paused)
		return p->counted;
	return p->counted + (passed < TF_PACE_STEP_MS ? passed : TF_PACE_STEP_MS);
}

static inline void tf_pace_tick(struct tf_pace *p)
{
	p->counted = tf_pace_ms(p);
	p->last = tf_clock_ms(&p->clock);
}

static inline void tf_pace_pause(struct tf_pace *p, bool paused)
{
	tf_pace_tick(p);
	p->paused = paused;
}

#endif
