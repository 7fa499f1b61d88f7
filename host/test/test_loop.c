#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "test/cmocka_all.h"

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

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	w->loop = tf_loop_new();
	w->fds[0] = w->fds[1] = -1;
	*state = w;
	return 0;
}

static int tear_down(void **state)
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

static uint64_t now(struct world *w)
{
	return tf_clock_ms(tf_loop_clock(w->loop));
}

static void count(void *arg)
{
	((struct world *)arg)->count++;
}

static void stop(void *arg)
{
	tf_loop_stop(((struct world *)arg)->loop);
}

/* A test that waits for what never comes must fail, not hang. */
static void run_at_most(struct world *w, uint64_t ms)
{
	struct tf_timer *limit = tf_timer_new(w->loop, stop, w);
	tf_timer_start(limit, ms, 0);
	tf_loop_run(w->loop);
	tf_timer_delete(limit);
}

static void run_ends_when_nothing_is_left(void **state)
{
	struct world *w = *state;
	w->timer = tf_timer_new(w->loop, count, w); /* not started: nothing to wait for */
	tf_loop_run(w->loop);
	assert_false(tf_loop_turn(w->loop, true));
	assert_int_equal(w->count, 0);
}

struct mark {
	struct world *w;
	const char *name;
};

static void mark(void *arg)
{
	struct mark *m = arg;
	tf_buf_puts(&m->w->seen, m->name);
}

static void timers_fire_in_order_of_time(void **state)
{
	struct world *w = *state;
	struct mark marks[] = {{w, "c"}, {w, "a"}, {w, "b"}, {w, "B"}};
	const uint64_t at[] = {30, 1, 15, 15};
	struct tf_timer *timers[4];
	uint64_t begin = now(w);
	for (int i = 0; i < 4; i++) {
		timers[i] = tf_timer_new(w->loop, mark, &marks[i]);
		tf_timer_start(timers[i], at[i], 0);
		assert_true(tf_timer_active(timers[i]));
	}
	tf_loop_run(w->loop);
	assert_string_equal(w->seen.data, "abBc");
	assert_true(now(w) - begin >= 29);
	for (int i = 0; i < 4; i++) {
		assert_false(tf_timer_active(timers[i]));
		tf_timer_delete(timers[i]);
	}
}

static void stop_at_five(void *arg)
{
	struct world *w = arg;
	if (++w->count == 5)
		tf_timer_stop(w->timer);
}

static void timers_repeat_until_stopped(void **state)
{
	struct world *w = *state;
	w->timer = tf_timer_new(w->loop, stop_at_five, w);
	tf_timer_start(w->timer, 0, 2);
	tf_loop_run(w->loop);
	assert_int_equal(w->count, 5);
	tf_timer_start(w->timer, 1, 0); /* and may be started again, now once */
	tf_loop_run(w->loop);
	assert_int_equal(w->count, 6);
}

static void starting_again_replaces_the_time(void **state)
{
	struct world *w = *state;
	w->timer = tf_timer_new(w->loop, count, w);
	tf_timer_start(w->timer, 60000, 0);
	tf_timer_start(w->timer, 1, 0);
	uint64_t begin = now(w);
	tf_loop_run(w->loop);
	assert_int_equal(w->count, 1);
	assert_true(now(w) - begin < 10000);
}

/* The loop's own time is that of the last turn: counting from there, this timer would fire at once. */
static void timers_count_from_their_start(void **state)
{
	struct world *w = *state;
	tf_loop_turn(w->loop, false);
	usleep(40000);
	w->timer = tf_timer_new(w->loop, count, w);
	uint64_t begin = now(w);
	tf_timer_start(w->timer, 30, 0);
	tf_loop_run(w->loop);
	assert_true(now(w) - begin >= 29);
}

static void delete_self_and_other(void *arg)
{
	struct world *w = arg;
	w->count++;
	tf_timer_delete(w->timer);
	tf_timer_delete(w->other);
	w->timer = w->other = NULL;
}

static void a_timer_may_delete_itself_and_one_that_is_due(void **state)
{
	struct world *w = *state;
	w->timer = tf_timer_new(w->loop, delete_self_and_other, w);
	w->other = tf_timer_new(w->loop, count, w);
	tf_timer_start(w->timer, 1, 1);
	tf_timer_start(w->other, 1, 1);
	usleep(5000); /* both are due in one turn */
	tf_loop_run(w->loop);
	assert_int_equal(w->count, 1);
}

static void stop_from_a_callback_leaves_handles_alive(void **state)
{
	struct world *w = *state;
	w->timer = tf_timer_new(w->loop, stop, w);
	w->other = tf_timer_new(w->loop, count, w);
	tf_timer_start(w->timer, 1, 0);
	tf_timer_start(w->other, 20, 0);
	tf_loop_run(w->loop);
	assert_int_equal(w->count, 0);
	tf_loop_run(w->loop);
	assert_int_equal(w->count, 1);
}

