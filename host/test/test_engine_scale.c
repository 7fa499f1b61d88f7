/* The cost of an atom must not depend on the size of its flow: each shape is run small and large, and
 * the large one may cost no more per atom than a small multiple. A quadratic step would cost a hundred
 * times more. TF_SCALE=1000000 measures at that size and prints the figures. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/engine.h"
#include "protocol/failure.h"

enum fails { FAIL_NONE, FAIL_LAST, FAIL_ALL, FAIL_FIRST_ROUND, FAIL_LAST_TWICE };

struct sink { /* an executor that answers at once */
	struct tf_executor x;
	struct tf_completion *queue;
	size_t count, cap;
	enum fails fails;
	unsigned last;
	struct tf_value *result, *failure;
};

static int x_start(struct tf_executor *x, struct tf_err *err)
{
	(void)x;
	(void)err;
	return 0;
}

static int x_submit(struct tf_executor *x, const struct tf_work *w, struct tf_err *err)
{
	struct sink *s = (struct sink *)x;
	(void)err;
	if (s->count == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 16;
		s->queue = tf_realloc(s->queue, s->cap * sizeof *s->queue);
	}
	bool fails = s->fails == FAIL_ALL || (s->fails == FAIL_LAST && w->atom == s->last) ||
		     (s->fails == FAIL_FIRST_ROUND && w->round == 0) ||
		     (s->fails == FAIL_LAST_TWICE && w->atom == s->last && w->round < 2);
	bool failed = w->action == TF_EXECUTE && fails;
	s->queue[s->count++] = (struct tf_completion){.atom = w->atom,
		.round = w->round,
		.action = w->action,
		.failed = failed,
		.result = failed ? s->failure : s->result};
	return 0;
}

static void x_nothing(struct tf_executor *x)
{
	(void)x;
}

static const struct tf_executor_ops ops = {
	.name = "sink", .start = x_start, .submit = x_submit, .stop = x_nothing, .destroy = x_nothing};

static void run(struct sink *s, struct tf_engine *e)
{
	struct tf_err err;
	if (tf_engine_start(e, &err) != 0)
		fail_msg("%s", err.message);
	while (!tf_engine_finished(e)) {
		for (size_t i = 0; i < s->count; i++)
			s->x.events.done(s->x.arg, &s->queue[i]);
		s->count = 0;
		tf_engine_step(e);
	}
}

/* --- shapes ------------------------------------------------------------------------------ */

static int task(struct tf_graph *g, size_t i, bool symbols)
{
	char name[32];
	snprintf(name, sizeof name, "task-%zu", i);
	static const struct tf_binding needs = {"x", "x", true};
	static const struct tf_provide gives = {"x", TF_WHOLE, 0};
	return tf_graph_add_task(g, &(struct tf_atom_spec){.name = name,
					    .task_cls = "tests.Task",
					    .execute = &needs,
					    .execute_count = symbols,
					    .provides = &gives,
					    .provide_count = symbols});
}

static void build_linear(struct tf_graph *g, size_t n) /* all need and give the same symbol */
{
	tf_graph_open_flow(g, "f", TF_LINEAR);
	for (size_t i = 0; i < n; i++)
		task(g, i, true);
	tf_graph_close_flow(g);
}

static void build_unordered(struct tf_graph *g, size_t n)
{
	tf_graph_open_flow(g, "f", TF_UNORDERED);
	for (size_t i = 0; i < n; i++)
		task(g, i, true);
	tf_graph_close_flow(g);
}

static uint64_t rng_state;

static uint64_t rng(uint64_t bound)
{
	rng_state = rng_state * 6364136223846793005u + 1442695040888963407u;
	return (rng_state >> 33) % bound;
}

static void build_dag(struct tf_graph *g, size_t n)
{
	tf_graph_open_flow(g, "f", TF_GRAPH);
	int first = -1;
	for (size_t i = 0; i < n; i++) {
		int id = task(g, i, false);
		if (i == 0)
			first = id;
		for (int k = 0; i > 0 && k < 2; k++)
			assert_int_equal(tf_graph_link(g, first + (int)rng(i), id, -1, 3, NULL), 0);
	}
	tf_graph_close_flow(g);
}

static void build_pairs(struct tf_graph *g, size_t n) /* two wide flows, one after the other */
{
	tf_graph_open_flow(g, "f", TF_LINEAR);
	for (size_t part = 0; part < 2; part++) {
		tf_graph_open_flow(g, part ? "second" : "first", TF_UNORDERED);
		for (size_t i = part * (n / 2); i < (part ? n : n / 2); i++)
			task(g, i, true);
		tf_graph_close_flow(g);
	}
	tf_graph_close_flow(g);
}

