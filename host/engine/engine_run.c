#include "engine/engine.h"

#include <string.h>

#include "base/mem.h"
#include "engine/engine_internal.h"
#include "engine/validate.h"
#include "protocol/failure.h"

static void raise_reported(void *arg, unsigned atom, struct tf_value *failure)
{
	tf_engine_add_raised(arg, atom, tf_value_ref(failure));
}

/* How the run ends if it ends now. */
static enum tf_state outcome(struct tf_engine *e)
{
	if (e->failures.count)
		return TF_FAILURE;
	if (tf_scheduler_left(e->sched))
		return TF_SUSPENDED;
	return tf_scheduler_all_done(e->sched) ? TF_SUCCESS : TF_REVERTED;
}

/* The run ends so: what it raises is collected. */
static enum tf_state end_of_run(struct tf_engine *e)
{
	enum tf_state end = outcome(e);
	if (end == TF_FAILURE) {
		struct tf_raised_list swap = e->raised;
		e->raised = e->failures;
		e->failures = swap;
	} else if (end == TF_REVERTED) {
		tf_storage_each_failure(e->storage, raise_reported, &e->raised);
	}
	return end;
}

static void finish(struct tf_engine *e)
{
	enum tf_state old = e->flow_state, end = end_of_run(e);
	TF_ASSERT(tf_flow_may(old, end) > 0);
	e->active = false;
	e->flow_state = end;
	tf_journal_note_flow(e);
	if (!tf_engine_commit(e)) { /* in the logbook it is one to be resumed */
		for (size_t i = 0; i < e->failures.count; i++)
			tf_engine_add_raised(
				&e->raised, e->failures.items[i].atom, e->failures.items[i].failure);
		e->failures.count = 0;
		e->flow_state = TF_FAILURE;
	}
	if (e->on.flow)
		e->on.flow(e->arg, e->flow_state, old);
	e->started = false;
	e->x->ops->stop(e->x);
}

/* The logbook cannot be written: nothing that comes now may count, so the run ends here. What is in flight is
 * given up; its outcomes are not acknowledged, and the next run asks for them again. */
static void abandon(struct tf_engine *e)
{
	enum tf_state old = e->flow_state;
	e->active = false;
	e->flow_state = end_of_run(e);
	if (e->on.flow)
		e->on.flow(e->arg, e->flow_state, old);
	e->started = false;
	e->x->ops->stop(e->x);
	for (size_t i = 0; i < e->inbox_count; i++)
		tf_value_unref(e->inbox[i].result);
	e->inbox_count = 0;
	memset(e->in_flight, 0, e->in_flight_cap);
	e->in_flight_count = 0;
	tf_journal_abandon(e);
}

static void trace_end(struct tf_engine *e, const struct tf_arrival *c, enum tf_state state)
{
	const struct tf_executor_ops *ops = e->x->ops;
	const struct tf_trace_end end = {.revert = c->action == TF_REVERT,
		.state = state,
		.at_once = ops->at_once,
		.ran_s = c->ran_s,
		.worker = c->worker && ops->worker ? ops->worker(e->x, c->worker) : NULL};
	tf_storage_ended(e->storage, c->atom, &end);
}

/* Of what these outcomes lead to, what no one can object to but a listener: it is written as begun together with them.
 * An engine that dies before it begins leaves what one leaves that dies right after its commit. */
static void foresee(struct tf_engine *e, const struct tf_arrival *batch, size_t count)
{
	const unsigned *next;
	size_t done = 0;
	if (!e->on.keep || e->x->ops->at_once || e->flow_state != TF_RUNNING || e->failures.count)
		return;
	unsigned *atoms = tf_malloc((count + 1) * sizeof *atoms);
	for (size_t i = 0; i < count; i++) {
		if (batch[i].accepted && tf_engine_end_of(&batch[i]) != TF_SUCCESS)
			count = done = 0; /* who knows what follows */
		else if (batch[i].accepted && batch[i].atom < e->g->atom_count)
			atoms[done++] = batch[i].atom;
	}
	size_t ready = tf_scheduler_foresee(e->sched, atoms, done, &next);
	for (size_t i = 0; i < ready; i++) {
		if (tf_engine_is_retry(e, next[i]) || tf_engine_is_map(e, next[i]) ||
			tf_engine_has_deciders(e, next[i]))
			continue;
		tf_storage_set_progress(e->storage, next[i], 0.0); /* as it will begin */
		tf_journal_foresee(e, next[i]);
	}
	free(atoms);
}

