#include "engine/engine.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/engine_internal.h"
#include "engine/validate.h"
#include "protocol/failure.h"

static const char *const types_execution_failure[] = {
	"taskflow.exceptions.ExecutionFailure", "taskflow.exceptions.TaskFlowException", "Exception", NULL};

static void on_done(void *arg, const struct tf_completion *c);
static void on_event(void *arg, unsigned atom, int64_t round, const char *type, struct tf_value *details);
static void on_began(void *arg, unsigned atom, int64_t round, const char *performer);
static void on_withdrawn(void *arg, unsigned atom, int64_t round);

static void intention_changed(void *arg, unsigned atom)
{
	tf_journal_note(arg, atom);
}

uint64_t tf_engine_now(const struct tf_engine *e)
{
	return e->options.clock ? tf_clock_ms(e->options.clock) : 0;
}

static struct tf_value *literal(const char *json)
{
	return tf_value_from((struct tf_json){json, strlen(json)});
}

struct tf_engine *tf_engine_new(struct tf_graph *graph, struct tf_executor *executor,
	const struct tf_engine_options *options, const struct tf_engine_events *events, void *arg)
{
	struct tf_engine *e = TF_NEW(struct tf_engine);
	e->g = graph;
	e->x = executor;
	e->options = *options;
	if (events)
		e->on = *events;
	e->arg = arg;
	e->sched = tf_scheduler_new(graph, options->reference_quirks);
	e->storage = tf_storage_new(graph, e->sched, options->reference_quirks);
	e->options.store = NULL; /* storage has the values */
	if (options->store) {
		tf_storage_inject(e->storage, options->store, TF_INJECT_KEPT);
		tf_journal_note_store(e);
	}
	if (e->on.keep) {
		tf_scheduler_on_intention(e->sched, intention_changed, e);
		tf_storage_trace(e->storage);
	}
	char uuid[TF_UUID_LEN + 1];
	if (!options->flow_uuid)
		tf_uuid(uuid);
	e->flow_uuid = tf_strdup(options->flow_uuid ? options->flow_uuid : uuid);
	e->options.flow_uuid = NULL;
	e->in_flight_cap = graph->atom_count + (size_t)1;
	e->in_flight = tf_calloc(e->in_flight_cap, 1);
	e->progress_begin = literal("{\"progress\": 0.0}");
	e->progress_end = literal("{\"progress\": 1.0}");
	executor->events = (struct tf_executor_events){
		.done = on_done, .event = on_event, .began = on_began, .withdrawn = on_withdrawn};
	executor->arg = e;
	executor->timed = e->on.keep != NULL;
	return e;
}

void tf_engine_clear_raised(struct tf_raised_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		tf_value_unref(l->items[i].failure);
	l->count = 0;
}

void tf_engine_delete(struct tf_engine *e)
{
	if (!e)
		return;
	if (e->started)
		e->x->ops->stop(e->x);
	e->x->ops->destroy(e->x);
	for (size_t i = 0; i < e->inbox_count; i++)
		tf_value_unref(e->inbox[i].result);
	tf_engine_clear_raised(&e->failures);
	tf_engine_clear_raised(&e->raised);
	tf_value_unref(e->progress_begin);
	tf_value_unref(e->progress_end);
	tf_engine_map_free(e);
	tf_storage_delete(e->storage);
	tf_scheduler_delete(e->sched);
	tf_graph_delete(e->g);
	free(e->failures.items);
	free(e->raised.items);
	free(e->inbox);
	free(e->batch);
	free(e->works);
	tf_journal_free(e);
	tf_delays_free(&e->delays);
	free(e->put_off);
	free(e->in_flight);
	free(e->flow_uuid);
	free(e);
}

/* --- changes of state -------------------------------------------------------------------- */

