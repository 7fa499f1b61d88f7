#include "engine/scope.h"

#include <string.h>

#include "base/mem.h"

/* --- index ------------------------------------------------------------------------------- */

static void index_providers(struct tf_graph *g)
{
	uint32_t names = tf_intern_count(g->names);
	uint32_t *at = tf_calloc(names + 2, sizeof *at);
	size_t total = 0;
	for (uint32_t a = 0; a < g->atom_count; a++)
		for (size_t i = 0; i < g->specs[a]->provide_count; i++, total++)
			at[tf_intern_find(g->names, g->specs[a]->provides[i].symbol) + 2]++;
	for (uint32_t s = 0; s < names; s++)
		at[s + 2] += at[s + 1];
	g->providers = tf_malloc((total + 1) * sizeof *g->providers);
	for (uint32_t n = 0; n < g->node_count; n++) { /* by node: each symbol's part comes out sorted */
		if (g->kind[n] != TF_NODE_TASK && g->kind[n] != TF_NODE_RETRY)
			continue;
		uint32_t a = g->peer[n];
		for (size_t i = 0; i < g->specs[a]->provide_count; i++) {
			uint32_t s = tf_intern_find(g->names, g->specs[a]->provides[i].symbol);
			g->providers[at[s + 1]++] = (struct tf_provider){n, a, (uint32_t)i};
		}
	}
	g->provider_at = at;
}

/* Ancestors in O(log depth) steps: each flow knows its parent and one far ancestor. */
static void index_depth(struct tf_graph *g)
{
	g->depth = tf_calloc(g->node_count, sizeof *g->depth);
	g->jump = tf_calloc(g->node_count, sizeof *g->jump);
	for (uint32_t n = 1; n < g->node_count; n++) {
		if (g->kind[n] != TF_NODE_FLOW)
			continue;
		uint32_t up = g->parent[n], far = g->jump[up];
		g->depth[n] = g->depth[up] + 1;
		bool even = g->depth[up] - g->depth[far] == g->depth[far] - g->depth[g->jump[far]];
		g->jump[n] = even ? g->jump[far] : up;
	}
}

static uint32_t child_head(const struct tf_graph *g, uint32_t node)
{
	return g->kind[node] == TF_NODE_END ? g->peer[node] : node;
}

static uint32_t child_tail(const struct tf_graph *g, uint32_t head)
{
	return g->kind[head] == TF_NODE_FLOW ? g->peer[head] : head;
}

/* Post-order numbers of a depth-first search over the links of one flow's children. */
static void rank_children(struct tf_graph *g, uint32_t flow, uint32_t end)
{
	uint32_t next_rank = 0;
	uint32_t *at = tf_malloc((end - flow) * sizeof *at); /* edge to look at next, by head - flow */
	uint32_t *stack = g->todo;
	for (uint32_t head = g->plans[g->plan_of[flow]].first; head != TF_NONE; head = g->plans[head].next) {
		size_t depth = 0;
		uint32_t n = g->plans[head].node;
		if (g->reach[n].rank != TF_NONE)
			continue;
		stack[depth++] = n;
		at[n - flow] = g->succ_at[child_tail(g, n)];
		g->reach[n].rank = TF_NONE - 1; /* open */
		while (depth) {
			uint32_t top = stack[depth - 1], tail = child_tail(g, top);
			if (at[top - flow] == g->succ_at[tail + 1]) {
				g->reach[top].rank = next_rank++;
				depth--;
				continue;
			}
			uint32_t to = g->succ[at[top - flow]++];
			if (to != end && g->reach[to].rank == TF_NONE) {
				g->reach[to].rank = TF_NONE - 1;
				at[to - flow] = g->succ_at[child_tail(g, to)];
				stack[depth++] = to;
			}
		}
	}
	free(at);
}

/* Two intervals a child, so that most questions "does x come before y?" are two comparisons:
 * a spanning forest (inside: yes) and the range of post-order numbers below it (not inside: no). */
static void index_reach(struct tf_graph *g, uint32_t flow)
{
	uint32_t end = g->peer[flow];
	rank_children(g, flow, end);
	uint32_t *order = g->todo, count = 0;
	for (uint32_t p = g->plans[g->plan_of[flow]].first; p != TF_NONE; p = g->plans[p].next)
		order[count++] = g->plans[p].node;
	for (uint32_t i = 0; i < count; i++) {
		g->reach[order[i]].low = g->reach[order[i]].rank;
		g->reach[order[i]].last = 1; /* size of the subtree, for now */
	}
	for (uint32_t i = count; i-- > 0;) { /* children come after their predecessors: sizes from behind */
		uint32_t n = order[i], parent = TF_NONE;
		for (uint32_t e = g->pred_at[n]; e < g->pred_at[n + 1]; e++) {
			uint32_t p = child_head(g, g->pred[e]);
			if (g->parent[p] != flow || g->kind[p] == TF_NODE_RETRY)
				continue;
			if (g->reach[n].low < g->reach[p].low)
				g->reach[p].low = g->reach[n].low;
			if (parent == TF_NONE || p > parent)
				parent = p;
		}
		g->seen[n] = parent;
		if (parent != TF_NONE)
			g->reach[parent].last += g->reach[n].last;
	}
	uint32_t free_at = 0;
	for (uint32_t i = 0; i < count;
		i++) { /* parents first: give each its part of the parent's interval */
		uint32_t n = order[i], parent = g->seen[n], size = g->reach[n].last;
		uint32_t *slot = parent == TF_NONE ? &free_at : &g->reach[parent].first;
		uint32_t first = *slot;
		*slot += size;
		/* `first` runs through the interval while children are placed; put right below. */
		g->reach[n].first = first + 1;
		g->reach[n].last = size;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct tf_reach *r = &g->reach[order[i]];
		uint32_t past = r->first; /* one past the subtree, after all children took their part */
		r->first = past - r->last;
		r->last = past - 1;
	}
}

