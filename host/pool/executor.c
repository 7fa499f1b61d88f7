#include "pool/executor.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "pool/pool.h"
#include "pool/runqueue.h"
#include "protocol/failure.h"

/* One accepted action, until its completion was told. */
struct parallel_work {
	uint64_t job;
	unsigned atom;
	int64_t round;
	struct tf_request request;  /* members owned */
	struct tf_value *too_large; /* owned; why it is not run, or NULL */
	uint64_t result_limit;
	uint64_t came_us, begun_us; /* the latter 0: not known to have begun */
	bool cancelled;
	struct tf_runplace place;   /* in `queue`, from submit to its completion */
	struct parallel_work *next; /* in `running` */
};

struct parallel_list {
	struct parallel_work *first, **last;
};

struct parallel {
	struct tf_executor x;
	struct tf_loop *loop;
	const struct tf_runner *runner; /* borrowed */
	unsigned max_workers;
	struct tf_pool *pool; /* NULL: not started */
	struct tf_post *post; /* fails what a lost pool leaves, outside of submit */
	struct tf_err lost;   /* code set: no pool can run anything any more */
	uint64_t next_job;
	struct tf_runqueue queue;
	struct parallel_list running;
	struct tf_parallel_stats stats;
};

static void parallel_list_init(struct parallel_list *l)
{
	l->first = NULL;
	l->last = &l->first;
}

static void parallel_add(struct parallel_list *l, struct parallel_work *w)
{
	w->next = NULL;
	*l->last = w;
	l->last = &w->next;
}

/* Take out what *at, a link of the list, points to. */
static struct parallel_work *parallel_take(struct parallel_list *l, struct parallel_work **at)
{
	struct parallel_work *w = *at;
	if (!w)
		return NULL;
	*at = w->next;
	if (!*at)
		l->last = at;
	return w;
}

static struct parallel_work *parallel_at(struct tf_runplace *w)
{
	return w ? (struct parallel_work *)(void *)((char *)w - offsetof(struct parallel_work, place)) : NULL;
}

/* The one that has waited longest, taken out; NULL. */
static struct parallel_work *parallel_pop_waiting(struct parallel *x)
{
	struct parallel_work *w = parallel_at(TAILQ_FIRST(&x->queue.all));
	if (w)
		tf_runqueue_leave(&x->queue, &w->place);
	return w;
}

static void parallel_work_free(struct parallel_work *w)
{
	tf_request_free(&w->request);
	tf_value_unref(w->too_large);
	free(w);
}

/* The link to the running work of `job`, or to NULL: the oldest end first, as a rule. */
static struct parallel_work **parallel_find(struct parallel *x, uint64_t job)
{
	struct parallel_work **at = &x->running.first;
	while (*at && (*at)->job != job)
		at = &(*at)->next;
	return at;
}

/* Tell the completion of `w`, which is in no list any more, and free it. */
static void parallel_complete(
	struct parallel *x, struct parallel_work *w, bool failed, struct tf_value *result)
{
	tf_runqueue_leave(&x->queue, &w->place);
	uint64_t ran_us = w->begun_us ? tf_clock_us() - w->begun_us : 0;
	if (w->begun_us)
		tf_histogram_add(&x->stats.run, ran_us);
	struct tf_completion c = {.atom = w->atom,
		.round = w->round,
		.action = w->request.action,
		.failed = failed,
		.result = result,
		.ran_s = (float)((double)ran_us / 1e6)};
	parallel_work_free(w);
	x->x.events.done(x->x.arg, &c);
}

/* It is not run. Takes over `failure`. */
static void parallel_refuse(struct parallel *x, struct parallel_work *w, struct tf_value *failure)
{
	parallel_complete(x, w, true, failure);
	tf_value_unref(failure);
}

/* Everything in both lists fails. Works on a list of its own: `done` may submit. */
static void parallel_fail_all(struct parallel *x, const char *why)
{
	struct parallel_list all;
	struct parallel_work *w;
	parallel_list_init(&all);
	while ((w = parallel_take(&x->running, &x->running.first)))
		parallel_add(&all, w);
	while ((w = parallel_pop_waiting(x)))
		parallel_add(&all, w);
	while ((w = parallel_take(&all, &all.first))) {
		parallel_refuse(x, w,
			tf_failure_format(tf_types_worker_lost, "task '%s' was given up: %s",
				w->request.task_name, why));
	}
}

