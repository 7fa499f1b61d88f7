/* Taking over a flow that an earlier engine left in a logbook (ENGINE.md 9.6). */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/engine_internal.h"

/* "m[3]" of a map m: item 2. They begin in order, so there are as many details at least. */
static bool find_item(
	const struct tf_engine *e, const char *name, size_t details, uint32_t *map, uint32_t *index)
{
	const char *open = strrchr(name, '[');
	char *end;
	if (!open || open[1] < '1' || open[1] > '9')
		return false;
	unsigned long number = strtoul(open + 1, &end, 10);
	if (strcmp(end, "]") != 0 || number > details)
		return false;
	char *base = tf_strndup(name, (size_t)(open - name));
	int atom = tf_graph_find(e->g, base);
	free(base);
	if (atom < 0 || !tf_engine_is_map(e, (uint32_t)atom))
		return false;
	*map = (uint32_t)atom;
	*index = (uint32_t)(number - 1);
	return true;
}

static int load_atom(struct tf_engine *e, uint32_t atom, const struct tf_atom_detail *d, struct tf_err *err)
{
	enum tf_state state = TF_PENDING;
	enum tf_intention intention = TF_INTENT_EXECUTE;
	if (d->state && !tf_state_find(d->state, &state))
		return tf_err_set(
			err, TF_EFORMAT, "atom '%s' is in a state unknown here: '%s'", d->name, d->state);
	if (d->intention && !tf_intention_find(d->intention, &intention))
		return tf_err_set(err, TF_EFORMAT, "atom '%s' has an intention unknown here: '%s'", d->name,
			d->intention);
	if (atom < e->g->atom_count) {
		if (d->is_retry != tf_graph_atom_is_retry(e->g, atom))
			return tf_err_set(err, TF_EEXIST,
				"Atom detail '%s' already exists in flow detail '%s', as one of a %s",
				d->name, tf_graph_name(e->g), d->is_retry ? "retry" : "task");
		tf_scheduler_load(e->sched, atom, state, intention);
	} else {
		tf_storage_set_item_state(e->storage, atom, state);
	}
	tf_journal_loaded(e, atom);
	return tf_storage_load(e->storage, atom, state, d, err);
}

static int load_detail(
	struct tf_engine *e, const struct tf_atom_detail *d, size_t details, struct tf_err *err)
{
	uint32_t map, index;
	if (strcmp(d->name, TF_INJECTOR) == 0) {
		tf_journal_loaded_store(e, d->uuid);
		if (d->results && tf_json_type(tf_value_json(d->results)) == TF_JSON_OBJECT)
			tf_storage_inject(e->storage, d->results, TF_INJECT_UNDER);
		return 0;
	}
	int atom = tf_graph_find(e->g, d->name);
	if (atom >= 0)
		return load_atom(e, (uint32_t)atom, d, err);
	if (find_item(e, d->name, details, &map, &index))
		return load_atom(e, tf_engine_map_load(e, map, index), d, err);
	tf_info("engine", "flow '%s' has no atom '%s' any more: its detail is left as it is",
		tf_graph_name(e->g), d->name);
	return 0;
}

int tf_engine_load(struct tf_engine *e, const char *state, const struct tf_atom_detail *atoms, size_t count,
	struct tf_err *err)
{
	TF_ASSERT(!e->active && !e->prepared);
	if (state && !tf_state_find(state, &e->flow_state))
		return tf_err_set(err, TF_EFORMAT, "flow '%s' is in a state unknown here: '%s'",
			tf_graph_name(e->g), state);
	for (size_t i = 0; i < count; i++) {
		int rc = load_detail(e, &atoms[i], count, err);
		if (rc != 0)
			return rc;
	}
	tf_scheduler_loaded(e->sched);
	e->loaded = count > 0;
	e->cut_off = e->flow_state == TF_RUNNING || e->flow_state == TF_SUSPENDING;
	return 0;
}
