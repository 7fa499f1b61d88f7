#include <string.h>

#include "base/mem.h"
#include "engine/engine_internal.h"
#include "protocol/failure.h"

static const char *const types_storage_failure[] = {
	"taskflow.exceptions.StorageFailure", "taskflow.exceptions.TaskFlowException", "Exception", NULL};

struct resolution {
	enum tf_decision strategy;
	bool undecided; /* revert all because no retry was asked */
	uint32_t retry; /* RETRY, REVERT: whose subgraph */
};

/* Of several failures in a round the latest moment counts. */
static void put_off(struct tf_engine *e, uint32_t retry, uint64_t delay)
{
	if (!e->put_off)
		e->put_off = tf_calloc(e->g->atom_count, sizeof(*e->put_off));
	uint64_t now = tf_engine_now(e), at = delay < UINT64_MAX - now ? now + delay : UINT64_MAX;
	if (at > e->put_off[retry].at)
		e->put_off[retry].at = at;
}

/* Tell the retry of the failure and ask it. Negative: the run fails. */
static int ask(struct tf_engine *e, uint32_t retry, uint32_t failed, struct tf_value *failure)
{
	struct tf_err err;
	if (tf_storage_add_retry_failure(e->storage, retry, failed, failure, &err) != 0) {
		tf_engine_fail(e, retry, tf_failure_format(types_storage_failure, "%s", err.message));
		return -1;
	}
	tf_journal_note(e, retry); /* its history */
	struct tf_retry_call call = {.atom = retry, .failure = tf_storage_own_failure(e->storage, retry)};
	call.arguments = tf_storage_arguments(e->storage, retry, false, &err);
	if (!call.arguments) {
		tf_engine_fail(e, retry, tf_engine_failure_of(&err));
		return -1;
	}
	call.history = tf_storage_history(e->storage, retry);
	struct tf_value *broken = NULL;
	uint64_t delay = 0;
	int decision = e->on.retry_on_failure(e->arg, &call, &delay, &broken);
	if (decision < 0)
		tf_engine_fail(e, retry, broken);
	else if (decision == TF_DECISION_RETRY && delay > 0)
		put_off(e, retry, delay);
	tf_value_unref(call.arguments);
	tf_value_unref(call.history);
	return decision;
}

/* The retry that controls an atom or an item, or TF_NONE. */
static uint32_t controller_of(const struct tf_engine *e, uint32_t atom)
{
	unsigned owner = atom;
	uint32_t index;
	tf_storage_item(e->storage, atom, &owner, &index);
	return e->g->atom_retry[owner];
}

/* Ask outwards while retries say REVERT; then see from the outside in whose REVERT holds. */
static bool determine(struct tf_engine *e, uint32_t atom, struct tf_value *failure, struct resolution *out)
{
	struct resolution r = {TF_DECISION_REVERT_ALL, true, TF_NONE};
	uint32_t asked = atom, *said_revert = NULL;
	size_t depth = 0;
	bool ok = true;
	for (uint32_t retry; (retry = controller_of(e, asked)) != TF_NONE; asked = retry) {
		/* A controller that a decider ignored never ran and has no say; the reference breaks on it. */
		if (!e->options.reference_quirks && tf_scheduler_state(e->sched, retry) == TF_IGNORE)
			continue;
		int decision = ask(e, retry, asked, failure);
		ok = decision >= 0;
		if (decision == TF_DECISION_REVERT) {
			said_revert = tf_realloc(said_revert, (depth + 1) * sizeof *said_revert);
			said_revert[depth++] = retry;
			continue;
		}
		if (ok)
			r = (struct resolution){(enum tf_decision)decision, false, retry};
		break;
	}
	while (ok && depth-- > 0) {
		if (e->options.defer_reverts || (!r.undecided && r.strategy != TF_DECISION_REVERT))
			continue;
		r = (struct resolution){TF_DECISION_REVERT, false, said_revert[depth]};
	}
	free(said_revert);
	*out = r;
	return ok;
}

void tf_engine_resolve(struct tf_engine *e, uint32_t atom, struct tf_value *failure)
{
	struct resolution r;
	if (!determine(e, atom, failure, &r))
		return;
	e->counts.discarded_failures += e->phase == TF_PHASE_ANALYZING;
	switch (r.strategy) {
	case TF_DECISION_RETRY:
		tf_scheduler_mark(e->sched, r.retry, TF_INTENT_RETRY);
		break;
	case TF_DECISION_REVERT:
		tf_scheduler_mark(e->sched, r.retry, TF_INTENT_REVERT);
		break;
	case TF_DECISION_REVERT_ALL:
		tf_scheduler_revert_all(e->sched);
		break;
	}
}

/* --- deciders ---------------------------------------------------------------------------- */

/* Deciders on links into `node`: those with .to == node. */
static const struct tf_edge_decider *deciders_into(const struct tf_graph *g, uint32_t node, uint32_t *count)
{
	uint32_t low = 0, high = g->decider_count;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (g->deciders[mid].to < node)
			low = mid + 1;
		else
			high = mid;
	}
	*count = 0;
	while (low + *count < g->decider_count && g->deciders[low + *count].to == node)
		++*count;
	return g->deciders + low;
}