int tf_engine_change_flow(struct tf_engine *e, enum tf_state state, struct tf_err *err)
{
	enum tf_state old = e->flow_state;
	int may = tf_flow_may(old, state);
	if (may < 0)
		return tf_err_set(err, TF_ESTATE,
			"Flow transition from '%s' to '%s' is not allowed (flow '%s')", tf_state_name(old),
			tf_state_name(state), tf_graph_name(e->g));
	if (may == 0)
		return 0;
	e->flow_state = state;
	tf_journal_note_flow(e);
	if (e->on.flow)
		e->on.flow(e->arg, state, old);
	return 0;
}

bool tf_engine_is_retry(const struct tf_engine *e, uint32_t atom)
{
	return atom < e->g->atom_count && tf_graph_atom_is_retry(e->g, atom);
}

void tf_engine_tell(struct tf_engine *e, uint32_t atom, enum tf_state state, enum tf_state old,
	struct tf_value *result, struct tf_value *progress)
{
	if (e->on.atom)
		e->on.atom(e->arg, atom, state, old, result);
	if (progress && e->on.task_event && !tf_engine_is_retry(e, atom))
		e->on.task_event(e->arg, atom, "update_progress", progress);
}

void tf_engine_change(struct tf_engine *e, uint32_t atom, enum tf_state state)
{
	enum tf_state old = tf_scheduler_state(e->sched, atom);
	/* A map that goes on keeps its progress. */
	bool silent = tf_engine_is_retry(e, atom) || tf_engine_is_map(e, atom);
	if (state == old && (silent || tf_storage_progress(e->storage, atom) == 0.0))
		return;
	tf_scheduler_set(e->sched, atom, state);
	tf_storage_set_progress(e->storage, atom, 0.0);
	if (!tf_journal_foreseen(e, atom, state))
		tf_journal_note(e, atom);
	tf_engine_tell(e, atom, state, old, NULL, e->progress_begin);
}

enum tf_state tf_engine_end_of(const struct tf_arrival *c)
{
	static const enum tf_state ends[2][2] = {{TF_SUCCESS, TF_FAILURE}, {TF_REVERTED, TF_REVERT_FAILURE}};
	return ends[c->action == TF_REVERT][c->failed];
}

void tf_engine_keep(struct tf_engine *e, uint32_t atom, enum tf_state end, struct tf_value *result)
{
	tf_storage_save(e->storage, atom, end, result);
	tf_storage_set_performer(e->storage, atom, NULL);
	if (end == TF_SUCCESS || end == TF_REVERTED)
		tf_storage_set_progress(e->storage, atom, 1.0);
	tf_journal_note_end(e, atom, end);
}

void tf_engine_settle(struct tf_engine *e, uint32_t atom, enum tf_state end, struct tf_value *result)
{
	enum tf_state old = tf_storage_state(e->storage, atom);
	bool failed = end == TF_FAILURE || end == TF_REVERT_FAILURE;
	tf_storage_count(e->storage, atom, end, result);
	if (atom < e->g->atom_count)
		tf_scheduler_set(e->sched, atom, end);
	else
		tf_storage_set_item_state(e->storage, atom, end);
	tf_engine_tell(e, atom, end, old, result, failed ? NULL : e->progress_end);
}

void tf_engine_complete(struct tf_engine *e, const struct tf_arrival *c)
{
	tf_engine_settle(e, c->atom, tf_engine_end_of(c), c->result);
	if (!c->failed)
		return;
	/* A failed revert is never resolved: it ends the run. */
	if (c->action == TF_EXECUTE && !e->options.never_resolve)
		tf_engine_resolve(e, c->atom, c->result);
	else
		tf_engine_fail(e, c->atom, tf_value_ref(c->result));
}

/* --- failures ---------------------------------------------------------------------------- */

void tf_engine_add_raised(struct tf_raised_list *l, uint32_t atom, struct tf_value *failure)
{
	if (l->count == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 4;
		l->items = tf_realloc(l->items, l->cap * sizeof *l->items);
	}
	l->items[l->count++] = (struct tf_raised){atom, failure};
}

