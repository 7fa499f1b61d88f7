#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/graph_internal.h"

static int task(struct tf_graph *g, const char *name)
{
	return tf_graph_add_task(g, &(struct tf_atom_spec){.name = name, .task_cls = "tests.Task"});
}

static int retry(struct tf_graph *g, const char *name)
{
	return tf_graph_add_retry(g, &(struct tf_atom_spec){.name = name});
}

static void compile(struct tf_graph *g)
{
	struct tf_err err;
	if (tf_graph_compile(g, &err) != 0)
		fail_msg("%s", err.message);
}

/* Atoms in order: "a b c". */
static const char *atoms(const struct tf_graph *g)
{
	static char text[512];
	text[0] = '\0';
	for (unsigned a = 0; a < tf_graph_atom_count(g); a++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", a ? " " : "",
			tf_graph_atom(g, a)->name);
	return text;
}

static const char *node_name(const struct tf_graph *g, uint32_t n)
{
	static char text[2][64];
	static int turn;
	turn = !turn;
	const char *name = tf_intern_text(g->names, g->plans[g->plan_of[n]].name);
	snprintf(text[turn], sizeof text[turn], "%s%s", name, g->kind[n] == TF_NODE_END ? "[$]" : "");
	return text[turn];
}

/* Edges: "f>a a>f[$]", by source, in order. */
static const char *edges(const struct tf_graph *g)
{
	static char text[1024];
	text[0] = '\0';
	for (uint32_t n = 0; n < g->node_count; n++)
		for (uint32_t e = g->succ_at[n]; e < g->succ_at[n + 1]; e++)
			snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s>%s", *text ? " " : "",
				node_name(g, n), node_name(g, g->succ[e]));
	return text;
}

static const char *controller(const struct tf_graph *g, const char *name)
{
	uint32_t r = g->atom_retry[tf_graph_find(g, name)];
	return r == TF_NONE ? "-" : tf_graph_atom(g, r)->name;
}

static void test_linear(void **state)
{
	(void)state;
	struct tf_graph *g = tf_graph_new();
	assert_int_equal(tf_graph_open_flow(g, "f", TF_LINEAR), 0);
	int a = task(g, "a");
	int sub = tf_graph_open_flow(g, "g", TF_LINEAR);
	int r = retry(g, "r");
	int b = task(g, "b");
	assert_int_equal(tf_graph_close_flow(g), sub);
	task(g, "c");
	tf_graph_open_flow(g, "e", TF_UNORDERED);
	tf_graph_close_flow(g);
	tf_graph_close_flow(g);
	compile(g);
	/* A retry stands after what it controls. */
	assert_string_equal(atoms(g), "a b r c");
	assert_string_equal(edges(g), "f>a a>g g>r r>b b>g[$] g[$]>c c>e e>e[$] e[$]>f[$]");
	assert_string_equal(controller(g, "b"), "r");
	assert_string_equal(controller(g, "r"), "-");
	assert_string_equal(controller(g, "c"), "-");
	assert_string_equal(tf_graph_name(g), "f");
	assert_int_equal(tf_graph_find(g, "c"), 3);
	assert_int_equal(tf_graph_find(g, "f"), -1);
	assert_int_equal(tf_graph_find(g, "nobody"), -1);
	assert_int_equal(tf_graph_atom_of(g, a), 0);
	assert_int_equal(tf_graph_atom_of(g, b), 1);
	assert_int_equal(tf_graph_atom_of(g, r), 2);
	assert_int_equal(tf_graph_atom_of(g, sub), -1);
	assert_true(tf_graph_atom_is_retry(g, 2));
	assert_false(tf_graph_atom_is_retry(g, 1));
	tf_graph_delete(g);
}

static void test_controlling_retries(void **state)
{
	(void)state;
	struct tf_graph *g = tf_graph_new();
	tf_graph_open_flow(g, "f", TF_UNORDERED);
	retry(g, "outer");
	task(g, "a");
	tf_graph_open_flow(g, "plain", TF_LINEAR);
	tf_graph_open_flow(g, "sub", TF_LINEAR);
	retry(g, "inner");
	task(g, "b");
	tf_graph_close_flow(g);
	task(g, "c");
	tf_graph_close_flow(g);
	tf_graph_close_flow(g);
	compile(g);
	assert_string_equal(atoms(g), "a b inner c outer");
	assert_string_equal(controller(g, "a"), "outer");
	assert_string_equal(controller(g, "b"), "inner");
	assert_string_equal(controller(g, "inner"), "outer");
	assert_string_equal(controller(g, "c"), "outer");
	assert_string_equal(controller(g, "outer"), "-");
	tf_graph_delete(g);
}

