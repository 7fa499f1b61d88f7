/* What of a flow has changed since it was last written to its logbook, and writing it. */
#include <string.h>

#include "base/mem.h"
#include "engine/engine_internal.h"

/* Numbers of items come as maps begin. */
static void make_room(struct tf_engine *e)
{
	struct tf_journal *j = &e->journal;
	size_t need = e->g->atom_count + tf_storage_item_count(e->storage);
	if (need <= j->cap)
		return;
	size_t cap = j->cap * 2 > need ? j->cap * 2 : need;
	j->noted = tf_realloc(j->noted, cap);
	j->stored = tf_realloc(j->stored, cap);
	j->atoms = tf_realloc(j->atoms, cap * sizeof *j->atoms);
	memset(j->noted + j->cap, 0, cap - j->cap);
	memset(j->stored + j->cap, 0, cap - j->cap);
	j->cap = cap;
}

static void note(struct tf_engine *e, uint32_t atom, uint8_t how)
{
	struct tf_journal *j = &e->journal;
	if (!e->backend)
		return;
	if (atom >= j->cap)
		make_room(e);
	if (!j->noted[atom])
		j->atoms[j->count++] = atom;
	if (j->noted[atom] < how)
		j->noted[atom] = how;
}

void tf_journal_note(struct tf_engine *e, uint32_t atom)
{
	note(e, atom, 1);
}

void tf_journal_note_end(struct tf_engine *e, uint32_t atom, enum tf_state end)
{
	note(e, atom, (uint8_t)(2 + end));
}

void tf_journal_note_flow(struct tf_engine *e)
{
	e->journal.flow = e->backend != NULL;
}

void tf_journal_note_store(struct tf_engine *e)
{
	e->journal.store = e->backend != NULL;
}

void tf_journal_free(struct tf_engine *e)
{
	free(e->journal.noted);
	free(e->journal.stored);
	free(e->journal.atoms);
}

int tf_journal_begin(struct tf_engine *e, struct tf_err *err)
{
	(void)e;
	(void)err;
	return 0;
}

bool tf_engine_commit(struct tf_engine *e)
{
	return !e->unsafe;
}
