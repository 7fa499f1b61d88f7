#include "wbe/window.h"

enum {
	WINDOW_QUICK_MS = 20, /* a narrow window used up in less time is widened */
	WINDOW_SLOW_MS = 200, /* a wide one that lasts longer is narrowed, after ... */
	WINDOW_SLOW_LOOKS =
		2, /* ... so many looks in a row: what is too many then is given back, at a price */
};

bool tf_window_look(struct tf_window *w, uint64_t now)
{
	const uint64_t passed = now - w->since;
	const unsigned ended = w->ended, before = w->size;

	if (passed < TF_WINDOW_LOOK_MS)
		return false;
	w->since = now;
	w->ended = 0;
	bool quick = (uint64_t)ended * WINDOW_QUICK_MS >= w->narrow * passed;
	bool slow = !quick && (uint64_t)ended * WINDOW_SLOW_MS < w->wide * passed;
	w->slow = slow ? w->slow + 1 : 0;
	if (quick)
		w->size = w->wide;
	else if (w->slow >= WINDOW_SLOW_LOOKS)
		w->size = w->narrow;
	return w->size != before;
}
