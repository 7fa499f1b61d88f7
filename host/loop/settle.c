#include "loop/settle.h"

void tf_settle_event(struct tf_settle *s, uint64_t now_ms)
{
	if (!s->changing)
		*s = (struct tf_settle){.changing = true, .began_ms = now_ms};
	s->last_ms = now_ms;
	s->early_holds = false;
}

enum tf_settle_step tf_settle_look(struct tf_settle *s, bool unfinished, uint64_t now_ms, uint64_t *left_ms)
{
	uint64_t quiet = now_ms - s->last_ms;
	uint64_t over = unfinished ? TF_SETTLE_STUCK_MS : TF_SETTLE_QUIET_MS;
	*left_ms = quiet < over ? over - quiet : 0;
	s->changing = *left_ms > 0;
	if (!s->changing)
		return TF_SETTLE_OVER;
	if (unfinished || s->early)
		return TF_SETTLE_GOES_ON;
	if (quiet < TF_SETTLE_EARLY_MS) {
		*left_ms = TF_SETTLE_EARLY_MS - quiet;
		return TF_SETTLE_GOES_ON;
	}
	s->early = s->early_holds = true;
	return TF_SETTLE_EARLY;
}