/* Two wide flows after each other meet at the first's end and the second's entry. */
static void test_join_is_linear(void **state)
{
	(void)state;
	enum { WIDTH = 300 };
	struct tf_graph *g = tf_graph_new();
	char name[32];
	tf_graph_open_flow(g, "f", TF_LINEAR);
	for (int part = 0; part < 2; part++) {
		tf_graph_open_flow(g, "part", TF_UNORDERED);
		for (int i = 0; i < WIDTH; i++) {
			snprintf(name, sizeof name, "%d-%d", part, i);
			task(g, name);
		}
		tf_graph_close_flow(g);
	}
	tf_graph_close_flow(g);
	compile(g);
	assert_int_equal(g->succ_at[g->node_count], 4 * WIDTH + 3);
	tf_graph_delete(g);
}

/* Children that become free first come first, like the reference's topological order. */
static void test_graph_order(void **state)
{
	(void)state;
	struct tf_graph *g = tf_graph_new();
	tf_graph_open_flow(g, "f", TF_GRAPH);
	int c = task(g, "c"), a = task(g, "a");
	int sub = tf_graph_open_flow(g, "sub", TF_LINEAR);
	task(g, "s");
	tf_graph_close_flow(g);
	int d = task(g, "d");
	assert_int_equal(tf_graph_link(g, a, sub, -1, 3, NULL), 0);
	assert_int_equal(tf_graph_link(g, sub, c, 7, 1, NULL), 0);
	assert_int_equal(tf_graph_link(g, a, c, -1, 3, NULL), 0);
	tf_graph_close_flow(g);
	compile(g);
	(void)d;
	assert_string_equal(atoms(g), "a d s c");
	assert_string_equal(edges(g), "f>a f>d a>sub a>c d>f[$] sub>s s>sub[$] sub[$]>c c>f[$]");
	assert_int_equal(g->decider_count, 1);
	assert_int_equal(g->deciders[0].decider, 7);
	assert_int_equal(g->deciders[0].depth, 1);
	assert_int_equal(g->kind[g->deciders[0].from], TF_NODE_END);
	tf_graph_delete(g);
}

static void test_link_again(void **state)
{
	(void)state;
	struct tf_graph *g = tf_graph_new();
	tf_graph_open_flow(g, "f", TF_GRAPH);
	int a = task(g, "a"), b = task(g, "b"), c = task(g, "c");
	assert_int_equal(tf_graph_link(g, a, b, 1, 0, NULL), 0);
	assert_int_equal(tf_graph_link(g, a, c, -1, 3, NULL), 0);
	assert_int_equal(tf_graph_link(g, a, b, -1, 3, NULL), 0); /* keeps the decider */
	assert_int_equal(tf_graph_link(g, a, c, 4, 2, NULL), 0);
	tf_graph_close_flow(g);
	compile(g);
	assert_string_equal(edges(g), "f>a a>b a>c b>f[$] c>f[$]");
	assert_int_equal(g->decider_count, 2);
	assert_int_equal(g->deciders[0].decider, 1);
	assert_int_equal(g->deciders[0].depth, 0);
	assert_int_equal(g->deciders[1].decider, 4);
	assert_int_equal(g->deciders[1].depth, 2);
	tf_graph_delete(g);
}

static void test_bad_links(void **state)
{
	(void)state;
	struct tf_err err;
	struct tf_graph *g = tf_graph_new();
	int root = tf_graph_open_flow(g, "f", TF_GRAPH);
	int a = task(g, "a"), b = task(g, "b");
	int sub = tf_graph_open_flow(g, "sub", TF_LINEAR);
	int r = retry(g, "r");
	int s = task(g, "s"), t = task(g, "t");
	tf_graph_close_flow(g);
	assert_int_equal(tf_graph_link(g, a, 99, -1, 3, &err), TF_EINVAL);
	assert_non_null(strstr(err.message, "99"));
	assert_int_equal(tf_graph_link(g, root, a, -1, 3, &err), TF_EINVAL);
	assert_int_equal(tf_graph_link(g, -1, a, -1, 3, &err), TF_EINVAL);
	assert_int_equal(tf_graph_link(g, a, s, -1, 3, &err), TF_EINVAL);
	assert_non_null(strstr(err.message, "'a'"));
	assert_int_equal(tf_graph_link(g, s, t, -1, 3, &err), TF_EINVAL); /* of a linear flow */
	assert_int_equal(tf_graph_link(g, r, s, -1, 3, &err), TF_EINVAL);
	assert_int_equal(tf_graph_link(g, a, b, 0, 4, &err), TF_EINVAL);
	assert_int_equal(tf_graph_link(g, a, b, -2, 3, &err), TF_EINVAL);
	assert_int_equal(tf_graph_link(g, sub, a, -1, 3, &err), 0);
	tf_graph_close_flow(g);
	compile(g);
	tf_graph_delete(g);
}

