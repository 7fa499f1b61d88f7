/* The clock we are handed: monotonic milliseconds. Timers of the protocol, the finder and
 * the engine never ask the system, so a test can make an hour pass in no time. */
#ifndef TF_BASE_CLOCK_H
#define TF_BASE_CLOCK_H

#include <stdint.h>

struct tf_clock {
	uint64_t (*now_ms)(void *arg);
	void *arg;
};

static inline uint64_t tf_clock_ms(const struct tf_clock *c)
{
	return c->now_ms(c->arg);
}

/* The system's CLOCK_MONOTONIC. */
extern const struct tf_clock tf_clock_real;

/* CLOCK_MONOTONIC in microseconds, the same in all processes of the machine: for measuring how long something took,
 * never for deciding anything. */
uint64_t tf_clock_us(void);

#endif
