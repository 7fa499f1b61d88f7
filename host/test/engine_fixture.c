#include "engine_fixture_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/cmocka_all.h"

#include "base/mem.h"
#include "protocol/failure.h"

const char *const fixture_runtime_error[] = {"RuntimeError", "Exception", NULL};

/* --- events ------------------------------------------------------------------------------ */

void fixture_entry(struct tf_buf *b, const char *fmt, ...)
{
	va_list ap;
	char text[4096];
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	tf_buf_printf(b, "%s%s", b->len ? "; " : "", text);
}

const char *fixture_name_of(const struct fixture *f, unsigned atom)
{
	return tf_engine_atom_name(f->engine, atom);
}

unsigned fixture_owner_of(const struct fixture *f, unsigned atom)
{
	unsigned map;
	size_t index;
	return tf_engine_item(f->engine, atom, &map, &index) ? map : atom;
}

static void log_entry(struct fixture *f, const char *what, const char *name, enum tf_state state)
{
	char text[512];
	snprintf(text, sizeof text, "%s%s%s %s", what, name ? " " : "", name ? name : "",
		tf_state_name(state));
	fixture_entry(&f->log, "%s", text);
	if (f->suspend_at && strcmp(text, f->suspend_at) == 0)
		tf_engine_suspend(f->engine);
}

static void on_flow(void *arg, enum tf_state state, enum tf_state old)
{
	assert_int_not_equal(state, old);
	log_entry(arg, "flow", NULL, state);
}

static void on_atom(void *arg, unsigned atom, enum tf_state state, enum tf_state old, struct tf_value *result)
{
	struct fixture *f = arg;
	(void)old;
	bool final = state == TF_SUCCESS || state == TF_FAILURE || state == TF_REVERTED ||
		     state == TF_REVERT_FAILURE;
	assert_int_equal(result != NULL, final);
	assert_int_equal(tf_engine_atom_state(f->engine, atom), state);
	if (final)
		fixture_check_kept(f, atom, state);
	log_entry(f, tf_graph_atom_is_retry(f->graph, fixture_owner_of(f, atom)) ? "retry" : "task",
		fixture_name_of(f, atom), state);
}

static void on_task_event(void *arg, unsigned atom, const char *type, struct tf_value *details)
{
	struct fixture *f = arg;
	if (f->log_tasks)
		fixture_entry(&f->log, "%s %s %s", type, fixture_name_of(f, atom), tf_value_text(details));
}

/* --- running ----------------------------------------------------------------------------- */

static uint64_t fixture_now(void *arg)
{
	return ((struct fixture *)arg)->now;
}

struct fixture *fixture_new(const char *flow, const char *options, struct tf_err *err)
{
	return fixture_new_in(flow, options, NULL, err);
}

struct fixture *fixture_new_in(
	const char *flow, const char *options, struct fixture_book *book, struct tf_err *err)
{
	struct fixture *f = TF_NEW(struct fixture);
	f->flow = json_tokener_parse(flow);
	assert_non_null(f->flow);
	f->graph = tf_graph_new();
	fixture_add_flow(f, f->flow);
	f->executor.ops = &fixture_executor;
	if (tf_graph_compile(f->graph, err) != 0) {
		tf_graph_delete(f->graph);
		json_object_put(f->flow);
		free(f->deciders);
		free(f);
		return NULL;
	}
	size_t atoms = tf_graph_atom_count(f->graph);
	f->task_of = tf_calloc(atoms + 1, sizeof *f->task_of);
	f->failures_left = tf_calloc(atoms + 1, sizeof *f->failures_left);
	fixture_find_atoms(f, f->flow);
	struct json_object *o = json_tokener_parse(options), *store;
	f->now = 1000;
	f->clock = (struct tf_clock){fixture_now, f};
	struct tf_engine_options eo = {
		.clock = &f->clock,
		.defer_reverts = fixture_flag(o, "defer_reverts"),
		.never_resolve = fixture_flag(o, "never_resolve"),
		.reference_quirks = fixture_flag(o, "reference_quirks"),
	};
	if (json_object_object_get_ex(o, "store", &store))
		eo.store = fixture_value_of(store);
	const struct tf_engine_events events = {.flow = on_flow,
		.atom = on_atom,
		.task_event = on_task_event,
		.retry_execute = fixture_retry_execute,
		.retry_revert = fixture_retry_revert,
		.retry_on_failure = fixture_retry_on_failure,
		.decide = fixture_decide,
		.keep = book ? fixture_keep : NULL};
	f->book = book;
	if (fixture_flag(o, "at_once"))
		f->executor.ops = &fixture_executor_at_once;
	f->fail_by_round = fixture_flag(o, "fail_by_round");
	f->engine = tf_engine_new(f->graph, &f->executor, &eo, &events, f);
	tf_value_unref(eo.store);
	json_object_put(o);
	if (book && book->count &&
		tf_engine_load(f->engine, book->state, book->rows, book->count, err) != 0) {
		fixture_delete(f);
		return NULL;
	}
	return f;
}

void fixture_delete(struct fixture *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->work_count; i++)
		tf_value_unref(f->works[i].result);
	tf_engine_delete(f->engine);
	json_object_put(f->flow);
	tf_buf_free(&f->log);
	tf_buf_free(&f->calls);
	tf_buf_free(&f->histories);
	free(f->works);
	free(f->task_of);
	free(f->failures_left);
	free(f->deciders);
	free(f);
}

void fixture_go_on(struct fixture *f)
{
	while (!tf_engine_finished(f->engine)) {
		if (tf_engine_step(f->engine))
			continue;
		if (f->hold)
			return;
		assert_true(f->work_count > 0); /* or it hangs */
		fixture_deliver_all(f);
	}
	assert_false(tf_engine_step(f->engine));
}

int fixture_run(struct fixture *f, struct tf_err *err)
{
	int rc = tf_engine_start(f->engine, err);
	if (rc == 0)
		fixture_go_on(f);
	return rc;
}

/* --- asking ------------------------------------------------------------------------------ */

unsigned fixture_atom(const struct fixture *f, const char *name)
{
	int atom = f->engine ? tf_engine_find(f->engine, name) : tf_graph_find(f->graph, name);
	assert_true(atom >= 0);
	return (unsigned)atom;
}

const char *fixture_state(const struct fixture *f, const char *name)
{
	static char text[64];
	unsigned atom = fixture_atom(f, name);
	snprintf(text, sizeof text, "%s/%s", tf_state_name(tf_engine_atom_state(f->engine, atom)),
		tf_intention_name(tf_engine_atom_intention(f->engine, atom)));
	return text;
}

const char *fixture_raised(const struct fixture *f)
{
	static char text[4096];
	size_t at = 0;
	text[0] = '\0';
	for (size_t i = 0; i < tf_engine_failure_count(f->engine) && at < sizeof text; i++) {
		char *summary = tf_failure_summary(tf_value_json(tf_engine_failure(f->engine, i, NULL)));
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", i ? "; " : "", summary);
		free(summary);
	}
	return text;
}

static const char *taken(struct tf_buf *b)
{
	static struct tf_buf out;
	tf_buf_reset(&out);
	tf_buf_puts(&out, "");
	if (b->len)
		tf_buf_append(&out, b->data, b->len);
	tf_buf_reset(b);
	return out.data ? out.data : "";
}

const char *fixture_log(struct fixture *f)
{
	return taken(&f->log);
}

const char *fixture_calls(struct fixture *f)
{
	return taken(&f->calls);
}
