#include "engine/validate.h"

#include <string.h>

#include "base/mem.h"
#include "engine/scope.h"

static bool satisfied(
	const struct tf_graph *g, const struct tf_map *store, uint32_t atom, const struct tf_binding *b)
{
	if (b->optional)
		return true;
	struct tf_value *inject = g->specs[atom]->inject;
	if (inject && tf_json_get(tf_value_json(inject), b->symbol, NULL))
		return true;
	if (tf_map_get(store, b->symbol))
		return true;
	struct tf_scope s = tf_scope_of(g, atom, tf_intern_find(g->names, b->symbol));
	return tf_scope_next(&s) != NULL;
}

struct missing {
	const char **names;
	size_t count, cap;
};

static void missing_add(struct missing *m, const char *name)
{
	if (m->count == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 8;
		m->names = tf_realloc(m->names, m->cap * sizeof *m->names);
	}
	m->names[m->count++] = name;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "['a', 'b'] but no other ...", sorted, each once. */
static void write_requires(struct tf_buf *b, struct missing *m)
{
	qsort(m->names, m->count, sizeof *m->names, by_text);
	tf_buf_puts(b, " requires [");
	for (size_t i = 0; i < m->count; i++)
		if (i == 0 || strcmp(m->names[i], m->names[i - 1]) != 0)
			tf_buf_printf(b, "%s'%s'", i ? ", " : "", m->names[i]);
	tf_buf_puts(b, "] but no other entity produces said requirements");
}

/* Atoms print as "name==1.0", quotes included. */
static void write_atom(struct tf_buf *b, const struct tf_atom_spec *spec)
{
	tf_buf_printf(b, "'\"%s==", spec->name);
	struct tf_json_iter it = tf_json_iter(tf_value_json(spec->version));
	struct tf_json part;
	for (bool dot = false; tf_json_next(&it, NULL, &part); dot = true) {
		if (dot)
			tf_buf_putc(b, '.');
		tf_buf_append(b, part.text, part.len);
	}
	tf_buf_puts(b, "\"'");
}

struct causes {
	size_t room; /* characters that an error can show */
	unsigned depth;
	struct tf_buf text;
};

/* One method of one atom: what is missing becomes a line of the story and part of the flow's list. */
static void check_method(const struct tf_graph *g, const struct tf_map *store, uint32_t atom, bool revert,
	struct missing *all, struct causes *causes)
{
	const struct tf_atom_spec *spec = g->specs[atom];
	const struct tf_binding *b = revert ? spec->revert : spec->execute;
	size_t count = revert ? spec->revert_count : spec->execute_count;
	struct missing m = {0};
	for (size_t i = 0; i < count; i++) {
		if (satisfied(g, store, atom, &b[i]))
			continue;
		missing_add(&m, b[i].param);
		if (all)
			missing_add(all, b[i].param);
	}
	if (m.count && causes && causes->text.len < causes->room) {
		causes->depth++;
		tf_buf_printf(&causes->text, "\n%*sMissingDependencies: '%s' method on ",
			(int)causes->depth * 2, "", revert ? "revert" : "execute");
		write_atom(&causes->text, spec);
		write_requires(&causes->text, &m);
	}
	free(m.names);
}

static const char *pattern_class(enum tf_pattern p)
{
	return p == TF_LINEAR ? "linear_flow" : p == TF_UNORDERED ? "unordered_flow" : "graph_flow";
}

int tf_validate(const struct tf_graph *g, const struct tf_map *store, struct tf_err *err)
{
	TF_ASSERT(g->compiled);
	struct missing all = {0};
	for (uint32_t a = 0; a < g->atom_count; a++) {
		check_method(g, store, a, false, &all, NULL);
		check_method(g, store, a, true, &all, NULL);
	}
	if (all.count == 0)
		return 0;
	/* As the reference tells it: the flow first, then each method, the last one first. */
	struct causes causes = {.room = sizeof err->message};
	tf_buf_printf(&causes.text, "'\"%s.Flow: %s(len=%u)\"'",
		pattern_class((enum tf_pattern)g->pattern[0]), tf_graph_name(g), (unsigned)g->plans[0].count);
	write_requires(&causes.text, &all);
	for (uint32_t a = g->atom_count; a-- > 0 && causes.text.len < causes.room;) {
		check_method(g, store, a, true, NULL, &causes);
		check_method(g, store, a, false, NULL, &causes);
	}
	int rc = tf_err_set(err, TF_EMISSING, "%s", causes.text.data);
	tf_buf_free(&causes.text);
	free(all.names);
	return rc;
}

static void unref(void *value)
{
	tf_value_unref(value);
}

int tf_graph_validate(const struct tf_graph *g, struct tf_json store, struct tf_err *err)
{
	struct tf_map *map = tf_map_new();
	if (store.text) {
		struct tf_json_iter it = tf_json_iter(store);
		struct tf_json key, value;
		while (tf_json_next(&it, &key, &value)) {
			char *name = tf_json_strdup(key, NULL);
			if (name)
				tf_value_unref(tf_map_set(map, name, tf_value_null()));
			free(name);
		}
	}
	int rc = tf_validate(g, map, err);
	tf_map_delete(map, unref);
	return rc;
}
