#include "engine_fixture_internal.h"

#include <stdlib.h>
#include <string.h>

#include "test/cmocka_all.h"

#include "base/mem.h"

const char *fixture_text_of(struct json_object *o, const char *key, const char *otherwise)
{
	struct json_object *v;
	return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : otherwise;
}

int fixture_int_of(struct json_object *o, const char *key)
{
	struct json_object *v;
	return json_object_object_get_ex(o, key, &v) ? json_object_get_int(v) : 0;
}

bool fixture_flag(struct json_object *o, const char *key)
{
	struct json_object *v;
	return json_object_object_get_ex(o, key, &v) && json_object_get_boolean(v);
}

struct tf_value *fixture_value_of(struct json_object *o)
{
	const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	struct tf_value *v = tf_value_parse(text, strlen(text), 0, NULL);
	assert_non_null(v);
	return v;
}

struct json_object *fixture_parse(struct tf_value *v)
{
	struct json_object *o = json_tokener_parse(tf_value_text(v));
	return o;
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
		.name = fixture_text_of(o, "name", ""),
		.task_cls = "tests.Task",
		.priority = fixture_int_of(o, "priority"),
		.execute = parts.execute,
		.revert = parts.revert,
		.provides = parts.provides,
	};
	spec.execute_count = parse_bindings(o, false, parts.execute);
	spec.revert_count = parse_bindings(o, true, parts.revert);
	spec.each = fixture_text_of(o, "each", NULL);
	spec.limit = (size_t)fixture_int_of(o, "limit");
	if (json_object_object_get_ex(o, "provides", &v) && v)
		parse_provides(v, parts.provides, &spec.provide_count);
	if (json_object_object_get_ex(o, "inject", &v))
		spec.inject = fixture_value_of(v);
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
		if (strcmp(fixture_text_of(json_object_array_get_idx(children, i), "name", ""), name) == 0)
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
		assert_int_equal(
			tf_graph_link(f->graph, child_named(children, ids, fixture_text_of(l, "from", "")),
				child_named(children, ids, fixture_text_of(l, "to", "")), decider,
				depth_of(fixture_text_of(l, "depth", "ALL")), NULL),
			0);
	}
}

int fixture_add_flow(struct fixture *f, struct json_object *o)
{
	const char *kind = fixture_text_of(o, "kind", "");
	enum tf_pattern pattern = strcmp(kind, "linear") == 0  ? TF_LINEAR
				  : strcmp(kind, "graph") == 0 ? TF_GRAPH
							       : TF_UNORDERED;
	int id = tf_graph_open_flow(f->graph, fixture_text_of(o, "name", ""), pattern);
	struct json_object *retry, *children = json_object_object_get(o, "children");
	if (json_object_object_get_ex(o, "retry", &retry))
		add_atom(f->graph, retry, true);
	size_t count = json_object_array_length(children);
	int *ids = tf_calloc(count + 1, sizeof *ids);
	for (size_t i = 0; i < count; i++) {
		struct json_object *child = json_object_array_get_idx(children, i);
		ids[i] = json_object_object_get(child, "kind") ? fixture_add_flow(f, child)
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

void fixture_find_atoms(struct fixture *f, struct json_object *flow)
{
	struct json_object *retry, *children = json_object_object_get(flow, "children"), *v;
	if (json_object_object_get_ex(flow, "retry", &retry))
		f->task_of[fixture_atom(f, fixture_text_of(retry, "name", ""))] = retry;
	for (size_t i = 0; i < json_object_array_length(children); i++) {
		struct json_object *child = json_object_array_get_idx(children, i);
		if (json_object_object_get(child, "kind")) {
			fixture_find_atoms(f, child);
			continue;
		}
		unsigned atom = fixture_atom(f, fixture_text_of(child, "name", ""));
		f->task_of[atom] = child;
		if (json_object_object_get_ex(child, "fail", &v))
			f->failures_left[atom] = json_object_is_type(v, json_type_boolean)
							 ? -json_object_get_boolean(v)
							 : json_object_get_int(v);
	}
}
