/* Symbol lookup against its definition (ENGINE.md 6), followed literally. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/scope.h"
#include "random_flow.h"

/* Providers of `symbol` that `atom` sees: "b a | c", levels separated. */
static const char *seen_by(const struct tf_graph *g, const char *atom, const char *symbol)
{
	static char text[512];
	text[0] = '\0';
	struct tf_scope s =
		tf_scope_of(g, (unsigned)tf_graph_find(g, atom), tf_intern_find(g->names, symbol));
	const struct tf_provider *p;
	uint32_t level = TF_NONE;
	while ((p = tf_scope_next(&s)) != NULL) {
		const char *between = *text == '\0' ? "" : level == s.level ? " " : " | ";
		level = s.level;
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", between,
			tf_graph_atom(g, p->atom)->name);
	}
	return text;
}

static const struct tf_provide x = {"x", TF_WHOLE, 0};

static int gives(struct tf_graph *g, const char *name)
{
	return tf_graph_add_task(g, &(struct tf_atom_spec){.name = name, .provides = &x, .provide_count = 1});
}

static void test_worked(void **state)
{
	(void)state;
	struct tf_graph *g = tf_graph_new(); /* linear(o, g(retry r, i, c), u(p, q, v(w)), d) */
	tf_graph_open_flow(g, "f", TF_LINEAR);
	gives(g, "o");
	tf_graph_open_flow(g, "g", TF_LINEAR);
	tf_graph_add_retry(g, &(struct tf_atom_spec){.name = "r", .provides = &x, .provide_count = 1});
	gives(g, "i");
	gives(g, "c");
	tf_graph_close_flow(g);
	tf_graph_open_flow(g, "u", TF_UNORDERED);
	gives(g, "p");
	gives(g, "q");
	tf_graph_open_flow(g, "v", TF_LINEAR);
	gives(g, "w");
	tf_graph_close_flow(g);
	tf_graph_close_flow(g);
	gives(g, "d");
	tf_graph_close_flow(g);
	assert_int_equal(tf_graph_compile(g, NULL), 0);
	assert_string_equal(seen_by(g, "c", "x"), "i r | o");
	assert_string_equal(seen_by(g, "r", "x"), "o");
	assert_string_equal(seen_by(g, "d", "x"), "w q p c i r o"); /* later added is nearer */
	assert_string_equal(
		seen_by(g, "w", "x"), "c i r o"); /* siblings of an unordered flow are invisible */
	assert_string_equal(seen_by(g, "o", "x"), "");
	assert_string_equal(seen_by(g, "d", "nobody"), "");
	tf_graph_delete(g);
}

static void test_retry_of_unordered(void **state)
{
	(void)state;
	struct tf_graph *g = tf_graph_new();
	tf_graph_open_flow(g, "f", TF_UNORDERED);
	tf_graph_add_retry(g, &(struct tf_atom_spec){.name = "r", .provides = &x, .provide_count = 1});
	gives(g, "a");
	gives(g, "b");
	tf_graph_close_flow(g);
	assert_int_equal(tf_graph_compile(g, NULL), 0);
	assert_string_equal(seen_by(g, "a", "x"), "r");
	assert_string_equal(seen_by(g, "b", "x"), "r");
	tf_graph_delete(g);
}

static void test_graph(void **state)
{
	(void)state;
	struct tf_graph *g = tf_graph_new();
	tf_graph_open_flow(g, "f", TF_GRAPH);
	int a = gives(g, "a"), b = gives(g, "b"), c = gives(g, "c"), d = gives(g, "d");
	tf_graph_link(g, a, c, -1, 3, NULL);
	tf_graph_link(g, c, d, -1, 3, NULL);
	tf_graph_close_flow(g);
	(void)b;
	assert_int_equal(tf_graph_compile(g, NULL), 0);
	assert_string_equal(seen_by(g, "d", "x"), "c a");
	assert_string_equal(seen_by(g, "b", "x"), "");
	tf_graph_delete(g);
}

/* --- the definition ---------------------------------------------------------------------- */

struct oracle {
	const struct tf_graph *g;
	bool *before; /* by atom: precedes the one that asks */
	char text[8192];
	uint32_t symbol;
	bool level_open;
};

static void find_before(struct oracle *o, uint32_t atom)
{
	const struct tf_graph *g = o->g;
	bool *reached = tf_calloc(g->node_count, sizeof *reached);
	for (uint32_t n = g->atom_node[atom] + 1; n-- > 0;) {
		if (n != g->atom_node[atom] && !reached[n])
			continue;
		for (uint32_t e = g->pred_at[n]; e < g->pred_at[n + 1]; e++) {
			uint32_t p = g->pred[e];
			reached[p] = true;
			if (g->kind[p] == TF_NODE_TASK || g->kind[p] == TF_NODE_RETRY)
				o->before[g->peer[p]] = true;
		}
	}
	free(reached);
}

