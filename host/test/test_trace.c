/* When actions ran: what is written of it, and taken back. */
#include <stdlib.h>
#include <string.h>

#include "test/cmocka_all.h"

#include "base/clock.h"
#include "engine/trace.h"

static char *written(const struct tf_trace *t, uint32_t atom)
{
	struct tf_buf b = TF_BUF_INIT;
	tf_trace_write(t, atom, &b);
	tf_buf_putc(&b, '\0');
	return b.data;
}

static void run(struct tf_trace *t, uint32_t atom, bool revert, enum tf_state state, const char *worker)
{
	const struct tf_trace_end end = {.revert = revert, .state = state, .worker = worker, .ran_s = 1e-6f};
	tf_trace_begin(t, atom);
	tf_trace_end(t, atom, &end);
}

static struct tf_json parsed(const char *text)
{
	struct tf_json v;
	assert_int_equal(tf_json_validate(text, strlen(text), 0, &v, NULL), 0);
	return v;
}

/* Member `n` of run `i` of a list. */
static struct tf_json member(const char *text, size_t i, size_t n)
{
	struct tf_json one, v;
	assert_true(tf_json_at(parsed(text), i, &one) && tf_json_at(one, n, &v));
	return v;
}

static void what_was_not_begun_has_no_end(void **state)
{
	struct tf_trace *t = tf_trace_new();
	const struct tf_trace_end end = {.state = TF_SUCCESS};
	(void)state;
	tf_trace_end(t, 1000, &end);
	assert_false(tf_trace_has(t, 1000));
	assert_false(tf_trace_has(t, 5000));
	assert_false(tf_trace_has(NULL, 0));
	tf_trace_begin(t, 3);
	assert_false(tf_trace_has(t, 3));
	char *text = written(t, 3);
	assert_string_equal(text, "[]");
	free(text);
	tf_trace_delete(t);
}

static void times_are_split_into_waiting_and_running(void **state)
{
	struct tf_trace *t = tf_trace_new();
	double waited, ran, sent;
	(void)state;
	tf_trace_begin(t, 7);
	for (uint64_t begun = tf_clock_us(); tf_clock_us() < begun + 3000;)
		;
	const struct tf_trace_end end = {.state = TF_FAILURE, .worker = "host:1", .ran_s = 0.001f};
	tf_trace_end(t, 7, &end);
	char *text = written(t, 7);
	assert_true(tf_json_double(member(text, 0, 2), &sent) &&
		    tf_json_double(member(text, 0, 3), &waited) && tf_json_double(member(text, 0, 4), &ran));
	assert_true(tf_json_string_is(member(text, 0, 0), "execute"));
	assert_true(tf_json_string_is(member(text, 0, 1), "FAILURE"));
	assert_true(tf_json_string_is(member(text, 0, 5), "host:1"));
	assert_true(ran > 0.0009 && ran < 0.0011);
	assert_true(waited > 0.0019);
	assert_true(sent > 1.6e9);
	free(text);
	/* More than there was is all there was; none is all, too; what is done at once does not wait. */
	const struct tf_trace_end odd[] = {{.state = TF_SUCCESS, .ran_s = 1e30f}, {.state = TF_SUCCESS},
		{.state = TF_SUCCESS, .ran_s = 1e-9f, .at_once = true}};
	for (size_t i = 0; i < 3; i++) {
		tf_trace_begin(t, 8 + (uint32_t)i);
		tf_trace_end(t, 8 + (uint32_t)i, &odd[i]);
		text = written(t, 8 + (uint32_t)i);
		assert_true(tf_json_double(member(text, 0, 3), &waited));
		assert_true(waited == 0.0);
		assert_int_equal(tf_json_type(member(text, 0, 5)), TF_JSON_NULL);
		free(text);
	}
	tf_trace_delete(t);
}

/* The last ones of each atom are kept, in their order, also when atoms take turns. */
static void the_oldest_go_first(void **state)
{
	static const char *const names[] = {"a", "b", "c", "d", "e"};
	struct tf_trace *t = tf_trace_new();
	(void)state;
	for (int i = 0; i < 3 * TF_TRACE_RUNS + 1; i++) {
		run(t, 0, i % 2 == 1, i % 2 ? TF_REVERTED : TF_FAILURE, names[i % 5]);
		run(t, 1, false, TF_SUCCESS, NULL);
	}
	for (uint32_t atom = 0; atom < 2; atom++) {
		char *text = written(t, atom);
		assert_int_equal(tf_json_count(parsed(text)), TF_TRACE_RUNS);
		for (int n = 0; atom == 0 && n < TF_TRACE_RUNS; n++) {
			int i = 2 * TF_TRACE_RUNS + 1 + n;
			assert_true(tf_json_string_is(member(text, (size_t)n, 5), names[i % 5]));
			assert_true(
				tf_json_string_is(member(text, (size_t)n, 0), i % 2 ? "revert" : "execute"));
		}
		free(text);
	}
	tf_trace_delete(t);
}

static void what_was_written_is_taken_back(void **state)
{
	static const char text[] =
		"[[\"execute\", \"FAILURE\", 1764000000.123456, 0.500000, 1.250000, \"h:1\"], "
		"[\"revert\", \"REVERTED\", 1764000002.000000, 0.000000, 0.250000, null]]";
	struct tf_trace *t = tf_trace_new();
	(void)state;
	tf_trace_load(t, 2, parsed(text));
	char *again = written(t, 2);
	assert_string_equal(again, text);
	free(again);
	run(t, 2, false, TF_SUCCESS, "h:2");
	again = written(t, 2);
	assert_int_equal(tf_json_count(parsed(again)), 3);
	free(again);
	tf_trace_delete(t);
}

/* A logbook is a file that anybody may have written. */
static void foreign_lists_are_passed_over(void **state)
{
	static const char *const texts[] = {"null", "{}", "7", "[]", "[7, null, {}]", "[[]]",
		"[[1, 2, 3, 4, 5, 6]]", "[[\"execute\", \"BOGUS\", 1.0, 1.0, 1.0, null]]",
		"[[\"execute\", \"SUCCESS\", \"x\", 1.0, 1.0, null]]",
		"[[\"execute\", \"SUCCESS\", 1.0, 1.0, 1.0]]"};
	struct tf_trace *t = tf_trace_new();
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		tf_trace_load(t, 0, parsed(texts[i]));
	assert_false(tf_trace_has(t, 0));
	tf_trace_delete(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_not_begun_has_no_end),
		cmocka_unit_test(times_are_split_into_waiting_and_running),
		cmocka_unit_test(the_oldest_go_first),
		cmocka_unit_test(what_was_written_is_taken_back),
		cmocka_unit_test(foreign_lists_are_passed_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
