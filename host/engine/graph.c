#include "engine/graph.h"

#include <string.h>

#include "base/mem.h"
#include "engine/graph_internal.h"

struct tf_graph *tf_graph_new(void)
{
	struct tf_graph *g = TF_NEW(struct tf_graph);
	g->names = tf_intern_new();
	g->open = TF_NONE;
	return g;
}

void tf_graph_delete(struct tf_graph *g)
{
	if (!g)
		return;
	for (uint32_t i = 0; i < g->draft_count; i++) {
		tf_value_unref(g->drafts[i].version);
		tf_value_unref(g->drafts[i].inject);
	}
	void *arrays[] = {g->plans, g->links, g->drafts, g->kind, g->pattern, g->parent, g->peer, g->plan_of,
		g->succ_at, g->succ, g->pred_at, g->pred, g->specs, g->atom_node, g->atom_retry,
		g->atom_by_name, g->deciders, g->provider_at, g->providers, g->depth, g->jump, g->reach,
		g->seen, g->todo};
	for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
		free(arrays[i]);
	tf_arena_free(&g->arena);
	tf_intern_delete(g->names);
	free(g);
}

static uint32_t add_plan(struct tf_graph *g, enum tf_node_kind kind, const char *name)
{
	TF_ASSERT(!g->compiled && g->plan_count < TF_NONE / 8);
	/* The first is the root; after it, everything is inside a flow. */
	TF_ASSERT((g->plan_count == 0) == (g->open == TF_NONE));
	if (g->plan_count == g->plan_cap) {
		g->plan_cap = g->plan_cap ? g->plan_cap * 2 : 16;
		g->plans = tf_realloc(g->plans, g->plan_cap * sizeof *g->plans);
	}
	uint32_t id = g->plan_count++;
	g->plans[id] = (struct tf_plan){
		.kind = kind,
		.parent = g->open,
		.next = TF_NONE,
		.first = TF_NONE,
		.last = TF_NONE,
		.retry = TF_NONE,
		.name = tf_intern_add(g->names, name),
	};
	return id;
}

static void append_child(struct tf_graph *g, uint32_t id)
{
	if (g->open == TF_NONE)
		return;
	struct tf_plan *flow = &g->plans[g->open];
	if (flow->last == TF_NONE)
		flow->first = id;
	else
		g->plans[flow->last].next = id;
	flow->last = id;
	flow->count++;
}

int tf_graph_open_flow(struct tf_graph *g, const char *name, enum tf_pattern pattern)
{
	uint32_t id = add_plan(g, TF_NODE_FLOW, name);
	g->plans[id].pattern = pattern;
	append_child(g, id);
	g->open = id;
	return (int)id;
}

int tf_graph_close_flow(struct tf_graph *g)
{
	TF_ASSERT(g->open != TF_NONE);
	uint32_t id = g->open;
	g->open = g->plans[id].parent;
	return (int)id;
}

static const char *keep(struct tf_graph *g, const char *s)
{
	return tf_intern_text(g->names, tf_intern_add(g->names, s));
}

static const struct tf_binding *keep_bindings(struct tf_graph *g, const struct tf_binding *from, size_t n)
{
	struct tf_binding *to = tf_arena_alloc(&g->arena, n * sizeof *to);
	for (size_t i = 0; i < n; i++)
		to[i] = (struct tf_binding){
			keep(g, from[i].param), keep(g, from[i].symbol), from[i].optional};
	return to;
}

static void reserve_draft(struct tf_graph *g)
{
	if (g->draft_count < g->draft_cap)
		return;
	g->draft_cap = g->draft_cap ? g->draft_cap * 2 : 16;
	g->drafts = tf_realloc(g->drafts, g->draft_cap * sizeof *g->drafts);
}

static uint32_t add_draft(struct tf_graph *g, const struct tf_atom_spec *spec)
{
	reserve_draft(g);
	struct tf_provide *provides = tf_arena_alloc(&g->arena, spec->provide_count * sizeof *provides);
	for (size_t i = 0; i < spec->provide_count; i++) {
		provides[i] = spec->provides[i];
		provides[i].symbol = keep(g, spec->provides[i].symbol);
	}
	g->drafts[g->draft_count] = (struct tf_atom_spec){
		.name = keep(g, spec->name),
		.task_cls = spec->task_cls ? keep(g, spec->task_cls) : NULL,
		.version = spec->version ? tf_value_ref(spec->version)
					 : tf_value_from((struct tf_json){"[1, 0]", strlen("[1, 0]")}),
		.priority = spec->priority,
		.concurrency = spec->concurrency,
		.attempts = spec->attempts,
		.limits = spec->limits,
		.queue_ms = spec->queue_ms,
		.execute = keep_bindings(g, spec->execute, spec->execute_count),
		.execute_count = spec->execute_count,
		.revert = keep_bindings(g, spec->revert, spec->revert_count),
		.revert_count = spec->revert_count,
		.provides = provides,
		.provide_count = spec->provide_count,
		.inject = tf_value_ref(spec->inject),
		.each = spec->each ? keep(g, spec->each) : NULL,
		.limit = spec->limit,
		.no_revert = spec->no_revert,
	};
	return g->draft_count++;
}

