/* What of a flow has changed since it was last written to its logbook, and writing it. */
#include <string.h>

#include "base/mem.h"
#include "engine/engine_internal.h"
#include "protocol/failure.h"

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
	j->ahead = tf_realloc(j->ahead, cap);
	j->atoms = tf_realloc(j->atoms, cap * sizeof *j->atoms);
	memset(j->noted + j->cap, 0, cap - j->cap);
	memset(j->stored + j->cap, 0, cap - j->cap);
	memset(j->ahead + j->cap, 0, cap - j->cap);
	j->cap = cap;
}

static void note(struct tf_engine *e, uint32_t atom, uint8_t how)
{
	struct tf_journal *j = &e->journal;
	if (!e->on.keep)
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

void tf_journal_foresee(struct tf_engine *e, uint32_t atom)
{
	struct tf_journal *j = &e->journal;
	if (!e->on.keep)
		return;
	tf_journal_note_end(e, atom, TF_RUNNING);
	if (j->foreseen_count == j->foreseen_cap) {
		j->foreseen_cap = j->foreseen_cap ? j->foreseen_cap * 2 : 16;
		j->foreseen = tf_realloc(j->foreseen, j->foreseen_cap * sizeof *j->foreseen);
	}
	j->foreseen[j->foreseen_count++] = atom;
	j->ahead[atom] = true;
}

bool tf_journal_foreseen(struct tf_engine *e, uint32_t atom, enum tf_state state)
{
	struct tf_journal *j = &e->journal;
	if (j->foreseen_count == 0 || !j->ahead[atom])
		return false;
	j->ahead[atom] = false;
	return state == TF_RUNNING;
}

void tf_journal_correct(struct tf_engine *e)
{
	struct tf_journal *j = &e->journal;
	for (size_t i = 0; i < j->foreseen_count; i++) {
		uint32_t atom = j->foreseen[i];
		if (j->ahead[atom])
			tf_journal_note(e, atom);
		j->ahead[atom] = false;
	}
	j->foreseen_count = 0;
}

void tf_journal_abandon(struct tf_engine *e)
{
	struct tf_journal *j = &e->journal;
	tf_journal_correct(e);
	for (size_t i = 0; i < j->count; i++)
		j->noted[j->atoms[i]] = 1;
}

void tf_journal_note_flow(struct tf_engine *e)
{
	e->journal.flow = e->on.keep != NULL;
}

void tf_journal_note_store(struct tf_engine *e)
{
	e->journal.store = e->on.keep != NULL;
}

void tf_journal_free(struct tf_engine *e)
{
	free(e->journal.noted);
	free(e->journal.stored);
	free(e->journal.ahead);
	free(e->journal.foreseen);
	free(e->journal.atoms);
}

void tf_journal_loaded(struct tf_engine *e, uint32_t atom)
{
	if (atom >= e->journal.cap)
		make_room(e);
	e->journal.stored[atom] = true;
}

void tf_journal_loaded_store(struct tf_engine *e, const char *uuid)
{
	if (strlen(uuid) <= TF_UUID_LEN)
		memcpy(e->journal.store_uuid, uuid, strlen(uuid) + 1);
}

/* --- writing ----------------------------------------------------------------------------- */

static void write_atom(struct tf_engine *e, uint32_t atom, struct tf_atom_detail *out)
{
	unsigned owner = atom; /* an item is meant to do what its map is */
	uint32_t index;
	uint8_t how = e->journal.noted[atom];
	enum tf_state state = how > 1 ? (enum tf_state)(how - 2) : tf_storage_state(e->storage, atom);
	tf_storage_item(e->storage, atom, &owner, &index);
	tf_storage_write(e->storage, atom, out);
	out->state = tf_strdup(tf_state_name(state));
	out->intention = tf_strdup(tf_intention_name(tf_scheduler_kept_intention(e->sched, owner)));
}

/* The injected values, as a task's detail that is done. */
static void write_store(struct tf_engine *e, struct tf_atom_detail *out)
{
	*out = (struct tf_atom_detail){
		.uuid = tf_strdup(e->journal.store_uuid),
		.name = tf_strdup(TF_INJECTOR),
		.state = tf_strdup(tf_state_name(TF_SUCCESS)),
		.intention = tf_strdup(tf_intention_name(TF_INTENT_EXECUTE)),
		.results = tf_storage_stored(e->storage),
		.meta = tf_value_empty_object(),
	};
}

/* Those without a row first. */
static struct tf_atom_detail *write_all(struct tf_engine *e, size_t *count, size_t *fresh)
{
	struct tf_journal *j = &e->journal;
	struct tf_atom_detail *rows = tf_calloc(j->count + 1, sizeof *rows);
	size_t n = 0;
	bool fresh_store = !j->store_uuid[0];
	if (j->store && fresh_store)
		tf_uuid(j->store_uuid);
	for (int old = 0; old < 2; old++) {
		if (j->store && fresh_store == !old)
			write_store(e, &rows[n++]);
		for (size_t i = 0; i < j->count; i++)
			if (j->stored[j->atoms[i]] == old)
				write_atom(e, j->atoms[i], &rows[n++]);
		if (!old)
			*fresh = n;
	}
	*count = n;
	return rows;
}

static void clear(struct tf_journal *j)
{
	for (size_t i = 0; i < j->count; i++) {
		j->noted[j->atoms[i]] = 0;
		j->stored[j->atoms[i]] = true;
	}
	j->count = 0;
	j->flow = j->store = false;
}

static int write(struct tf_engine *e, struct tf_err *err)
{
	struct tf_journal *j = &e->journal;
	if (!j->count && !j->flow && !j->store)
		return 0;
	struct tf_flow_change change = {.state = j->flow ? tf_state_name(e->flow_state) : NULL};
	bool fresh_store = j->store && !j->store_uuid[0];
	struct tf_atom_detail *rows = write_all(e, &change.count, &change.fresh);
	change.atoms = rows;
	int rc = e->on.keep(e->arg, &change, err);
	if (rc == 0)
		clear(j);
	else if (fresh_store)
		j->store_uuid[0] = '\0';
	for (size_t i = 0; i < change.count; i++)
		tf_atom_detail_free(&rows[i]);
	free(rows);
	return rc;
}

int tf_journal_begin(struct tf_engine *e, struct tf_err *err)
{
	if (!e->on.keep)
		return 0;
	make_room(e);
	for (uint32_t a = 0; a < e->g->atom_count; a++)
		if (!e->journal.stored[a])
			tf_journal_note(e, a);
	return write(e, err);
}

bool tf_engine_commit(struct tf_engine *e)
{
	static const char *const types[] = {"taskflow.exceptions.StorageFailure",
		"taskflow.exceptions.TaskFlowException", "Exception", NULL};
	struct tf_err err;
	if (!e->on.keep || e->unsafe)
		return !e->unsafe;
	if (write(e, &err) == 0)
		return true;
	e->unsafe = true;
	tf_engine_fail(e, TF_NONE, tf_failure_format(types, "%s", err.message));
	return false;
}
