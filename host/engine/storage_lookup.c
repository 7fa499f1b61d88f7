/* Finding values by name (ENGINE.md 6). */
#include <string.h>

#include "base/mem.h"
#include "engine/item.h"
#include "engine/scope.h"
#include "engine/storage_internal.h"

enum access { READABLE, NOT_YET, IGNORED };

/* The execute result as lookups see it; borrowed. A failure is readable in any state. */
static enum access readable(const struct tf_storage *s, uint32_t atom, struct tf_value **value, bool *failed)
{
	const struct tf_detail *d = &s->details[atom];
	*failed = d->failure != NULL;
	*value = d->failure;
	if (d->failure)
		return READABLE;
	enum tf_state state = tf_scheduler_state(s->states, atom);
	if (state == TF_IGNORE)
		return IGNORED;
	if (state != TF_SUCCESS && state != TF_FAILURE && state != TF_REVERTING)
		return NOT_YET;
	*value = d->result;
	if (s->g->kind[s->g->atom_node[atom]] == TF_NODE_RETRY) {
		if (!d->history || d->history->count == 0)
			return NOT_YET;
		*value = d->history->attempts[d->history->count - 1].value;
	}
	return *value ? READABLE : NOT_YET;
}

/* What a provider's result has for it; NULL: nothing. A failure cannot be indexed. */
static struct tf_value *item_of(
	const struct tf_storage *s, const struct tf_provider *p, struct tf_value *value, bool failed)
{
	const struct tf_provide *how = &s->g->specs[p->atom]->provides[p->provide];
	return failed && how->how != TF_WHOLE ? NULL : tf_item(value, how);
}

/* The first provider of the nearest scope level that has any readable one. */
static struct tf_value *find_in_scope(
	struct tf_storage *s, unsigned atom, const struct tf_binding *b, uint32_t symbol, struct tf_err *err)
{
	struct tf_scope scope = tf_scope_of(s->g, atom, symbol);
	const struct tf_provider *p;
	uint32_t level = TF_NONE;
	unsigned scanned = 0;
	while ((p = tf_scope_next(&scope)) != NULL) {
		if (level != TF_NONE && scope.level != level)
			break;
		scanned++;
		struct tf_value *value;
		bool failed;
		enum access access = readable(s, p->atom, &value, &failed);
		if (access == IGNORED)
			continue;
		if (access == NOT_YET) {
			tf_err_set(err, TF_ENOTFOUND,
				"Expected to be able to find output '%s' produced by '%s' but was unable to "
				"get at that "
				"providers results",
				b->symbol, s->g->specs[p->atom]->name);
			return NULL;
		}
		level = scope.level;
		struct tf_value *item = item_of(s, p, value, failed);
		if (item)
			return item;
	}
	if (level != TF_NONE)
		tf_err_set(err, TF_ENOTFOUND,
			"Unable to find result '%s', expected to be able to find it created by one of its "
			"providers but "
			"was unable to perform successful extraction",
			b->symbol);
	else
		tf_err_set(err, TF_ENOTFOUND,
			"Mapped argument '%s' <= '%s' was not produced by any accessible provider (%u "
			"possible providers "
			"were scanned)",
			b->param, b->symbol, scanned);
	return NULL;
}

struct tf_value *tf_storage_argument(
	struct tf_storage *s, unsigned atom, const struct tf_binding *b, struct tf_err *err)
{
	struct tf_json own;
	struct tf_value *given[2];
	if (tf_storage_own(s, atom, b->symbol, &own))
		return tf_value_from(own);
	if (tf_storage_given(s, b->symbol, given) > 0)
		return tf_value_ref(given[0]);
	uint32_t symbol = tf_intern_find(s->g->names, b->symbol), count;
	tf_scope_all(s->g, symbol, &count);
	if (count == 0) {
		tf_err_set(err, TF_ENOTFOUND, "Name '%s' is not mapped as a produced output by any providers",
			b->symbol);
		return NULL;
	}
	return find_in_scope(s, atom, b, symbol, err);
}

