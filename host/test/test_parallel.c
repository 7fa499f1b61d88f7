/* The parallel executor: the engine's interface over a pool of forks. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/cmocka_all.h"

#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "pool/executor.h"
#include "protocol/failure.h"

static bool fail_load;

static int run_load(void *arg, char ***names, struct tf_err *err)
{
	(void)arg;
	*names = NULL;
	return fail_load ? tf_err_set(err, TF_ELUA, "flow.lua:1: boom") : 0;
}

static struct tf_value *run_task(
	void *arg, const struct tf_request *r, const struct tf_runner_sink *sink, bool *failed)
{
	(void)arg;
	*failed = false;
	sink->started(sink->arg);
	sink->event(sink->arg, "update_progress", r->arguments);
	if (!strcmp(r->task_name, "slow"))
		nanosleep(&(struct timespec){0, 200000000}, NULL);
	if (!strcmp(r->task_name, "die"))
		kill(getpid(), SIGKILL);
	if (r->action == TF_REVERT) {
		struct tf_buf b = TF_BUF_INIT;
		tf_buf_printf(&b, "[%s, %s, %s]", tf_value_text(r->result),
			r->result_failed ? "true" : "false", tf_value_text(r->failures));
		return tf_value_take(&b);
	}
	return tf_value_ref(r->arguments);
}

static const struct tf_runner runner = {.load = run_load, .run = run_task};

enum { MAX_ATOMS = 300 };

struct fixture {
	struct tf_loop *loop;
	struct tf_timer *timer;
	struct tf_executor *x;
	unsigned done[MAX_ATOMS], events[MAX_ATOMS], total;
	unsigned order[MAX_ATOMS];
	bool failed[MAX_ATOMS];
	char *text[MAX_ATOMS];
	int64_t round[MAX_ATOMS];
	bool timed_out;
	int resubmit; /* atom that the next completion submits, or -1 */
};

static void submit(struct fixture *f, unsigned atom, const char *name);

static void on_done(void *arg, const struct tf_completion *c)
{
	struct fixture *f = arg;
	f->order[f->total++] = c->atom;
	f->done[c->atom]++;
	f->failed[c->atom] = c->failed;
	f->round[c->atom] = c->round;
	free(f->text[c->atom]);
	f->text[c->atom] = tf_strdup(tf_value_text(c->result));
	if (f->resubmit >= 0) {
		unsigned atom = (unsigned)f->resubmit;
		f->resubmit = -1;
		submit(f, atom, "again");
	}
}

static void on_event(void *arg, unsigned atom, int64_t round, const char *type, struct tf_value *details)
{
	struct fixture *f = arg;
	assert_int_equal(round, atom + 100);
	assert_string_equal(type, "update_progress");
	assert_int_equal(tf_json_type(tf_value_json(details)), TF_JSON_OBJECT);
	assert_int_equal(f->done[atom], 0);
	f->events[atom]++;
}

static void on_timeout(void *arg)
{
	struct fixture *f = arg;
	f->timed_out = true;
}

static int setup(void **state)
{
	struct fixture *f = TF_NEW(struct fixture);
	struct tf_err err;
	f->loop = tf_loop_new();
	f->timer = tf_timer_new(f->loop, on_timeout, f);
	f->resubmit = -1;
	fail_load = false;
	assert_int_equal(tf_executor_parallel_new(f->loop, &runner, 3, &f->x, &err), 0);
	f->x->events = (struct tf_executor_events){.done = on_done, .event = on_event};
	f->x->arg = f;
	assert_string_equal(f->x->ops->name, "parallel");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	f->x->ops->destroy(f->x);
	tf_timer_delete(f->timer);
	tf_loop_delete(f->loop);
	for (size_t i = 0; i < MAX_ATOMS; i++)
		free(f->text[i]);
	free(f);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
	assert_int_equal(errno, ECHILD);
	return 0;
}

static void start(struct fixture *f)
{
	struct tf_err err;
	if (f->x->ops->start(f->x, &err) < 0)
		fail_msg("%s", err.message);
}

static int try_submit(struct fixture *f, unsigned atom, const char *name, enum tf_action action)
{
	struct tf_err err;
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_printf(&b, "{\"atom\": %u}", atom);
	struct tf_value *arguments = tf_value_take(&b);
	struct tf_value *result = action == TF_REVERT ? tf_value_parse("5", 1, 0, NULL) : NULL;
	struct tf_value *failures = action == TF_REVERT ? tf_value_empty_object() : NULL;
	const struct tf_work w = {.atom = atom,
		.round = atom + 100,
		.uuid = "u",
		.name = name,
		.task_cls = "t.T",
		.action = action,
		.arguments = arguments,
		.result = result,
		.failures = failures};
	unsigned before = f->total;
	int rc = f->x->ops->submit(f->x, &w, &err);
	assert_int_equal(f->total, before); /* never inside submit */
	tf_value_unref(arguments);
	tf_value_unref(result);
	tf_value_unref(failures);
	return rc;
}

