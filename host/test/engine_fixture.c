#include "engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "protocol/failure.h"

static const char *const types_runtime[] = {"RuntimeError", "Exception", NULL};

/* --- notation to graph ------------------------------------------------------------------- */

static const char *text_of(struct json_object *o, const char *key, const char *otherwise)
{
	struct json_object *v;
	return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : otherwise;
}

static int int_of(struct json_object *o, const char *key)
{
	struct json_object *v;
	return json_object_object_get_ex(o, key, &v) ? json_object_get_int(v) : 0;
}

static struct tf_value *value_of(struct json_object *o)
{
	const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	struct tf_value *v = tf_value_parse(text, strlen(text), 0, NULL);
	assert_non_null(v);
	return v;
}

enum { MAX_NAMES = 16 };

struct spec_parts {
	struct tf_binding execute[MAX_NAMES], revert[MAX_NAMES];
	struct tf_provide provides[MAX_NAMES];
};

static void parse_provides(struct json_object *provides, struct tf_provide *out, uint32_t *count)
{
	struct json_object *names = provides;
	bool set = json_object_is_type(provides, json_type_object) &&
		   json_object_object_get_ex(provides, "set", &names);
	if (json_object_is_type(names, json_type_string)) {
		out[(*count)++] = (struct tf_provide){json_object_get_string(names), TF_WHOLE, 0};
		return;
	}
	for (size_t i = 0; i < json_object_array_length(names); i++)
		out[(*count)++] =
			(struct tf_provide){json_object_get_string(json_object_array_get_idx(names, i)),
				set ? TF_KEY : TF_INDEX, i};
}

/* requires: names; optional: names; revert_requires: names of revert alone; rebind: [symbol of `values`]. */
static size_t parse_bindings(struct json_object *o, bool revert, struct tf_binding *out)
{
	size_t n = 0;
	const char *keys[] = {
		revert && json_object_object_get(o, "revert_requires") ? "revert_requires" : "requires",
		"optional", "rebind"};
	for (size_t k = 0; k < 3; k++) {
		struct json_object *names;
		if (!json_object_object_get_ex(o, keys[k], &names))
			continue;
		for (size_t i = 0; i < json_object_array_length(names); i++, n++) {
			const char *name = json_object_get_string(json_object_array_get_idx(names, i));
			out[n] = (struct tf_binding){k == 2 ? "values" : name, name, k == 1};
		}
	}
	return n;
}

static int add_atom(struct tf_graph *g, struct json_object *o, bool retry)
{
	struct spec_parts parts;
	struct json_object *v;
	struct tf_atom_spec spec = {
		.name = text_of(o, "name", ""),
		.task_cls = "tests.Task",
		.priority = int_of(o, "priority"),
		.execute = parts.execute,
		.revert = parts.revert,
		.provides = parts.provides,
	};
	spec.execute_count = parse_bindings(o, false, parts.execute);
	spec.revert_count = parse_bindings(o, true, parts.revert);
	spec.each = text_of(o, "each", NULL);
	spec.limit = (size_t)int_of(o, "limit");
	if (json_object_object_get_ex(o, "provides", &v) && v)
		parse_provides(v, parts.provides, &spec.provide_count);
	if (json_object_object_get_ex(o, "inject", &v))
		spec.inject = value_of(v);
	int id = retry ? tf_graph_add_retry(g, &spec) : tf_graph_add_task(g, &spec);
	tf_value_unref(spec.inject);
	return id;
}

static bool has_name(struct json_object *list, const char *name)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(list, i)), name) == 0)
			return true;
	return false;
}

static bool gives(struct json_object *child, const char *name)
{
	struct json_object *p = json_object_object_get(child, "provides"), *set;
	if (!p)
		return false;
	if (json_object_is_type(p, json_type_string))
		return strcmp(json_object_get_string(p), name) == 0;
	if (json_object_is_type(p, json_type_object) && json_object_object_get_ex(p, "set", &set))
		p = set;
	return has_name(p, name);
}

/* What graph_flow's add does: a child needs what another gives. */
static void link_symbols(struct tf_graph *g, struct json_object *children, const int *ids)
{
	for (size_t to = 0; to < json_object_array_length(children); to++) {
		struct json_object *needs;
		if (!json_object_object_get_ex(json_object_array_get_idx(children, to), "requires", &needs))
			continue;
		for (size_t i = 0; i < json_object_array_length(needs); i++)
			for (size_t from = 0; from < json_object_array_length(children); from++)
				if (gives(json_object_array_get_idx(children, from),
					    json_object_get_string(json_object_array_get_idx(needs, i))))
					assert_int_equal(
						tf_graph_link(g, ids[from], ids[to], -1, 3, NULL), 0);
	}
}

