/* How many requests a worker takes from its queue before they are done with.
 *
 * Narrow is what slots that take long need: with more, an idle worker beside this one would go without. When requests
 * are over so fast that a narrow window is used up many times in an instant, the way to the broker and back would be
 * what they wait for: then it is wide, until they become slow again and stay so: a moment in which this worker itself was
 * held up tells nothing about them. Pure: told of each end and of the time.
 */
#ifndef TF_WBE_WINDOW_H
#define TF_WBE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define TF_WINDOW_LOOK_MS 50 /* between two looks */

struct tf_window {
	unsigned narrow, wide;
	unsigned size;  /* the present one */
	uint64_t since; /* of the last look, ms */
	unsigned ended; /* requests since then */
	unsigned slow;  /* looks in a row that found it so */
};

static inline void tf_window_create(struct tf_window *w, unsigned narrow, unsigned wide, uint64_t now)
{
	*w = (struct tf_window){.narrow = narrow, .wide = wide, .size = narrow, .since = now};
}

/* Look now and then, at least every TF_WINDOW_LOOK_MS while it is wide; true if `size` has changed. */
bool tf_window_look(struct tf_window *w, uint64_t now);

#endif
