#include "engine/storage.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/item.h"
#include "engine/storage_internal.h"

struct tf_storage *tf_storage_new(const struct tf_graph *g, struct tf_scheduler *states, bool keep_failures)
{
	struct tf_storage *s = TF_NEW(struct tf_storage);
	s->g = g;
	s->states = states;
	s->keep_failures = keep_failures;
	s->store = tf_map_new();
	s->performers = tf_map_new();
	s->transients = tf_map_new();
	s->details = tf_calloc(g->atom_count + 1, sizeof *s->details);
	for (uint32_t a = 0; a < g->atom_count; a++) {
		tf_uuid(s->details[a].uuid);
		s->details[a].progress = TF_PROGRESS_UNSET;
	}
	return s;
}

static void set_value(struct tf_value **at, struct tf_value *value)
{
	tf_value_ref(value);
	tf_value_unref(*at);
	*at = value;
}

static void clear_history(struct tf_detail *d)
{
	if (!d->history)
		return;
	for (size_t i = 0; i < d->history->count; i++) {
		struct tf_attempt *a = &d->history->attempts[i];
		tf_value_unref(a->value);
		for (size_t k = 0; k < a->count; k++) {
			tf_value_unref(a->failures[k].name);
			tf_value_unref(a->failures[k].failure);
		}
		free(a->failures);
	}
	free(d->history->attempts);
	free(d->history);
	d->history = NULL;
}

void tf_storage_delete(struct tf_storage *s)
{
	if (!s)
		return;
	for (uint32_t a = 0; a < s->g->atom_count + s->item_count; a++) {
		struct tf_detail *d = tf_storage_detail(s, a);
		tf_value_unref(d->result);
		tf_value_unref(d->failure);
		tf_value_unref(d->revert_result);
		tf_value_unref(d->revert_failure);
		tf_value_unref(d->reported[0]);
		tf_value_unref(d->reported[1]);
		tf_value_unref(d->meta);
		tf_value_unref(d->injected);
		clear_history(d);
	}
	tf_value_unref(s->failures);
	tf_storage_free_given(s);
	for (uint32_t i = 0; i < s->item_count; i += TF_ITEM_CHUNK)
		free(s->items[i / TF_ITEM_CHUNK]);
	free(s->items);
	tf_buf_free(&s->name);
	tf_map_delete(s->performers, free);
	tf_trace_delete(s->trace);
	free(s->details);
	free(s->failed);
	free(s);
}

/* --- items of maps ----------------------------------------------------------------------- */

unsigned tf_storage_add_item(struct tf_storage *s, unsigned map, uint32_t index)
{
	if (s->item_count % TF_ITEM_CHUNK == 0) {
		size_t chunks = s->item_count / TF_ITEM_CHUNK + (size_t)1;
		s->items = tf_realloc(s->items, chunks * sizeof *s->items);
		s->items[chunks - 1] = tf_calloc(TF_ITEM_CHUNK, sizeof **s->items);
	}
	struct tf_item_detail *i = &s->items[s->item_count / TF_ITEM_CHUNK][s->item_count % TF_ITEM_CHUNK];
	tf_uuid(i->detail.uuid);
	i->detail.progress = TF_PROGRESS_UNSET;
	i->map = map;
	i->index = index;
	return s->g->atom_count + s->item_count++;
}

size_t tf_storage_item_count(const struct tf_storage *s)
{
	return s->item_count;
}

bool tf_storage_item(const struct tf_storage *s, unsigned atom, unsigned *map, uint32_t *index)
{
	if (atom < s->g->atom_count)
		return false;
	const struct tf_item_detail *i = tf_storage_item_detail(s, atom);
	*map = i->map;
	*index = i->index;
	return true;
}

enum tf_state tf_storage_state(const struct tf_storage *s, unsigned atom)
{
	return atom < s->g->atom_count ? tf_scheduler_state(s->states, atom)
				       : tf_storage_item_detail(s, atom)->state;
}

void tf_storage_set_item_state(struct tf_storage *s, unsigned item, enum tf_state state)
{
	tf_storage_item_detail(s, item)->state = state;
}