void tf_engine_fail(struct tf_engine *e, uint32_t atom, struct tf_value *failure)
{
	TF_ASSERT(failure);
	tf_engine_add_raised(&e->failures, atom, failure);
}

struct tf_value *tf_engine_failure_of(const struct tf_err *err)
{
	return tf_failure_format(
		err->code == TF_ENOTFOUND ? tf_types_not_found : types_execution_failure, "%s", err->message);
}

/* --- inbox ------------------------------------------------------------------------------- */

static void post(struct tf_engine *e, struct tf_arrival arrival)
{
	if (e->inbox_count == e->inbox_cap) {
		e->inbox_cap = e->inbox_cap ? e->inbox_cap * 2 : 16;
		e->inbox = tf_realloc(e->inbox, e->inbox_cap * sizeof *e->inbox);
	}
	e->inbox[e->inbox_count++] = arrival;
}

static void on_done(void *arg, const struct tf_completion *c)
{
	struct tf_engine *e = arg;
	TF_ASSERT(c->atom < e->in_flight_cap);
	struct tf_value *result = c->result ? tf_value_ref(c->result) : tf_value_null();
	post(e, (struct tf_arrival){.atom = c->atom,
			.round = c->round,
			.action = c->action,
			.failed = c->failed,
			.receipt = c->receipt,
			.worker = c->worker,
			.ran_s = c->ran_s,
			.result = result});
}

/* Whether a message speaks of what the atom does now: late and repeated ones change nothing. */
static bool current(const struct tf_engine *e, unsigned atom, int64_t round)
{
	return atom < e->in_flight_cap && e->in_flight[atom] && tf_storage_round(e->storage, atom) == round;
}

static void note_progress(struct tf_engine *e, unsigned atom, double progress, struct tf_value *details)
{
	tf_storage_set_progress(e->storage, atom, progress);
	tf_storage_set_progress_details(e->storage, atom, details);
	tf_journal_note(e, atom);
}

static void on_event(void *arg, unsigned atom, int64_t round, const char *type, struct tf_value *details)
{
	struct tf_engine *e = arg;
	if (!current(e, atom, round)) {
		const struct tf_log_ids ids = {.flow = e->flow_uuid};
		tf_debug_of(&ids, "engine", "late event '%s' dropped, of atom number %u", type, atom);
		return;
	}
	struct tf_json progress;
	double p;
	if (strcmp(type, "update_progress") == 0 &&
		tf_json_get(tf_value_json(details), "progress", &progress) && tf_json_double(progress, &p))
		note_progress(e, atom, p >= 1 ? 1 : p > 0 ? p : 0, details);
	if (e->on.task_event)
		e->on.task_event(e->arg, atom, type, details);
}

static void on_began(void *arg, unsigned atom, int64_t round, const char *performer)
{
	struct tf_engine *e = arg;
	if (!e->on.keep || !current(e, atom, round))
		return;
	tf_storage_set_performer(e->storage, atom, performer);
	tf_journal_note(e, atom);
}

/* The atom stays RUNNING or REVERTING: the next run begins it again. */
static void on_withdrawn(void *arg, unsigned atom, int64_t round)
{
	struct tf_engine *e = arg;
	if (!current(e, atom, round))
		return;
	e->in_flight[atom] = false;
	e->in_flight_count--;
	if (atom < e->g->atom_count)
		tf_scheduler_ready(e->sched, atom);
	else
		tf_engine_map_withdrawn(e, atom);
}

bool tf_engine_accept(struct tf_engine *e, const struct tf_arrival *c)
{
	enum tf_state expected = c->action == TF_REVERT ? TF_REVERTING : TF_RUNNING;
	if (!current(e, c->atom, c->round) || tf_storage_state(e->storage, c->atom) != expected) {
		const struct tf_log_ids ids = {
			.flow = e->flow_uuid, .atom = tf_storage_name(e->storage, c->atom)};
		tf_debug_of(&ids, "engine", "late completion dropped");
		return false;
	}
	e->in_flight[c->atom] = false;
	e->in_flight_count--;
	return true;
}