void tf_scope_index(struct tf_graph *g)
{
	index_providers(g);
	index_depth(g);
	g->seen = tf_calloc(g->node_count, sizeof *g->seen);
	g->todo = tf_malloc(g->node_count * sizeof *g->todo);
	if (g->link_count == 0)
		return;
	g->reach = tf_malloc(g->node_count * sizeof *g->reach);
	memset(g->reach, 0xff, g->node_count * sizeof *g->reach);
	for (uint32_t n = 0; n < g->node_count; n++)
		if (g->kind[n] == TF_NODE_FLOW && g->pattern[n] == TF_GRAPH)
			index_reach(g, n);
	memset(g->seen, 0, g->node_count * sizeof *g->seen);
}

/* --- lookup ------------------------------------------------------------------------------ */

static bool inside_forest(const struct tf_reach *x, const struct tf_reach *y)
{
	return x->first <= y->first && y->last <= x->last;
}

static bool maybe_reaches(const struct tf_reach *x, const struct tf_reach *y)
{
	return x->low <= y->low && y->rank <= x->rank;
}

/* Whether child `from` of a graph flow comes before child `to` by its links. Both are heads. */
static bool reaches(const struct tf_graph *g, uint32_t from, uint32_t to)
{
	if (!g->reach)
		return false;
	const struct tf_reach *x = &g->reach[from], *r = g->reach;
	if (inside_forest(x, &r[to]))
		return true;
	if (!maybe_reaches(x, &r[to]))
		return false;
	struct tf_graph *scratch = (struct tf_graph *)g; /* seen, todo, search: nobody else's business */
	uint32_t mark = ++scratch->search, count = 0;
	scratch->todo[count++] = to;
	scratch->seen[to] = mark;
	while (count) {
		uint32_t n = g->todo[--count];
		for (uint32_t e = g->pred_at[n]; e < g->pred_at[n + 1]; e++) {
			uint32_t p = child_head(g, g->pred[e]);
			if (p == from)
				return true;
			if (g->parent[p] != g->parent[from] || g->kind[p] == TF_NODE_RETRY ||
				g->seen[p] == mark)
				continue;
			if (inside_forest(x, &r[p]))
				return true;
			scratch->seen[p] = mark;
			if (p > from && maybe_reaches(x, &r[p]))
				scratch->todo[count++] = p;
		}
	}
	return false;
}

/* First node of the child of `flow` that contains `node`. */
static uint32_t child_of(const struct tf_graph *g, uint32_t flow, uint32_t node)
{
	uint32_t c = node;
	if (g->parent[c] == flow)
		return c;
	c = g->parent[c];
	while (g->parent[c] != flow)
		c = g->depth[g->jump[c]] > g->depth[flow] ? g->jump[c] : g->parent[c];
	return c;
}

struct tf_scope tf_scope_of(const struct tf_graph *g, uint32_t atom, uint32_t symbol)
{
	uint32_t node = g->atom_node[atom];
	return (struct tf_scope){.g = g, .symbol = symbol, .node = node, .bound = node, .level = TF_NONE};
}

/* The provider with the highest node below s->bound. */
static const struct tf_provider *nearest(const struct tf_scope *s)
{
	const struct tf_provider *all = s->g->providers;
	uint32_t first = s->g->provider_at[s->symbol], low = first, high = s->g->provider_at[s->symbol + 1];
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (all[mid].node < s->bound)
			low = mid + 1;
		else
			high = mid;
	}
	return low > first ? &all[low - 1] : NULL;
}

const struct tf_provider *tf_scope_next(struct tf_scope *s)
{
	const struct tf_graph *g = s->g;
	const struct tf_provider *p;
	while (s->symbol != TF_NONE && (p = nearest(s)) != NULL) {
		uint32_t flow = g->parent[s->node]; /* innermost flow with both in it */
		while (flow > p->node)
			flow = g->jump[flow] > p->node ? g->jump[flow] : g->parent[flow];
		uint32_t child = child_of(g, flow, p->node);
		s->bound = p->node;
		bool before = g->kind[child] == TF_NODE_RETRY;
		if (!before && g->pattern[flow] == TF_UNORDERED)
			s->bound = g->kind[flow + 1] == TF_NODE_RETRY ? flow + 2
								      : flow + 1; /* siblings do not count */
		else if (!before && g->pattern[flow] == TF_GRAPH)
			before = reaches(g, child, child_of(g, flow, s->node));
		else
			before = true;
		if (before) {
			s->level = flow;
			return p;
		}
		if (s->bound > child && g->pattern[flow] == TF_GRAPH)
			s->bound = child;
	}
	return NULL;
}

const struct tf_provider *tf_scope_all(const struct tf_graph *g, uint32_t symbol, uint32_t *count)
{
	if (symbol == TF_NONE) {
		*count = 0;
		return NULL;
	}
	*count = g->provider_at[symbol + 1] - g->provider_at[symbol];
	return g->providers + g->provider_at[symbol];
}
