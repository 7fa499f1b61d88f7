/* Descriptors and signals. */
#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop_world.h"
#include "test/cmocka_all.h"

static void pair(struct world *w)
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, w->fds), 0);
}

static void read_some(void *arg, int events)
{
	struct world *w = arg;
	w->events |= events;
	char bytes[4]; /* small: level-triggered readiness must come again for the rest */
	ssize_t n = read(w->fds[0], bytes, sizeof bytes);
	w->count++;
	if (n > 0) {
		tf_buf_append(&w->seen, bytes, (size_t)n);
	} else {
		tf_io_delete(w->io);
		w->io = NULL;
	}
}

static void reading_comes_again_until_all_is_read(void **state)
{
	struct world *w = *state;
	pair(w);
	w->io = tf_io_new(w->loop, w->fds[0], read_some, w);
	tf_io_watch(w->io, TF_IO_READ);
	assert_int_equal(write(w->fds[1], "hello world", 11), 11);
	close(w->fds[1]);
	w->fds[1] = -1;
	world_run_at_most(w, 5000);
	assert_null(w->io);
	assert_string_equal(w->seen.data, "hello world");
	assert_int_equal(w->count, 4); /* 4 + 4 + 3 bytes, end */
	assert_int_equal(w->events, TF_IO_READ);
}

static void only_watched_events_are_told(void **state)
{
	struct world *w = *state;
	pair(w);
	assert_int_equal(write(w->fds[1], "x", 1), 1);
	w->io = tf_io_new(w->loop, w->fds[0], world_note_events, w);
	tf_loop_run(w->loop); /* not watching: nothing to wait for */
	assert_int_equal(w->count, 0);
	tf_io_watch(w->io, TF_IO_WRITE);
	tf_loop_run(w->loop);
	assert_int_equal(w->events, TF_IO_WRITE);
	w->events = 0;
	tf_io_watch(w->io, TF_IO_READ | TF_IO_WRITE);
	tf_loop_run(w->loop);
	assert_int_equal(w->events, TF_IO_READ | TF_IO_WRITE);
	assert_int_equal(w->count, 2);
}

/* The write end of a pipe without a reader: the kernel reports an error and nothing else. */
static void an_error_gives_every_watched_flag_again_and_again(void **state)
{
	struct world *w = *state;
	assert_int_equal(pipe(w->fds), 0);
	close(w->fds[0]);
	w->fds[0] = -1;
	w->io = tf_io_new(w->loop, w->fds[1], world_note_events, w);
	for (int i = 1; i <= 3; i++) {
		w->events = 0;
		tf_io_watch(w->io, TF_IO_WRITE);
		tf_loop_run(w->loop);
		assert_int_equal(w->events, TF_IO_WRITE);
		assert_int_equal(w->count, i);
	}
}

static void count_three_errors(void *arg, int events)
{
	struct world *w = arg;
	w->events |= events;
	if (++w->count == 3) {
		tf_io_delete(w->io);
		w->io = NULL;
	}
}

static void an_error_that_is_not_handled_stays(void **state)
{
	struct world *w = *state;
	assert_int_equal(pipe(w->fds), 0);
	close(w->fds[0]);
	w->fds[0] = -1;
	w->io = tf_io_new(w->loop, w->fds[1], count_three_errors, w);
	tf_io_watch(w->io, TF_IO_WRITE);
	world_run_at_most(w, 5000);
	assert_int_equal(w->count, 3);
}

static void hang_up_is_told(void **state)
{
	struct world *w = *state;
	pair(w);
	w->io = tf_io_new(w->loop, w->fds[0], world_note_events, w);
	tf_io_watch(w->io, TF_IO_READ | TF_IO_WRITE);
	close(w->fds[1]);
	w->fds[1] = -1;
	tf_loop_run(w->loop);
	assert_int_equal(w->events, TF_IO_READ | TF_IO_WRITE);
}

/* Close right after delete, and let the number come back as another descriptor: the old handle must
 * neither hear of it nor take it out of the kernel's set. */