/* --- scheduling -------------------------------------------------------------------------- */

static void run_retry(struct tf_engine *e, uint32_t atom, bool revert)
{
	struct tf_err err;
	struct tf_retry_call call = {.atom = atom, .failure = tf_storage_own_failure(e->storage, atom)};
	call.arguments = tf_storage_arguments(e->storage, atom, revert, &err);
	if (!call.arguments) {
		tf_engine_fail(e, atom, tf_engine_failure_of(&err));
		return;
	}
	call.history = tf_storage_history(e->storage, atom);
	call.flow_failures = revert ? tf_storage_failures(e->storage) : NULL;
	bool failed = false;
	struct tf_value *result = revert ? e->on.retry_revert(e->arg, &call, &failed)
					 : e->on.retry_execute(e->arg, &call, &failed);
	tf_value_unref(call.arguments);
	tf_value_unref(call.history);
	tf_value_unref(call.flow_failures);
	e->in_flight[atom] = true;
	e->in_flight_count++;
	enum tf_action action = revert ? TF_REVERT : TF_EXECUTE;
	post(e, (struct tf_arrival){.atom = atom,
			.round = tf_storage_round(e->storage, atom),
			.action = action,
			.failed = failed,
			.result = result});
}

static void free_work(struct tf_work *w)
{
	tf_value_unref(w->arguments);
	tf_value_unref(w->result);
	tf_value_unref(w->failures);
}

static bool send(struct tf_engine *e, struct tf_work *w)
{
	struct tf_err err;
	w->name = tf_storage_name(e->storage, w->atom);
	e->in_flight[w->atom] = true;
	e->in_flight_count++;
	tf_storage_began(e->storage, w->atom);
	if (e->x->ops->submit(e->x, w, &err) == 0)
		return true;
	e->in_flight[w->atom] = false;
	e->in_flight_count--;
	tf_engine_fail(e, w->atom, tf_engine_failure_of(&err));
	return false;
}

/* Hand what was begun to the executor, once it is safe that it was. False: the run fails. */
static bool dispatch(struct tf_engine *e, bool later)
{
	bool ok = e->work_count == 0 || tf_engine_commit(e);
	for (size_t i = 0; i < e->work_count; i++) {
		struct tf_work *w = &e->works[i];
		ok = ok && send(e, w);
		if (!ok && later && w->atom >= e->g->atom_count)
			tf_engine_map_withdrawn(e, w->atom);
		free_work(w);
	}
	e->work_count = 0;
	return ok;
}

void tf_engine_dispatch(struct tf_engine *e)
{
	dispatch(e, true);
}

bool tf_engine_submit(struct tf_engine *e, uint32_t atom, bool revert, struct tf_value *arguments)
{
	unsigned owner = atom; /* an item is what its map is, but for its name */
	uint32_t index;
	tf_storage_item(e->storage, atom, &owner, &index);
	const struct tf_atom_spec *spec = e->g->specs[owner];
	struct tf_err err;
	struct tf_work w = {
		.atom = atom,
		.round = tf_storage_round(e->storage, atom),
		.uuid = tf_storage_uuid(e->storage, atom),
		.task_cls = spec->task_cls,
		.task_version = spec->version,
		.attempts = spec->attempts,
		.limits = &spec->limits,
		.priority = spec->priority,
		.concurrency = spec->concurrency,
		.queue_ms =
			revert ? 0
			       : spec->queue_ms, /* a revert that is not made would be worse than a late one */
		.action = revert ? TF_REVERT : TF_EXECUTE,
		.arguments = arguments,
		.performer = tf_storage_performer(e->storage, atom),
	};
	if (revert) {
		w.result = tf_storage_result(e->storage, atom, &w.result_failed, &err);
		/* All of them, for each: not for nothing. */
		w.failures = e->x->ops->here && spec->no_revert ? tf_value_empty_object()
								: tf_storage_failures(e->storage);
	}
	if (revert && !w.result) {
		tf_engine_fail(e, atom, tf_engine_failure_of(&err));
		free_work(&w);
		return false;
	}
	if (e->work_count == e->work_cap) {
		e->work_cap = e->work_cap ? e->work_cap * 2 : 16;
		e->works = tf_realloc(e->works, e->work_cap * sizeof *e->works);
	}
	e->works[e->work_count++] = w;
	/* Where it is kept, what begins in one go is written in one go. */
	return e->on.keep && !e->x->ops->at_once ? true : dispatch(e, false);
}

