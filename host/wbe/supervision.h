/* Which tfhost worker runs which request, and how long it has been silent (ARCHITECTURE 4).
 * Pure: driven by a pace. Costs do not depend on how many workers or requests there are. */
#ifndef TF_WBE_SUPERVISION_H
#define TF_WBE_SUPERVISION_H

#include <stdint.h>
#include <sys/queue.h>

#include "protocol/peer.h"
#include "wbe/pace.h"

struct tf_supervision;
struct tf_watched;

/* Embedded in what a worker runs. Zeroed: not watched. */
struct tf_watch {
	TAILQ_ENTRY(tf_watch) link;
	struct tf_watched *worker; /* borrowed; NULL: not watched */
};

/* A worker that runs something. Read-only for others; gone when its last watch is. */
struct tf_watched {
	TAILQ_ENTRY(tf_watched) link; /* the longest silent first */
	struct tf_peer peer;          /* its uuid, host and pid */
	uint64_t heard;               /* paced */
	TAILQ_HEAD(, tf_watch) watches;
};

struct tf_supervision *tf_supervision_new(const struct tf_pace *pace, uint64_t silence_ms);
void tf_supervision_delete(struct tf_supervision *s); /* nothing may be watched any more */

/* `w` now runs on the worker that `peer` names (and no longer on another one); it was heard just now. */
void tf_supervision_watch(struct tf_supervision *s, struct tf_watch *w, const struct tf_peer *peer);
void tf_supervision_unwatch(struct tf_supervision *s, struct tf_watch *w); /* not watched: nothing */
/* Something came from this worker; one that runs nothing is not remembered. */
void tf_supervision_heard(struct tf_supervision *s, const struct tf_peer *peer);
/* Judge nobody for so long (or for longer, if that was said before): after a reconnect, workers need
 * time to find back too. */
void tf_supervision_grace(struct tf_supervision *s, uint64_t ms);
/* A worker that has been silent for too long, NULL if none. */
struct tf_watched *tf_supervision_silent(const struct tf_supervision *s);
/* The worker that is silent for the longest time so far, NULL if none is watched. */
struct tf_watched *tf_supervision_longest(const struct tf_supervision *s);
/* When (paced) the next worker would be silent for too long; UINT64_MAX if none is watched. */
uint64_t tf_supervision_due(const struct tf_supervision *s);

#endif