/* Take what has arrived: what is wanted of it is kept, and once that is safe it counts and is acknowledged. */
static void take_batch(struct tf_engine *e, struct tf_arrival *batch, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		batch[i].accepted = tf_engine_accept(e, &batch[i]);
		e->counts.completed += batch[i].accepted;
		if (!batch[i].accepted)
			continue;
		enum tf_state end = tf_engine_end_of(&batch[i]);
		trace_end(e, &batch[i], end);
		tf_engine_keep(e, batch[i].atom, end, batch[i].result);
	}
	foresee(e, batch, count);
	bool safe = count == 0 || tf_engine_commit(e);
	for (size_t i = 0; i < count; i++) {
		if (safe && batch[i].accepted) {
			if (batch[i].atom < e->g->atom_count)
				tf_engine_complete(e, &batch[i]);
			else
				tf_engine_map_completed(e, &batch[i]);
			tf_engine_decide(e);
		}
		if (safe && batch[i].receipt)
			e->x->ops->settle(e->x, batch[i].receipt);
		tf_value_unref(batch[i].result);
	}
}

static void take(struct tf_engine *e)
{
	struct tf_arrival *batch = e->inbox;
	size_t count = e->inbox_count, cap = e->inbox_cap;
	e->inbox = e->batch;
	e->inbox_cap = e->batch_cap;
	e->inbox_count = 0;
	take_batch(e, batch, count);
	e->batch = batch;
	e->batch_cap = cap;
}

/* Retries whose delay is over are ready again; all that wait are, once the run is to end. */
static void wake(struct tf_engine *e)
{
	bool going_on = e->flow_state == TF_RUNNING && e->failures.count == 0;
	uint32_t atom;
	while (tf_delays_due(&e->delays, going_on ? tf_engine_now(e) : UINT64_MAX, &atom))
		tf_scheduler_ready(e->sched, atom);
}

/* A revert failed, and the engine died before it could end the run for that; the reference forgets it. */
static void fail_again(struct tf_engine *e, uint32_t atom)
{
	bool failed;
	if (tf_scheduler_state(e->sched, atom) != TF_REVERT_FAILURE)
		return;
	struct tf_value *failure = tf_storage_revert_result(e->storage, atom, &failed, NULL);
	if (failed)
		tf_engine_fail(e, atom, failure);
	else
		tf_value_unref(failure);
}

/* What an earlier run left is not begun again. */
static void cancel_left(struct tf_engine *e)
{
	for (uint32_t a = 0; a < e->g->atom_count; a++) {
		enum tf_state state = tf_scheduler_state(e->sched, a);
		if (state == TF_RUNNING && !tf_engine_is_map(e, a)) {
			struct tf_value *failure = tf_failure_format(tf_types_cancelled,
				"'%s' was running when its flow was cancelled", e->g->specs[a]->name);
			tf_engine_keep(e, a, TF_FAILURE, failure);
			tf_engine_settle(e, a, TF_FAILURE, failure);
			tf_value_unref(failure);
		} else if (state == TF_RETRYING) {
			tf_scheduler_set(e->sched, a, TF_SUCCESS); /* what it controls is reverted already */
		} else if (state == TF_RUNNING || state == TF_REVERTING) {
			tf_scheduler_ready(e->sched, a);
		}
	}
	tf_scheduler_revert_all(e->sched);
}

/* False after the first failure that cannot be resolved. */
static bool resolve_left(struct tf_engine *e)
{
	for (uint32_t a = 0; a < e->g->atom_count && !e->options.never_resolve && e->failures.count == 0;
		a++) {
		if (tf_scheduler_state(e->sched, a) != TF_FAILURE)
			continue;
		bool failed;
		struct tf_value *failure = tf_storage_result(e->storage, a, &failed, NULL);
		if (tf_engine_is_map(e, a))
			tf_engine_map_resolve(e, a, failure);
		else
			tf_engine_resolve(e, a, failure);
		tf_value_unref(failure);
	}
	return e->failures.count == 0;
}

/* What an earlier run left: failures to resolve, retries and actions to begin again (ENGINE.md 9.6). A failure that
 * cannot be resolved ends the run, and leaves the rest as it is for the next. */
