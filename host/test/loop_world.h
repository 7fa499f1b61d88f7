/* What the tests of the loop start from. */
#ifndef TF_TEST_LOOP_WORLD_H
#define TF_TEST_LOOP_WORLD_H

#include <stdint.h>

#include "base/buf.h"
#include "loop/loop.h"

/* One of everything a callback may want to touch. */
struct world {
	struct tf_loop *loop;
	struct tf_timer *timer, *other;
	struct tf_io *io, *peer;
	struct tf_signal *signal;
	struct tf_post *post;
	struct tf_later *later;
	struct tf_buf seen;
	int count, fds[2], events;
};

/* Of each test; the end deletes all there is. */
int world_set_up(void **state);
int world_tear_down(void **state);
#define IN_LOOP(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)

uint64_t world_now(struct world *w);
/* A test that waits for what never comes must fail, not hang. */
void world_run_at_most(struct world *w, uint64_t ms);

/* Callbacks; arg is the world. */
void world_count(void *arg);
void world_stop(void *arg);
/* Counts, keeps the events and watches for no more. */
void world_note_events(void *arg, int events);

#endif