static void visit_atom(struct oracle *o, uint32_t plan)
{
	const struct tf_graph *g = o->g;
	uint32_t a = g->peer[g->plans[plan].node];
	const struct tf_atom_spec *spec = g->specs[a];
	if (!o->before[a])
		return;
	for (size_t i = 0; i < spec->provide_count; i++) {
		if (tf_intern_find(g->names, spec->provides[i].symbol) != o->symbol)
			continue;
		const char *between = o->text[0] == '\0' ? "" : o->level_open ? " " : " | ";
		o->level_open = true;
		snprintf(o->text + strlen(o->text), sizeof o->text - strlen(o->text), "%s%s", between,
			spec->name);
	}
}

/* Children of a flow before `stop` (all if TF_NONE), nearest to farthest, flows expanded. */
static void walk_back(struct oracle *o, uint32_t flow, uint32_t stop)
{
	const struct tf_graph *g = o->g;
	uint32_t children[256], count = 0;
	if (g->plans[flow].retry != TF_NONE)
		children[count++] = g->plans[flow].retry;
	if (stop != TF_NONE && stop == g->plans[flow].retry)
		count = 0;
	else
		for (uint32_t p = g->plans[flow].first; p != TF_NONE && p != stop; p = g->plans[p].next)
			children[count++] = p;
	while (count-- > 0) {
		if (g->plans[children[count]].kind == TF_NODE_FLOW)
			walk_back(o, children[count], TF_NONE);
		else
			visit_atom(o, children[count]);
	}
}

static const char *by_definition(struct oracle *o, uint32_t atom, uint32_t symbol)
{
	const struct tf_graph *g = o->g;
	memset(o->before, 0, (g->atom_count + 1) * sizeof *o->before);
	find_before(o, atom);
	o->text[0] = '\0';
	o->symbol = symbol;
	uint32_t from = g->plan_of[g->atom_node[atom]];
	for (uint32_t flow = g->plans[from].parent; flow != TF_NONE;
		from = flow, flow = g->plans[flow].parent) {
		o->level_open = false;
		walk_back(o, flow, from);
	}
	return o->text;
}

static void compare_all(const struct tf_graph *g)
{
	struct oracle o = {.g = g, .before = tf_calloc(g->atom_count + (size_t)1, sizeof(bool))};
	static const char *const symbols[] = {"s0", "s1", "s2", "s3"};
	for (uint32_t a = 0; a < g->atom_count; a++)
		for (int s = 0; s < 4; s++) {
			uint32_t symbol = tf_intern_find(g->names, symbols[s]);
			if (symbol != TF_NONE)
				assert_string_equal(seen_by(g, g->specs[a]->name, symbols[s]),
					by_definition(&o, a, symbol));
		}
	free(o.before);
}

static void test_random_flows(void **state)
{
	(void)state;
	struct rng r = rng_seed(rng_test_seed("test_scope"));
	for (int i = 0; i < 1500; i++) {
		struct tf_graph *g = random_flow(&r, 5 + rng_below(&r, 60));
		compare_all(g);
		tf_graph_delete(g);
	}
}

/* One large graph flow: reachability by links, with all its short cuts. */
static void test_random_links(void **state)
{
	(void)state;
	struct rng r = rng_seed(rng_test_seed("test_scope links"));
	for (int round = 0; round < 60; round++) {
		struct tf_graph *g = tf_graph_new();
		int ids[40];
		char name[16];
		tf_graph_open_flow(g, "f", TF_GRAPH);
		for (unsigned i = 0; i < 40; i++) {
			static const struct tf_provide s0 = {"s0", TF_WHOLE, 0};
			snprintf(name, sizeof name, "t%u", i);
			ids[i] = tf_graph_add_task(
				g, &(struct tf_atom_spec){.name = name, .provides = &s0, .provide_count = 1});
			for (unsigned k = 0; i > 0 && k < rng_below(&r, 4); k++)
				tf_graph_link(g, ids[rng_below(&r, i)], ids[i], -1, 3, NULL);
		}
		tf_graph_close_flow(g);
		assert_int_equal(tf_graph_compile(g, NULL), 0);
		compare_all(g);
		tf_graph_delete(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worked),
		cmocka_unit_test(test_retry_of_unordered),
		cmocka_unit_test(test_graph),
		cmocka_unit_test(test_random_flows),
		cmocka_unit_test(test_random_links),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
