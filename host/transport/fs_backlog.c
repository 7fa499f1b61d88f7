#include "transport/fs_backlog.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

struct tf_fs_backlog_entry {
	uint64_t ms;
	char *name; /* owned */
};

static int compare(const void *a, const void *b)
{
	const struct tf_fs_backlog_entry *x = a, *y = b;

	if (x->ms != y->ms)
		return x->ms < y->ms ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void make_room(struct tf_fs_backlog *b)
{
	if (b->head + b->count < b->cap)
		return;
	if (b->head > b->count) { /* mostly popped: the names move at most once a pop */
		memmove(b->entries, b->entries + b->head, b->count * sizeof(*b->entries));
		b->head = 0;
		return;
	}
	b->cap = b->cap ? b->cap * 2 : 64;
	b->entries = tf_realloc(b->entries, b->cap * sizeof(*b->entries));
}

static void cut(struct tf_fs_backlog *b, size_t count)
{
	while (b->count > count) {
		free(b->entries[b->head + --b->count].name);
		b->missed = true;
	}
}

static void sort_and_cut(struct tf_fs_backlog *b)
{
	struct tf_fs_backlog_entry *e;
	size_t from, to = 0;

	if (!b->count)
		return;
	e = b->entries + b->head;
	qsort(e, b->count, sizeof(*e), compare);
	for (from = 1; from < b->count; from++) {
		if (compare(&e[from], &e[to]) == 0)
			free(e[from].name);
		else
			e[++to] = e[from];
	}
	b->count = to + 1;
	cut(b, TF_FS_BACKLOG_MAX);
}

void tf_fs_backlog_add(struct tf_fs_backlog *b, uint64_t ms, const char *name)
{
	struct tf_fs_backlog_entry e = {ms, tf_strdup(name)};
	size_t at;
	int order = 1;

	make_room(b);
	at = b->head + b->count;
	if (b->filling) {
		b->entries[at] = e;
		if (++b->count == (size_t)2 * TF_FS_BACKLOG_MAX)
			sort_and_cut(b);
		return;
	}
	while (at > b->head && (order = compare(&e, &b->entries[at - 1])) < 0)
		at--;
	/* What was left out may come before a name at the end: that one waits for the listing, too. */
	if ((at > b->head && order == 0) || (b->missed && at == b->head + b->count)) {
		free(e.name);
		return;
	}
	memmove(b->entries + at + 1, b->entries + at, (b->head + b->count - at) * sizeof(e));
	b->entries[at] = e;
	b->count++;
	cut(b, TF_FS_BACKLOG_MAX);
}

char *tf_fs_backlog_pop(struct tf_fs_backlog *b)
{
	TF_ASSERT(!b->filling);
	if (!b->count)
		return NULL;
	b->count--;
	return b->entries[b->head++].name;
}

void tf_fs_backlog_fill(struct tf_fs_backlog *b)
{
	b->filling = true;
	b->missed = false;
}

void tf_fs_backlog_filled(struct tf_fs_backlog *b)
{
	sort_and_cut(b);
	b->filling = false;
}

void tf_fs_backlog_destroy(struct tf_fs_backlog *b)
{
	cut(b, 0);
	free(b->entries);
	*b = TF_FS_BACKLOG_INIT;
}