const char *tf_storage_name(struct tf_storage *s, unsigned atom)
{
	unsigned map;
	uint32_t index;
	if (!tf_storage_item(s, atom, &map, &index))
		return s->g->specs[atom]->name;
	tf_buf_reset(&s->name);
	tf_buf_printf(&s->name, "%s[%u]", s->g->specs[map]->name, index + 1);
	return s->name.data;
}

/* --- details ----------------------------------------------------------------------------- */

const char *tf_storage_uuid(const struct tf_storage *s, unsigned atom)
{
	return tf_storage_detail(s, atom)->uuid;
}

int64_t tf_storage_round(const struct tf_storage *s, unsigned atom)
{
	return tf_storage_detail(s, atom)->round;
}

double tf_storage_progress(const struct tf_storage *s, unsigned atom)
{
	double progress = tf_storage_detail(s, atom)->progress;
	return progress > 0 ? progress : 0;
}

void tf_storage_set_progress(struct tf_storage *s, unsigned atom, double progress)
{
	tf_storage_detail(s, atom)->progress = progress;
}

void tf_storage_trace(struct tf_storage *s)
{
	if (!s->trace)
		s->trace = tf_trace_new();
}

void tf_storage_began(struct tf_storage *s, unsigned atom)
{
	if (s->trace)
		tf_trace_begin(s->trace, atom);
}

void tf_storage_ended(struct tf_storage *s, unsigned atom, const struct tf_trace_end *end)
{
	if (s->trace)
		tf_trace_end(s->trace, atom, end);
}

void tf_storage_set_performer(struct tf_storage *s, unsigned atom, const char *performer)
{
	if (performer)
		free(tf_map_set(s->performers, tf_storage_uuid(s, atom), tf_strdup(performer)));
	else if (tf_map_count(s->performers) > 0)
		free(tf_map_remove(s->performers, tf_storage_uuid(s, atom)));
}

const char *tf_storage_performer(const struct tf_storage *s, unsigned atom)
{
	return tf_map_count(s->performers) > 0 ? tf_map_get(s->performers, tf_storage_uuid(s, atom)) : NULL;
}

/* --- failures to report ------------------------------------------------------------------ */

void tf_storage_report(struct tf_storage *s, unsigned atom, bool revert, struct tf_value *failure)
{
	struct tf_detail *d = tf_storage_detail(s, atom);
	if (!revert) {
		tf_value_unref(s->failures);
		s->failures = NULL;
		if (failure && !d->reported[0]) {
			if (s->failed_count == s->failed_cap) {
				s->failed_cap = s->failed_cap ? s->failed_cap * 2 : 16;
				s->failed = tf_realloc(s->failed, s->failed_cap * sizeof *s->failed);
			}
			s->failed[s->failed_count++] = atom;
		}
	}
	set_value(&d->reported[revert], failure);
}

void tf_storage_forget_failures(struct tf_storage *s, unsigned atom)
{
	struct tf_detail *d = tf_storage_detail(s, atom);
	if (d->reported[0])
		tf_storage_report(s, atom, false, NULL);
	if (d->reported[1])
		tf_storage_report(s, atom, true, NULL);
}