static void a_descriptor_may_be_closed_and_reused_at_once(void **state)
{
	struct world *w = *state;
	pair(w);
	for (int i = 0; i < 10; i++) {
		w->io = tf_io_new(w->loop, w->fds[0], world_note_events, w);
		tf_io_watch(w->io, TF_IO_READ);
		assert_int_equal(write(w->fds[1], "x", 1), 1);
		tf_io_delete(w->io);
		int old = w->fds[0];
		close(w->fds[0]);
		close(w->fds[1]);
		pair(w);
		assert_int_equal(w->fds[0], old);
	}
	w->io = tf_io_new(w->loop, w->fds[0], world_note_events, w);
	tf_io_watch(w->io, TF_IO_READ);
	tf_loop_turn(w->loop, false); /* closes of the old handles */
	assert_int_equal(w->count, 0);
	assert_int_equal(write(w->fds[1], "x", 1), 1);
	tf_loop_turn(w->loop, true);
	assert_int_equal(w->count, 1);
}

static void drop_both(void *arg, int events)
{
	struct world *w = arg;
	(void)events;
	w->count++;
	tf_io_delete(w->io);
	tf_io_delete(w->peer);
	w->io = w->peer = NULL;
	close(w->fds[0]);
	close(w->fds[1]);
	pair(w);
}

static void io_may_delete_itself_and_one_that_is_ready(void **state)
{
	struct world *w = *state;
	pair(w);
	w->io = tf_io_new(w->loop, w->fds[0], drop_both, w);
	w->peer = tf_io_new(w->loop, w->fds[1], drop_both, w);
	tf_io_watch(w->io, TF_IO_WRITE);
	tf_io_watch(w->peer, TF_IO_WRITE);
	tf_loop_run(w->loop);
	assert_int_equal(w->count, 1);
}

static void regular_files_cannot_be_watched(void **state)
{
	struct world *w = *state;
	w->fds[0] = open("/proc/self/exe", O_RDONLY);
	assert_true(w->fds[0] >= 0);
	assert_null(tf_io_new(w->loop, w->fds[0], world_note_events, w));
	assert_int_equal(errno, EPERM);
}

static void on_signal(void *arg, int signo)
{
	struct world *w = arg;
	w->count++;
	w->events = signo;
	tf_loop_stop(w->loop);
}

static void delete_signal(void *arg, int signo)
{
	struct world *w = arg;
	on_signal(arg, signo);
	tf_signal_delete(w->signal);
	w->signal = NULL;
}

static void signals_arrive_as_events(void **state)
{
	struct world *w = *state;
	w->signal = tf_signal_new(w->loop, SIGUSR1, on_signal, w);
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(kill(getpid(), SIGUSR1), 0);
		assert_int_equal(w->count, i - 1); /* not in the handler: on the loop */
		world_run_at_most(w, 5000);
		assert_int_equal(w->count, i);
		assert_int_equal(w->events, SIGUSR1);
	}
}

static void several_handles_share_a_signal(void **state)
{
	struct world *w = *state;
	struct world second = {.loop = w->loop};
	w->signal = tf_signal_new(w->loop, SIGUSR2, delete_signal, w);
	struct tf_signal *other = tf_signal_new(w->loop, SIGUSR2, on_signal, &second);
	kill(getpid(), SIGUSR2);
	world_run_at_most(w, 5000);
	assert_int_equal(w->count, 1);
	assert_int_equal(second.count, 1);
	kill(getpid(), SIGUSR2); /* the first deleted itself; the second still has the signal */
	world_run_at_most(w, 5000);
	assert_int_equal(w->count, 1);
	assert_int_equal(second.count, 2);
	tf_signal_delete(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_LOOP(reading_comes_again_until_all_is_read),
		IN_LOOP(only_watched_events_are_told),
		IN_LOOP(an_error_gives_every_watched_flag_again_and_again),
		IN_LOOP(an_error_that_is_not_handled_stays),
		IN_LOOP(hang_up_is_told),
		IN_LOOP(a_descriptor_may_be_closed_and_reused_at_once),
		IN_LOOP(io_may_delete_itself_and_one_that_is_ready),
		IN_LOOP(regular_files_cannot_be_watched),
		IN_LOOP(signals_arrive_as_events),
		IN_LOOP(several_handles_share_a_signal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
