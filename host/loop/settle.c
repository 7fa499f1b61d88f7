#include "loop/settle.h"

void tf_settle_event(struct tf_settle *s, uint64_t now_ms)
{
	s->changing = true;
	s->last_ms = now_ms;
}

uint64_t tf_settle_left(const struct tf_settle *s, bool unfinished, uint64_t now_ms)
{
	uint64_t due = s->last_ms + (unfinished ? TF_SETTLE_STUCK_MS : TF_SETTLE_QUIET_MS);
	return due > now_ms ? due - now_ms : 0;
}