/* The entry of the flow that begins with `node`, or TF_NONE: what leads into it leads into node. */
static uint32_t entry_before(const struct tf_graph *g, uint32_t node)
{
	for (uint32_t i = g->pred_at[node]; i < g->pred_at[node + 1]; i++)
		if (g->kind[g->pred[i]] == TF_NODE_FLOW)
			return g->pred[i];
	return TF_NONE;
}

static void add_history(
	struct tf_engine *e, struct tf_buf *history, const struct tf_edge_decider *d, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (e->g->kind[d[i].from] == TF_NODE_END)
			continue;
		uint32_t source = e->g->peer[d[i].from];
		if (tf_scheduler_state(e->sched, source) == TF_IGNORE)
			continue;
		bool failed;
		struct tf_value *result = tf_storage_result(e->storage, source, &failed, NULL);
		if (!result)
			continue;
		const char *name = e->g->specs[source]->name;
		tf_buf_puts(history, history->len > 1 ? ", " : "");
		tf_json_write_string(history, name, strlen(name));
		tf_buf_puts(history, ": ");
		tf_buf_append(history, tf_value_text(result), tf_value_len(result));
		tf_value_unref(result);
	}
}

/* Widest depth among the deciders that say no; -1: none does; -2: one failed. */
static int poll_deciders(struct tf_engine *e, const struct tf_edge_decider *d, uint32_t count,
	struct tf_value *history, uint32_t atom)
{
	int widest = -1;
	for (uint32_t i = 0; i < count; i++) {
		bool is_flow = e->g->kind[d[i].from] == TF_NODE_END;
		if (!is_flow && tf_scheduler_state(e->sched, e->g->peer[d[i].from]) == TF_IGNORE)
			continue;
		struct tf_value *failure = NULL;
		int go = e->on.decide(e->arg, d[i].decider, history, &failure);
		if (go < 0) {
			tf_engine_fail(e, atom, failure);
			return -2;
		}
		if (!go && d[i].depth > widest)
			widest = d[i].depth;
	}
	return widest;
}

static int ask_deciders(struct tf_engine *e, uint32_t atom)
{
	const struct tf_graph *g = e->g;
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_putc(&b, '{');
	uint32_t count, total = 0;
	for (uint32_t n = g->atom_node[atom]; n != TF_NONE; n = entry_before(g, n)) {
		const struct tf_edge_decider *d = deciders_into(g, n, &count);
		add_history(e, &b, d, count);
		total += count;
	}
	tf_buf_putc(&b, '}');
	struct tf_value *history = tf_value_take(&b);
	int widest = -1;
	for (uint32_t n = g->atom_node[atom]; total > 0 && n != TF_NONE && widest != -2;
		n = entry_before(g, n)) {
		const struct tf_edge_decider *d = deciders_into(g, n, &count);
		int depth = poll_deciders(e, d, count, history, atom);
		if (depth == -2 || depth > widest)
			widest = depth;
	}
	tf_value_unref(history);
	return widest;
}

bool tf_engine_has_deciders(const struct tf_engine *e, uint32_t atom)
{
	uint32_t count = 0;
	if (e->g->decider_count == 0)
		return false;
	for (uint32_t n = e->g->atom_node[atom]; n != TF_NONE && count == 0; n = entry_before(e->g, n))
		deciders_into(e->g, n, &count);
	return count > 0;
}

static void changed_in_bulk(void *arg, unsigned atom, enum tf_state old)
{
	struct tf_engine *e = arg;
	enum tf_state state = tf_scheduler_state(e->sched, atom);
	if (state == TF_PENDING)
		tf_storage_new_round(e->storage, atom);
	tf_storage_set_progress(e->storage, atom, 0.0);
	tf_journal_note(e, atom);
	if (e->on.atom)
		e->on.atom(e->arg, atom, state, old, NULL);
	if (e->on.task_event && !tf_graph_atom_is_retry(e->g, atom))
		e->on.task_event(e->arg, atom, "update_progress", e->progress_begin);
	if (state == TF_PENDING && tf_engine_is_map(e, atom))
		tf_engine_map_renew(e, atom);
}

void tf_engine_decide(struct tf_engine *e)
{
	unsigned atom;
	while (e->failures.count == 0 && tf_scheduler_candidate(e->sched, &atom)) {
		int widest = e->g->decider_count ? ask_deciders(e, atom) : -1;
		if (widest == -1)
			tf_scheduler_ready(e->sched, atom);
		else if (widest >= 0)
			tf_scheduler_ignore(e->sched, atom, widest, changed_in_bulk, e);
	}
}

void tf_engine_retry(struct tf_engine *e, uint32_t retry)
{
	tf_journal_note(e, retry);
	tf_scheduler_retry(e->sched, retry, changed_in_bulk, e);
}