static void test_cycles(void **state)
{
	(void)state;
	struct tf_err err;
	struct tf_graph *g = tf_graph_new();
	tf_graph_open_flow(g, "f", TF_LINEAR);
	tf_graph_open_flow(g, "loop", TF_GRAPH);
	int before = task(g, "before"), a = task(g, "a"), b = task(g, "b"), c = task(g, "c"),
	    after = task(g, "after");
	int path[] = {before, a, b, c, a, after};
	for (int i = 0; i < 5; i++)
		assert_int_equal(tf_graph_link(g, path[i], path[i + 1], -1, 3, NULL), 0);
	tf_graph_close_flow(g);
	tf_graph_close_flow(g);
	assert_int_equal(tf_graph_compile(g, &err), TF_ECYCLE);
	assert_non_null(
		strstr(err.message, "No path through the node(s) in the graph produces an ordering that will "
				    "allow for logical edge traversal: flow 'loop' has the cycle "));
	assert_null(strstr(err.message, "before"));
	assert_null(strstr(err.message, "after"));
	assert_non_null(strstr(err.message, "'a' -> 'b'"));
	assert_non_null(strstr(err.message, "'b' -> 'c'"));
	tf_graph_delete(g);

	g = tf_graph_new();
	tf_graph_open_flow(g, "f", TF_GRAPH);
	a = task(g, "a");
	assert_int_equal(tf_graph_link(g, a, a, -1, 3, NULL), 0);
	tf_graph_close_flow(g);
	assert_int_equal(tf_graph_compile(g, &err), TF_ECYCLE);
	assert_non_null(strstr(err.message, "'a' -> 'a'"));
	tf_graph_delete(g);
}

static void test_names(void **state)
{
	(void)state;
	struct tf_err err;
	struct tf_graph *g = tf_graph_new();
	tf_graph_open_flow(g, "f", TF_UNORDERED);
	const char *names[] = {"b", "a", "f", "b", "a", "a"}; /* a flow may be named like an atom */
	for (size_t i = 0; i < 6; i++)
		task(g, names[i]);
	tf_graph_close_flow(g);
	assert_int_equal(tf_graph_compile(g, &err), TF_EEXIST);
	assert_string_equal(err.message, "Atoms with duplicate names found: ['a', 'b']");
	tf_graph_delete(g);

	g = tf_graph_new();
	tf_graph_open_flow(g, "f", TF_UNORDERED);
	task(g, "");
	tf_graph_close_flow(g);
	assert_int_equal(tf_graph_compile(g, &err), TF_EINVAL);
	assert_non_null(strstr(err.message, "Task name must be non-empty"));
	tf_graph_delete(g);
}

/* What a builder is given may go away: everything was copied. */
static void test_copies(void **state)
{
	(void)state;
	struct tf_graph *g = tf_graph_new();
	char name[] = "a", cls[] = "tests.T", param[] = "p", symbol[] = "s", gives[] = "x";
	struct tf_binding in = {param, symbol, true};
	struct tf_provide out = {gives, TF_INDEX, 3};
	struct tf_value *inject = tf_value_parse("{\"s\": 1}", 8, 0, NULL);
	tf_graph_open_flow(g, "f", TF_LINEAR);
	tf_graph_add_task(g, &(struct tf_atom_spec){.name = name,
				     .task_cls = cls,
				     .priority = -7,
				     .execute = &in,
				     .execute_count = 1,
				     .provides = &out,
				     .provide_count = 1,
				     .inject = inject});
	tf_graph_close_flow(g);
	tf_value_unref(inject);
	name[0] = cls[0] = param[0] = symbol[0] = gives[0] = '?';
	compile(g);
	const struct tf_atom_spec *spec = tf_graph_atom(g, 0);
	assert_string_equal(spec->name, "a");
	assert_string_equal(spec->task_cls, "tests.T");
	assert_string_equal(spec->execute[0].param, "p");
	assert_string_equal(spec->execute[0].symbol, "s");
	assert_true(spec->execute[0].optional);
	assert_string_equal(spec->provides[0].symbol, "x");
	assert_int_equal(spec->provides[0].index, 3);
	assert_int_equal(spec->priority, -7);
	assert_string_equal(tf_value_text(spec->version), "[1, 0]");
	assert_string_equal(tf_value_text(spec->inject), "{\"s\": 1}");
	tf_graph_delete(g);
}

/* --- validation -------------------------------------------------------------------------- */

