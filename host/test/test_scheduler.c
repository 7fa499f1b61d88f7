/* The scheduler against the definitions of ENGINE.md 9, computed the slow way: every intention kept for
 * every atom, every predecessor and successor looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/graph_internal.h"
#include "engine/scheduler.h"
#include "random_flow.h"

enum { MAX_NODES = 256, MAX_ATOMS = 128 };

struct model {
	struct tf_graph *g;
	bool quirks;
	bool after[MAX_NODES][MAX_NODES]; /* [x][y]: y can be reached from x */
	enum tf_state state[MAX_ATOMS];
	enum tf_intention intent[MAX_ATOMS];
};

static void model_init(struct model *m, struct tf_graph *g, bool quirks)
{
	memset(m, 0, sizeof *m);
	m->g = g;
	m->quirks = quirks;
	assert_true(g->node_count <= MAX_NODES && g->atom_count <= MAX_ATOMS);
	for (uint32_t x = g->node_count; x-- > 0;)
		for (uint32_t e = g->succ_at[x]; e < g->succ_at[x + 1]; e++) {
			assert_true(g->succ[e] > x);
			m->after[x][g->succ[e]] = true;
			for (uint32_t y = 0; y < g->node_count; y++)
				m->after[x][y] = m->after[x][y] || m->after[g->succ[e]][y];
		}
}

static bool comes_after(const struct model *m, uint32_t atom, uint32_t other)
{
	return m->after[m->g->atom_node[atom]][m->g->atom_node[other]];
}

static bool model_execute(const struct model *m, uint32_t a)
{
	if ((m->state[a] != TF_PENDING && m->state[a] != TF_RETRYING) || m->intent[a] != TF_INTENT_EXECUTE)
		return false;
	for (uint32_t p = 0; p < m->g->atom_count; p++) {
		if (!comes_after(m, p, a))
			continue;
		bool done = m->state[p] == TF_SUCCESS || m->state[p] == TF_IGNORE;
		if (!done || (m->intent[p] != TF_INTENT_EXECUTE && m->intent[p] != TF_INTENT_IGNORE))
			return false;
	}
	return true;
}

static bool model_revert(const struct model *m, uint32_t a)
{
	if (m->state[a] != TF_SUCCESS && m->state[a] != TF_FAILURE)
		return false;
	if (m->intent[a] != TF_INTENT_REVERT && m->intent[a] != TF_INTENT_RETRY)
		return false;
	for (uint32_t s = 0; s < m->g->atom_count; s++)
		if (comes_after(m, a, s) && m->state[s] != TF_PENDING && m->state[s] != TF_REVERTED &&
			m->state[s] != TF_IGNORE)
			return false;
	return true;
}

static void model_mark(struct model *m, uint32_t retry, enum tf_intention intention)
{
	if (m->quirks || intention != TF_INTENT_RETRY || m->intent[retry] != TF_INTENT_REVERT)
		m->intent[retry] = intention;
	for (uint32_t a = 0; a < m->g->atom_count; a++)
		if (comes_after(m, retry, a))
			m->intent[a] = TF_INTENT_REVERT;
}

static void model_ignore(struct model *m, uint32_t atom, int depth)
{
	const struct tf_graph *g = m->g;
	bool reached[MAX_NODES] = {false};
	uint32_t from = g->atom_node[atom];
	m->state[atom] = TF_IGNORE;
	m->intent[atom] = TF_INTENT_IGNORE;
	for (uint32_t n = from; n < g->node_count; n++) { /* rising: edges lead upwards */
		bool expand = n == from ||
			      (reached[n] && (depth == 3 || (depth == 2 && g->kind[n] == TF_NODE_TASK)));
		for (uint32_t e = g->succ_at[n]; expand && e < g->succ_at[n + 1]; e++)
			reached[g->succ[e]] = reached[g->succ[e]] || depth > 1 ||
					      (depth == 1 && g->kind[g->succ[e]] == TF_NODE_TASK);
	}
	for (uint32_t a = 0; a < g->atom_count; a++)
		if (reached[g->atom_node[a]]) {
			m->state[a] = TF_IGNORE;
			m->intent[a] = TF_INTENT_IGNORE;
		}
}

/* --- both together ----------------------------------------------------------------------- */

struct both {
	struct model m;
	struct tf_scheduler *s;
	bool announced[MAX_ATOMS];
	unsigned reset_count, ignored_count;
};

static void was_reset(void *arg, unsigned atom, enum tf_state old)
{
	struct both *b = arg;
	assert_int_not_equal(old, TF_PENDING);
	assert_int_equal(tf_scheduler_state(b->s, atom), TF_PENDING);
	b->reset_count++;
}

static void was_ignored(void *arg, unsigned atom, enum tf_state old)
{
	struct both *b = arg;
	assert_int_equal(old, TF_PENDING);
	assert_int_equal(tf_scheduler_state(b->s, atom), TF_IGNORE);
	b->ignored_count++;
}