static void run_task(struct tf_engine *e, uint32_t atom, bool revert)
{
	struct tf_err err;
	struct tf_value *arguments = tf_storage_arguments(e->storage, atom, revert, &err);
	if (arguments)
		tf_engine_submit(e, atom, revert, arguments);
	else
		tf_engine_fail(e, atom, tf_engine_failure_of(&err));
}

/* A retry whose decision carried a delay is ready, but not due: it waits. */
static bool put_off(struct tf_engine *e, uint32_t atom)
{
	struct tf_put_off *p = &e->put_off[atom];
	if (p->at <= tf_engine_now(e))
		return false;
	p->waits = true;
	e->put_off_count++;
	tf_delays_add(&e->delays, atom, p->at);
	return true;
}

/* It waits no more, whatever for. */
static void go_on(struct tf_engine *e, uint32_t atom)
{
	struct tf_put_off *p = &e->put_off[atom];
	e->put_off_count -= p->waits;
	p->waits = false;
}

static void begin(struct tf_engine *e, uint32_t atom)
{
	bool retry = tf_graph_atom_is_retry(e->g, atom);
	enum tf_action_kind action = tf_scheduler_action(e->sched, atom);
	if (action == TF_DO_NOTHING) /* something decided since made it wait */
		return;
	if (e->put_off)
		go_on(e, atom);
	if (action == TF_DO_RETRY && e->put_off && put_off(e, atom))
		return;
	if (e->put_off)
		e->put_off[atom].at = 0;
	if (action == TF_DO_RETRY) {
		tf_engine_change(e, atom, TF_RETRYING);
		tf_engine_retry(e, atom);
	}
	/* One that an earlier engine left RUNNING may run on a worker still: it is reverted once that has ended. */
	bool ran = tf_scheduler_state(e->sched, atom) == TF_RUNNING && !tf_engine_is_map(e, atom) &&
		   !e->options.reference_quirks;
	bool revert = action == TF_DO_REVERT && !ran;
	tf_engine_change(e, atom, revert ? TF_REVERTING : TF_RUNNING);
	if (retry)
		run_retry(e, atom, revert);
	else if (tf_engine_is_map(e, atom))
		tf_engine_map_begin(e, atom, revert);
	else
		run_task(e, atom, revert);
}

bool tf_engine_interrupted(struct tf_engine *e)
{
	enum tf_interruption what = e->on.interrupted ? e->on.interrupted(e->arg) : TF_GO_ON;
	if (what == TF_CANCEL)
		tf_engine_cancel(e); /* the scheduler begins nothing but reverts from here on */
	else if (what == TF_SUSPEND)
		tf_engine_suspend(e);
	return what == TF_SUSPEND;
}

bool tf_engine_schedule(struct tf_engine *e)
{
	bool any = false;
	while (e->flow_state == TF_RUNNING && e->failures.count == 0) {
		const unsigned *atoms;
		tf_engine_decide(e); /* a map may end as it begins */
		size_t count = tf_scheduler_take(e->sched, &atoms);
		if (count == 0)
			break;
		any = true;
		size_t i = 0;
		while (i < count && e->failures.count == 0 && !tf_engine_interrupted(e))
			begin(e, atoms[i++]);
		for (; i < count && e->failures.count == 0; i++)
			tf_scheduler_ready(e->sched, atoms[i]); /* for the next run */
	}
	tf_journal_correct(e);
	tf_engine_dispatch(e);
	return any;
}