static void file_failure(struct tf_storage *s, unsigned atom, bool revert, struct tf_value *failure)
{
	if (!s->keep_failures) {
		tf_storage_report(s, atom, revert, failure);
		return;
	}
	unsigned decided = atom; /* an item does what its map is meant to do */
	uint32_t index;
	tf_storage_item(s, atom, &decided, &index);
	enum tf_intention intention = tf_scheduler_intention(s->states, decided);
	if (intention == TF_INTENT_EXECUTE || intention == TF_INTENT_REVERT)
		tf_storage_report(s, atom, intention == TF_INTENT_REVERT, failure);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

/* Atoms with a failure, in node order, each once. */
static void sort_failed(struct tf_storage *s)
{
	size_t kept = 0;
	if (s->failed_count)
		qsort(s->failed, s->failed_count, sizeof *s->failed, by_number);
	for (size_t i = 0; i < s->failed_count; i++)
		if (tf_storage_detail(s, s->failed[i])->reported[0] &&
			(kept == 0 || s->failed[kept - 1] != s->failed[i]))
			s->failed[kept++] = s->failed[i];
	s->failed_count = kept;
}

void tf_storage_write_member(struct tf_buf *b, const char *name, struct tf_value *value)
{
	tf_buf_puts(b, b->len > 1 ? ", " : "");
	tf_json_write_string(b, name, strlen(name));
	tf_buf_puts(b, ": ");
	tf_buf_append(b, tf_value_text(value), tf_value_len(value));
}

struct tf_value *tf_storage_failures(struct tf_storage *s)
{
	if (!s->failures) {
		sort_failed(s);
		struct tf_buf b = TF_BUF_INIT;
		tf_buf_putc(&b, '{');
		for (size_t i = 0; i < s->failed_count; i++)
			tf_storage_write_member(&b, tf_storage_name(s, s->failed[i]),
				tf_storage_detail(s, s->failed[i])->reported[0]);
		tf_buf_putc(&b, '}');
		s->failures = tf_value_take(&b);
	}
	return tf_value_ref(s->failures);
}

struct tf_value *tf_storage_revert_failures(struct tf_storage *s)
{
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_putc(&b, '{');
	for (uint32_t a = 0; a < s->g->atom_count + s->item_count; a++)
		if (tf_storage_detail(s, a)->reported[1])
			tf_storage_write_member(
				&b, tf_storage_name(s, a), tf_storage_detail(s, a)->reported[1]);
	tf_buf_putc(&b, '}');
	return tf_value_take(&b);
}

void tf_storage_each_failure(
	struct tf_storage *s, void (*visit)(void *arg, unsigned atom, struct tf_value *failure), void *arg)
{
	uint32_t atoms = s->g->atom_count + s->item_count;
	for (int revert = 0; revert < 2; revert++)
		for (uint32_t a = 0; a < atoms; a++)
			if (tf_storage_detail(s, a)->reported[revert])
				visit(arg, a, tf_storage_detail(s, a)->reported[revert]);
}

/* --- keeping ----------------------------------------------------------------------------- */

struct tf_attempt *tf_storage_add_attempt(struct tf_storage *s, unsigned retry, struct tf_value *value)
{
	struct tf_detail *d = &s->details[retry];
	if (!d->history)
		d->history = TF_NEW(struct tf_history);
	struct tf_history *h = d->history;
	if (h->count == h->cap) {
		h->cap = h->cap ? h->cap * 2 : 4;
		h->attempts = tf_realloc(h->attempts, h->cap * sizeof *h->attempts);
	}
	h->attempts[h->count] = (struct tf_attempt){.value = tf_value_ref(value)};
	return &h->attempts[h->count++];
}

static void warn_missing(const struct tf_storage *s, unsigned atom, struct tf_value *result)
{
	const struct tf_atom_spec *spec = s->g->specs[atom];
	const struct tf_log_ids ids = {.atom = spec->name};
	for (size_t i = 0; i < spec->provide_count; i++) {
		const struct tf_provide *p = &spec->provides[i];
		if (p->how == TF_WHOLE)
			continue;
		struct tf_value *item = tf_item(result, p);
		if (!item && p->how == TF_INDEX)
			tf_warn_of(&ids, "engine",
				"Atom '%s' did not supply result with index %zu (name '%s')", spec->name,
				p->index, p->symbol);
		else if (!item)
			tf_warn_of(&ids, "engine",
				"Atom '%s' did not supply result with index '%s' (name '%s')", spec->name,
				p->symbol, p->symbol);
		tf_value_unref(item);
	}
}

void tf_storage_save(struct tf_storage *s, unsigned atom, enum tf_state state, struct tf_value *result)
{
	struct tf_detail *d = tf_storage_detail(s, atom);
	bool retry = atom < s->g->atom_count && tf_graph_atom_is_retry(s->g, atom);
	switch (state) {
	case TF_SUCCESS:
		set_value(&d->failure, NULL);
		set_value(&d->revert_result, NULL);
		set_value(&d->revert_failure, NULL);
		if (retry)
			tf_storage_add_attempt(s, atom, result);
		else
			set_value(&d->result, result);
		break;
	case TF_FAILURE:
		set_value(&d->failure, result);
		set_value(&d->result, NULL);
		set_value(&d->revert_result, NULL);
		set_value(&d->revert_failure, NULL);
		break;
	case TF_REVERTED:
		set_value(&d->revert_result, result);
		set_value(&d->revert_failure, NULL);
		if (retry)
			clear_history(d);
		break;
	case TF_REVERT_FAILURE:
		set_value(&d->revert_failure, result);
		set_value(&d->revert_result, NULL);
		set_value(&d->result, NULL);
		break;
	default:
		TF_ASSERT(!"a final state");
	}
}

void tf_storage_count(struct tf_storage *s, unsigned atom, enum tf_state state, struct tf_value *result)
{
	if (state == TF_FAILURE || state == TF_REVERT_FAILURE)
		file_failure(s, atom, state == TF_REVERT_FAILURE, result);
	if (state != TF_SUCCESS)
		return;
	if (!s->keep_failures)
		tf_storage_forget_failures(s, atom);
	if (atom < s->g->atom_count)
		warn_missing(s, atom, result);
}

void tf_storage_new_round(struct tf_storage *s, unsigned atom)
{
	tf_storage_detail(s, atom)->round++;
	if (!s->keep_failures)
		tf_storage_forget_failures(s, atom);
}

void tf_storage_clear(struct tf_storage *s, unsigned atom)
{
	struct tf_detail *d = tf_storage_detail(s, atom);
	struct tf_value **values[] = {&d->result, &d->failure, &d->revert_result, &d->revert_failure};
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		set_value(values[i], NULL);
	clear_history(d);
	d->round++;
	tf_storage_forget_failures(s, atom);
}

void tf_storage_reset(struct tf_storage *s)
{
	for (uint32_t a = 0; a < s->g->atom_count; a++) {
		tf_storage_new_round(s, a);
		if (!s->keep_failures)
			clear_history(&s->details[a]);
	}
}

/* --- histories --------------------------------------------------------------------------- */

static void write_blamed(struct tf_storage *s, const struct tf_blamed *blamed, struct tf_buf *b)
{
	if (blamed->atom == TF_NONE) {
		tf_buf_append(b, tf_value_text(blamed->name), tf_value_len(blamed->name));
	} else {
		const char *name = tf_storage_name(s, blamed->atom);
		tf_json_write_string(b, name, strlen(name));
	}
}

struct tf_value *tf_storage_history(struct tf_storage *s, unsigned retry)
{
	const struct tf_history *h = s->details[retry].history;
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_putc(&b, '[');
	for (size_t i = 0; h && i < h->count; i++) {
		const struct tf_attempt *a = &h->attempts[i];
		tf_buf_puts(&b, i ? ", [" : "[");
		tf_buf_append(&b, tf_value_text(a->value), tf_value_len(a->value));
		tf_buf_puts(&b, ", {");
		for (size_t k = 0; k < a->count; k++) {
			tf_buf_puts(&b, k ? ", " : "");
			write_blamed(s, &a->failures[k], &b);
			tf_buf_puts(&b, ": ");
			tf_buf_append(&b, tf_value_text(a->failures[k].failure),
				tf_value_len(a->failures[k].failure));
		}
		tf_buf_puts(&b, "}]");
	}
	tf_buf_putc(&b, ']');
	return tf_value_take(&b);
}

int tf_storage_add_retry_failure(
	struct tf_storage *s, unsigned retry, unsigned atom, struct tf_value *failure, struct tf_err *err)
{
	struct tf_history *h = s->details[retry].history;
	if (!h || h->count == 0)
		return tf_err_set(err, TF_ENOTFOUND,
			"Unable to fetch most recent retry failures so new retry failure can be inserted: "
			"'%s' has never "
			"executed, '%s' failed",
			s->g->specs[retry]->name, tf_storage_name(s, atom));
	struct tf_attempt *last = &h->attempts[h->count - 1];
	for (size_t i = 0; i < last->count; i++)
		if (last->failures[i].atom == atom)
			return 0;
	if (last->count == last->cap) {
		last->cap = last->cap ? last->cap * 2 : 1;
		last->failures = tf_realloc(last->failures, last->cap * sizeof *last->failures);
	}
	last->failures[last->count++] = (struct tf_blamed){.atom = atom, .failure = tf_value_ref(failure)};
	return 0;
}

struct tf_value *tf_storage_own_failure(const struct tf_storage *s, unsigned atom)
{
	return tf_storage_detail(s, atom)->failure;
}
