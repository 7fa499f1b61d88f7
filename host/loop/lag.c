#include "loop/lag.h"

#include <stdlib.h>

#include "base/mem.h"

enum { LAG_LOOK_MS = 250 };

struct tf_lag {
	struct tf_timer *timer;
	uint64_t due_us;
	struct tf_histogram histogram;
};

/* Timers have whole milliseconds, so up to one is nobody's fault. */
static void on_timer(void *arg)
{
	struct tf_lag *l = arg;
	uint64_t now = tf_clock_us(), due = l->due_us + 1000;
	tf_histogram_add(&l->histogram, now > due ? now - due : 0);
	l->due_us = now + LAG_LOOK_MS * UINT64_C(1000);
	tf_timer_start(l->timer, LAG_LOOK_MS, 0);
}

struct tf_lag *tf_lag_new(struct tf_loop *loop)
{
	struct tf_lag *l = TF_NEW(struct tf_lag);
	l->timer = tf_timer_new(loop, on_timer, l);
	l->due_us = tf_clock_us() + LAG_LOOK_MS * UINT64_C(1000);
	tf_timer_start(l->timer, LAG_LOOK_MS, 0);
	return l;
}

const struct tf_histogram *tf_lag_histogram(const struct tf_lag *l)
{
	return &l->histogram;
}

void tf_lag_delete(struct tf_lag *l)
{
	if (!l)
		return;
	tf_timer_delete(l->timer);
	free(l);
}
