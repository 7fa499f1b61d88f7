#include "engine/validate.h"

#include <string.h>

#include "base/mem.h"
#include "engine/scope.h"

bool tf_validate_satisfied(const struct tf_graph *g, tf_validate_given *given, const void *arg, uint32_t atom,
	const struct tf_binding *b)
{
	if (b->optional || given(arg, atom, b->symbol))
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

struct inputs {
	tf_validate_given *given;
	const void *arg;
};

/* One method of one atom: what is missing becomes a line of the story and part of the flow's list. */
static void check_method(const struct tf_graph *g, const struct inputs *in, uint32_t atom, bool revert,
	struct missing *all, struct causes *causes)
{
	const struct tf_atom_spec *spec = g->specs[atom];
	const struct tf_binding *b = revert ? spec->revert : spec->execute;
	size_t count = revert ? spec->revert_count : spec->execute_count;
	struct missing m = {0};
	for (size_t i = 0; i < count; i++) {
		if (tf_validate_satisfied(g, in->given, in->arg, atom, &b[i]))
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

int tf_validate(const struct tf_graph *g, tf_validate_given *given, const void *arg, struct tf_err *err)
{
	const struct inputs in = {given, arg};
	TF_ASSERT(g->compiled);
	struct missing all = {0};
	for (uint32_t a = 0; a < g->atom_count; a++) {
		check_method(g, &in, a, false, &all, NULL);
		check_method(g, &in, a, true, &all, NULL);
	}
	if (all.count == 0)
		return 0;
	/* As the reference tells it: the flow first, then each method, the last one first. */
	struct causes causes = {.room = sizeof err->message};
	tf_buf_printf(&causes.text, "'\"%s.Flow: %s(len=%u)\"'",
		pattern_class((enum tf_pattern)g->pattern[0]), tf_graph_name(g), (unsigned)g->plans[0].count);
	write_requires(&causes.text, &all);
	for (uint32_t a = g->atom_count; a-- > 0 && causes.text.len < causes.room;) {
		check_method(g, &in, a, true, NULL, &causes);
		check_method(g, &in, a, false, NULL, &causes);
	}
	int rc = tf_err_set(err, TF_EMISSING, "%s", causes.text.data);
	tf_buf_free(&causes.text);
	free(all.names);
	return rc;
}

struct stored {
	const struct tf_graph *g;
	struct tf_json store;
};

static bool is_stored(const void *arg, uint32_t atom, const char *symbol)
{
	const struct stored *s = arg;
	struct tf_value *inject = s->g->specs[atom]->inject;
	return (inject && tf_json_get(tf_value_json(inject), symbol, NULL)) ||
	       (s->store.text && tf_json_get(s->store, symbol, NULL));
}

int tf_graph_validate(const struct tf_graph *g, struct tf_json store, struct tf_err *err)
{
	const struct stored s = {g, store};
	return tf_validate(g, is_stored, &s, err);
}