/* What the success of all that run would make ready; that nothing was changed by asking, `compare` finds out. */
static void compare_foreseen(struct both *b)
{
	static struct model then;
	bool foreseen[MAX_ATOMS] = {false};
	unsigned running[MAX_ATOMS], count = 0;
	const unsigned *next;
	then = b->m;
	for (uint32_t a = 0; a < b->m.g->atom_count; a++)
		if (b->m.state[a] == TF_RUNNING) {
			running[count++] = a;
			then.state[a] = TF_SUCCESS;
		}
	size_t ready = tf_scheduler_foresee(b->s, running, count, &next);
	for (size_t i = 0; i < ready; i++) {
		assert_false(foreseen[next[i]]);
		foreseen[next[i]] = true;
	}
	for (uint32_t a = 0; a < b->m.g->atom_count; a++)
		assert_int_equal(foreseen[a], model_execute(&then, a) && !model_execute(&b->m, a));
}

/* Same states, intentions and readiness; nobody ready who was not announced; nobody twice. */
static void compare(struct both *b)
{
	unsigned atom;
	const unsigned *atoms;
	while (tf_scheduler_candidate(b->s, &atom))
		tf_scheduler_ready(b->s, atom);
	size_t count = tf_scheduler_take(b->s, &atoms);
	int priority = 1000;
	for (size_t i = 0; i < count; i++) {
		int p = tf_graph_atom(b->m.g, atoms[i])->priority;
		assert_true(p < priority || (p == priority && atoms[i] > atoms[i - 1]));
		priority = p;
		b->announced[atoms[i]] = true;
	}
	compare_foreseen(b);
	bool all_done = true;
	for (uint32_t a = 0; a < b->m.g->atom_count; a++) {
		assert_int_equal(tf_scheduler_state(b->s, a), b->m.state[a]);
		assert_int_equal(tf_scheduler_intention(b->s, a), b->m.intent[a]);
		enum tf_action_kind action = tf_scheduler_action(b->s, a);
		enum tf_action_kind expected = model_execute(&b->m, a)             ? TF_DO_EXECUTE
					       : !model_revert(&b->m, a)           ? TF_DO_NOTHING
					       : b->m.intent[a] == TF_INTENT_RETRY ? TF_DO_RETRY
										   : TF_DO_REVERT;
		assert_int_equal(action, expected);
		assert_true(action == TF_DO_NOTHING || b->announced[a]);
		all_done = all_done && (b->m.state[a] == TF_SUCCESS || b->m.state[a] == TF_IGNORE);
	}
	assert_int_equal(tf_scheduler_all_done(b->s), all_done);
}

static void set(struct both *b, uint32_t a, enum tf_state state)
{
	b->announced[a] = false;
	b->m.state[a] = state;
	if (state == TF_RUNNING)
		b->m.intent[a] = TF_INTENT_EXECUTE;
	tf_scheduler_set(b->s, a, state);
}

static void begin_retry(struct both *b, uint32_t a)
{
	unsigned before = b->reset_count, changes = 0;
	set(b, a, TF_RETRYING);
	b->m.intent[a] = TF_INTENT_EXECUTE;
	for (uint32_t x = 0; x < b->m.g->atom_count; x++) {
		if (!comes_after(&b->m, a, x))
			continue;
		changes += b->m.state[x] != TF_PENDING;
		b->m.state[x] = TF_PENDING;
		b->m.intent[x] = TF_INTENT_EXECUTE;
		b->announced[x] = false;
	}
	tf_scheduler_retry(b->s, a, was_reset, b);
	assert_int_equal(b->reset_count - before, changes);
	set(b, a, TF_RUNNING);
}

static void resolve(struct both *b, struct rng *r, uint32_t a)
{
	uint32_t retry = b->m.g->atom_retry[a];
	unsigned choice = rng_below(r, 4);
	/* A controller is asked while it stands: it has executed, and the atom is one of its round. */
	if (retry == TF_NONE || choice == 0 || b->m.state[retry] != TF_SUCCESS) {
		for (uint32_t x = 0; x < b->m.g->atom_count; x++)
			b->m.intent[x] = TF_INTENT_REVERT;
		tf_scheduler_revert_all(b->s);
	} else {
		enum tf_intention i = choice == 1 ? TF_INTENT_REVERT : TF_INTENT_RETRY;
		model_mark(&b->m, retry, i);
		tf_scheduler_mark(b->s, retry, i);
	}
}