/* Hand out what waits while the slots take more. */
static void parallel_feed(struct parallel *x)
{
	struct parallel_work *w;
	while (x->pool && (w = parallel_at(tf_runqueue_next(&x->queue)))) {
		struct tf_err err;
		if (w->too_large) {
			parallel_refuse(x, w, tf_value_ref(w->too_large));
			continue;
		}
		int rc = tf_pool_submit(x->pool, w->job, &w->request, &err);
		if (rc == TF_EAGAIN)
			return;
		tf_runqueue_take(&x->queue, &w->place);
		if (rc == 0) {
			parallel_add(&x->running, w);
			continue;
		}
		parallel_refuse(x, w, tf_failure_format(tf_types_value_error, "%s", err.message));
	}
}

static void parallel_on_post(void *arg)
{
	struct parallel *x = arg;
	if (x->lost.code)
		parallel_fail_all(x, x->lost.message);
	else
		parallel_feed(x);
}

static void parallel_on_ready(void *arg, char *const *names, size_t count, const struct tf_err *err)
{
	struct parallel *x = arg;
	(void)names;
	(void)count;
	if (err) {
		x->lost = *err;
		tf_post_wake(x->post);
	}
}

static void parallel_on_lost(void *arg, const struct tf_err *err)
{
	parallel_on_ready(arg, NULL, 0, err);
}

static void parallel_on_started(void *arg, uint64_t job, uint64_t begun_us)
{
	struct parallel *x = arg;
	struct parallel_work *w = *parallel_find(x, job);
	if (!w)
		return;
	w->begun_us = begun_us > w->came_us ? begun_us : w->came_us;
	tf_histogram_add(&x->stats.wait, w->begun_us - w->came_us);
}

static void parallel_on_event(void *arg, uint64_t job, const char *type, struct tf_value *details)
{
	struct parallel *x = arg;
	const struct parallel_work *w = *parallel_find(x, job);
	if (w && x->x.events.event)
		x->x.events.event(x->x.arg, w->atom, w->round, type, details);
}

static void parallel_on_done(void *arg, uint64_t job, bool failed, struct tf_value *result)
{
	struct parallel *x = arg;
	struct parallel_work *w = parallel_take(&x->running, parallel_find(x, job));
	if (!w)
		return;
	tf_runqueue_leave(&x->queue, &w->place);
	struct tf_value *large = failed ? NULL
					: tf_failure_size(w->request.task_name, "result",
						  tf_value_len(result), w->result_limit);
	failed = failed || large;
	result = large ? large : tf_value_ref(result);
	parallel_feed(x); /* the slot is free: keep it busy before the engine thinks about the result */
	parallel_complete(x, w, failed, result);
	tf_value_unref(result);
}

static void parallel_on_slot_free(void *arg)
{
	parallel_feed(arg);
}

static int parallel_start(struct tf_executor *self, struct tf_err *err)
{
	static const struct tf_pool_events events = {
		.ready = parallel_on_ready,
		.started = parallel_on_started,
		.event = parallel_on_event,
		.done = parallel_on_done,
		.slot_free = parallel_on_slot_free,
		.lost = parallel_on_lost,
	};
	struct parallel *x = (struct parallel *)self;
	if (x->pool)
		return 0;
	x->lost = (struct tf_err){0};
	struct tf_pool_config config = {
		.slots = x->max_workers, .runner = x->runner, .counters = &x->stats.counts};
	int rc = tf_pool_new(x->loop, &config, &events, x, &x->pool, err);
	if (rc == 0)
		x->post = tf_post_new(x->loop, parallel_on_post, x);
	return rc;
}

/* A slot for the one that came last, if it is its turn; else slot_free, or a completion, feeds it. */
static int parallel_place(struct parallel *x, struct parallel_work *w, struct tf_err *err)
{
	int rc = TF_EAGAIN;
	if (tf_runqueue_next(&x->queue) == &w->place)
		rc = tf_pool_submit(x->pool, w->job, &w->request, err);
	if (rc == TF_EAGAIN)
		return 0;
	if (rc == 0) {
		tf_runqueue_take(&x->queue, &w->place);
		parallel_add(&x->running, w);
		return 0;
	}
	tf_runqueue_leave(&x->queue, &w->place);
	parallel_work_free(w);
	return rc;
}