struct tf_value *tf_storage_arguments(struct tf_storage *s, unsigned atom, bool revert, struct tf_err *err)
{
	const struct tf_atom_spec *spec = s->g->specs[atom];
	const struct tf_binding *bindings = revert ? spec->revert : spec->execute;
	size_t count = revert ? spec->revert_count : spec->execute_count;
	if (count == 0)
		return tf_value_empty_object();
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_putc(&b, '{');
	for (size_t i = 0; i < count; i++) {
		struct tf_value *value = tf_storage_argument(s, atom, &bindings[i], err);
		if (!value && bindings[i].optional)
			continue;
		if (!value) {
			tf_err_prefix(err, "'%s' method of '%s'", revert ? "revert" : "execute", spec->name);
			tf_buf_free(&b);
			return NULL;
		}
		tf_storage_write_member(&b, bindings[i].param, value);
		tf_value_unref(value);
	}
	tf_buf_putc(&b, '}');
	return tf_value_take(&b);
}

/* --- whole storage ----------------------------------------------------------------------- */

struct values {
	struct tf_value **items;
	size_t count;
};

static void values_free(struct values *v)
{
	for (size_t i = 0; i < v->count; i++)
		tf_value_unref(v->items[i]);
	free(v->items);
}

static int by_atom(const void *a, const void *b)
{
	const struct tf_provider *x = a, *y = b;
	if (x->atom != y->atom)
		return x->atom < y->atom ? -1 : 1;
	return x->provide < y->provide ? -1 : x->provide > y->provide;
}

/* All values of a symbol, injected first, then of atoms in node order. Any that cannot be read or
 * extracted spoils it. */
static int values_of(struct tf_storage *s, const char *symbol, struct values *out, struct tf_err *err)
{
	uint32_t count;
	const struct tf_provider *all = tf_scope_all(s->g, tf_intern_find(s->g->names, symbol), &count);
	struct tf_value *given[2];
	size_t given_count = tf_storage_given(s, symbol, given);
	*out = (struct values){0};
	if (given_count == 0 && count == 0)
		return tf_err_set(err, TF_ENOTFOUND,
			"Name '%s' is not mapped as a produced output by any providers", symbol);
	struct tf_provider *p = tf_malloc((count + (size_t)1) * sizeof *p);
	if (count)
		memcpy(p, all, count * sizeof *p);
	qsort(p, count, sizeof *p, by_atom); /* a retry comes after what it controls */
	out->items = tf_malloc((count + given_count + 1) * sizeof *out->items);
	for (size_t i = 0; i < given_count; i++)
		out->items[out->count++] = tf_value_ref(given[i]);
	int rc = 0;
	for (uint32_t i = 0; i < count && rc == 0; i++) {
		struct tf_value *value, *item = NULL;
		bool failed;
		enum access access = readable(s, p[i].atom, &value, &failed);
		if (access == IGNORED)
			continue;
		if (access == READABLE)
			item = item_of(s, &p[i], value, failed);
		if (item)
			out->items[out->count++] = item;
		else if (access == NOT_YET)
			rc = tf_err_set(err, TF_ENOTFOUND,
				"Expected to be able to find output '%s' produced by '%s' but was unable to "
				"get at that "
				"providers results",
				symbol, s->g->specs[p[i].atom]->name);
		else
			rc = tf_err_set(err, TF_ENOTFOUND,
				"Unable to find result '%s', expected to be able to find it created by '%s' "
				"but was unable "
				"to perform successful extraction",
				symbol, s->g->specs[p[i].atom]->name);
	}
	if (rc == 0 && out->count == 0)
		rc = tf_err_set(err, TF_ENOTFOUND, "Unable to find result '%s', searched %u providers",
			symbol, (unsigned)count);
	if (rc != 0)
		values_free(out);
	free(p);
	return rc;
}

struct tf_value *tf_storage_fetch(struct tf_storage *s, const char *symbol, struct tf_err *err)
{
	struct values v;
	if (values_of(s, symbol, &v, err) != 0)
		return NULL;
	struct tf_value *first = tf_value_ref(v.items[0]);
	values_free(&v);
	return first;
}

