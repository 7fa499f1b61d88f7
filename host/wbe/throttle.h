/* Keeps warnings about foreign input from flooding the log: so many in a window, then how many were
 * left out. */
#ifndef TF_WBE_THROTTLE_H
#define TF_WBE_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#define TF_THROTTLE_WINDOW_MS 10000
#define TF_THROTTLE_LINES 10

struct tf_throttle {
	uint64_t window;   /* when the present one began */
	unsigned lines;    /* in it */
	uint64_t left_out; /* since the last line */
};

/* Whether a line may be written now; then *left_out says how many were not since the last one. */
static inline bool tf_throttle_allows(struct tf_throttle *t, uint64_t now, uint64_t *left_out)
{
	if (now - t->window >= TF_THROTTLE_WINDOW_MS) {
		t->window = now;
		t->lines = 0;
	}
	if (t->lines >= TF_THROTTLE_LINES) {
		t->left_out++;
		return false;
	}
	t->lines++;
	*left_out = t->left_out;
	t->left_out = 0;
	return true;
}

#endif
