#include "loop_world.h"

#include <stdlib.h>
#include <unistd.h>

int world_set_up(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	w->loop = tf_loop_new();
	w->fds[0] = w->fds[1] = -1;
	*state = w;
	return 0;
}

int world_tear_down(void **state)
{
	struct world *w = *state;
	tf_timer_delete(w->timer);
	tf_timer_delete(w->other);
	tf_io_delete(w->io);
	tf_io_delete(w->peer);
	tf_signal_delete(w->signal);
	tf_post_delete(w->post);
	tf_later_delete(w->later);
	tf_loop_delete(w->loop);
	tf_buf_free(&w->seen);
	for (int i = 0; i < 2; i++) {
		if (w->fds[i] >= 0)
			close(w->fds[i]);
	}
	free(w);
	return 0;
}

uint64_t world_now(struct world *w)
{
	return tf_clock_ms(tf_loop_clock(w->loop));
}

void world_count(void *arg)
{
	((struct world *)arg)->count++;
}

void world_stop(void *arg)
{
	tf_loop_stop(((struct world *)arg)->loop);
}

void world_run_at_most(struct world *w, uint64_t ms)
{
	struct tf_timer *limit = tf_timer_new(w->loop, world_stop, w);
	tf_timer_start(limit, ms, 0);
	tf_loop_run(w->loop);
	tf_timer_delete(limit);
}

void world_note_events(void *arg, int events)
{
	struct world *w = arg;
	w->events |= events;
	w->count++;
	tf_io_watch(w->io, 0);
}
