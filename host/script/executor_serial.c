#include "script/executor_serial.h"

#include <stdlib.h>
#include <sys/queue.h>

#include <lua.h>

#include "base/clock.h"
#include "base/mem.h"
#include "protocol/failure.h"
#include "script/failure_lua.h"
#include "script/task_action.h"

struct serial_outcome {
	STAILQ_ENTRY(serial_outcome) next;
	struct tf_completion completion; /* owns a reference to its result */
};

struct serial {
	struct tf_executor base;
	struct tf_serial_host host;
	STAILQ_HEAD(, serial_outcome) outcomes;
};

/* What a running task's events are about. */
struct serial_sink {
	struct serial *x;
	unsigned atom;
	int64_t round;
};

static int serial_start(struct tf_executor *x, struct tf_err *err)
{
	(void)x;
	(void)err;
	return 0;
}

static void serial_event(void *arg, const char *type, struct tf_value *details)
{
	struct serial_sink *sink = arg;
	struct tf_executor *x = &sink->x->base;
	if (x->events.event)
		x->events.event(x->arg, sink->atom, sink->round, type, details);
}

/* The wire's view of the work; members are borrowed from it. */
static struct tf_request serial_request(const struct tf_work *w)
{
	return (struct tf_request){
		.task_cls = (char *)(uintptr_t)w->task_cls,
		.task_name = (char *)(uintptr_t)w->name,
		.task_version = w->task_version,
		.action = w->action,
		.arguments = w->arguments,
		.has_result = w->result != NULL,
		.result_failed = w->result_failed,
		.result = w->result,
		.failures = w->failures,
	};
}

/* One action, while it is protected as a whole. */
struct serial_run {
	struct serial *x;
	const struct tf_work *work;
	struct tf_value *result;
	bool failed;
};

TF_RAISES static int serial_run_protected(lua_State *L)
{
	struct serial_run *run = lua_touserdata(L, 1);
	struct tf_request request = serial_request(run->work);
	struct serial_sink sink = {.x = run->x, .atom = run->work->atom, .round = run->work->round};
	struct tf_runner_sink runner_sink = {.event = serial_event, .arg = &sink};
	run->x->host.push_task(run->x->host.arg, run->work->atom, run->work->name, L);
	run->result = tf_task_action_perform(L, -1, &request, &runner_sink, &run->failed);
	return 0;
}

static struct tf_value *serial_perform(struct serial *x, const struct tf_work *w, bool *failed)
{
	struct tf_err err;
	struct serial_run run = {.x = x, .work = w};
	lua_State *L = x->host.state(x->host.arg);
	if (tf_call_protected(L, serial_run_protected, &run, &err) < 0) {
		tf_value_unref(run.result);
		run.failed = true;
		run.result = tf_failure_format(tf_types_lua_error, "%s", err.message);
	}
	*failed = run.failed;
	if (*failed && x->host.raised && tf_failure_lua_raised(L)) {
		x->host.raised(x->host.arg, w->name, L);
		lua_pop(L, 1);
	}
	return run.result;
}

static int serial_submit(struct tf_executor *base, const struct tf_work *w, struct tf_err *err)
{
	(void)err;
	struct serial *x = (struct serial *)base;
	struct serial_outcome *o = TF_NEW(struct serial_outcome);
	o->completion = (struct tf_completion){.atom = w->atom, .round = w->round, .action = w->action};
	uint64_t begun_us = base->timed ? tf_clock_us() : 0;
	o->completion.result = serial_perform(x, w, &o->completion.failed);
	if (base->timed)
		o->completion.ran_s = (float)((double)(tf_clock_us() - begun_us) / 1e6);
	STAILQ_INSERT_TAIL(&x->outcomes, o, next);
	return 0;
}

bool tf_executor_serial_step(struct tf_executor *base)
{
	struct serial *x = (struct serial *)base;
	/* A completion may submit more: those wait for the next step. */
	STAILQ_HEAD(, serial_outcome) due = STAILQ_HEAD_INITIALIZER(due);
	STAILQ_CONCAT(&due, &x->outcomes);
	bool any = !STAILQ_EMPTY(&due);
	struct serial_outcome *o;
	while ((o = STAILQ_FIRST(&due))) {
		STAILQ_REMOVE_HEAD(&due, next);
		base->events.done(base->arg, &o->completion);
		tf_value_unref(o->completion.result);
		free(o);
	}
	return any;
}

/* Everything in flight has run: its outcomes are what it came to. */
static void serial_stop(struct tf_executor *base)
{
	while (tf_executor_serial_step(base))
		;
}

static void serial_destroy(struct tf_executor *base)
{
	struct serial *x = (struct serial *)base;
	struct serial_outcome *o;
	while ((o = STAILQ_FIRST(&x->outcomes))) {
		STAILQ_REMOVE_HEAD(&x->outcomes, next);
		tf_value_unref(o->completion.result);
		free(o);
	}
	free(x);
}

static const struct tf_executor_ops serial_ops = {
	.name = "serial",
	.here = true,
	.at_once = true,
	.start = serial_start,
	.submit = serial_submit,
	.stop = serial_stop,
	.destroy = serial_destroy,
};

struct tf_executor *tf_executor_serial_new(const struct tf_serial_host *host)
{
	struct serial *x = TF_NEW(struct serial);
	x->base.ops = &serial_ops;
	x->host = *host;
	STAILQ_INIT(&x->outcomes);
	return &x->base;
}
