/* A new generation on trial: which requests it gets, and whether it fails more than the one that serves. Pure. */
#ifndef TF_POOL_CANARY_H
#define TF_POOL_CANARY_H

#include <stdbool.h>
#include <stdint.h>

struct tf_canary {
	double share;    /* of the requests, above 0 and below 1 */
	uint64_t wanted; /* outcomes of the canary that decide for it */
	double due;      /* of the next request */
	struct tf_canary_count {
		uint64_t ended, failed;
	} base, trial; /* outcomes since the trial began */
};

enum tf_canary_verdict { TF_CANARY_GO_ON, TF_CANARY_PROMOTE, TF_CANARY_ROLL_BACK };

enum { TF_CANARY_WANTED = 50 };

/* wanted 0: TF_CANARY_WANTED. */
void tf_canary_begin(struct tf_canary *c, double share, uint64_t wanted);
/* Whether the next request is the canary's turn; exactly `share` of them are, evenly spread. */
bool tf_canary_turn(const struct tf_canary *c);
/* A request was given to it, or (whosever turn it was) to the other. */
void tf_canary_gave(struct tf_canary *c, bool trial);
void tf_canary_count(struct tf_canary *c, bool trial, bool failed);
/* Roll back: more of the canary's requests failed than the other's rate lets expect, by more than two standard deviations
 * and one request. Promote: `wanted` have ended without that. */
enum tf_canary_verdict tf_canary_judge(const struct tf_canary *c);

#endif
