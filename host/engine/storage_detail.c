/* Atoms as details of a logbook (ENGINE.md 14): taking them over from one, and making rows for it. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "engine/storage_internal.h"
#include "protocol/peer.h"

/* What only tfhost keeps in an atom's metadata, as far as it is there: {"round": n} once n is above 0, "performer": uuid while
 * a worker performs it, "runs": as in trace.h. */
#define META_OWN "tfhost"

/* --- from a logbook ---------------------------------------------------------------------- */

static bool is_set(const struct tf_value *v)
{
	return v && tf_json_type(tf_value_json(v)) != TF_JSON_NULL;
}

static struct tf_value *kept(struct tf_value *v)
{
	return is_set(v) ? tf_value_ref(v) : NULL;
}

static void load_failures(struct tf_storage *s, struct tf_attempt *a, struct tf_json failures)
{
	struct tf_json_iter it = tf_json_iter(failures);
	struct tf_json name, failure;
	a->cap = tf_json_count(failures);
	a->failures = tf_calloc(a->cap + 1, sizeof *a->failures);
	while (tf_json_next(&it, &name, &failure)) {
		char *text = tf_json_strdup(name, NULL);
		int atom = text ? tf_graph_find(s->g, text) : -1;
		struct tf_blamed *b = &a->failures[a->count++];
		b->atom = atom < 0 ? TF_NONE : (uint32_t)atom;
		b->name = atom < 0 ? tf_value_from(name) : NULL;
		b->failure = tf_value_from(failure);
		free(text);
	}
}

/* [[value, {"atom": failure dict}], ...] */
static int load_history(
	struct tf_storage *s, unsigned retry, const struct tf_atom_detail *from, struct tf_err *err)
{
	struct tf_json entry, value, failures;
	struct tf_json results =
		is_set(from->results) ? tf_value_json(from->results) : (struct tf_json){"[]", 2};
	struct tf_json_iter it = tf_json_iter(results);
	if (tf_json_type(results) != TF_JSON_ARRAY)
		return tf_err_set(err, TF_EFORMAT, "the results of retry '%s' are no list", from->name);
	while (tf_json_next(&it, NULL, &entry)) {
		if (!tf_json_at(entry, 0, &value) || !tf_json_at(entry, 1, &failures) ||
			tf_json_type(failures) != TF_JSON_OBJECT)
			return tf_err_set(err, TF_EFORMAT,
				"a result of retry '%s' is no pair of a value and failures by atom",
				from->name);
		struct tf_value *v = tf_value_from(value);
		load_failures(s, tf_storage_add_attempt(s, retry, v), failures);
		tf_value_unref(v);
	}
	return 0;
}

static void load_performer(struct tf_storage *s, unsigned atom, struct tf_json text)
{
	char *performer = tf_json_strdup(text, NULL);
	if (performer && tf_peer_is_uuid(performer))
		tf_storage_set_performer(s, atom, performer);
	free(performer);
}

static void load_meta(struct tf_storage *s, unsigned atom, struct tf_value *meta)
{
	struct tf_detail *d = tf_storage_detail(s, atom);
	struct tf_json object, own, v;
	if (!is_set(meta))
		return;
	object = tf_value_json(meta);
	if (tf_json_get(object, "progress", &v) && !tf_json_double(v, &d->progress))
		d->progress = TF_PROGRESS_UNSET;
	if (tf_json_get(object, META_OWN, &own) && tf_json_get(own, "round", &v))
		tf_json_int64(v, &d->round);
	if (tf_json_get(object, META_OWN, &own) && tf_json_get(own, "performer", &v))
		load_performer(s, atom, v);
	if (s->trace && tf_json_get(object, META_OWN, &own) && tf_json_get(own, "runs", &v))
		tf_trace_load(s->trace, atom, v);
	if (tf_json_count(object))
		d->meta = tf_value_ref(meta);
}

/* A failure of an earlier round is not reported: the atom's row keeps it until the next outcome. */
static bool is_reported(const struct tf_storage *s, enum tf_state state)
{
	return s->keep_failures || state == TF_FAILURE || state == TF_REVERTING || state == TF_REVERTED ||
	       state == TF_REVERT_FAILURE;
}

int tf_storage_load(struct tf_storage *s, unsigned atom, enum tf_state state,
	const struct tf_atom_detail *from, struct tf_err *err)
{
	struct tf_detail *d = tf_storage_detail(s, atom);
	if (strlen(from->uuid) > TF_UUID_LEN)
		return tf_err_set(err, TF_EFORMAT, "atom '%s': '%s' is no uuid", from->name, from->uuid);
	memcpy(d->uuid, from->uuid, strlen(from->uuid) + 1);
	if (state == TF_RUNNING || state == TF_REVERTING)
		tf_storage_set_performer(s, atom, "");
	load_meta(s, atom, from->meta);
	d->failure = kept(from->failure);
	d->revert_result = kept(from->revert_results);
	d->revert_failure = kept(from->revert_failure);
	if (is_reported(s, state)) {
		if (d->failure)
			tf_storage_report(s, atom, false, d->failure);
		if (d->revert_failure)
			tf_storage_report(s, atom, true, d->revert_failure);
	}
	if (atom < s->g->atom_count && tf_graph_atom_is_retry(s->g, atom))
		return load_history(s, atom, from, err);
	d->result = kept(from->results);
	return 0;
}

/* --- metadata ---------------------------------------------------------------------------- */

