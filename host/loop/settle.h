/* When a change of files is over: editors and deployments make it in steps, and who reads in between reads half of it.
 * Pure: the clock is handed in.
 *
 * A change has settled after TF_SETTLE_QUIET_MS without an event. While a file is open and written, or one that was there is
 * missing, that takes TF_SETTLE_STUCK_MS: the last step may be near, and may never come. */
#ifndef TF_LOOP_SETTLE_H
#define TF_LOOP_SETTLE_H

#include <stdbool.h>
#include <stdint.h>

enum { TF_SETTLE_QUIET_MS = 20, TF_SETTLE_STUCK_MS = 1000 };

struct tf_settle {
	bool changing;
	uint64_t last_ms; /* of the events */
};

void tf_settle_event(struct tf_settle *s, uint64_t now_ms);
/* Milliseconds until it is over if nothing happens meanwhile; 0: it is over. Only while `changing`. */
uint64_t tf_settle_left(const struct tf_settle *s, bool unfinished, uint64_t now_ms);

#endif
