#include <string.h>

#include "base/mem.h"
#include "engine/engine_internal.h"
#include "protocol/failure.h"

/* The items of one map atom. What they gave and the states they are in is storage's. */
struct tf_fanout {
	uint32_t *ids; /* items by index; an index keeps its item from round to round */
	uint32_t id_count, id_cap;
	uint32_t count; /* items of this round */
	bool listed;    /* `count` is known */
	bool loaded;    /* it is only what a logbook had: of items that had not begun it has none */
	bool reverting;
	struct tf_value *arguments; /* of the map, while items may begin */
	struct tf_json list;        /* in `arguments` */
	struct tf_json *elements;   /* of the list; NULL if it is not an argument */
	uint32_t cursor;            /* first that may have to begin, or one past the last to revert */
	uint32_t todo;              /* not at their end yet */
	uint32_t running;
	uint32_t *late; /* ended while the map was being reverted */
	uint32_t late_count, late_cap;
	unsigned percent; /* of progress that was told */
};

static struct tf_fanout *fanout_of(struct tf_engine *e, uint32_t map)
{
	if (!e->maps)
		e->maps = tf_calloc(e->g->atom_count, sizeof(*e->maps));
	if (!e->maps[map])
		e->maps[map] = TF_NEW(struct tf_fanout);
	return e->maps[map];
}

static void let_go(struct tf_fanout *f)
{
	tf_value_unref(f->arguments);
	free(f->elements);
	f->arguments = NULL;
	f->elements = NULL;
	f->late_count = 0;
}

void tf_engine_map_free(struct tf_engine *e)
{
	for (uint32_t a = 0; e->maps && a < e->g->atom_count; a++) {
		if (!e->maps[a])
			continue;
		let_go(e->maps[a]);
		free(e->maps[a]->ids);
		free(e->maps[a]->late);
		free(e->maps[a]);
	}
	free(e->maps);
}

bool tf_engine_is_map(const struct tf_engine *e, uint32_t atom)
{
	return atom < e->g->atom_count && e->g->specs[atom]->each;
}

size_t tf_engine_item_count(const struct tf_engine *e, unsigned map)
{
	TF_ASSERT(tf_engine_is_map(e, map));
	return e->maps && e->maps[map] ? e->maps[map]->count : 0;
}

unsigned tf_engine_item_at(const struct tf_engine *e, unsigned map, size_t index)
{
	TF_ASSERT(index < tf_engine_item_count(e, map));
	return e->maps[map]->ids[index];
}

/* --- the list ---------------------------------------------------------------------------- */

static const char *list_symbol(const struct tf_atom_spec *spec)
{
	for (size_t i = 0; i < spec->execute_count; i++)
		if (strcmp(spec->execute[i].param, spec->each) == 0)
			return spec->execute[i].symbol;
	return spec->each;
}

/* Find the elements in the arguments. A failure if there is no list. An empty Lua table is an empty list. */
static struct tf_value *read_list(struct tf_fanout *f, const struct tf_atom_spec *spec, uint32_t *count)
{
	struct tf_json element;
	*count = 0;
	if (!tf_json_get(tf_value_json(f->arguments), spec->each, &f->list))
		return NULL;
	enum tf_json_type type = tf_json_type(f->list);
	*count = (uint32_t)tf_json_count(f->list);
	if (type != TF_JSON_ARRAY && !(type == TF_JSON_OBJECT && *count == 0))
		return tf_failure_format(tf_types_type_error,
			"map '%s': '%s' is a value of type %s, not a list", spec->name, list_symbol(spec),
			tf_json_type_name(type));
	f->elements = tf_malloc((*count + (size_t)1) * sizeof(*f->elements));
	struct tf_json_iter it = tf_json_iter(f->list);
	for (uint32_t i = 0; i < *count && tf_json_next(&it, NULL, &element); i++)
		f->elements[i] = element;
	return NULL;
}

static void make_items(struct tf_engine *e, uint32_t map, struct tf_fanout *f, uint32_t count)
{
	if (count > f->id_cap) {
		f->id_cap = count;
		f->ids = tf_realloc(f->ids, f->id_cap * sizeof(*f->ids));
	}
	for (; f->id_count < count; f->id_count++)
		f->ids[f->id_count] = tf_storage_add_item(e->storage, map, f->id_count);
	size_t numbers = e->g->atom_count + tf_storage_item_count(e->storage);
	if (numbers > e->in_flight_cap) {
		size_t cap = e->in_flight_cap * 2 > numbers ? e->in_flight_cap * 2 : numbers;
		e->in_flight = tf_realloc(e->in_flight, cap);
		memset(e->in_flight + e->in_flight_cap, 0, cap - e->in_flight_cap);
		e->in_flight_cap = cap;
	}
}

