/* How many messages are read or written before other handles of the loop get their turn. A file system that is busy takes
 * milliseconds for one, and tasks that end, timers and who asks at the control socket wait meanwhile. */
#ifndef TF_TRANSPORT_FS_TURN_H
#define TF_TRANSPORT_FS_TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

enum { TF_FS_TURN_MS = 3, TF_FS_TURN_MESSAGES = 256, TF_FS_TURN_BYTES = 8 << 20 };

struct tf_fs_turn {
	uint64_t end_ms;
	unsigned messages;
	size_t bytes;
};

static inline struct tf_fs_turn tf_fs_turn_begin(void)
{
	return (struct tf_fs_turn){.end_ms = tf_clock_ms(&tf_clock_real) + TF_FS_TURN_MS};
}

static inline void tf_fs_turn_count(struct tf_fs_turn *t, size_t bytes)
{
	t->messages++;
	t->bytes += bytes;
}

/* Never before the first message. */
static inline bool tf_fs_turn_is_over(const struct tf_fs_turn *t)
{
	return t->messages >= TF_FS_TURN_MESSAGES || t->bytes >= TF_FS_TURN_BYTES ||
	       (t->messages > 0 && tf_clock_ms(&tf_clock_real) >= t->end_ms);
}

#endif
