#include "random_flow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

struct rng rng_seed(uint64_t seed)
{
	return (struct rng){seed * 2654435761u + 88172645463325252u};
}

uint32_t rng_below(struct rng *r, uint32_t bound)
{
	r->state ^= r->state << 13; /* xorshift64 */
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return (uint32_t)((r->state >> 11) % bound);
}

uint64_t rng_test_seed(const char *test)
{
	const char *s = getenv("TF_SEED");
	uint64_t seed = s ? strtoull(s, NULL, 10) : (uint64_t)time(NULL);
	printf("%s: TF_SEED=%llu\n", test, (unsigned long long)seed);
	return seed;
}

static const char *const symbols[] = {"s0", "s1", "s2", "s3"};

static int add_atom(struct rng *r, struct tf_graph *g, unsigned *left, bool retry)
{
	char name[32];
	snprintf(name, sizeof name, "%s%u", retry ? "r" : "t", --*left);
	const char *needs = symbols[rng_below(r, 4)], *gives = symbols[rng_below(r, 4)];
	const struct tf_binding binding = {"p", needs, true};
	const struct tf_provide provide = {gives, TF_WHOLE, 0};
	const struct tf_atom_spec spec = {
		.name = name,
		.task_cls = "tests.Task",
		.priority = (int)rng_below(r, 3),
		.execute = &binding,
		.execute_count = rng_below(r, 2),
		.provides = &provide,
		.provide_count = rng_below(r, 2),
	};
	return retry ? tf_graph_add_retry(g, &spec) : tf_graph_add_task(g, &spec);
}

/* Leaves the flow open. */
static void add_flow(struct rng *r, struct tf_graph *g, unsigned *left, unsigned depth)
{
	enum { MAX_CHILDREN = 6 };
	int ids[MAX_CHILDREN];
	enum tf_pattern pattern = (enum tf_pattern)rng_below(r, 3);
	tf_graph_open_flow(g, "flow", pattern);
	if (*left > 0 && rng_below(r, 3) == 0)
		add_atom(r, g, left, true);
	unsigned count = depth == 3 ? MAX_CHILDREN : rng_below(r, MAX_CHILDREN + 1), made = 0;
	for (unsigned i = 0; i < count; i++) {
		if (*left == 0)
			break;
		if (depth == 0 || rng_below(r, 3) > 0) {
			ids[made++] = add_atom(r, g, left, false);
		} else {
			--*left;
			add_flow(r, g, left, depth - 1);
			ids[made++] = tf_graph_close_flow(g);
		}
	}
	for (unsigned i = 0; pattern == TF_GRAPH && i < made; i++)
		for (unsigned j = i + 1; j < made; j++)
			if (rng_below(r, 5) < 2)
				assert_int_equal(tf_graph_link(g, ids[i], ids[j], rng_below(r, 3) ? -1 : 0,
							 (int)rng_below(r, 4), NULL),
					0);
}

struct tf_graph *random_flow(struct rng *r, unsigned max)
{
	struct tf_graph *g = tf_graph_new();
	unsigned left = max;
	add_flow(r, g, &left, 3);
	tf_graph_close_flow(g);
	struct tf_err err;
	if (tf_graph_compile(g, &err) != 0)
		fail_msg("%s", err.message);
	return g;
}
