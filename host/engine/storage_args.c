/* What atoms are given besides what other atoms provide, and asking what they would get (ENGINE.md 6, 7). */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/storage_internal.h"
#include "engine/validate.h"

#define META_INJECTED "injected"

/* --- flow-wide values -------------------------------------------------------------------- */

static void unref(void *value)
{
	tf_value_unref(value);
}

static void free_transient(void *value)
{
	struct tf_transient *t = value;
	tf_value_unref(t->value);
	free(t);
}

void tf_storage_free_given(struct tf_storage *s)
{
	tf_map_delete(s->store, unref);
	tf_map_delete(s->transients, free_transient);
}

/* Takes over `value`. */
static void inject_one(struct tf_storage *s, const char *name, struct tf_value *value, enum tf_inject how)
{
	if (how != TF_INJECT_TRANSIENT) {
		bool keep = how == TF_INJECT_UNDER && tf_map_get(s->store, name);
		tf_value_unref(keep ? value : tf_map_set(s->store, name, value));
		return;
	}
	struct tf_transient *t = tf_map_get(s->transients, name);
	if (!t) {
		t = TF_NEW(struct tf_transient);
		t->first = !tf_map_get(s->store, name);
		tf_map_set(s->transients, name, t);
	}
	tf_value_unref(t->value);
	t->value = value;
}

void tf_storage_inject(struct tf_storage *s, struct tf_value *object, enum tf_inject how)
{
	struct tf_json_iter it = tf_json_iter(tf_value_json(object));
	struct tf_json key, value;
	while (tf_json_next(&it, &key, &value)) {
		struct tf_err err;
		char *name = tf_json_strdup(key, &err);
		if (name)
			inject_one(s, name, tf_value_from(value), how);
		else /* no atom can ask for such a name */
			tf_warn("engine", "injected value skipped: name %.*s: %s", (int)key.len, key.text,
				err.message);
		free(name);
	}
}

const struct tf_map *tf_storage_store(const struct tf_storage *s)
{
	return s->store;
}

static bool write_stored(const char *name, void *value, void *arg)
{
	tf_storage_write_member(arg, name, value);
	return true;
}

struct tf_value *tf_storage_stored(const struct tf_storage *s)
{
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_putc(&b, '{');
	tf_map_each(s->store, write_stored, &b);
	tf_buf_putc(&b, '}');
	return tf_value_take(&b);
}

size_t tf_storage_given(const struct tf_storage *s, const char *name, struct tf_value *out[2])
{
	struct tf_value *stored = tf_map_get(s->store, name);
	const struct tf_transient *t = tf_map_count(s->transients) ? tf_map_get(s->transients, name) : NULL;
	size_t n = 0;
	if (t && t->first)
		out[n++] = t->value;
	if (stored)
		out[n++] = stored;
	if (t && !t->first)
		out[n++] = t->value;
	return n;
}

/* --- values of one atom ------------------------------------------------------------------ */

/* The members of both; those of `over` win. */
static struct tf_value *merged(const struct tf_value *under, struct tf_value *over)
{
	struct tf_buf b = TF_BUF_INIT;
	const struct tf_value *objects[] = {under, over};
	struct tf_json key, value;
	tf_buf_putc(&b, '{');
	for (size_t i = under ? 0 : 1; i < 2; i++) { /* of duplicates the last one counts */
		struct tf_json_iter it = tf_json_iter(tf_value_json(objects[i]));
		while (tf_json_next(&it, &key, &value)) {
			tf_buf_puts(&b, b.len > 1 ? ", " : "");
			tf_buf_append(&b, key.text, key.len);
			tf_buf_puts(&b, ": ");
			tf_buf_append(&b, value.text, value.len);
		}
	}
	tf_buf_putc(&b, '}');
	return tf_value_take(&b);
}

void tf_storage_inject_atom(struct tf_storage *s, unsigned atom, struct tf_value *object, bool transient)
{
	struct tf_detail *d = tf_storage_detail(s, atom);
	if (transient) {
		struct tf_value *both = merged(d->injected, object);
		tf_value_unref(d->injected);
		d->injected = both;
		return;
	}
	struct tf_value *before = tf_storage_meta(s, atom, META_INJECTED);
	bool usable = before && tf_json_type(tf_value_json(before)) == TF_JSON_OBJECT;
	struct tf_value *both = merged(usable ? before : NULL, object);
	tf_storage_set_meta(s, atom, META_INJECTED, both);
	tf_value_unref(before);
	tf_value_unref(both);
}

bool tf_storage_own(const struct tf_storage *s, unsigned atom, const char *symbol, struct tf_json *value)
{
	const struct tf_detail *d = tf_storage_detail(s, atom);
	struct tf_value *inject = s->g->specs[atom]->inject;
	struct tf_json injected;
	if (d->injected && tf_json_get(tf_value_json(d->injected), symbol, value))
		return true;
	if (inject && tf_json_get(tf_value_json(inject), symbol, value))
		return true;
	return d->meta && tf_json_get(tf_value_json(d->meta), META_INJECTED, &injected) &&
	       tf_json_get(injected, symbol, value);
}

/* --- asking ------------------------------------------------------------------------------ */

bool tf_storage_has(const void *storage, uint32_t atom, const char *symbol)
{
	const struct tf_storage *s = storage;
	struct tf_value *given[2];
	return tf_storage_own(s, atom, symbol, NULL) || tf_storage_given(s, symbol, given) > 0;
}

bool tf_storage_satisfied(const struct tf_storage *s, unsigned atom, const struct tf_binding *b)
{
	return tf_validate_satisfied(s->g, tf_storage_has, s, atom, b);
}

struct tf_value *tf_storage_mapped(struct tf_storage *s, unsigned atom, const struct tf_binding *bindings,
	size_t count, struct tf_err *err)
{
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_putc(&b, '{');
	for (size_t i = 0; i < count; i++) {
		struct tf_value *value = atom == TF_NONE ? tf_storage_fetch(s, bindings[i].symbol, err)
							 : tf_storage_argument(s, atom, &bindings[i], err);
		if (!value && bindings[i].optional)
			continue;
		if (!value) {
			tf_buf_free(&b);
			return NULL;
		}
		tf_storage_write_member(&b, bindings[i].param, value);
		tf_value_unref(value);
	}
	tf_buf_putc(&b, '}');
	return tf_value_take(&b);
}