static int parallel_submit(struct tf_executor *self, const struct tf_work *work, struct tf_err *err)
{
	struct parallel *x = (struct parallel *)self;
	if (!x->pool)
		return tf_err_set(err, TF_ESTATE, "the executor is not started");
	if (x->lost.code)
		return tf_err_set(err, TF_ESTATE, "no slots: %s", x->lost.message);
	struct parallel_work *w = TF_NEW(struct parallel_work);
	w->job = ++x->next_job;
	w->atom = work->atom;
	w->round = work->round;
	w->came_us = tf_clock_us();
	w->result_limit = tf_work_limits(work).result;
	w->request = (struct tf_request){
		.task_cls = tf_strdup(work->task_cls ? work->task_cls : work->name),
		.task_name = tf_strdup(work->name),
		.task_version = tf_value_ref(work->task_version),
		.action = work->action,
		.limits = tf_work_limits(work),
		.arguments = work->arguments ? tf_value_ref(work->arguments) : tf_value_empty_object(),
		.has_result = work->action == TF_REVERT && work->result,
		.result_failed = work->result_failed,
		.result = work->action == TF_REVERT ? tf_value_ref(work->result) : NULL,
		.failures = work->action == TF_REVERT ? tf_value_ref(work->failures) : NULL,
	};
	const char *cls = work->concurrency ? w->request.task_cls : NULL;
	if (cls)
		tf_runqueue_limit(&x->queue, cls, work->concurrency);
	tf_runqueue_add(&x->queue, &w->place, cls, work->priority, w->job);
	w->too_large = tf_request_too_large(&w->request, w->request.limits.arguments);
	if (!w->too_large)
		return parallel_place(x, w, err);
	tf_post_wake(x->post); /* its failure is not told from in here */
	return 0;
}

static void parallel_withdraw(struct tf_executor *self)
{
	struct parallel *x = (struct parallel *)self;
	struct parallel_work *w;
	while ((w = parallel_pop_waiting(x))) {
		unsigned atom = w->atom;
		int64_t round = w->round;
		parallel_work_free(w);
		x->x.events.withdrawn(x->x.arg, atom, round);
	}
}

static void parallel_cancel(struct tf_executor *self)
{
	struct parallel *x = (struct parallel *)self;
	struct parallel_work *w;
	struct tf_runplace *at, *next;
	for (at = TAILQ_FIRST(&x->queue.all); at; at = next) {
		next = TAILQ_NEXT(at, all);
		w = parallel_at(at);
		if (w->request.action != TF_EXECUTE)
			continue;
		parallel_refuse(x, w,
			tf_failure_format(tf_types_cancelled, "task '%s' was cancelled before it began",
				w->request.task_name));
	}
	/* The list changes meanwhile: what was not begun is done at once. */
	for (bool again = x->pool != NULL; again;) {
		again = false;
		for (w = x->running.first; w; w = w->next) {
			if (w->request.action != TF_EXECUTE || w->cancelled)
				continue;
			w->cancelled = again = true;
			char *why =
				tf_asprintf("task '%s' was cancelled by its engine", w->request.task_name);
			tf_pool_stop_job(x->pool, w->job, tf_types_cancelled, why);
			free(why);
			break;
		}
	}
}

static void parallel_stop(struct tf_executor *self)
{
	struct parallel *x = (struct parallel *)self;
	tf_pool_delete(x->pool);
	x->pool = NULL;
	tf_post_delete(x->post);
	x->post = NULL;
	parallel_fail_all(x, "the engine stopped");
}

static void parallel_destroy(struct tf_executor *self)
{
	struct parallel *x = (struct parallel *)self;
	struct parallel_work *w;
	tf_pool_delete(x->pool);
	tf_post_delete(x->post);
	while ((w = parallel_take(&x->running, &x->running.first)))
		parallel_work_free(w);
	while ((w = parallel_pop_waiting(x)))
		parallel_work_free(w);
	tf_runqueue_destroy(&x->queue);
	free(x);
}

int tf_executor_parallel_new(struct tf_loop *loop, const struct tf_runner *runner, unsigned max_workers,
	struct tf_executor **out, struct tf_err *err)
{
	static const struct tf_executor_ops ops = {
		.name = "parallel",
		.here = true,
		.start = parallel_start,
		.submit = parallel_submit,
		.withdraw = parallel_withdraw,
		.cancel = parallel_cancel,
		.stop = parallel_stop,
		.destroy = parallel_destroy,
	};
	if (max_workers < 1)
		return tf_err_set(err, TF_EINVAL, "max_workers must be at least 1");
	struct parallel *x = TF_NEW(struct parallel);
	x->x.ops = &ops;
	x->loop = loop;
	x->runner = runner;
	x->max_workers = max_workers;
	tf_runqueue_create(&x->queue);
	parallel_list_init(&x->running);
	*out = &x->x;
	return 0;
}

void tf_executor_parallel_stats(const struct tf_executor *x, struct tf_parallel_stats *out)
{
	const struct parallel *p = (const struct parallel *)x;
	const struct parallel_work *oldest = parallel_at(TAILQ_FIRST(&p->queue.all));
	while (oldest && oldest->begun_us)
		oldest = parallel_at(TAILQ_NEXT(&oldest->place, all));
	*out = p->stats;
	out->slots = p->max_workers;
	out->busy = p->pool ? tf_pool_busy_slots(p->pool) : 0;
	out->oldest_ms = oldest ? (tf_clock_us() - oldest->came_us) / 1000 : 0;
}