static void write_others(const struct tf_value *object, const char *without, struct tf_buf *b)
{
	struct tf_json_iter it = {0};
	struct tf_json key, value;
	if (object)
		it = tf_json_iter(tf_value_json(object));
	while (object && tf_json_next(&it, &key, &value)) {
		if (tf_json_string_is(key, "progress") || tf_json_string_is(key, META_OWN) ||
			tf_json_string_is(key, without))
			continue;
		tf_buf_puts(b, b->len > 1 ? ", " : "");
		tf_buf_append(b, key.text, key.len);
		tf_buf_puts(b, ": ");
		tf_buf_append(b, value.text, value.len);
	}
}

void tf_storage_set_meta(struct tf_storage *s, unsigned atom, const char *key, struct tf_value *value)
{
	struct tf_detail *d = tf_storage_detail(s, atom);
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_putc(&b, '{');
	write_others(d->meta, key, &b);
	tf_storage_write_member(&b, key, value);
	tf_buf_putc(&b, '}');
	tf_value_unref(d->meta);
	d->meta = tf_value_take(&b);
}

struct tf_value *tf_storage_meta(const struct tf_storage *s, unsigned atom, const char *key)
{
	const struct tf_detail *d = tf_storage_detail(s, atom);
	struct tf_json v;
	return d->meta && tf_json_get(tf_value_json(d->meta), key, &v) ? tf_value_from(v) : NULL;
}

void tf_storage_set_progress_details(struct tf_storage *s, unsigned atom, struct tf_value *event)
{
	struct tf_buf details = TF_BUF_INIT, b = TF_BUF_INIT;
	tf_buf_putc(&details, '{');
	write_others(event, "progress", &details);
	tf_buf_putc(&details, '}');
	if (details.len == 2 && !tf_storage_detail(s, atom)->meta) { /* there were none before */
		tf_buf_free(&details);
		return;
	}
	if (details.len > 2) {
		tf_buf_puts(&b, "{\"at_progress\": ");
		tf_json_write_real(&b, tf_storage_progress(s, atom));
		tf_buf_puts(&b, ", \"details\": ");
		tf_buf_append(&b, details.data, details.len);
		tf_buf_putc(&b, '}');
	} else {
		tf_buf_puts(&b, "null");
	}
	struct tf_value *v = tf_value_take(&b);
	tf_storage_set_meta(s, atom, "progress_details", v);
	tf_value_unref(v);
	tf_buf_free(&details);
}

/* --- to a logbook ------------------------------------------------------------------------ */

/* Without the closing brace. Retry controllers make no progress. */
static void write_known(const struct tf_storage *s, unsigned atom, struct tf_buf *b)
{
	const struct tf_detail *d = tf_storage_detail(s, atom);
	bool is_retry = atom < s->g->atom_count && tf_graph_atom_is_retry(s->g, atom);
	tf_buf_putc(b, '{');
	if (d->progress >= 0 && !is_retry) {
		tf_buf_puts(b, "\"progress\": ");
		tf_json_write_real(b, d->progress);
	}
	write_others(d->meta, "", b);
}

struct tf_value *tf_storage_metadata(const struct tf_storage *s, unsigned atom)
{
	struct tf_buf b = TF_BUF_INIT;
	write_known(s, atom, &b);
	tf_buf_putc(&b, '}');
	return tf_value_take(&b);
}

static void write_meta(const struct tf_storage *s, unsigned atom, struct tf_buf *b)
{
	const struct tf_detail *d = tf_storage_detail(s, atom);
	write_known(s, atom, b);
	const char *performer = tf_storage_performer(s, atom);
	bool ran = tf_trace_has(s->trace, atom);
	bool known = performer && performer[0];
	if (d->round > 0 || known || ran) {
		tf_buf_puts(b, b->len > 1 ? ", " : "");
		tf_buf_puts(b, "\"" META_OWN "\": {\"round\": ");
		tf_buf_put_decimal(b, d->round > 0 ? (uint64_t)d->round : 0, 1);
		if (known)
			tf_buf_printf(b, ", \"performer\": \"%s\"", performer);
		if (ran) {
			tf_buf_puts(b, ", \"runs\": ");
			tf_trace_write(s->trace, atom, b);
		}
		tf_buf_putc(b, '}');
	}
	tf_buf_putc(b, '}');
}

static char *version_text(const struct tf_atom_spec *spec)
{
	struct tf_buf b = TF_BUF_INIT;
	struct tf_json_iter it = tf_json_iter(tf_value_json(spec->version));
	struct tf_json part;
	while (tf_json_next(&it, NULL, &part)) {
		tf_buf_puts(&b, b.len ? "." : "");
		tf_buf_append(&b, part.text, part.len);
	}
	return tf_buf_steal(&b);
}

void tf_storage_write(struct tf_storage *s, unsigned atom, struct tf_atom_detail *out)
{
	const struct tf_detail *d = tf_storage_detail(s, atom);
	unsigned owner = atom;
	uint32_t index;
	struct tf_buf meta = TF_BUF_INIT;
	tf_storage_item(s, atom, &owner, &index);
	write_meta(s, atom, &meta);
	out->is_retry = tf_graph_atom_is_retry(s->g, owner);
	out->uuid = tf_strdup(d->uuid);
	out->name = tf_strdup(tf_storage_name(s, atom));
	out->version = version_text(s->g->specs[owner]);
	out->results = out->is_retry ? tf_storage_history(s, atom) : tf_value_ref(d->result);
	out->failure = tf_value_ref(d->failure);
	out->revert_results = tf_value_ref(d->revert_result);
	out->revert_failure = tf_value_ref(d->revert_failure);
	out->meta = tf_value_take(&meta);
}