static int depth_of(const char *name)
{
	static const char *const names[] = {"ATOM", "NEIGHBORS", "FLOW", "ALL"};
	for (int i = 0; i < 4; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	fail_msg("no depth %s", name);
	return -1;
}

static int child_named(struct json_object *children, const int *ids, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(children); i++)
		if (strcmp(text_of(json_object_array_get_idx(children, i), "name", ""), name) == 0)
			return ids[i];
	return -1;
}

static void link_by_hand(
	struct fixture *f, struct json_object *flow, struct json_object *children, const int *ids)
{
	struct json_object *links;
	if (!json_object_object_get_ex(flow, "links", &links))
		return;
	for (size_t i = 0; i < json_object_array_length(links); i++) {
		struct json_object *l = json_object_array_get_idx(links, i);
		int decider = -1;
		if (json_object_object_get(l, "decider")) {
			decider = (int)f->decider_count++;
			f->deciders = tf_realloc(f->deciders, f->decider_count * sizeof *f->deciders);
			f->deciders[decider] = l;
		}
		assert_int_equal(tf_graph_link(f->graph, child_named(children, ids, text_of(l, "from", "")),
					 child_named(children, ids, text_of(l, "to", "")), decider,
					 depth_of(text_of(l, "depth", "ALL")), NULL),
			0);
	}
}

static int add_flow(struct fixture *f, struct json_object *o)
{
	const char *kind = text_of(o, "kind", "");
	enum tf_pattern pattern = strcmp(kind, "linear") == 0  ? TF_LINEAR
				  : strcmp(kind, "graph") == 0 ? TF_GRAPH
							       : TF_UNORDERED;
	int id = tf_graph_open_flow(f->graph, text_of(o, "name", ""), pattern);
	struct json_object *retry, *children = json_object_object_get(o, "children");
	if (json_object_object_get_ex(o, "retry", &retry))
		add_atom(f->graph, retry, true);
	size_t count = json_object_array_length(children);
	int *ids = tf_calloc(count + 1, sizeof *ids);
	for (size_t i = 0; i < count; i++) {
		struct json_object *child = json_object_array_get_idx(children, i);
		ids[i] = json_object_object_get(child, "kind") ? add_flow(f, child)
							       : add_atom(f->graph, child, false);
	}
	if (pattern == TF_GRAPH) {
		if (!json_object_object_get_ex(o, "auto", &retry) || json_object_get_boolean(retry))
			link_symbols(f->graph, children, ids);
		link_by_hand(f, o, children, ids);
	}
	free(ids);
	tf_graph_close_flow(f->graph);
	return id;
}

static void find_atoms(struct fixture *f, struct json_object *flow)
{
	struct json_object *retry, *children = json_object_object_get(flow, "children"), *v;
	if (json_object_object_get_ex(flow, "retry", &retry))
		f->task_of[fixture_atom(f, text_of(retry, "name", ""))] = retry;
	for (size_t i = 0; i < json_object_array_length(children); i++) {
		struct json_object *child = json_object_array_get_idx(children, i);
		if (json_object_object_get(child, "kind")) {
			find_atoms(f, child);
			continue;
		}
		unsigned atom = fixture_atom(f, text_of(child, "name", ""));
		f->task_of[atom] = child;
		if (json_object_object_get_ex(child, "fail", &v))
			f->failures_left[atom] = json_object_is_type(v, json_type_boolean)
							 ? -json_object_get_boolean(v)
							 : json_object_get_int(v);
	}
}

/* --- events ------------------------------------------------------------------------------ */

static void entry(struct tf_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void entry(struct tf_buf *b, const char *fmt, ...)
{
	va_list ap;
	char text[4096];
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	tf_buf_printf(b, "%s%s", b->len ? "; " : "", text);
}

static const char *name_of(const struct fixture *f, unsigned atom)
{
	return tf_engine_atom_name(f->engine, atom);
}

/* The atom; of an item, its map. */
static unsigned owner_of(const struct fixture *f, unsigned atom)
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
	entry(&f->log, "%s", text);
	if (f->suspend_at && strcmp(text, f->suspend_at) == 0)
		tf_engine_suspend(f->engine);
}