static void a_stop_before_the_run_counts_once(void **state)
{
	struct world *w = *state;
	w->timer = tf_timer_new(w->loop, count, w);
	tf_timer_start(w->timer, 0, 0);
	tf_loop_stop(w->loop);
	tf_loop_run(w->loop);
	assert_int_equal(w->count, 0);
	tf_loop_run(w->loop);
	assert_int_equal(w->count, 1);
}

static void restart_late(void *arg)
{
	tf_timer_start(*(struct tf_timer **)arg, 60000, 0);
}

/* A benchmark stood still now and then: what a timer brought to light at the begin of a turn waited until its end. */
static void a_turn_does_not_wait_after_a_timer(void **state)
{
	struct world *w = *state;
	struct tf_timer *t;
	t = tf_timer_new(w->loop, restart_late, &t);
	tf_timer_start(t, 0, 0);
	uint64_t start = tf_clock_ms(&tf_clock_real);
	assert_true(tf_loop_turn(w->loop, true));
	assert_true(tf_clock_ms(&tf_clock_real) - start < 10000);
	tf_timer_delete(t);
}

static void a_turn_does_not_block_unless_asked(void **state)
{
	struct world *w = *state;
	w->timer = tf_timer_new(w->loop, count, w);
	tf_timer_start(w->timer, 20, 0);
	assert_true(tf_loop_turn(w->loop, false));
	assert_int_equal(w->count, 0);
	while (tf_loop_turn(w->loop, true)) {
	}
	assert_int_equal(w->count, 1);
}

/* ---- io ---- */

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
	run_at_most(w, 5000);
	assert_null(w->io);
	assert_string_equal(w->seen.data, "hello world");
	assert_int_equal(w->count, 4); /* 4 + 4 + 3 bytes, end */
	assert_int_equal(w->events, TF_IO_READ);
}

static void note_events(void *arg, int events)
{
	struct world *w = arg;
	w->events |= events;
	w->count++;
	tf_io_watch(w->io, 0);
}

static void only_watched_events_are_told(void **state)
{
	struct world *w = *state;
	pair(w);
	assert_int_equal(write(w->fds[1], "x", 1), 1);
	w->io = tf_io_new(w->loop, w->fds[0], note_events, w);
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
	w->io = tf_io_new(w->loop, w->fds[1], note_events, w);
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
	run_at_most(w, 5000);
	assert_int_equal(w->count, 3);
}

static void hang_up_is_told(void **state)
{
	struct world *w = *state;
	pair(w);
	w->io = tf_io_new(w->loop, w->fds[0], note_events, w);
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
		w->io = tf_io_new(w->loop, w->fds[0], note_events, w);
		tf_io_watch(w->io, TF_IO_READ);
		assert_int_equal(write(w->fds[1], "x", 1), 1);
		tf_io_delete(w->io);
		int old = w->fds[0];
		close(w->fds[0]);
		close(w->fds[1]);
		pair(w);
		assert_int_equal(w->fds[0], old);
	}
	w->io = tf_io_new(w->loop, w->fds[0], note_events, w);
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
	assert_null(tf_io_new(w->loop, w->fds[0], note_events, w));
	assert_int_equal(errno, EPERM);
}

/* ---- signals ---- */

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
		run_at_most(w, 5000);
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
	run_at_most(w, 5000);
	assert_int_equal(w->count, 1);
	assert_int_equal(second.count, 1);
	kill(getpid(), SIGUSR2); /* the first deleted itself; the second still has the signal */
	run_at_most(w, 5000);
	assert_int_equal(w->count, 1);
	assert_int_equal(second.count, 2);
	tf_signal_delete(other);
}

/* ---- posts ---- */

static void count_and_stop(void *arg)
{
	struct world *w = arg;
	w->count++;
	tf_loop_stop(w->loop);
}

static void wakes_before_a_turn_are_one_call(void **state)
{
	struct world *w = *state;
	w->post = tf_post_new(w->loop, count_and_stop, w);
	tf_post_wake(w->post);
	tf_post_wake(w->post);
	assert_int_equal(w->count, 0);
	run_at_most(w, 5000);
	assert_int_equal(w->count, 1);
	tf_loop_turn(w->loop, false);
	assert_int_equal(w->count, 1);
}

static void wake_again_until_four(void *arg)
{
	struct world *w = arg;
	if (++w->count < 4) {
		tf_post_wake(w->post);
	} else {
		tf_post_delete(w->post);
		w->post = NULL;
	}
}

static void a_post_may_wake_and_delete_itself(void **state)
{
	struct world *w = *state;
	w->post = tf_post_new(w->loop, wake_again_until_four, w);
	tf_post_wake(w->post);
	tf_loop_run(w->loop); /* ends because the post is gone */
	assert_int_equal(w->count, 4);
}

static void a_deleted_post_stays_silent(void **state)
{
	struct world *w = *state;
	struct tf_post *p = tf_post_new(w->loop, count, w);
	tf_post_wake(p);
	tf_post_delete(p);
	tf_loop_run(w->loop);
	assert_int_equal(w->count, 0);
}

enum { SENT = 1000 };

struct mailbox {
	struct world *w;
	pthread_mutex_t lock;
	int sent, received;
};