static enum tf_phase resume(struct tf_engine *e)
{
	tf_scheduler_rebuild(e->sched);
	uint32_t atoms = e->g->atom_count;
	if (e->cancelled) {
		cancel_left(e);
		e->loaded = e->cut_off = e->cancelled = false;
		return TF_PHASE_SCHEDULING;
	}
	if (!resolve_left(e))
		return TF_PHASE_ENDING;
	for (uint32_t a = 0; a < atoms && e->cut_off && !e->options.reference_quirks; a++)
		fail_again(e, a);
	for (uint32_t a = 0; a < atoms; a++) {
		enum tf_state state = tf_scheduler_state(e->sched, a);
		if (state == TF_RETRYING && !e->options.never_resolve)
			tf_engine_retry(e, a);
		else if (state == TF_RUNNING && tf_scheduler_intention(e->sched, a) == TF_INTENT_REVERT &&
			 !tf_engine_is_map(e, a) && !e->loaded)
			tf_engine_change(e, a, TF_PENDING); /* it was withdrawn: there is nothing to revert */
		else if (state == TF_RUNNING || state == TF_REVERTING)
			tf_scheduler_ready(e->sched, a);
	}
	e->loaded = e->cut_off = false;
	tf_engine_decide(e);
	return TF_PHASE_SCHEDULING;
}

int tf_engine_validate(struct tf_engine *e, struct tf_err *err)
{
	return tf_validate(e->g, tf_storage_has, e->storage, err);
}

/* The constants of atoms go where they are kept. */
static void keep_injected(struct tf_engine *e)
{
	for (uint32_t a = 0; a < e->g->atom_count && e->options.keep_injected; a++)
		if (e->g->specs[a]->inject)
			tf_engine_inject_atom(e, a, e->g->specs[a]->inject, false);
}

int tf_engine_prepare(struct tf_engine *e, struct tf_err *err)
{
	if (e->prepared)
		return e->flow_state == TF_REVERTED && !e->active ? tf_engine_reset(e, err) : 0;
	tf_engine_change_flow(e, TF_RESUMING, NULL);
	keep_injected(e);
	tf_engine_change_flow(e, TF_SUSPENDED, NULL);
	int rc = tf_journal_begin(e, err);
	if (rc != 0)
		return rc;
	e->prepared = true;
	return e->flow_state == TF_REVERTED ? tf_engine_reset(e, err) : 0;
}

int tf_engine_begin(struct tf_engine *e, struct tf_err *err)
{
	if (e->active)
		return tf_err_set(err, TF_ESTATE, "flow '%s' is running already", tf_graph_name(e->g));
	tf_engine_clear_raised(&e->raised);
	tf_engine_clear_raised(&e->failures);
	e->unsafe = e->cancelling = false;
	e->counts = (struct tf_engine_counts){0};
	int rc = tf_engine_prepare(e, err);
	if (rc == 0)
		rc = tf_engine_validate(e, err);
	if (rc == 0)
		rc = e->x->ops->start(e->x, err);
	if (rc != 0)
		return rc;
	e->active = e->started = true;
	e->phase = TF_PHASE_RESUMING;
	rc = tf_engine_change_flow(e, TF_RUNNING, err);
	TF_ASSERT(rc == 0);
	return 0;
}

/* --- phases ------------------------------------------------------------------------------ */

enum tf_phase tf_engine_phase(const struct tf_engine *e)
{
	return e->active ? e->phase : TF_PHASE_ENDED;
}

const char *tf_engine_phase_name(struct tf_engine *e)
{
	static const char *const names[] = {
#define X(name) #name,
		TF_PHASES(X)
#undef X
	};
	if (!e->active)
		return tf_state_name(e->flow_state);
	return e->phase == TF_PHASE_ENDING ? tf_state_name(outcome(e)) : names[e->phase];
}

bool tf_engine_waits(const struct tf_engine *e)
{
	bool delayed = e->put_off_count > 0 && e->flow_state == TF_RUNNING && e->failures.count == 0;
	/* What an event left to be written is written in the next step. */
	bool idle = e->inbox_count == 0 && e->journal.count == 0;
	return e->active && idle && (e->in_flight_count > 0 || delayed);
}

uint64_t tf_engine_wait_ms(const struct tf_engine *e)
{
	uint64_t next = e->put_off_count > 0 ? tf_delays_next(&e->delays) : UINT64_MAX,
		 now = tf_engine_now(e);
	return next == UINT64_MAX ? UINT64_MAX : next > now ? next - now : 0;
}

static enum tf_phase after_analyzing(struct tf_engine *e)
{
	bool going_on = e->flow_state == TF_RUNNING && e->failures.count == 0;
	const unsigned *stale;
	if (going_on && tf_scheduler_left(e->sched))
		return TF_PHASE_SCHEDULING;
	if (going_on) /* were ready once */
		tf_scheduler_take(e->sched, &stale);
	return e->in_flight_count > 0 || e->inbox_count > 0 || tf_engine_waits(e) ? TF_PHASE_WAITING
										  : TF_PHASE_ENDING;
}