static void on_flow(void *arg, enum tf_state state, enum tf_state old)
{
	assert_int_not_equal(state, old);
	log_entry(arg, "flow", NULL, state);
}

/* --- logbook ----------------------------------------------------------------------------- */

static void copy_detail(struct tf_atom_detail *to, const struct tf_atom_detail *from)
{
	*to = *from;
	char **strings[] = {&to->uuid, &to->name, &to->version, &to->state, &to->intention};
	for (size_t i = 0; i < 5; i++)
		*strings[i] = *strings[i] ? tf_strdup(*strings[i]) : NULL;
	struct tf_value *values[] = {
		to->results, to->failure, to->revert_results, to->revert_failure, to->meta};
	for (size_t i = 0; i < 5; i++)
		tf_value_ref(values[i]);
}

static struct tf_atom_detail *find_row(const struct fixture_book *b, const char *uuid)
{
	for (size_t i = 0; i < b->count; i++)
		if (strcmp(b->rows[i].uuid, uuid) == 0)
			return &b->rows[i];
	return NULL;
}

const struct tf_atom_detail *fixture_book_row(const struct fixture_book *b, const char *name)
{
	for (size_t i = 0; i < b->count; i++)
		if (strcmp(b->rows[i].name, name) == 0)
			return &b->rows[i];
	return NULL;
}

void fixture_book_free(struct fixture_book *b)
{
	for (size_t i = 0; i < b->count; i++)
		tf_atom_detail_free(&b->rows[i]);
	free(b->rows);
	free(b->state);
	*b = (struct fixture_book){0};
}

static int keep(void *arg, const struct tf_flow_change *c, struct tf_err *err)
{
	struct fixture_book *b = ((struct fixture *)arg)->book;
	b->commits++;
	if (b->fail_from && b->commits >= b->fail_from)
		return tf_err_set(err, TF_EIO, "commit %zu: disk full", b->commits);
	if (c->state) {
		free(b->state);
		b->state = tf_strdup(c->state);
	}
	assert_true(c->state || c->count);
	for (size_t i = 0; i < c->count; i++) {
		struct tf_atom_detail *row = find_row(b, c->atoms[i].uuid);
		assert_int_equal(row == NULL, i < c->fresh);
		if (row) {
			tf_atom_detail_free(row);
		} else {
			b->rows = tf_realloc(b->rows, (b->count + 1) * sizeof *b->rows);
			row = &b->rows[b->count++];
		}
		copy_detail(row, &c->atoms[i]);
	}
	return 0;
}

/* What an engine with a logbook may do only once that says so, whenever it is killed. */
static void check_kept(const struct fixture *f, unsigned atom, enum tf_state state)
{
	if (!f->book)
		return;
	const struct tf_atom_detail *row = find_row(f->book, tf_engine_atom_uuid(f->engine, atom));
	assert_non_null(row);
	assert_string_equal(row->state, tf_state_name(state));
}

/* --- notifications ---------------------------------------------------------------------- */

static void on_atom(void *arg, unsigned atom, enum tf_state state, enum tf_state old, struct tf_value *result)
{
	struct fixture *f = arg;
	(void)old;
	bool final = state == TF_SUCCESS || state == TF_FAILURE || state == TF_REVERTED ||
		     state == TF_REVERT_FAILURE;
	assert_int_equal(result != NULL, final);
	assert_int_equal(tf_engine_atom_state(f->engine, atom), state);
	if (final)
		check_kept(f, atom, state);
	log_entry(f, tf_graph_atom_is_retry(f->graph, owner_of(f, atom)) ? "retry" : "task", name_of(f, atom),
		state);
}

static void on_task_event(void *arg, unsigned atom, const char *type, struct tf_value *details)
{
	struct fixture *f = arg;
	if (f->log_tasks)
		entry(&f->log, "%s %s %s", type, name_of(f, atom), tf_value_text(details));
}

/* --- retries and deciders ---------------------------------------------------------------- */

static struct json_object *parse(struct tf_value *v)
{
	struct json_object *o = json_tokener_parse(tf_value_text(v));
	return o;
}