static void build_nested(struct tf_graph *g, size_t n) /* every atom one level deeper */
{
	for (size_t i = 0; i < n; i++) {
		tf_graph_open_flow(g, "f", i % 2 ? TF_LINEAR : TF_GRAPH);
		task(g, i, true);
	}
	for (size_t i = 0; i < n; i++)
		tf_graph_close_flow(g);
}

static void build_retries(struct tf_graph *g, size_t n) /* each task in a flow with its own retry */
{
	static const struct tf_provide gives = {"n", TF_WHOLE, 0};
	static const struct tf_binding needs = {"n", "n", false};
	tf_graph_open_flow(g, "f", TF_LINEAR);
	for (size_t i = 0; i < n / 2; i++) {
		char name[32];
		snprintf(name, sizeof name, "retry-%zu", i);
		tf_graph_open_flow(g, name, TF_LINEAR);
		tf_graph_add_retry(
			g, &(struct tf_atom_spec){.name = name, .provides = &gives, .provide_count = 1});
		snprintf(name, sizeof name, "task-%zu", i);
		tf_graph_add_task(g, &(struct tf_atom_spec){.name = name,
					     .task_cls = "tests.Task",
					     .execute = &needs,
					     .execute_count = 1});
		tf_graph_close_flow(g);
	}
	tf_graph_close_flow(g);
}

/* A tenth of the atoms is controlled by one retry, and others come before and after it. The last of them is the
 * last that is added. */
static void build_retried_part(struct tf_graph *g, size_t n)
{
	static const struct tf_provide gives = {"n", TF_WHOLE, 0};
	tf_graph_open_flow(g, "f", TF_UNORDERED);
	for (size_t part = 0; part < 2; part++) {
		tf_graph_open_flow(g, "linear", TF_LINEAR);
		for (size_t i = 0; i < n * 45 / 100; i++)
			task(g, part * n + i, true);
		tf_graph_close_flow(g);
	}
	tf_graph_open_flow(g, "retried", TF_LINEAR);
	tf_graph_add_retry(
		g, &(struct tf_atom_spec){.name = "retry", .provides = &gives, .provide_count = 1});
	for (size_t i = 0; i < n / 10 - 1; i++)
		task(g, 2 * n + i, true);
	tf_graph_close_flow(g);
	tf_graph_close_flow(g);
}

static void build_deciders(
	struct tf_graph *g, size_t n) /* a chain; each link's decider ignores all that follows */
{
	tf_graph_open_flow(g, "f", TF_GRAPH);
	int previous = task(g, 0, false);
	for (size_t i = 1; i < n; i++) {
		int id = task(g, i, false);
		assert_int_equal(tf_graph_link(g, previous, id, 0, 3, NULL), 0);
		previous = id;
	}
	tf_graph_close_flow(g);
}

/* --- measuring --------------------------------------------------------------------------- */

static struct tf_value *retry_execute(void *arg, const struct tf_retry_call *c, bool *failed)
{
	(void)arg;
	*failed = false;
	return tf_value_from((struct tf_json){tf_json_count(tf_value_json(c->history)) ? "2" : "1", 1});
}

static struct tf_value *retry_revert(void *arg, const struct tf_retry_call *c, bool *failed)
{
	(void)arg;
	(void)c;
	*failed = false;
	return tf_value_null();
}

static unsigned failures_asked; /* in this run */

static int retry_on_failure(
	void *arg, const struct tf_retry_call *c, uint64_t *delay, struct tf_value **failure)
{
	(void)arg;
	(void)c;
	(void)delay;
	(void)failure;
	failures_asked++;
	return TF_DECISION_RETRY;
}

