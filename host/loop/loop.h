/* The event loop of a process: a small face of libuv. Single-threaded but for tf_post_wake.
 *
 * Handles are created stopped, and freed by their _delete, after which no callback of theirs
 * runs (the memory goes in the loop's close phase). Callbacks may create, stop and delete any
 * handle, their own included. */
#ifndef TF_LOOP_LOOP_H
#define TF_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"

struct tf_loop;
struct tf_timer;
struct tf_io;
struct tf_signal;
struct tf_post;
struct tf_later;

struct tf_loop *tf_loop_new(void);
/* Runs pending closes. A handle still alive is our bug: aborts naming its kind. */
void tf_loop_delete(struct tf_loop *loop);
/* Runs until tf_loop_stop, or until no active handle is left. */
void tf_loop_run(struct tf_loop *loop);
/* One turn; waits for an event if `block` and nothing is due. Returns false when nothing is left to wait for. */
bool tf_loop_turn(struct tf_loop *loop, bool block);
/* From a callback, or before tf_loop_run, which then returns at once. */
void tf_loop_stop(struct tf_loop *loop);
/* In a child made by fork, which will not use this loop again: forget its signal handles, so that a loop
 * which the child makes for itself gets its signals. Signals must still be blocked. */
void tf_loop_forked(struct tf_loop *loop);
const struct tf_clock *tf_loop_clock(struct tf_loop *loop); /* real clock, borrowed */

struct tf_timer *tf_timer_new(struct tf_loop *loop, void (*cb)(void *arg), void *arg);
/* First call after `ms`, then every `repeat_ms` (0: once). Restarts a running timer. */
void tf_timer_start(struct tf_timer *t, uint64_t ms, uint64_t repeat_ms);
void tf_timer_stop(struct tf_timer *t);
bool tf_timer_active(const struct tf_timer *t);
void tf_timer_delete(struct tf_timer *t); /* NULL allowed, as for all _delete here */

enum { TF_IO_READ = 1, TF_IO_WRITE = 2 };
/* Readiness of a descriptor (level-triggered). The descriptor stays the caller's: close it
 * right after tf_io_delete. It becomes non-blocking. On an error condition the callback gets every
 * watched flag. NULL with errno if it cannot be polled (EPERM: a regular file). */
struct tf_io *tf_io_new(struct tf_loop *loop, int fd, void (*cb)(void *arg, int events), void *arg);
void tf_io_watch(struct tf_io *io, int events); /* 0 stops */
void tf_io_delete(struct tf_io *io);

/* Signal delivery as a loop event. Several handles may watch one signal. After fork, the handler in
 * the child still writes to the parent's loop: fork with signals blocked, and let the child set the
 * dispositions back before it unblocks them. */
struct tf_signal *tf_signal_new(struct tf_loop *loop, int signo, void (*cb)(void *arg, int signo), void *arg);
void tf_signal_delete(struct tf_signal *s);

/* Wake the loop from any thread: `cb` runs on the loop once after one or more wakes.
 * Also the way to defer work to the next turn from the loop's own thread.
 * A live post keeps tf_loop_run going: stop the loop to end it. */
struct tf_post *tf_post_new(struct tf_loop *loop, void (*cb)(void *arg), void *arg);
void tf_post_wake(struct tf_post *p);
void tf_post_delete(struct tf_post *p); /* loop's thread; no other thread may still wake it */

/* What is asked for any number of times in a turn is done once: `cb` runs before the loop waits for events the next time.
 * Does not keep tf_loop_run going. */
struct tf_later *tf_later_new(struct tf_loop *loop, void (*cb)(void *arg), void *arg);
void tf_later_ask(struct tf_later *l);
void tf_later_delete(struct tf_later *l);

#endif