/* Values that the history has not used yet: one occurrence less for each use. */
static struct json_object *remaining(struct fixture *f, const struct tf_retry_call *c)
{
	struct json_object *o = f->task_of[c->atom], *values, *arguments = parse(c->arguments),
			   *rest = json_object_new_array();
	if (strcmp(text_of(o, "class", ""), "ParameterizedForEach") == 0)
		values = json_object_object_get(arguments, "values");
	else
		values = json_object_object_get(o, "values");
	struct json_object *history = parse(c->history);
	for (size_t i = 0; i < json_object_array_length(values); i++)
		json_object_array_add(rest, json_object_get(json_object_array_get_idx(values, i)));
	for (size_t h = 0; h < json_object_array_length(history); h++) {
		struct json_object *used =
			json_object_array_get_idx(json_object_array_get_idx(history, h), 0);
		for (size_t i = 0; i < json_object_array_length(rest); i++) {
			if (!json_object_equal(used, json_object_array_get_idx(rest, i)))
				continue;
			json_object_array_del_idx(rest, i, 1);
			break;
		}
	}
	json_object_put(history);
	json_object_put(arguments);
	return rest;
}

static size_t history_len(const struct tf_retry_call *c)
{
	return tf_json_count(tf_value_json(c->history));
}

/* Failures by their text: [[1, {"a": "boom-a"}]]. */
static void write_history(struct fixture *f, const struct tf_retry_call *c)
{
	struct json_object *history = parse(c->history);
	for (size_t i = 0; i < json_object_array_length(history); i++) {
		struct json_object *failures =
			json_object_array_get_idx(json_object_array_get_idx(history, i), 1);
		struct json_object *texts = json_object_new_object();
		json_object_object_foreach(failures, name, failure)
		{
			json_object_object_add(texts, name,
				json_object_get(json_object_object_get(failure, "exception_str")));
		}
		json_object_array_put_idx(json_object_array_get_idx(history, i), 1, texts);
	}
	entry(&f->histories, "%s", json_object_to_json_string_ext(history, JSON_C_TO_STRING_PLAIN));
	json_object_put(history);
}

static struct tf_value *retry_execute(void *arg, const struct tf_retry_call *c, bool *failed)
{
	struct fixture *f = arg;
	const char *cls = text_of(f->task_of[c->atom], "class", "");
	if (strcmp(cls, "Times") == 0) {
		struct json_object *n = json_object_new_int64((int64_t)history_len(c) + 1);
		struct tf_value *v = value_of(n);
		json_object_put(n);
		return v;
	}
	if (strcmp(cls, "ForEach") != 0 && strcmp(cls, "ParameterizedForEach") != 0)
		return tf_value_null();
	struct json_object *rest = remaining(f, c);
	*failed = json_object_array_length(rest) == 0;
	struct tf_value *v;
	if (*failed)
		v = tf_failure_format(tf_types_not_found,
			"No elements left in collection of iterable retry controller %s",
			name_of(f, c->atom));
	else
		v = value_of(json_object_array_get_idx(rest, 0));
	json_object_put(rest);
	return v;
}

static int retry_on_failure(
	void *arg, const struct tf_retry_call *c, uint64_t *delay, struct tf_value **failure)
{
	struct fixture *f = arg;
	struct json_object *o = f->task_of[c->atom], *rest;
	*delay = (uint64_t)int_of(o, "delay");
	const char *cls = text_of(o, "class", "");
	entry(&f->calls, "on_failure %s %zu", name_of(f, c->atom), history_len(c));
	write_history(f, c);
	int give_up = int_of(o, "revert_all") ? TF_DECISION_REVERT_ALL : TF_DECISION_REVERT;
	if (strcmp(cls, "Times") == 0)
		return (int64_t)history_len(c) < int_of(o, "attempts") ? TF_DECISION_RETRY : give_up;
	if (strcmp(cls, "AlwaysRevertAll") == 0)
		return TF_DECISION_REVERT_ALL;
	if (strcmp(cls, "AlwaysRevert") == 0)
		return TF_DECISION_REVERT;
	if (strcmp(cls, "Broken") == 0) {
		*failure = tf_failure_format(
			tf_types_value_error, "Unknown atom failure resolution action/strategy");
		return -1;
	}
	rest = remaining(f, c);
	int decision = json_object_array_length(rest) ? TF_DECISION_RETRY : give_up;
	json_object_put(rest);
	return decision;
}

static struct tf_value *retry_revert(void *arg, const struct tf_retry_call *c, bool *failed)
{
	struct fixture *f = arg;
	assert_non_null(c->flow_failures);
	entry(&f->calls, "revert %s %zu", name_of(f, c->atom), history_len(c));
	write_history(f, c);
	*failed = false;
	return tf_value_null();
}