static void write_list(struct tf_buf *b, const struct values *v)
{
	tf_buf_putc(b, '[');
	for (size_t i = 0; i < v->count; i++) {
		tf_buf_puts(b, i ? ", " : "");
		tf_buf_append(b, tf_value_text(v->items[i]), tf_value_len(v->items[i]));
	}
	tf_buf_putc(b, ']');
}

struct tf_value *tf_storage_fetch_list(struct tf_storage *s, const char *symbol, struct tf_err *err)
{
	struct values v;
	if (values_of(s, symbol, &v, err) != 0)
		return NULL;
	struct tf_buf b = TF_BUF_INIT;
	write_list(&b, &v);
	values_free(&v);
	return tf_value_take(&b);
}

struct fetch_all {
	struct tf_storage *s;
	struct tf_buf b;
};

static void write_fetched(struct fetch_all *f, const char *name)
{
	struct values v;
	if (values_of(f->s, name, &v, NULL) != 0)
		return;
	if (v.count == 1) {
		tf_storage_write_member(&f->b, name, v.items[0]);
	} else {
		tf_buf_puts(&f->b, f->b.len > 1 ? ", " : "");
		tf_json_write_string(&f->b, name, strlen(name));
		tf_buf_puts(&f->b, ": ");
		write_list(&f->b, &v);
	}
	values_free(&v);
}

static bool fetch_stored(const char *name, void *value, void *arg)
{
	(void)value;
	write_fetched(arg, name);
	return true;
}

static bool fetch_transient(const char *name, void *value, void *arg)
{
	struct fetch_all *f = arg;
	(void)value;
	if (!tf_map_get(f->s->store, name))
		write_fetched(f, name);
	return true;
}

struct tf_value *tf_storage_fetch_all(struct tf_storage *s)
{
	struct fetch_all f = {.s = s};
	tf_buf_putc(&f.b, '{');
	tf_map_each(s->store, fetch_stored, &f);
	tf_map_each(s->transients, fetch_transient, &f);
	uint32_t names = tf_intern_count(s->g->names), count;
	struct tf_value *given[2];
	for (uint32_t id = 0; id < names; id++) {
		tf_scope_all(s->g, id, &count);
		if (count && tf_storage_given(s, tf_intern_text(s->g->names, id), given) == 0)
			write_fetched(&f, tf_intern_text(s->g->names, id));
	}
	tf_buf_putc(&f.b, '}');
	return tf_value_take(&f.b);
}

static struct tf_value *not_known(struct tf_storage *s, unsigned atom, const char *what, struct tf_err *err)
{
	bool ignored = tf_storage_state(s, atom) == TF_IGNORE;
	tf_err_set(err, TF_ENOTFOUND, "Result for atom '%s' %s is not known%s", tf_storage_name(s, atom),
		what, ignored ? " (as it was ignored)" : "");
	return NULL;
}

struct tf_value *tf_storage_result(struct tf_storage *s, unsigned atom, bool *failed, struct tf_err *err)
{
	const struct tf_detail *d = tf_storage_detail(s, atom);
	*failed = d->failure != NULL;
	if (d->failure)
		return tf_value_ref(d->failure);
	enum tf_state state = tf_storage_state(s, atom);
	if (state != TF_SUCCESS && state != TF_FAILURE && state != TF_REVERTING)
		return not_known(s, atom, "execution", err);
	if (atom < s->g->atom_count && tf_graph_atom_is_retry(s->g, atom))
		return tf_storage_history(s, atom);
	return d->result ? tf_value_ref(d->result) : tf_value_null();
}

struct tf_value *tf_storage_revert_result(
	struct tf_storage *s, unsigned atom, bool *failed, struct tf_err *err)
{
	const struct tf_detail *d = tf_storage_detail(s, atom);
	*failed = d->revert_failure != NULL;
	if (d->revert_failure)
		return tf_value_ref(d->revert_failure);
	enum tf_state state = tf_storage_state(s, atom);
	if (state != TF_REVERTED && state != TF_REVERT_FAILURE && state != TF_REVERTING)
		return not_known(s, atom, "revert", err);
	return d->revert_result ? tf_value_ref(d->revert_result) : tf_value_null();
}
