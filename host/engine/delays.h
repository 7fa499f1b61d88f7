/* Atoms that wait for a moment: the earliest is found first. Time is the caller's, in milliseconds. */
#ifndef TF_ENGINE_DELAYS_H
#define TF_ENGINE_DELAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tf_delay {
	uint64_t at;
	uint32_t atom;
};
struct tf_delays { /* zeroed: empty */
	struct tf_delay *heap;
	size_t count, cap;
};

void tf_delays_add(struct tf_delays *d, uint32_t atom, uint64_t at);
/* Take the earliest whose moment is `now` or before; false: none. */
bool tf_delays_due(struct tf_delays *d, uint64_t now, uint32_t *atom);
uint64_t tf_delays_next(const struct tf_delays *d); /* the earliest moment; UINT64_MAX: none waits */
void tf_delays_free(struct tf_delays *d);           /* empties it */

#endif