static int decide(void *arg, int decider, struct tf_value *history, struct tf_value **failure)
{
	struct fixture *f = arg;
	struct json_object *answer = json_object_object_get(f->deciders[decider], "decider");
	entry(&f->calls, "decide %s", tf_value_text(history));
	if (json_object_is_type(answer, json_type_string)) {
		*failure = tf_failure_format(types_runtime, "%s", json_object_get_string(answer));
		return -1;
	}
	return json_object_get_boolean(answer);
}

/* --- executor ---------------------------------------------------------------------------- */

static struct fixture *of(struct tf_executor *x)
{
	return (struct fixture *)((char *)x - offsetof(struct fixture, executor));
}

static int x_start(struct tf_executor *x, struct tf_err *err)
{
	(void)err;
	of(x)->starts++;
	return 0;
}

/* Whether the element that an item was given is in the list `key` of its map. */
static bool fails_with(struct json_object *o, const char *key, const struct tf_work *w)
{
	struct json_object *list, *arguments = parse(w->arguments), *element;
	bool found = false;
	if (json_object_object_get_ex(o, key, &list) &&
		json_object_object_get_ex(arguments, text_of(o, "each", ""), &element))
		for (size_t i = 0; i < json_object_array_length(list); i++)
			found = found || json_object_equal(json_object_array_get_idx(list, i), element);
	json_object_put(arguments);
	return found;
}

static struct tf_value *item_outcome(struct fixture *f, const struct tf_work *w, bool *failed)
{
	struct json_object *o = f->task_of[owner_of(f, w->atom)];
	const char *key = w->action == TF_REVERT ? "revert_fail_elements"
			  : w->round == 0        ? "fail_elements_once"
						 : "";
	*failed = fails_with(o, key, w) || (w->action == TF_EXECUTE && fails_with(o, "fail_elements", w));
	if (*failed)
		return tf_failure_format(
			types_runtime, "%sboom-%s", w->action == TF_REVERT ? "r" : "", w->name);
	struct tf_json element;
	if (w->action == TF_EXECUTE &&
		tf_json_get(tf_value_json(w->arguments), text_of(o, "each", ""), &element))
		return tf_value_from(element);
	return tf_value_null();
}

static struct tf_value *outcome(struct fixture *f, const struct tf_work *w, bool *failed)
{
	if (owner_of(f, w->atom) != w->atom)
		return item_outcome(f, w, failed);
	struct json_object *o = f->task_of[w->atom], *v;
	if (w->action == TF_REVERT) {
		*failed = json_object_object_get_ex(o, "revert_fail", &v) && json_object_get_boolean(v);
		if (*failed)
			return tf_failure_format(tf_types_value_error, "rboom-%s", w->name);
		char text[256];
		snprintf(text, sizeof text, "reverted-%s", w->name);
		return tf_value_string(text);
	}
	*failed = f->fail_by_round && f->failures_left[w->atom] > 0 ? w->round < f->failures_left[w->atom]
								    : f->failures_left[w->atom] != 0;
	if (*failed && f->fail_by_round) {
		return tf_failure_format(types_runtime, "boom-%s", w->name);
	} else if (*failed) {
		f->failures_left[w->atom] -= f->failures_left[w->atom] > 0;
		return tf_failure_format(types_runtime, "boom-%s", w->name);
	}
	if (json_object_object_get_ex(o, "result_text", &v)) { /* exact text */
		const char *text = json_object_get_string(v);
		struct tf_value *exact = tf_value_parse(text, strlen(text), 0, NULL);
		assert_non_null(exact);
		return exact;
	}
	return value_of(json_object_object_get(o, "result"));
}

