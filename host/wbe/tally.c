#include "wbe/tally.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

struct tf_tally {
	struct tf_map *by_name;
	struct tf_tally_row *rows[TF_TALLY_CLASSES + 1]; /* owned */
	unsigned count;
	struct tf_tally_row *other; /* one of them, or NULL */
};

struct tf_tally *tf_tally_new(void)
{
	struct tf_tally *t = TF_NEW(struct tf_tally);
	t->by_name = tf_map_new();
	return t;
}

void tf_tally_delete(struct tf_tally *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < t->count; i++) {
		free((char *)t->rows[i]->name);
		free(t->rows[i]);
	}
	tf_map_delete(t->by_name, NULL);
	free(t);
}

static struct tf_tally_row *tally_add(struct tf_tally *t, const char *name)
{
	struct tf_tally_row *row = TF_NEW(struct tf_tally_row);
	row->name = tf_strdup(name);
	t->rows[t->count++] = row;
	return row;
}

struct tf_tally_row *tf_tally_row(struct tf_tally *t, const char *name)
{
	struct tf_tally_row *row = name ? tf_map_get(t->by_name, name) : NULL;
	if (row)
		return row;
	if (name && strlen(name) <= TF_TALLY_NAME_MAX && tf_map_count(t->by_name) < TF_TALLY_CLASSES) {
		row = tally_add(t, name);
		tf_map_set(t->by_name, name, row);
		return row;
	}
	if (!t->other)
		t->other = tally_add(t, "other");
	return t->other;
}

const struct tf_tally_row *tf_tally_at(const struct tf_tally *t, unsigned i)
{
	return i < t->count ? t->rows[i] : NULL;
}