static void add_items(struct tf_engine *e, uint32_t map, struct tf_fanout *f, uint32_t count)
{
	make_items(e, map, f, count);
	f->count = count;
	f->listed = true;
	f->loaded = false;
}

uint32_t tf_engine_map_load(struct tf_engine *e, uint32_t map, uint32_t index)
{
	struct tf_fanout *f = fanout_of(e, map);
	make_items(e, map, f, index + 1);
	if (f->count < f->id_count)
		f->count = f->id_count;
	f->listed = f->loaded = true;
	return f->ids[index];
}

/* The map's arguments with one element in place of the list. */
static struct tf_value *item_arguments(const struct tf_fanout *f, uint32_t index)
{
	if (!f->elements)
		return tf_value_ref(f->arguments);
	const char *text = tf_value_text(f->arguments), *after = f->list.text + f->list.len;
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_append(&b, text, (size_t)(f->list.text - text));
	tf_buf_append(&b, f->elements[index].text, f->elements[index].len);
	tf_buf_append(&b, after, tf_value_len(f->arguments) - (size_t)(after - text));
	return tf_value_take(&b);
}

/* What the items gave, in order; null for one that has nothing to give. */
static struct tf_value *results(struct tf_engine *e, const struct tf_fanout *f, bool revert)
{
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_putc(&b, '[');
	for (uint32_t i = 0; i < f->count; i++) {
		bool failed;
		struct tf_value *v = revert ? tf_storage_revert_result(e->storage, f->ids[i], &failed, NULL)
					    : tf_storage_result(e->storage, f->ids[i], &failed, NULL);
		tf_buf_puts(&b, i ? ", " : "");
		if (v)
			tf_buf_append(&b, tf_value_text(v), tf_value_len(v));
		else
			tf_buf_puts(&b, "null");
		tf_value_unref(v);
	}
	tf_buf_putc(&b, ']');
	return tf_value_take(&b);
}

/* --- the map as an atom ------------------------------------------------------------------ */

/* The map comes to its end, of itself. Takes over `result`. */
static void end_map(struct tf_engine *e, uint32_t map, bool failed, struct tf_value *result)
{
	struct tf_fanout *f = fanout_of(e, map);
	const struct tf_arrival end = {.atom = map,
		.action = f->reverting ? TF_REVERT : TF_EXECUTE,
		.failed = failed,
		.result = result};
	let_go(f);
	tf_engine_keep(e, map, tf_engine_end_of(&end), result);
	if (tf_engine_commit(e))
		tf_engine_complete(e, &end);
	tf_value_unref(result);
}

/* The map fails because an item did, whose failure is told under the item's own name. */
static void fail_map(struct tf_engine *e, uint32_t map, enum tf_state state, struct tf_value *failure)
{
	struct tf_fanout *f = fanout_of(e, map);
	let_go(f);
	tf_engine_keep(e, map, state, failure);
	if (!tf_engine_commit(e))
		return;
	tf_engine_settle(e, map, state, failure);
	tf_storage_forget_failures(e->storage, map);
}

static void tell_progress(struct tf_engine *e, uint32_t map, struct tf_fanout *f)
{
	unsigned percent = (unsigned)((uint64_t)(f->count - f->todo) * 100 / (f->count ? f->count : 1));
	if (percent == f->percent || f->todo == 0)
		return;
	f->percent = percent;
	tf_storage_set_progress(e->storage, map, percent / 100.0);
	tf_journal_note(e, map);
	if (!e->on.task_event)
		return;
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_printf(&b, "{\"progress\": %u.%02u}", percent / 100, percent % 100);
	struct tf_value *details = tf_value_take(&b);
	e->on.task_event(e->arg, map, "update_progress", details);
	tf_value_unref(details);
}

/* --- items begin ------------------------------------------------------------------------- */

static void change_item(struct tf_engine *e, uint32_t item, enum tf_state state)
{
	enum tf_state old = tf_storage_state(e->storage, item);
	if (state == old && tf_storage_progress(e->storage, item) == 0.0)
		return;
	tf_storage_set_item_state(e->storage, item, state);
	tf_storage_set_progress(e->storage, item, 0.0);
	tf_journal_note(e, item);
	tf_engine_tell(e, item, state, old, NULL, e->progress_begin);
}

