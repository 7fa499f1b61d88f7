#include "loop/loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop_world.h"
#include "test/cmocka_all.h"

static void run_ends_when_nothing_is_left(void **state)
{
	struct world *w = *state;
	w->timer = tf_timer_new(w->loop, world_count, w); /* not started: nothing to wait for */
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
	uint64_t begin = world_now(w);
	for (int i = 0; i < 4; i++) {
		timers[i] = tf_timer_new(w->loop, mark, &marks[i]);
		tf_timer_start(timers[i], at[i], 0);
		assert_true(tf_timer_active(timers[i]));
	}
	tf_loop_run(w->loop);
	assert_string_equal(w->seen.data, "abBc");
	assert_true(world_now(w) - begin >= 29);
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
	w->timer = tf_timer_new(w->loop, world_count, w);
	tf_timer_start(w->timer, 60000, 0);
	tf_timer_start(w->timer, 1, 0);
	uint64_t begin = world_now(w);
	tf_loop_run(w->loop);
	assert_int_equal(w->count, 1);
	assert_true(world_now(w) - begin < 10000);
}

/* The loop's own time is that of the last turn: counting from there, this timer would fire at once. */
static void timers_count_from_their_start(void **state)
{
	struct world *w = *state;
	tf_loop_turn(w->loop, false);
	usleep(40000);
	w->timer = tf_timer_new(w->loop, world_count, w);
	uint64_t begin = world_now(w);
	tf_timer_start(w->timer, 30, 0);
	tf_loop_run(w->loop);
	assert_true(world_now(w) - begin >= 29);
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
	w->other = tf_timer_new(w->loop, world_count, w);
	tf_timer_start(w->timer, 1, 1);
	tf_timer_start(w->other, 1, 1);
	usleep(5000); /* both are due in one turn */
	tf_loop_run(w->loop);
	assert_int_equal(w->count, 1);
}

static void stop_from_a_callback_leaves_handles_alive(void **state)
{
	struct world *w = *state;
	w->timer = tf_timer_new(w->loop, world_stop, w);
	w->other = tf_timer_new(w->loop, world_count, w);
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
	w->timer = tf_timer_new(w->loop, world_count, w);
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
	w->timer = tf_timer_new(w->loop, world_count, w);
	tf_timer_start(w->timer, 20, 0);
	assert_true(tf_loop_turn(w->loop, false));
	assert_int_equal(w->count, 0);
	while (tf_loop_turn(w->loop, true)) {
	}
	assert_int_equal(w->count, 1);
}

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
	world_run_at_most(w, 5000);
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
	struct tf_post *p = tf_post_new(w->loop, world_count, w);
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
	world_run_at_most(w, 20000);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(box.received, 2 * SENT);
}

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
	w->post = tf_post_new(w->loop, world_count, w);
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
	tf_timer_delete(tf_timer_new(loop, world_count, NULL));
	tf_loop_stop(loop);
	tf_loop_delete(loop);
}

static void ignore_signal(void *arg, int signo)
{
	(void)arg;
	(void)signo;
}

static void leave_alive(struct tf_loop *loop, int kind)
{
	switch (kind) {
	case 0:
		tf_timer_new(loop, world_count, NULL);
		break;
	case 1:
		tf_io_new(loop, STDERR_FILENO, world_note_events, NULL);
		break;
	case 2:
		tf_signal_new(loop, SIGUSR1, ignore_signal, NULL);
		break;
	case 3:
		tf_post_new(loop, world_count, NULL);
		break;
	default:
		tf_later_new(loop, world_count, NULL);
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