static int decide(void *arg, int decider, struct tf_value *history, struct tf_value **failure)
{
	(void)arg;
	(void)failure;
	return decider == 0 && strstr(tf_value_text(history), "task-9\"") == NULL;
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct cost {
	double micros; /* per atom: build, compile, run, free */
	double bytes;  /* per atom, after the run */
};

static struct cost measure(
	void (*build)(struct tf_graph *, size_t), size_t n, enum fails fails, enum tf_state end)
{
	static const char *const types[] = {"RuntimeError", "Exception", NULL};
	rng_state = 1;
	struct sink s = {.x.ops = &ops, .fails = fails, .last = (unsigned)n - 1};
	if (fails == FAIL_LAST_TWICE)
		s.last--; /* the last is the retry */
	failures_asked = 0;
	s.result = tf_value_from((struct tf_json){"12345", 5});
	s.failure = tf_failure_format(types, "boom");
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
	double t = seconds();
	struct tf_graph *g = tf_graph_new();
	build(g, n);
	struct tf_err err;
	if (tf_graph_compile(g, &err) != 0)
		fail_msg("%s", err.message);
	struct tf_engine_events events = {.retry_execute = retry_execute,
		.retry_revert = retry_revert,
		.retry_on_failure = retry_on_failure,
		.decide = decide};
	struct tf_engine *e = tf_engine_new(g, &s.x, &(struct tf_engine_options){0}, &events, NULL);
	run(&s, e);
	assert_int_equal(tf_engine_flow_state(e), end);
	size_t bytes = mallinfo2().uordblks + mallinfo2().hblkhd - before;
	tf_engine_delete(e);
	t = seconds() - t;
	free(s.queue);
	tf_value_unref(s.result);
	tf_value_unref(s.failure);
	return (struct cost){t * 1e6 / (double)n, (double)bytes / (double)n};
}

static size_t large(void)
{
	const char *s = getenv("TF_SCALE");
	return s ? strtoull(s, NULL, 10) : 50000;
}

static void compare(
	const char *what, void (*build)(struct tf_graph *, size_t), enum fails fails, enum tf_state end)
{
	size_t n = large();
	measure(build, 1000, fails, end); /* warm up */
	struct cost small = measure(build, 1000, fails, end), big = measure(build, n, fails, end);
	printf("%-26s %8zu atoms: %5.2f us/atom (1000: %5.2f, ratio %.2f), %4.0f bytes/atom\n", what, n,
		big.micros, small.micros, big.micros / small.micros, big.bytes);
	assert_true(big.micros < small.micros * 8 + 1);
	assert_true(big.bytes < 1024);
}

static void test_linear(void **state)
{
	(void)state;
	compare("linear", build_linear, FAIL_NONE, TF_SUCCESS);
	compare("linear, last fails", build_linear, FAIL_LAST, TF_REVERTED);
}

static void test_unordered(void **state)
{
	(void)state;
	compare("unordered", build_unordered, FAIL_NONE, TF_SUCCESS);
	compare("unordered, last fails", build_unordered, FAIL_LAST, TF_REVERTED);
	compare("unordered, all fail", build_unordered, FAIL_ALL, TF_REVERTED);
	compare("two wide flows", build_pairs, FAIL_NONE, TF_SUCCESS);
}

static void test_dag(void **state)
{
	(void)state;
	compare("random graph", build_dag, FAIL_NONE, TF_SUCCESS);
	compare("random graph, last fails", build_dag, FAIL_LAST, TF_REVERTED);
}

static void test_nested(void **state)
{
	(void)state;
	compare("nested", build_nested, FAIL_NONE, TF_SUCCESS);
	compare("nested, last fails", build_nested, FAIL_LAST, TF_REVERTED);
}

static void test_retries(void **state)
{
	(void)state;
	compare("a retry for each task", build_retries, FAIL_NONE, TF_SUCCESS);
	/* Each failure may look at its own subflow, not at all that comes after it. */
	compare("each retried once", build_retries, FAIL_FIRST_ROUND, TF_SUCCESS);
}

/* The flow of 100,000 atoms costs no more than twice as much an atom as one of 1,000. Both are measured in turn, in CPU
 * time, the small one as often as makes as many atoms; the least of some tries is what the machine's load leaves. */
static void test_retry_over_a_tenth(void **state)
{
	(void)state;
	const size_t few = 1000, many = 100000;
	double small = 1e9, big = 1e9;
	for (int i = 0; i < 5 && (i < 2 || big > 2 * small); i++) {
		double sum = 0;
		for (size_t k = 0; k < many / few; k++)
			sum += measure(build_retried_part, few, FAIL_LAST_TWICE, TF_SUCCESS).micros;
		sum /= (double)(many / few);
		double once = measure(build_retried_part, many, FAIL_LAST_TWICE, TF_SUCCESS).micros;
		assert_int_equal(failures_asked, 2);
		small = sum < small ? sum : small;
		big = once < big ? once : big;
	}
	printf("a retry over a tenth, failing twice: %5.2f us/atom of %zu (of %zu: %5.2f, ratio %.2f)\n", big,
		many, few, small, big / small);
	assert_true(big < 2 * small);
}

static void test_deciders(void **state)
{
	(void)state;
	compare("deciders", build_deciders, FAIL_NONE, TF_SUCCESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_linear),
		cmocka_unit_test(test_unordered),
		cmocka_unit_test(test_dag),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_retries),
		cmocka_unit_test(test_retry_over_a_tenth),
		cmocka_unit_test(test_deciders),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