/* Whether an item is in one of the states that a run left it in, and not being worked on. */
static bool idle_in(const struct tf_engine *e, uint32_t item, enum tf_state a, enum tf_state b)
{
	enum tf_state state = tf_storage_state(e->storage, item);
	return (state == a || state == b) && !e->in_flight[item];
}

static bool next_to_execute(const struct tf_engine *e, struct tf_fanout *f, uint32_t *index)
{
	while (f->cursor < f->count) {
		*index = f->cursor++;
		if (idle_in(e, f->ids[*index], TF_PENDING, TF_RUNNING))
			return true;
	}
	return false;
}

/* Those that ended late first, then the others, the last one first. */
static bool next_to_revert(struct tf_engine *e, struct tf_fanout *f, uint32_t *index)
{
	if (f->late_count) {
		*index = f->late[--f->late_count];
		return true;
	}
	while (f->cursor > 0) {
		*index = --f->cursor;
		uint32_t item = f->ids[*index];
		if (idle_in(e, item, TF_SUCCESS, TF_FAILURE) || idle_in(e, item, TF_REVERTING, TF_REVERTING))
			return true;
		if (idle_in(e, item, TF_RUNNING, TF_RUNNING)) { /* it was withdrawn: nothing to revert */
			change_item(e, item, TF_PENDING);
			f->todo--;
		}
	}
	return false;
}

static bool may_begin(struct tf_engine *e, uint32_t map, const struct tf_fanout *f)
{
	size_t limit = e->x->ops->at_once ? 1 : e->g->specs[map]->limit;
	bool room = e->flow_state == TF_RUNNING && e->failures.count == 0 &&
		    (limit == 0 || f->running < limit) && !tf_engine_interrupted(e);
	return room && (f->reverting || tf_scheduler_intention(e->sched, map) == TF_INTENT_EXECUTE);
}

static void begin_item(struct tf_engine *e, struct tf_fanout *f, uint32_t index)
{
	uint32_t item = f->ids[index];
	change_item(e, item, f->reverting ? TF_REVERTING : TF_RUNNING);
	f->running++;
	if (!tf_engine_submit(e, item, f->reverting, item_arguments(f, index)))
		f->running--;
}

static void feed(struct tf_engine *e, uint32_t map, struct tf_fanout *f)
{
	uint32_t index;
	while (may_begin(e, map, f) &&
		(f->reverting ? next_to_revert(e, f, &index) : next_to_execute(e, f, &index)))
		begin_item(e, f, index);
	if (f->running > 0)
		return;
	bool cut_short = !f->reverting && tf_scheduler_intention(e->sched, map) != TF_INTENT_EXECUTE;
	if (f->todo == 0 || cut_short)
		end_map(e, map, false, results(e, f, f->reverting));
	else
		tf_scheduler_ready(e->sched, map); /* for the next run */
}

static void item_failed(
	struct tf_engine *e, uint32_t map, uint32_t item, bool revert, struct tf_value *failure)
{
	enum tf_state state = tf_scheduler_state(e->sched, map);
	if (state == (revert ? TF_REVERTING : TF_RUNNING))
		fail_map(e, map, revert ? TF_REVERT_FAILURE : TF_FAILURE, failure);
	if (revert || e->options.never_resolve)
		tf_engine_fail(e, item, tf_value_ref(failure));
	else
		tf_engine_resolve(e, item, failure);
}

/* A run ended between the failure of an item and that of its map. */
static bool had_failed(struct tf_engine *e, uint32_t map, const struct tf_fanout *f)
{
	for (uint32_t i = 0; i < f->count; i++) {
		uint32_t item = f->ids[i];
		if (tf_storage_state(e->storage, item) != (f->reverting ? TF_REVERT_FAILURE : TF_FAILURE))
			continue;
		bool failed;
		struct tf_value *failure = f->reverting
						   ? tf_storage_revert_result(e->storage, item, &failed, NULL)
						   : tf_storage_result(e->storage, item, &failed, NULL);
		item_failed(e, map, item, f->reverting, failure);
		tf_value_unref(failure);
		return true;
	}
	return false;
}

static bool at_end(enum tf_state state, bool reverting)
{
	return reverting ? state == TF_PENDING || state == TF_REVERTED : state == TF_SUCCESS;
}