static void needs(struct tf_graph *g, const char *name, const char *param, const char *symbol, bool optional)
{
	struct tf_binding b = {param, symbol, optional};
	tf_graph_add_task(g, &(struct tf_atom_spec){.name = name,
				     .execute = &b,
				     .execute_count = 1,
				     .revert = &b,
				     .revert_count = optional});
}

/* The reference's text, each cause two columns further in. */
static void test_missing(void **state)
{
	(void)state;
	static const struct tf_binding both[] = {{"zz", "zz", false}, {"a", "aa", false}};
	struct tf_graph *g = tf_graph_new();
	tf_graph_open_flow(g, "f", TF_LINEAR);
	const char *names[] = {"a", "b"};
	for (int i = 0; i < 2; i++)
		tf_graph_add_task(g, &(struct tf_atom_spec){.name = names[i],
					     .execute = both,
					     .execute_count = 2,
					     .revert = both,
					     .revert_count = 1});
	tf_graph_close_flow(g);
	compile(g);
	struct tf_err err;
	assert_int_equal(tf_graph_validate(g, (struct tf_json){NULL, 0}, &err), TF_EMISSING);
	assert_string_equal(err.message, "'\"linear_flow.Flow: f(len=2)\"' requires ['a', 'zz'] but no other "
					 "entity produces said requirements\n"
					 "  MissingDependencies: 'revert' method on '\"b==1.0\"' requires "
					 "['zz'] but no other entity produces said "
					 "requirements\n"
					 "    MissingDependencies: 'execute' method on '\"b==1.0\"' requires "
					 "['a', 'zz'] but no other entity "
					 "produces said requirements\n"
					 "      MissingDependencies: 'revert' method on '\"a==1.0\"' "
					 "requires ['zz'] but no other entity produces "
					 "said requirements\n"
					 "        MissingDependencies: 'execute' method on '\"a==1.0\"' "
					 "requires ['a', 'zz'] but no other entity "
					 "produces said requirements");
	struct tf_json half = {"{\"zz\": null}", 12}, full = {"{\"aa\": 1, \"zz\": 2}", 18};
	assert_int_equal(tf_graph_validate(g, half, &err), TF_EMISSING);
	assert_null(strstr(err.message, "zz"));
	assert_null(strstr(err.message, "revert"));
	assert_int_equal(tf_graph_validate(g, full, &err), 0);
	tf_graph_delete(g);
}

static void test_satisfied(void **state)
{
	(void)state;
	static const struct tf_provide x = {"x", TF_WHOLE, 0};
	struct tf_value *inject = tf_value_parse("{\"i\": 1}", 8, 0, NULL);
	struct tf_binding of_inject = {"p", "i", false};
	struct tf_graph *g = tf_graph_new();
	tf_graph_open_flow(g, "f", TF_LINEAR);
	tf_graph_add_retry(g, &(struct tf_atom_spec){.name = "r", .provides = &x, .provide_count = 1});
	needs(g, "a", "p", "x", false);
	needs(g, "b", "p", "nobody", true);
	tf_graph_add_task(
		g, &(struct tf_atom_spec){
			   .name = "c", .execute = &of_inject, .execute_count = 1, .inject = inject});
	tf_graph_close_flow(g);
	tf_value_unref(inject);
	compile(g);
	assert_int_equal(tf_graph_validate(g, (struct tf_json){NULL, 0}, NULL), 0);
	tf_graph_delete(g);
}

/* --- depth ------------------------------------------------------------------------------- */

static void test_deep(void **state)
{
	(void)state;
	enum { DEPTH = 100000 };
	static const struct tf_provide x = {"x", TF_WHOLE, 0};
	struct tf_graph *g = tf_graph_new();
	for (int i = 0; i < DEPTH; i++)
		tf_graph_open_flow(g, "f", i % 3 == 0 ? TF_LINEAR : i % 3 == 1 ? TF_UNORDERED : TF_GRAPH);
	needs(g, "inside", "p", "x", false);
	for (int i = 0; i < DEPTH - 1; i++)
		tf_graph_close_flow(g);
	tf_graph_add_task(g, &(struct tf_atom_spec){.name = "late", .provides = &x, .provide_count = 1});
	tf_graph_close_flow(g);
	compile(g);
	assert_int_equal(tf_graph_validate(g, (struct tf_json){NULL, 0}, NULL), TF_EMISSING);
	tf_graph_delete(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_linear),
		cmocka_unit_test(test_controlling_retries),
		cmocka_unit_test(test_join_is_linear),
		cmocka_unit_test(test_graph_order),
		cmocka_unit_test(test_link_again),
		cmocka_unit_test(test_bad_links),
		cmocka_unit_test(test_cycles),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_satisfied),
		cmocka_unit_test(test_deep),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
