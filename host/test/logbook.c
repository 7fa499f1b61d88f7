#include "logbook.h"

#include <string.h>

#include "base/mem.h"
#include "cmocka_all.h"

int logbook_try(const char *connection, struct tf_err *err)
{
	const struct tf_backend_config config = {.connection = connection};
	struct tf_backend *b = NULL;
	int rc = tf_backend_open(&config, &b, err);
	tf_backend_close(b);
	return rc;
}

struct tf_backend *logbook_open(const char *connection)
{
	const struct tf_backend_config config = {.connection = connection};
	struct tf_backend *b = NULL;
	struct tf_err err = {0};
	if (tf_backend_open(&config, &b, &err) < 0)
		fail_msg("%s", err.message);
	return b;
}

void logbook_flow(struct tf_backend *b, const char *book, const char *flow)
{
	struct tf_err err = {0};
	struct tf_value *meta = tf_value_empty_object();
	struct tf_book_detail book_detail = {.uuid = (char *)book, .name = (char *)book, .meta = meta};
	struct tf_flow_detail flow_detail = {
		.uuid = (char *)flow, .book = (char *)book, .name = (char *)flow, .meta = meta};
	const struct tf_save save = {.book = &book_detail, .flow = &flow_detail};
	if (b->ops->save(b, &save, &err) < 0)
		fail_msg("%s", err.message);
	tf_value_unref(meta);
}

static struct tf_value *value_of(const char *text)
{
	struct tf_err err = {0};
	struct tf_value *v = text ? tf_value_parse(text, strlen(text), TF_JSON_DEPTH_CAP, &err) : NULL;
	if (text && !v)
		fail_msg("%s", err.message);
	return v;
}

struct tf_atom_detail logbook_atom(
	const char *uuid, const char *state, const char *results, const char *failure)
{
	return (struct tf_atom_detail){.uuid = tf_strdup(uuid),
		.name = tf_asprintf("name of %s", uuid),
		.version = tf_strdup("1.0"),
		.state = tf_strdup(state),
		.intention = tf_strdup("EXECUTE"),
		.results = value_of(results),
		.failure = value_of(failure),
		.meta = value_of("{\"progress\": 1.0}")};
}

int logbook_save(struct tf_backend *b, const char *flow, const char *flow_state,
	const struct tf_atom_detail *atoms, size_t count, size_t fresh, struct tf_err *err)
{
	const struct tf_save save = {
		.flow_uuid = flow, .flow_state = flow_state, .atoms = atoms, .count = count, .fresh = fresh};
	return b->ops->save(b, &save, err);
}

static void take_atom(void *arg, struct tf_atom_detail *d)
{
	struct logbook_atoms *a = arg;
	a->items = tf_realloc(a->items, (a->count + 1) * sizeof *a->items);
	a->items[a->count++] = *d;
	*d = (struct tf_atom_detail){0};
}

struct logbook_atoms logbook_atoms(struct tf_backend *b, const char *flow)
{
	struct logbook_atoms a = {0};
	struct tf_err err = {0};
	if (b->ops->atoms(b, flow, NULL, take_atom, &a, &err) < 0)
		fail_msg("%s", err.message);
	return a;
}

void logbook_atoms_free(struct logbook_atoms *a)
{
	for (size_t i = 0; i < a->count; i++)
		tf_atom_detail_free(&a->items[i]);
	free(a->items);
	*a = (struct logbook_atoms){0};
}

static void take_flow(void *arg, struct tf_flow_detail *d)
{
	struct tf_flow_detail *out = arg;
	assert_null(out->uuid);
	*out = *d;
	*d = (struct tf_flow_detail){0};
}

struct tf_flow_detail logbook_find(struct tf_backend *b, const char *uuid)
{
	struct tf_flow_detail d = {0};
	struct tf_err err = {0};
	if (b->ops->flows(b, NULL, uuid, take_flow, &d, &err) < 0)
		fail_msg("%s", err.message);
	return d;
}

static void count_book(void *arg, struct tf_book_detail *d)
{
	(void)d;
	++*(size_t *)arg;
}

size_t logbook_count_books(struct tf_backend *b)
{
	size_t n = 0;
	assert_int_equal(b->ops->books(b, NULL, count_book, &n, NULL), 0);
	return n;
}

static void count_flow(void *arg, struct tf_flow_detail *d)
{
	(void)d;
	++*(size_t *)arg;
}

size_t logbook_count_flows(struct tf_backend *b, const char *book)
{
	size_t n = 0;
	assert_int_equal(b->ops->flows(b, book, NULL, count_flow, &n, NULL), 0);
	return n;
}

const char *logbook_text(const struct tf_value *v)
{
	return v ? tf_value_text(v) : "none";
}