void tf_engine_map_begin(struct tf_engine *e, uint32_t map, bool revert)
{
	struct tf_fanout *f = fanout_of(e, map);
	const struct tf_atom_spec *spec = e->g->specs[map];
	struct tf_err err;
	uint32_t count;
	let_go(f);
	f->reverting = revert;
	if (revert && !f->listed) { /* nothing ever began */
		end_map(e, map, false, tf_value_null());
		return;
	}
	f->arguments = tf_storage_arguments(e->storage, map, revert, &err);
	if (!f->arguments) {
		tf_engine_fail(e, map, tf_engine_failure_of(&err));
		return;
	}
	struct tf_value *failure = read_list(f, spec, &count);
	if (!failure && f->listed && !f->loaded && f->elements && count != f->count)
		failure = tf_failure_format(tf_types_value_error,
			"map '%s': '%s' has %u elements now, but had %u when its items began", spec->name,
			list_symbol(spec), count, f->count);
	if (failure) {
		end_map(e, map, true, failure);
		return;
	}
	if (revert ? f->loaded && f->elements : f->loaded || !f->listed)
		add_items(e, map, f, count);
	f->cursor = revert ? f->count : 0;
	f->percent = 0;
	f->todo = 0;
	for (uint32_t i = 0; i < f->count; i++)
		f->todo += !at_end(tf_storage_state(e->storage, f->ids[i]), revert);
	if (!had_failed(e, map, f))
		feed(e, map, f);
}

/* --- items end --------------------------------------------------------------------------- */

static void push_late(struct tf_fanout *f, uint32_t index)
{
	if (f->late_count == f->late_cap) {
		f->late_cap = f->late_cap ? f->late_cap * 2 : 16;
		f->late = tf_realloc(f->late, f->late_cap * sizeof(*f->late));
	}
	f->late[f->late_count++] = index;
}

void tf_engine_map_completed(struct tf_engine *e, const struct tf_arrival *c)
{
	unsigned map;
	uint32_t index;
	tf_storage_item(e->storage, c->atom, &map, &index);
	struct tf_fanout *f = fanout_of(e, map);
	f->running--;
	tf_engine_settle(e, c->atom, tf_engine_end_of(c), c->result);
	enum tf_state state = tf_scheduler_state(e->sched, map);
	bool ends = !c->failed && state == (c->action == TF_REVERT ? TF_REVERTING : TF_RUNNING);
	if (ends) {
		f->todo--;
		tell_progress(e, map, f);
	}
	if (c->action == TF_EXECUTE && state == TF_REVERTING)
		push_late(f, index);
	if (c->failed)
		item_failed(e, map, c->atom, c->action == TF_REVERT, c->result);
	/* A failed map has nothing to begin: when it reverts, it looks for itself. */
	state = tf_scheduler_state(e->sched, map);
	if (state == (f->reverting ? TF_REVERTING : TF_RUNNING))
		feed(e, map, f);
}

void tf_engine_map_withdrawn(struct tf_engine *e, uint32_t item)
{
	unsigned map;
	uint32_t index;
	tf_storage_item(e->storage, item, &map, &index);
	struct tf_fanout *f = fanout_of(e, map);
	enum tf_state state = tf_scheduler_state(e->sched, map);
	if (--f->running == 0 && (state == TF_RUNNING || state == TF_REVERTING))
		tf_scheduler_ready(e->sched, map);
}

/* --- rounds ------------------------------------------------------------------------------ */

void tf_engine_map_resolve(struct tf_engine *e, uint32_t map, struct tf_value *failure)
{
	bool told = false;
	for (size_t i = 0; i < tf_engine_item_count(e, map); i++) {
		unsigned item = tf_engine_item_at(e, map, i);
		if (tf_storage_state(e->storage, item) != TF_FAILURE)
			continue;
		bool failed;
		struct tf_value *own = tf_storage_result(e->storage, item, &failed, NULL);
		tf_engine_resolve(e, item, own);
		tf_value_unref(own);
		told = true;
	}
	if (!told)
		tf_engine_resolve(e, map, failure);
}

void tf_engine_map_renew(struct tf_engine *e, uint32_t map)
{
	if (!e->maps || !e->maps[map])
		return;
	struct tf_fanout *f = e->maps[map];
	for (uint32_t i = 0; i < f->count; i++) {
		tf_storage_new_round(e->storage, f->ids[i]);
		change_item(e, f->ids[i], TF_PENDING);
	}
	let_go(f);
	f->listed = false;
	f->count = 0;
}