static int x_submit(struct tf_executor *x, const struct tf_work *w, struct tf_err *err)
{
	struct fixture *f = of(x);
	if (f->refuse_submit && --f->refuse_submit == 0)
		return tf_err_set(err, TF_ECLOSED, "executor refuses '%s'", w->name);
	entry(&f->log, "%s %s", tf_action_name(w->action), w->name);
	if (w->action == TF_EXECUTE)
		entry(&f->calls, "execute %s %s", w->name, tf_value_text(w->arguments));
	else
		entry(&f->calls, "revert %s %s %s%s %s", w->name, tf_value_text(w->arguments),
			w->result_failed ? "failed " : "", w->result_failed ? "" : tf_value_text(w->result),
			tf_value_text(w->failures));
	assert_string_equal(w->uuid, tf_engine_atom_uuid(f->engine, w->atom));
	check_kept(f, w->atom, w->action == TF_REVERT ? TF_REVERTING : TF_RUNNING);
	if (f->work_count == f->work_cap) {
		f->work_cap = f->work_cap ? f->work_cap * 2 : 8;
		f->works = tf_realloc(f->works, f->work_cap * sizeof *f->works);
	}
	struct fixture_work *k = &f->works[f->work_count++];
	*k = (struct fixture_work){w->atom, w->round, w->action, false, NULL};
	k->result = outcome(f, w, &k->failed);
	return 0;
}

/* Receipts are numbers of atoms, from 1. */
static void x_settle(struct tf_executor *x, uint64_t receipt)
{
	struct fixture *f = of(x);
	check_kept(f, (unsigned)(receipt - 1), tf_engine_atom_state(f->engine, (unsigned)(receipt - 1)));
	f->settled++;
}

static void x_withdraw(struct tf_executor *x)
{
	struct fixture *f = of(x);
	if (!f->gives_back)
		return;
	size_t count = f->work_count;
	f->work_count = 0;
	for (size_t i = 0; i < count; i++) {
		tf_value_unref(f->works[i].result);
		x->events.withdrawn(x->arg, f->works[i].atom, f->works[i].round);
	}
}

static void x_stop(struct tf_executor *x)
{
	of(x)->stops++;
}

static void x_destroy(struct tf_executor *x)
{
	(void)x;
}

static const struct tf_executor_ops ops = {.name = "fixture",
	.start = x_start,
	.submit = x_submit,
	.settle = x_settle,
	.withdraw = x_withdraw,
	.stop = x_stop,
	.destroy = x_destroy};
static const struct tf_executor_ops ops_at_once = {.name = "fixture",
	.at_once = true,
	.start = x_start,
	.submit = x_submit,
	.settle = x_settle,
	.stop = x_stop,
	.destroy = x_destroy};

static void deliver(struct fixture *f, struct fixture_work k)
{
	struct tf_completion c = {.atom = k.atom,
		.round = k.round,
		.action = k.action,
		.failed = k.failed,
		.result = k.result,
		.receipt = k.atom + (uint64_t)1};
	f->executor.events.done(f->executor.arg, &c);
	tf_value_unref(k.result);
}

void fixture_deliver(struct fixture *f, const char *name)
{
	for (size_t i = 0; i < f->work_count; i++) {
		if (strcmp(name_of(f, f->works[i].atom), name) != 0)
			continue;
		struct fixture_work k = f->works[i];
		memmove(&f->works[i], &f->works[i + 1], (--f->work_count - i) * sizeof k);
		deliver(f, k);
		return;
	}
	fail_msg("'%s' is not running", name);
}

void fixture_deliver_all(struct fixture *f)
{
	for (size_t i = 0; i < f->work_count; i++)
		deliver(f, f->works[i]);
	f->work_count = 0;
}

/* --- running ----------------------------------------------------------------------------- */

static bool flag(struct json_object *o, const char *key)
{
	struct json_object *v;
	return json_object_object_get_ex(o, key, &v) && json_object_get_boolean(v);
}

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
	add_flow(f, f->flow);
	f->executor.ops = &ops;
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
	find_atoms(f, f->flow);
	struct json_object *o = json_tokener_parse(options), *store;
	f->now = 1000;
	f->clock = (struct tf_clock){fixture_now, f};
	struct tf_engine_options eo = {
		.clock = &f->clock,
		.defer_reverts = flag(o, "defer_reverts"),
		.never_resolve = flag(o, "never_resolve"),
		.reference_quirks = flag(o, "reference_quirks"),
	};
	if (json_object_object_get_ex(o, "store", &store))
		eo.store = value_of(store);
	const struct tf_engine_events events = {.flow = on_flow,
		.atom = on_atom,
		.task_event = on_task_event,
		.retry_execute = retry_execute,
		.retry_revert = retry_revert,
		.retry_on_failure = retry_on_failure,
		.decide = decide,
		.keep = book ? keep : NULL};
	f->book = book;
	if (flag(o, "at_once"))
		f->executor.ops = &ops_at_once;
	f->fail_by_round = flag(o, "fail_by_round");
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
