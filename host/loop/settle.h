/* When a change of files is over: editors and deployments make it in steps, and who reads in between reads half of it.
 * Pure: the clock is handed in.
 *
 * A change has settled after TF_SETTLE_QUIET_MS without an event. While a file is open and written, or one that was there is
 * missing, that takes TF_SETTLE_STUCK_MS: the last step may be near, and may never come. Most changes are over with their
 * first step, so it pays to read the files early, after TF_SETTLE_EARLY_MS, if what comes of that can be thrown away: once
 * in a change, or one of many steps would be read over and over. */
#ifndef TF_LOOP_SETTLE_H
#define TF_LOOP_SETTLE_H

#include <stdbool.h>
#include <stdint.h>

enum { TF_SETTLE_EARLY_MS = 2, TF_SETTLE_QUIET_MS = 20, TF_SETTLE_STUCK_MS = 1000 };

enum tf_settle_step {
	TF_SETTLE_GOES_ON,
	TF_SETTLE_EARLY, /* it may be over */
	TF_SETTLE_OVER,
};

struct tf_settle {
	bool changing;
	uint64_t began_ms, last_ms; /* of the events */
	bool early;                 /* that step was told in this change */
	bool early_holds;           /* and there was no event since */
};

void tf_settle_event(struct tf_settle *s, uint64_t now_ms);
/* What the time is for; `*left_ms`: until the next step if nothing happens meanwhile. Only while `changing`. */
enum tf_settle_step tf_settle_look(struct tf_settle *s, bool unfinished, uint64_t now_ms, uint64_t *left_ms);

#endif
