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

struct tf_value *tf_engine_fetch_list(struct tf_engine *e, const char *symbol, struct tf_err *err)
{
	return tf_storage_fetch_list(e->storage, symbol, err);
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

void tf_engine_inject(struct tf_engine *e, struct tf_value *object, bool transient)
{
	tf_storage_inject(e->storage, object, transient ? TF_INJECT_TRANSIENT : TF_INJECT_KEPT);
	if (!transient)
		tf_journal_note_store(e);
}

/* The atom that decides about an atom or an item. */
static unsigned owner_of(const struct tf_engine *e, unsigned atom)
{
	unsigned owner = atom;
	uint32_t index;
	TF_ASSERT(is_known(e, atom));
	tf_storage_item(e->storage, atom, &owner, &index);
	return owner;
}

void tf_engine_inject_atom(struct tf_engine *e, unsigned atom, struct tf_value *object, bool transient)
{
	unsigned owner = owner_of(e, atom);
	tf_storage_inject_atom(e->storage, owner, object, transient);
	if (!transient)
		tf_journal_note(e, owner);
}

struct tf_value *tf_engine_mapped(struct tf_engine *e, unsigned atom, const struct tf_binding *bindings,
	size_t count, struct tf_err *err)
{
	return tf_storage_mapped(
		e->storage, atom == UINT_MAX ? TF_NONE : owner_of(e, atom), bindings, count, err);
}

bool tf_engine_satisfied(const struct tf_engine *e, unsigned atom, const struct tf_binding *b)
{
	return tf_storage_satisfied(e->storage, owner_of(e, atom), b);
}

struct tf_value *tf_engine_failures(struct tf_engine *e, bool revert)
{
	return revert ? tf_storage_revert_failures(e->storage) : tf_storage_failures(e->storage);
}

struct tf_value *tf_engine_history(struct tf_engine *e, unsigned retry, struct tf_value **failure)
{
	TF_ASSERT(tf_graph_atom_is_retry(e->g, retry));
	*failure = tf_storage_own_failure(e->storage, retry);
	return tf_storage_history(e->storage, retry);
}

void tf_engine_set_progress(struct tf_engine *e, unsigned atom, double progress, struct tf_value *details)
{
	TF_ASSERT(is_known(e, atom));
	tf_storage_set_progress(e->storage, atom, progress);
	if (details)
		tf_storage_set_progress_details(e->storage, atom, details);
	tf_journal_note(e, atom);
}

struct tf_value *tf_engine_progress_details(struct tf_engine *e, unsigned atom)
{
	TF_ASSERT(is_known(e, atom));
	struct tf_value *v = tf_storage_meta(e->storage, atom, "progress_details");
	if (v && tf_json_type(tf_value_json(v)) == TF_JSON_NULL) {
		tf_value_unref(v);
		v = NULL;
	}
	return v;
}

void tf_engine_update_metadata(struct tf_engine *e, unsigned atom, struct tf_value *object)
{
	struct tf_json_iter it = tf_json_iter(tf_value_json(object));
	struct tf_json key, value;
	TF_ASSERT(is_known(e, atom));
	while (tf_json_next(&it, &key, &value)) {
		char *name = tf_json_strdup(key, NULL);
		if (!name) /* a name with a NUL */
			continue;
		struct tf_value *v = tf_value_from(value);
		tf_storage_set_meta(e->storage, atom, name, v);
		tf_value_unref(v);
		free(name);
	}
	tf_journal_note(e, atom);
}

struct tf_value *tf_engine_metadata(struct tf_engine *e, unsigned atom)
{
	TF_ASSERT(is_known(e, atom));
	return tf_storage_metadata(e->storage, atom);
}

int tf_engine_reset_atom(struct tf_engine *e, unsigned atom, struct tf_err *err)
{
	TF_ASSERT(is_known(e, atom));
	const char *name = tf_storage_name(e->storage, atom);
	if (e->active)
		return tf_err_set(err, TF_ESTATE, "flow '%s' is running: '%s' cannot be reset",
			tf_graph_name(e->g), name);
	if (atom >= e->g->atom_count)
		return tf_err_set(err, TF_ESTATE, "'%s' is an item: it is reset with its map", name);
	if (tf_scheduler_state(e->sched, atom) == TF_PENDING)
		return 0;
	tf_scheduler_load(e->sched, atom, TF_PENDING, TF_INTENT_EXECUTE);
	tf_storage_clear(e->storage, atom);
	tf_engine_map_renew(e, atom);
	tf_journal_note(e, atom);
	return 0;
}
