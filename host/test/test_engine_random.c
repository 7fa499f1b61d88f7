/* Random flows, where only rules that hold for every run are checked. */
#include <stdlib.h>

#include "base/mem.h"
#include "cmocka_all.h"
#include "engine/engine.h"
#include "engine/graph_internal.h"
#include "protocol/failure.h"
#include "random_flow.h"

struct property {
	struct tf_executor x;
	struct rng *r;
	struct tf_engine *e;
	struct tf_graph *g;
	struct tf_completion *running;
	unsigned running_count;
	unsigned *submits, *dones; /* by atom: in the present round and action */
	enum tf_state *seen;       /* by atom: last notified */
	struct tf_value *value, *failure;
	unsigned fail_one_in, retries;
};

static int p_start(struct tf_executor *x, struct tf_err *err)
{
	(void)x;
	(void)err;
	return 0;
}

static void p_nothing(struct tf_executor *x)
{
	(void)x;
}

static int p_submit(struct tf_executor *x, const struct tf_work *w, struct tf_err *err)
{
	struct property *p = (struct property *)x;
	(void)err;
	for (unsigned i = 0; i < p->running_count; i++)
		assert_int_not_equal(p->running[i].atom, w->atom); /* once at a time */
	bool failed =
		rng_below(p->r, p->fail_one_in) == 0 && (w->action == TF_EXECUTE || rng_below(p->r, 4) == 0);
	p->running[p->running_count++] = (struct tf_completion){.atom = w->atom,
		.round = w->round,
		.action = w->action,
		.failed = failed,
		.result = failed ? p->failure : p->value};
	return 0;
}

static const struct tf_executor_ops p_ops = {
	.name = "property", .start = p_start, .submit = p_submit, .stop = p_nothing, .destroy = p_nothing};

static bool edge_between(const struct tf_graph *g, uint32_t before, uint32_t after)
{
	uint32_t node = g->atom_node[before];
	for (uint32_t e = g->succ_at[node]; e < g->succ_at[node + 1]; e++)
		if (g->succ[e] == g->atom_node[after])
			return true;
	return false;
}

static void p_atom(void *arg, unsigned atom, enum tf_state now, enum tf_state old, struct tf_value *result)
{
	struct property *p = arg;
	(void)result;
	assert_int_equal(p->seen[atom], old);
	bool retry = tf_graph_atom_is_retry(p->g, atom);
	bool reset = now == TF_PENDING && tf_engine_finished(p->e); /* from any state */
	assert_true(reset || (retry ? tf_retry_may(old, now) : tf_task_may(old, now)));
	p->seen[atom] = now;
	for (uint32_t other = 0; other < p->g->atom_count; other++) {
		enum tf_state s = p->seen[other];
		/* Begins after what is before it; reverted before that. */
		if (now == TF_RUNNING && edge_between(p->g, other, atom))
			assert_true(s == TF_SUCCESS || s == TF_IGNORE);
		if (now == TF_REVERTING && edge_between(p->g, atom, other))
			assert_true(s == TF_PENDING || s == TF_REVERTED || s == TF_IGNORE);
	}
}

static struct tf_value *p_retry(void *arg, const struct tf_retry_call *c, bool *failed)
{
	struct property *p = arg;
	(void)c;
	*failed = rng_below(p->r, p->fail_one_in) == 0;
	return tf_value_ref(*failed ? p->failure : p->value);
}

static int p_on_failure(void *arg, const struct tf_retry_call *c, uint64_t *delay, struct tf_value **failure)
{
	struct property *p = arg;
	(void)delay;
	(void)failure;
	assert_true(tf_json_count(tf_value_json(c->history)) > 0);
	if (p->retries > 0 && rng_below(p->r, 3) > 0) {
		p->retries--;
		return TF_DECISION_RETRY;
	}
	return rng_below(p->r, 3) ? TF_DECISION_REVERT : TF_DECISION_REVERT_ALL;
}

static int p_decide(void *arg, int decider, struct tf_value *history, struct tf_value **failure)
{
	struct property *p = arg;
	(void)decider;
	(void)failure;
	assert_int_equal(tf_json_type(tf_value_json(history)), TF_JSON_OBJECT);
	return rng_below(p->r, 3) > 0;
}

static void p_drive(struct property *p)
{
	struct tf_err err;
	assert_int_equal(tf_engine_start(p->e, &err), 0);
	unsigned idle_steps = 0;
	while (!tf_engine_finished(p->e)) {
		bool moved = tf_engine_step(p->e);
		idle_steps = moved ? 0 : idle_steps + 1;
		assert_true(idle_steps < 2 || p->running_count > 0);
		for (unsigned n = rng_below(p->r, 3); n > 0 && p->running_count > 0; n--) {
			unsigned i = rng_below(p->r, p->running_count);
			struct tf_completion c = p->running[i];
			p->running[i] = p->running[--p->running_count];
			p->x.events.done(p->x.arg, &c);
			if (rng_below(p->r, 10) == 0)
				p->x.events.done(p->x.arg, &c); /* twice */
		}
		if (rng_below(p->r, 30) == 0)
			tf_engine_suspend(p->e);
	}
	assert_int_equal(p->running_count, 0);
}

static void p_check_end(struct property *p)
{
	enum tf_state end = tf_engine_flow_state(p->e);
	size_t raised = tf_engine_failure_count(p->e);
	for (uint32_t a = 0; a < p->g->atom_count; a++) {
		enum tf_state s = tf_engine_atom_state(p->e, a);
		assert_int_equal(s, p->seen[a]);
		assert_true(s != TF_RUNNING && s != TF_REVERTING && s != TF_RETRYING);
		if (end == TF_SUCCESS)
			assert_true(s == TF_SUCCESS || s == TF_IGNORE);
	}
	if (end == TF_SUCCESS || end == TF_SUSPENDED)
		assert_int_equal(raised, 0);
	else
		assert_true(raised > 0);
}

static void one_run(uint64_t seed, bool quirks)
{
	struct rng r = rng_seed(seed);
	struct property p = {.x.ops = &p_ops, .r = &r, .retries = 10, .fail_one_in = 4 + rng_below(&r, 30)};
	p.g = random_flow(&r, 5 + rng_below(&r, 50));
	p.running = tf_calloc(p.g->atom_count + 1, sizeof *p.running);
	p.seen = tf_calloc(p.g->atom_count + 1, sizeof *p.seen);
	p.value = tf_value_from((struct tf_json){"1", 1});
	p.failure = tf_failure_format(tf_types_value_error, "planned");
	const struct tf_engine_events events = {.atom = p_atom,
		.retry_execute = p_retry,
		.retry_revert = p_retry,
		.retry_on_failure = p_on_failure,
		.decide = p_decide};
	p.e = tf_engine_new(p.g, &p.x,
		&(struct tf_engine_options){
			.reference_quirks = quirks, .defer_reverts = rng_below(&r, 4) == 0},
		&events, &p);
	for (int run = 0; run < 3; run++) {
		p_drive(&p);
		p_check_end(&p);
	}
	tf_engine_delete(p.e);
	tf_value_unref(p.value);
	tf_value_unref(p.failure);
	free(p.running);
	free(p.seen);
}

static void test_random_runs(void **state)
{
	(void)state;
	uint64_t seed = rng_test_seed("test_engine_random");
	for (uint64_t i = 0; i < 1500; i++)
		one_run(seed + i, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_runs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
