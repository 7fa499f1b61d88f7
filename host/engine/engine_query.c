/* What an owner may ask of an engine at any time. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/engine_internal.h"

static bool is_known(const struct tf_engine *e, unsigned atom)
{
	return atom < e->g->atom_count + tf_storage_item_count(e->storage);
}

bool tf_engine_item(const struct tf_engine *e, unsigned atom, unsigned *map, size_t *index)
{
	uint32_t i;
	TF_ASSERT(is_known(e, atom));
	if (!tf_storage_item(e->storage, atom, map, &i))
		return false;
	*index = i;
	return true;
}

/* "name[7]": the 7th item of the map. */
static int find_item(const struct tf_engine *e, const char *name)
{
	const char *bracket = strrchr(name, '[');
	char *end;
	if (!bracket || bracket[1] < '1' || bracket[1] > '9')
		return -1;
	unsigned long long n = strtoull(bracket + 1, &end, 10);
	if (strcmp(end, "]") != 0)
		return -1;
	char *base = tf_strdup(name);
	base[bracket - name] = '\0';
	int map = tf_graph_find(e->g, base);
	free(base);
	if (map < 0 || !tf_engine_is_map(e, (unsigned)map) || n > tf_engine_item_count(e, (unsigned)map))
		return -1;
	return (int)tf_engine_item_at(e, (unsigned)map, (size_t)n - 1);
}

int tf_engine_find(const struct tf_engine *e, const char *name)
{
	int atom = tf_graph_find(e->g, name);
	return atom >= 0 ? atom : find_item(e, name);
}

const char *tf_engine_atom_name(const struct tf_engine *e, unsigned atom)
{
	TF_ASSERT(is_known(e, atom));
	return tf_storage_name(e->storage, atom);
}

const char *tf_engine_flow_uuid(const struct tf_engine *e)
{
	return e->flow_uuid;
}

enum tf_state tf_engine_flow_state(const struct tf_engine *e)
{
	return e->flow_state;
}

enum tf_state tf_engine_atom_state(const struct tf_engine *e, unsigned atom)
{
	TF_ASSERT(is_known(e, atom));
	return tf_storage_state(e->storage, atom);
}

enum tf_intention tf_engine_atom_intention(const struct tf_engine *e, unsigned atom)
{
	TF_ASSERT(is_known(e, atom));
	unsigned decided = atom; /* an item does what its map is meant to do */
	uint32_t index;
	tf_storage_item(e->storage, atom, &decided, &index);
	return tf_scheduler_intention(e->sched, decided);
}

const char *tf_engine_atom_uuid(const struct tf_engine *e, unsigned atom)
{
	TF_ASSERT(is_known(e, atom));
	return tf_storage_uuid(e->storage, atom);
}

const struct tf_graph *tf_engine_graph(const struct tf_engine *e)
{
	return e->g;
}

double tf_engine_atom_progress(const struct tf_engine *e, unsigned atom)
{
	TF_ASSERT(is_known(e, atom));
	return tf_storage_progress(e->storage, atom);
}

size_t tf_engine_failure_count(const struct tf_engine *e)
{
	return e->raised.count;
}

struct tf_value *tf_engine_failure(const struct tf_engine *e, size_t i, unsigned *atom)
{
	TF_ASSERT(i < e->raised.count);
	if (atom)
		*atom = e->raised.items[i].atom == TF_NONE ? UINT_MAX : e->raised.items[i].atom;
	return e->raised.items[i].failure;
}

struct tf_value *tf_engine_fetch(struct tf_engine *e, const char *symbol, struct tf_err *err)
{
	return tf_storage_fetch(e->storage, symbol, err);
}

struct tf_value *tf_engine_fetch_all(struct tf_engine *e)
{
	return tf_storage_fetch_all(e->storage);
}

struct tf_value *tf_engine_result(struct tf_engine *e, unsigned atom, bool *failed, struct tf_err *err)
{
	TF_ASSERT(is_known(e, atom));
	return tf_storage_result(e->storage, atom, failed, err);
}

struct tf_value *tf_engine_revert_result(struct tf_engine *e, unsigned atom, bool *failed, struct tf_err *err)
{
	TF_ASSERT(is_known(e, atom));
	return tf_storage_revert_result(e->storage, atom, failed, err);
}

void tf_engine_inject(struct tf_engine *e, struct tf_value *object)
{
	tf_storage_inject(e->storage, object, true);
	tf_journal_note_store(e);
}