/* One thing that may happen now. False: nothing can. */
static bool happen(struct both *b, struct rng *r)
{
	uint32_t atoms = b->m.g->atom_count, start = rng_below(r, atoms);
	for (uint32_t i = 0; i < atoms; i++) {
		uint32_t a = (start + i) % atoms;
		bool ok = rng_below(r, 8) > 0;
		if (b->m.state[a] == TF_RUNNING) {
			set(b, a, ok ? TF_SUCCESS : TF_FAILURE);
			if (!ok)
				resolve(b, r, a);
			return true;
		}
		if (b->m.state[a] == TF_REVERTING) {
			set(b, a, ok || rng_below(r, 4) ? TF_REVERTED : TF_REVERT_FAILURE);
			return true;
		}
		switch (tf_scheduler_action(b->s, a)) {
		case TF_DO_EXECUTE:
			if (b->m.state[a] == TF_PENDING && rng_below(r, 12) == 0) {
				int depth = (int)rng_below(r, 4);
				model_ignore(&b->m, a, depth);
				tf_scheduler_ignore(b->s, a, depth, was_ignored, b);
			} else {
				set(b, a, TF_RUNNING);
			}
			return true;
		case TF_DO_REVERT:
			set(b, a, TF_REVERTING);
			return true;
		case TF_DO_RETRY:
			begin_retry(b, a);
			return true;
		case TF_DO_NOTHING:
			break;
		}
	}
	return false;
}

static void one_flow(uint64_t seed, bool quirks)
{
	struct rng r = rng_seed(seed);
	struct tf_graph *g = random_flow(&r, 5 + rng_below(&r, 40));
	static struct both b;
	memset(&b, 0, sizeof b);
	model_init(&b.m, g, quirks);
	b.s = tf_scheduler_new(g, quirks);
	for (int run = 0; run < 2 && g->atom_count > 0; run++) {
		tf_scheduler_rebuild(b.s);
		compare(&b);
		for (unsigned steps = 0; steps < 400 && happen(&b, &r); steps++) {
			compare(&b);
			if (rng_below(&r, 40) == 0) { /* stopped and resumed: nothing may get lost */
				memset(b.announced, 0, sizeof b.announced);
				tf_scheduler_rebuild(b.s);
				compare(&b);
			}
		}
		memset(b.m.state, TF_PENDING, sizeof b.m.state);
		memset(b.m.intent, TF_INTENT_EXECUTE, sizeof b.m.intent);
		memset(b.announced, 0, sizeof b.announced);
		tf_scheduler_reset(b.s);
	}
	tf_scheduler_delete(b.s);
	tf_graph_delete(g);
}

static void test_random_flows(void **state)
{
	(void)state;
	uint64_t seed = rng_test_seed("test_scheduler");
	for (uint64_t i = 0; i < 3000; i++) {
		one_flow(seed + i, false);
		one_flow(seed + i, true);
	}
}

/* Flows that once came out differently. */
static void test_found_flows(void **state)
{
	(void)state;
	one_flow(1795523584,
		true); /* marked, ignored, and marked again: ignored atoms have the intention REVERT */
	one_flow(60521, false); /* ... until a decider ignores them again */
}

/* An earlier decision to retry loses against REVERT_ALL and does not come back, unless asked to. */
static void test_retry_after_revert_all(void **state)
{
	(void)state;
	for (int quirks = 0; quirks < 2; quirks++) {
		struct tf_graph *g = tf_graph_new();
		tf_graph_open_flow(g, "f", TF_UNORDERED);
		tf_graph_open_flow(g, "sub", TF_LINEAR);
		tf_graph_add_retry(g, &(struct tf_atom_spec){.name = "r"});
		tf_graph_add_task(g, &(struct tf_atom_spec){.name = "a"});
		tf_graph_close_flow(g);
		tf_graph_add_task(g, &(struct tf_atom_spec){.name = "b"});
		tf_graph_close_flow(g);
		assert_int_equal(tf_graph_compile(g, NULL), 0);
		unsigned r = (unsigned)tf_graph_find(g, "r"), a = (unsigned)tf_graph_find(g, "a"),
			 b = (unsigned)tf_graph_find(g, "b");
		struct tf_scheduler *s = tf_scheduler_new(g, quirks);
		tf_scheduler_rebuild(s);
		tf_scheduler_set(s, r, TF_RUNNING);
		tf_scheduler_set(s, b, TF_RUNNING);
		tf_scheduler_set(s, r, TF_SUCCESS);
		tf_scheduler_set(s, a, TF_RUNNING);
		tf_scheduler_set(s, b, TF_FAILURE);
		tf_scheduler_revert_all(s);
		tf_scheduler_set(s, a, TF_FAILURE);
		tf_scheduler_mark(s, r, TF_INTENT_RETRY);
		assert_int_equal(tf_scheduler_intention(s, r), quirks ? TF_INTENT_RETRY : TF_INTENT_REVERT);
		assert_int_equal(tf_scheduler_action(s, a), TF_DO_REVERT);
		assert_int_equal(tf_scheduler_action(s, b), TF_DO_REVERT);
		assert_int_equal(tf_scheduler_action(s, r), TF_DO_NOTHING);
		tf_scheduler_delete(s);
		tf_graph_delete(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_flows),
		cmocka_unit_test(test_found_flows),
		cmocka_unit_test(test_retry_after_revert_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
