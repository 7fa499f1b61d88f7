/* What an owner may ask of an engine at any time. */
#include <limits.h>

#include "engine/engine_internal.h"

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
	TF_ASSERT(atom < e->g->atom_count);
	return tf_scheduler_state(e->sched, atom);
}

enum tf_intention tf_engine_atom_intention(const struct tf_engine *e, unsigned atom)
{
	TF_ASSERT(atom < e->g->atom_count);
	return tf_scheduler_intention(e->sched, atom);
}

const char *tf_engine_atom_uuid(const struct tf_engine *e, unsigned atom)
{
	TF_ASSERT(atom < e->g->atom_count);
	return tf_storage_uuid(e->storage, atom);
}

const struct tf_graph *tf_engine_graph(const struct tf_engine *e)
{
	return e->g;
}

double tf_engine_atom_progress(const struct tf_engine *e, unsigned atom)
{
	TF_ASSERT(atom < e->g->atom_count);
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
	TF_ASSERT(atom < e->g->atom_count);
	return tf_storage_result(e->storage, atom, failed, err);
}

struct tf_value *tf_engine_revert_result(struct tf_engine *e, unsigned atom, bool *failed, struct tf_err *err)
{
	TF_ASSERT(atom < e->g->atom_count);
	return tf_storage_revert_result(e->storage, atom, failed, err);
}

void tf_engine_inject(struct tf_engine *e, struct tf_value *object)
{
	tf_storage_inject(e->storage, object);
}
