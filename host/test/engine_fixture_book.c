#include "engine_fixture_internal.h"

#include <stdlib.h>
#include <string.h>

#include "test/cmocka_all.h"

#include "base/mem.h"

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

int fixture_keep(void *arg, const struct tf_flow_change *c, struct tf_err *err)
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

void fixture_check_kept(const struct fixture *f, unsigned atom, enum tf_state state)
{
	if (!f->book)
		return;
	const struct tf_atom_detail *row = find_row(f->book, tf_engine_atom_uuid(f->engine, atom));
	assert_non_null(row);
	assert_string_equal(row->state, tf_state_name(state));
}