static void *send_from_thread(void *arg)
{
	struct mailbox *box = arg;
	for (int i = 0; i < SENT; i++) {
		pthread_mutex_lock(&box->lock);
		box->sent++;
		pthread_mutex_unlock(&box->lock);
		tf_post_wake(box->w->post);
	}
	return NULL;
}

static void receive(void *arg)
{
	struct mailbox *box = arg;
	pthread_mutex_lock(&box->lock);
	box->received = box->sent;
	pthread_mutex_unlock(&box->lock);
	if (box->received == 2 * SENT)
		tf_loop_stop(box->w->loop);
}

static void no_wake_of_another_thread_is_lost(void **state)
{
	struct world *w = *state;
	struct mailbox box = {.w = w, .lock = PTHREAD_MUTEX_INITIALIZER};
	pthread_t threads[2];
	w->post = tf_post_new(w->loop, receive, &box);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, send_from_thread, &box), 0);
	run_at_most(w, 20000);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(box.received, 2 * SENT);
}

/* ---- the loop itself ---- */

static void ask_again_once(void *arg)
{
	struct world *w = arg;
	if (++w->count == 1)
		tf_later_ask(w->later);
}

static void what_is_asked_for_is_done_before_the_next_wait(void **state)
{
	struct world *w = *state;
	w->later = tf_later_new(w->loop, ask_again_once, w);
	tf_loop_turn(w->loop, false);
	assert_int_equal(w->count, 0);
	tf_later_ask(w->later);
	tf_later_ask(w->later);
	tf_loop_run(w->loop); /* which it does not keep going */
	assert_int_equal(w->count, 0);
	w->post = tf_post_new(w->loop, count, w);
	tf_loop_turn(w->loop, false);
	assert_int_equal(w->count, 1);
	tf_loop_turn(w->loop, false);
	assert_int_equal(w->count, 2);
	tf_loop_turn(w->loop, false);
	assert_int_equal(w->count, 2);
}

static void deleting_null_is_allowed(void **state)
{
	(void)state;
	tf_timer_delete(NULL);
	tf_io_delete(NULL);
	tf_signal_delete(NULL);
	tf_post_delete(NULL);
	tf_later_delete(NULL);
	tf_loop_delete(NULL);
}

static void a_pending_stop_does_not_disturb_delete(void **state)
{
	(void)state;
	struct tf_loop *loop = tf_loop_new();
	tf_timer_delete(tf_timer_new(loop, count, NULL));
	tf_loop_stop(loop);
	tf_loop_delete(loop);
}

static void leave_alive(struct tf_loop *loop, int kind)
{
	switch (kind) {
	case 0:
		tf_timer_new(loop, count, NULL);
		break;
	case 1:
		tf_io_new(loop, STDERR_FILENO, note_events, NULL);
		break;
	case 2:
		tf_signal_new(loop, SIGUSR1, on_signal, NULL);
		break;
	case 3:
		tf_post_new(loop, count, NULL);
		break;
	default:
		tf_later_new(loop, count, NULL);
		break;
	}
}

static void a_handle_left_alive_is_named(void **state)
{
	(void)state;
	static const char *const names[] = {"tf_timer", "tf_io", "tf_signal", "tf_post", "tf_later"};
	for (int kind = 0; kind < 5; kind++) {
		int fds[2], status;
		assert_int_equal(pipe(fds), 0);
		pid_t pid = fork();
		if (pid == 0) {
			signal(SIGABRT, SIG_DFL);
			dup2(fds[1], STDERR_FILENO);
			struct tf_loop *loop = tf_loop_new();
			leave_alive(loop, kind);
			tf_loop_delete(loop);
			_exit(0);
		}
		close(fds[1]);
		char text[300] = "";
		assert_true(read(fds[0], text, sizeof text - 1) > 0);
		close(fds[0]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
		assert_non_null(strstr(text, names[kind]));
		assert_non_null(strstr(text, "still alive"));
	}
}

#define IN_LOOP(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_LOOP(run_ends_when_nothing_is_left),
		IN_LOOP(timers_fire_in_order_of_time),
		IN_LOOP(timers_repeat_until_stopped),
		IN_LOOP(starting_again_replaces_the_time),
		IN_LOOP(timers_count_from_their_start),
		IN_LOOP(a_timer_may_delete_itself_and_one_that_is_due),
		IN_LOOP(stop_from_a_callback_leaves_handles_alive),
		IN_LOOP(a_stop_before_the_run_counts_once),
		IN_LOOP(a_turn_does_not_wait_after_a_timer),
		IN_LOOP(a_turn_does_not_block_unless_asked),
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
		IN_LOOP(wakes_before_a_turn_are_one_call),
		IN_LOOP(a_post_may_wake_and_delete_itself),
		IN_LOOP(a_deleted_post_stays_silent),
		IN_LOOP(no_wake_of_another_thread_is_lost),
		IN_LOOP(what_is_asked_for_is_done_before_the_next_wait),
		cmocka_unit_test(deleting_null_is_allowed),
		cmocka_unit_test(a_pending_stop_does_not_disturb_delete),
		cmocka_unit_test(a_handle_left_alive_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