int tf_graph_add_task(struct tf_graph *g, const struct tf_atom_spec *spec)
{
	TF_ASSERT(g->open != TF_NONE);
	uint32_t id = add_plan(g, TF_NODE_TASK, spec->name);
	g->plans[id].spec = add_draft(g, spec);
	append_child(g, id);
	return (int)id;
}

int tf_graph_add_task_like(struct tf_graph *g, int like, const char *name)
{
	TF_ASSERT(like > 0 && (uint32_t)like < g->plan_count && g->plans[like].kind == TF_NODE_TASK);
	uint32_t id = add_plan(g, TF_NODE_TASK, name);
	reserve_draft(g);
	struct tf_atom_spec *spec = &g->drafts[g->draft_count];
	*spec = g->drafts[g->plans[like].spec];
	spec->name = tf_intern_text(g->names, g->plans[id].name);
	tf_value_ref(spec->version);
	tf_value_ref(spec->inject);
	g->plans[id].spec = g->draft_count++;
	append_child(g, id);
	return (int)id;
}

int tf_graph_add_retry(struct tf_graph *g, const struct tf_atom_spec *spec)
{
	TF_ASSERT(g->open != TF_NONE && g->plans[g->open].retry == TF_NONE && g->plans[g->open].count == 0);
	uint32_t id = add_plan(g, TF_NODE_RETRY, spec->name);
	g->plans[id].spec = add_draft(g, spec);
	g->plans[g->open].retry = id;
	return (int)id;
}

static bool is_child(const struct tf_graph *g, int id)
{
	return id > 0 && (uint32_t)id < g->plan_count && g->plans[id].kind != TF_NODE_RETRY;
}

int tf_graph_link(struct tf_graph *g, int from, int to, int decider, int depth, struct tf_err *err)
{
	TF_ASSERT(!g->compiled);
	if (!is_child(g, from))
		return tf_err_set(err, TF_EINVAL,
			"node %d not found to link from: not a task or flow of the graph", from);
	if (!is_child(g, to))
		return tf_err_set(
			err, TF_EINVAL, "node %d not found to link to: not a task or flow of the graph", to);
	uint32_t flow = g->plans[from].parent;
	const char *from_name = tf_intern_text(g->names, g->plans[from].name);
	const char *to_name = tf_intern_text(g->names, g->plans[to].name);
	if (g->plans[to].parent != flow || g->plans[flow].pattern != TF_GRAPH)
		return tf_err_set(err, TF_EINVAL,
			"cannot link '%s' to '%s': link direct children of one graph flow", from_name,
			to_name);
	if (decider < -1 || depth < 0 || depth > 3)
		return tf_err_set(err, TF_EINVAL, "link '%s' to '%s': no decider %d or depth %d", from_name,
			to_name, decider, depth);
	if (g->link_count == g->link_cap) {
		g->link_cap = g->link_cap ? g->link_cap * 2 : 16;
		g->links = tf_realloc(g->links, g->link_cap * sizeof *g->links);
	}
	g->links[g->link_count++] = (struct tf_link){(uint32_t)from, (uint32_t)to, decider, depth};
	return 0;
}

size_t tf_graph_atom_count(const struct tf_graph *g)
{
	return g->atom_count;
}

const struct tf_atom_spec *tf_graph_atom(const struct tf_graph *g, unsigned atom)
{
	TF_ASSERT(atom < g->atom_count);
	return g->specs[atom];
}

bool tf_graph_atom_is_retry(const struct tf_graph *g, unsigned atom)
{
	TF_ASSERT(atom < g->atom_count);
	return g->kind[g->atom_node[atom]] == TF_NODE_RETRY;
}

int tf_graph_find(const struct tf_graph *g, const char *name)
{
	uint32_t id = tf_intern_find(g->names, name);
	if (id == TF_NONE || !g->compiled || g->atom_by_name[id] == TF_NONE)
		return -1;
	return (int)g->atom_by_name[id];
}

int tf_graph_atom_of(const struct tf_graph *g, int id)
{
	TF_ASSERT(g->compiled);
	if (id < 0 || (uint32_t)id >= g->plan_count || g->plans[id].kind == TF_NODE_FLOW)
		return -1;
	return (int)g->peer[g->plans[id].node];
}

const char *tf_graph_name(const struct tf_graph *g)
{
	TF_ASSERT(g->plan_count > 0);
	return tf_intern_text(g->names, g->plans[0].name);
}