static void analyze(struct tf_engine *e)
{
	take(e);
	wake(e);
	if (!tf_engine_commit(e)) {
		abandon(e);
		return;
	}
	tf_engine_dispatch(e); /* items of maps that go on */
	/* A suspended flow waits for what runs, not for what only waits to be run. */
	if (e->flow_state == TF_SUSPENDING && e->in_flight_count > 0 && e->x->ops->withdraw)
		e->x->ops->withdraw(e->x);
	e->phase = after_analyzing(e);
	if (e->phase != TF_PHASE_SCHEDULING)
		tf_journal_correct(e);
}

void tf_engine_advance(struct tf_engine *e)
{
	switch (tf_engine_phase(e)) {
	case TF_PHASE_RESUMING:
		e->phase = resume(e);
		break;
	case TF_PHASE_SCHEDULING:
		tf_engine_schedule(e);
		e->phase = TF_PHASE_WAITING;
		if (!tf_engine_commit(e))
			abandon(e);
		break;
	case TF_PHASE_WAITING:
		e->phase = TF_PHASE_ANALYZING;
		break;
	case TF_PHASE_ANALYZING:
		analyze(e);
		break;
	case TF_PHASE_ENDING:
		finish(e);
		break;
	case TF_PHASE_ENDED:
		break;
	}
}

bool tf_engine_step(struct tf_engine *e)
{
	if (!e->active)
		return false;
	bool any = e->inbox_count > 0;
	do {
		any = any || e->phase == TF_PHASE_SCHEDULING;
		tf_engine_advance(e);
	} while (e->active && e->phase != TF_PHASE_WAITING);
	return any || !e->active;
}

int tf_engine_start(struct tf_engine *e, struct tf_err *err)
{
	int rc = tf_engine_begin(e, err);
	if (rc != 0)
		return rc;
	while (e->active && e->phase != TF_PHASE_WAITING)
		tf_engine_advance(e);
	if (e->active && e->in_flight_count == 0 && !tf_engine_waits(e))
		tf_engine_step(e);
	return 0;
}

struct tf_engine_counts tf_engine_counts(struct tf_engine *e)
{
	e->counts.incomplete = e->in_flight_count;
	e->counts.awaiting = e->put_off_count + tf_scheduler_ready_count(e->sched);
	return e->counts;
}

bool tf_engine_finished(const struct tf_engine *e)
{
	return !e->active;
}

void tf_engine_suspend(struct tf_engine *e)
{
	if (e->active)
		tf_engine_change_flow(e, TF_SUSPENDING, NULL);
}

void tf_engine_cancel(struct tf_engine *e)
{
	if (!e->active) {
		e->cancelled = true;
		return;
	}
	if (e->cancelling)
		return;
	e->cancelling = true;
	tf_scheduler_revert_all(e->sched);
	uint32_t retry;
	while (tf_delays_due(&e->delays, UINT64_MAX, &retry)) { /* nothing to wait for any more */
		e->put_off_count -= e->put_off[retry].waits;
		e->put_off[retry] = (struct tf_put_off){0};
		tf_scheduler_ready(e->sched, retry);
	}
	if (e->x->ops->cancel)
		e->x->ops->cancel(e->x);
}

int tf_engine_reset(struct tf_engine *e, struct tf_err *err)
{
	if (e->active)
		return tf_err_set(
			err, TF_ESTATE, "flow '%s' is running: it cannot be reset", tf_graph_name(e->g));
	uint32_t atoms = e->g->atom_count;
	uint8_t *old = tf_malloc(atoms + (size_t)1);
	for (uint32_t a = 0; a < atoms; a++)
		old[a] = (uint8_t)tf_scheduler_state(e->sched, a);
	tf_scheduler_reset(e->sched);
	tf_storage_reset(e->storage);
	if (e->put_off)
		memset(e->put_off, 0, atoms * sizeof(*e->put_off));
	e->put_off_count = 0;
	for (uint32_t a = 0; a < atoms; a++) {
		bool same = old[a] == TF_PENDING &&
			    (tf_engine_is_retry(e, a) || tf_storage_progress(e->storage, a) == 0.0);
		if (same)
			continue;
		tf_storage_set_progress(e->storage, a, 0.0);
		tf_journal_note(e, a);
		tf_engine_tell(e, a, TF_PENDING, (enum tf_state)old[a], NULL, e->progress_begin);
		if (tf_engine_is_map(e, a))
			tf_engine_map_renew(e, a);
	}
	free(old);
	/* FAILURE and SUSPENDED do not go to PENDING, and need not: they may go to RUNNING. */
	if (tf_flow_may(e->flow_state, TF_PENDING) > 0)
		return tf_engine_change_flow(e, TF_PENDING, err);
	return 0;
}
