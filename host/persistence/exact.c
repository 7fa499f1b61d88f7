#include "persistence/exact.h"

#include <string.h>

static const char *const names[] = {"results", "failure", "revert_results", "revert_failure", "meta"};
enum { VALUES = sizeof names / sizeof *names };

/* Length of the token at text[0..len) that is no JSON of the RFC, 0 for any other byte. */
static size_t loose_token(const char *text, size_t len)
{
	static const char *const tokens[] = {"NaN", "Infinity", "-Infinity"};
	for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
		size_t n = strlen(tokens[i]);
		if (len >= n && memcmp(text, tokens[i], n) == 0)
			return n;
	}
	return 0;
}

static size_t string_token(const char *text, size_t len)
{
	size_t n = 1;
	while (n < len && text[n] != '"')
		n += text[n] == '\\' ? 2 : 1;
	return n + 1;
}

/* New reference: `v` itself where it is strict already. */
static struct tf_value *strict(struct tf_value *v)
{
	const char *text = tf_value_text(v);
	struct tf_buf out = TF_BUF_INIT;
	size_t len = tf_value_len(v), kept = 0;
	for (size_t at = 0; at < len;) {
		size_t token = text[at] == '"' ? string_token(text + at, len - at) : 0;
		size_t loose = token ? 0 : loose_token(text + at, len - at);
		if (loose) {
			tf_buf_append(&out, text + kept, at - kept);
			tf_buf_puts(&out, "null");
			kept = at + loose;
		}
		at += token ? token : loose ? loose : 1;
	}
	if (kept == 0)
		return tf_value_ref(v);
	tf_buf_append(&out, text + kept, len - kept);
	return tf_value_take(&out);
}

void tf_exact_split(const struct tf_atom_detail *d, struct tf_exact *out)
{
	struct tf_value *const from[VALUES] = {
		d->results, d->failure, d->revert_results, d->revert_failure, d->meta};
	struct tf_value **to[VALUES] = {
		&out->results, &out->failure, &out->revert_results, &out->revert_failure, &out->meta};
	struct tf_buf rest = TF_BUF_INIT;
	for (int i = 0; i < VALUES; i++) {
		*to[i] = from[i] ? strict(from[i]) : NULL;
		if (*to[i] != from[i])
			tf_buf_printf(&rest, "%s\"%s\": %s", rest.len ? ", " : "{", names[i],
				tf_value_text(from[i]));
	}
	if (rest.len)
		tf_buf_putc(&rest, '}');
	out->rest = rest.len ? tf_value_take(&rest) : NULL;
}

void tf_exact_free(struct tf_exact *e)
{
	struct tf_value *all[] = {
		e->results, e->failure, e->revert_results, e->revert_failure, e->meta, e->rest};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		tf_value_unref(all[i]);
}

/* Null alone is kept as none at all. */
static bool is_strict_form(const struct tf_value *kept, const struct tf_value *form)
{
	if (!kept)
		return tf_json_type(tf_value_json(form)) == TF_JSON_NULL;
	return tf_json_equal(tf_value_json(kept), tf_value_json(form));
}

void tf_exact_join(struct tf_atom_detail *d, const struct tf_value *rest)
{
	struct tf_value **to[VALUES] = {
		&d->results, &d->failure, &d->revert_results, &d->revert_failure, &d->meta};
	for (int i = 0; i < VALUES; i++) {
		struct tf_json json;
		if (!tf_json_get(tf_value_json(rest), names[i], &json))
			continue;
		struct tf_value *exact = tf_value_from(json), *form = strict(exact);
		if (is_strict_form(*to[i], form)) {
			tf_value_unref(*to[i]);
			*to[i] = tf_value_ref(exact);
		}
		tf_value_unref(form);
		tf_value_unref(exact);
	}
}