static void submit(struct fixture *f, unsigned atom, const char *name)
{
	assert_int_equal(try_submit(f, atom, name, TF_EXECUTE), 0);
}

static void wait_total(struct fixture *f, unsigned total)
{
	f->timed_out = false;
	tf_timer_start(f->timer, 10000, 0);
	while (f->total < total && !f->timed_out)
		tf_loop_turn(f->loop, true);
	tf_timer_stop(f->timer);
	assert_false(f->timed_out);
}

static void many(void **state)
{
	struct fixture *f = *state;
	start(f);
	for (unsigned i = 0; i < MAX_ATOMS; i++)
		submit(f, i, "a");
	wait_total(f, MAX_ATOMS);
	for (unsigned i = 0; i < MAX_ATOMS; i++) {
		char expected[40];
		snprintf(expected, sizeof(expected), "{\"atom\": %u}", i);
		assert_int_equal(f->done[i], 1);
		assert_int_equal(f->events[i], 1);
		assert_int_equal(f->round[i], i + 100);
		assert_false(f->failed[i]);
		assert_string_equal(f->text[i], expected);
	}
}

/* With one slot the order of submission is the order of completion. */
static void first_in_first_out(void **state)
{
	struct fixture *f = *state;
	struct tf_err err;
	f->x->ops->destroy(f->x);
	assert_int_equal(tf_executor_parallel_new(f->loop, &runner, 1, &f->x, &err), 0);
	f->x->events = (struct tf_executor_events){.done = on_done, .event = on_event};
	f->x->arg = f;
	start(f);
	for (unsigned i = 0; i < 50; i++)
		submit(f, i, "a");
	wait_total(f, 50);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(f->order[i], i);
}

static void reverts(void **state)
{
	struct fixture *f = *state;
	start(f);
	assert_int_equal(try_submit(f, 1, "a", TF_REVERT), 0);
	wait_total(f, 1);
	assert_string_equal(f->text[1], "[5, false, {}]");
}

static void runs_side_by_side(void **state)
{
	struct fixture *f = *state;
	start(f);
	submit(f, 0, "warm"); /* slots exist after this */
	wait_total(f, 1);
	uint64_t began = tf_clock_ms(tf_loop_clock(f->loop));
	for (unsigned i = 1; i <= 3; i++)
		submit(f, i, "slow");
	wait_total(f, 4);
	assert_true(tf_clock_ms(tf_loop_clock(f->loop)) - began < 550); /* one after the other: 600 */
}

static void dead_slot(void **state)
{
	struct fixture *f = *state;
	tf_log_set_level(TF_LOG_ERROR);
	start(f);
	submit(f, 1, "die");
	submit(f, 2, "a");
	wait_total(f, 2);
	assert_true(f->failed[1]);
	assert_non_null(strstr(f->text[1], "tfhost.WorkerLost"));
	assert_false(f->failed[2]);
	tf_log_set_level(TF_LOG_INFO);
}

static void submits_from_done(void **state)
{
	struct fixture *f = *state;
	start(f);
	f->resubmit = 2;
	submit(f, 1, "a");
	wait_total(f, 2);
	assert_int_equal(f->done[2], 1);
}

static void stop_and_start_again(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(try_submit(f, 9, "a", TF_EXECUTE), TF_ESTATE);
	start(f);
	for (unsigned i = 0; i < 8; i++)
		submit(f, i, "slow");
	f->x->ops->stop(f->x);
	assert_int_equal(f->total, 8);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(f->done[i], 1);
		assert_true(f->failed[i]);
	}
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	start(f);
	submit(f, 10, "a");
	wait_total(f, 9);
	assert_false(f->failed[10]);
	f->x->ops->stop(f->x);
	f->x->ops->stop(f->x);
}

static void load_error(void **state)
{
	struct fixture *f = *state;
	tf_log_set_level(TF_LOG_OFF);
	fail_load = true;
	start(f);
	submit(f, 1, "a");
	submit(f, 2, "a");
	wait_total(f, 2);
	assert_true(f->failed[1] && f->failed[2]);
	assert_non_null(strstr(f->text[1], "flow.lua:1: boom"));
	assert_int_equal(try_submit(f, 3, "a", TF_EXECUTE), TF_ESTATE);
	tf_log_set_level(TF_LOG_INFO);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {T(many), T(first_in_first_out), T(reverts), T(runs_side_by_side),
		T(dead_slot), T(submits_from_done), T(stop_and_start_again), T(load_error)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
