/* From plans to nodes and edges (ENGINE.md 5). Every walk is a loop: flows nest to any depth. */
#include <string.h>

#include "base/mem.h"
#include "engine/graph_internal.h"

struct compile {
	struct tf_graph *g;
	uint32_t *out_at, *out; /* links by `from`, without repetitions: indexes into g->links */
	uint32_t *in_count;     /* links into a plan */
	uint32_t *ctrl;         /* by plan: retry plan that controls a flow's contents */
};

/* Group the links by source. A pair linked twice is one link: the first's place, the last's decider. */
static void group_links(struct compile *c)
{
	struct tf_graph *g = c->g;
	uint32_t *at = tf_calloc(g->plan_count + 1, sizeof *at);
	uint32_t *out = tf_malloc((g->link_count + 1) * sizeof *out);
	uint32_t *seen = tf_malloc((g->plan_count + 1) * sizeof *seen); /* out position + 1 by target */
	memset(seen, 0, (g->plan_count + 1) * sizeof *seen);
	for (uint32_t i = 0; i < g->link_count; i++)
		at[g->links[i].from + 1]++;
	for (uint32_t p = 0; p < g->plan_count; p++)
		at[p + 1] += at[p];
	uint32_t *fill = tf_malloc((g->plan_count + 1) * sizeof *fill);
	memcpy(fill, at, (g->plan_count + 1) * sizeof *fill);
	for (uint32_t i = 0; i < g->link_count; i++)
		out[fill[g->links[i].from]++] = i;
	uint32_t kept = 0;
	for (uint32_t p = 0; p < g->plan_count; p++) {
		uint32_t begin = kept, end = at[p + 1];
		for (uint32_t i = at[p]; i < end; i++) {
			struct tf_link *l = &g->links[out[i]];
			uint32_t before = seen[l->to];
			if (before > begin && before <= kept) {
				struct tf_link *first = &g->links[out[before - 1]];
				if (l->decider >= 0) {
					first->decider = l->decider;
					first->depth = l->depth;
				}
				continue;
			}
			out[kept++] = out[i];
			seen[l->to] = kept;
			c->in_count[l->to]++;
		}
		at[p] = begin;
	}
	at[g->plan_count] = kept;
	free(fill);
	free(seen);
	c->out_at = at;
	c->out = out;
}

/* Name a cycle: from any plan that still waits for a predecessor, go back until one comes again. */
static int cycle_error(struct compile *c, uint32_t flow, const uint32_t *waiting, struct tf_err *err)
{
	struct tf_graph *g = c->g;
	uint32_t *back = tf_malloc(g->plan_count * sizeof *back);
	uint32_t *mark = tf_calloc(g->plan_count, sizeof *mark);
	uint32_t p = TF_NONE;
	for (uint32_t i = 0; i < c->out_at[g->plan_count]; i++) {
		const struct tf_link *l = &g->links[c->out[i]];
		if (g->plans[l->from].parent == flow && waiting[l->from] > 0 && waiting[l->to] > 0) {
			back[l->to] = l->from;
			p = l->to;
		}
	}
	while (!mark[p]) {
		mark[p] = 1;
		p = back[p];
	}
	struct tf_buf text = TF_BUF_INIT;
	uint32_t at = p;
	do { /* built backwards, each name put before the rest */
		struct tf_buf line = TF_BUF_INIT;
		tf_buf_printf(&line, " -> '%s'", tf_intern_text(g->names, g->plans[at].name));
		if (text.data)
			tf_buf_append(&line, text.data, text.len);
		tf_buf_free(&text);
		text = line;
		at = back[at];
	} while (at != p && text.len < sizeof err->message);
	int rc = tf_err_set(err, TF_ECYCLE,
		"No path through the node(s) in the graph produces an ordering that will allow for logical "
		"edge "
		"traversal: flow '%s' has the cycle '%s'%s",
		tf_intern_text(g->names, g->plans[flow].name), tf_intern_text(g->names, g->plans[p].name),
		text.data);
	tf_buf_free(&text);
	free(back);
	free(mark);
	return rc;
}

/* Children of a graph flow into topological order, those that become free first first. */
static int order_children(
	struct compile *c, uint32_t flow, uint32_t *waiting, uint32_t *queue, struct tf_err *err)
{
	struct tf_graph *g = c->g;
	struct tf_plan *f = &g->plans[flow];
	uint32_t head = 0, tail = 0;
	for (uint32_t p = f->first; p != TF_NONE; p = g->plans[p].next)
		if (waiting[p] == 0)
			queue[tail++] = p;
	while (head < tail) {
		uint32_t p = queue[head++];
		for (uint32_t i = c->out_at[p]; i < c->out_at[p + 1]; i++) {
			uint32_t to = g->links[c->out[i]].to;
			if (--waiting[to] == 0)
				queue[tail++] = to;
		}
	}
	if (tail < f->count)
		return cycle_error(c, flow, waiting, err);
	for (uint32_t i = 0; i < tail; i++)
		g->plans[queue[i]].next = i + 1 < tail ? queue[i + 1] : TF_NONE;
	f->first = tail ? queue[0] : TF_NONE;
	f->last = tail ? queue[tail - 1] : TF_NONE;
	return 0;
}

static int order_graphs(struct compile *c, struct tf_err *err)
{
	struct tf_graph *g = c->g;
	uint32_t *waiting = tf_malloc(g->plan_count * sizeof *waiting);
	uint32_t *queue = tf_malloc(g->plan_count * sizeof *queue);
	memcpy(waiting, c->in_count, g->plan_count * sizeof *waiting);
	int rc = 0;
	for (uint32_t p = 0; p < g->plan_count && rc == 0; p++)
		if (g->plans[p].kind == TF_NODE_FLOW && g->plans[p].pattern == TF_GRAPH)
			rc = order_children(c, p, waiting, queue, err);
	free(waiting);
	free(queue);
	return rc;
}

static uint32_t new_node(struct tf_graph *g, uint32_t plan, enum tf_node_kind kind)
{
	uint32_t n = g->node_count++;
	uint32_t around = g->plans[plan].parent;
	g->kind[n] = kind;
	g->pattern[n] = g->plans[plan].pattern;
	g->parent[n] = around == TF_NONE ? TF_NONE : g->plans[around].node;
	g->plan_of[n] = plan;
	return n;
}

static void number_atom(struct compile *c, uint32_t plan, uint32_t controller)
{
	struct tf_graph *g = c->g;
	uint32_t atom = g->atom_count++;
	g->peer[g->plans[plan].node] = atom;
	g->atom_node[atom] = g->plans[plan].node;
	g->specs[atom] = &g->drafts[g->plans[plan].spec];
	g->atom_retry[atom] = controller; /* a plan; becomes an atom when all are numbered */
}

static void enter_flow(struct compile *c, uint32_t plan)
{
	struct tf_graph *g = c->g;
	struct tf_plan *p = &g->plans[plan];
	p->node = new_node(g, plan, TF_NODE_FLOW);
	uint32_t outer = p->parent == TF_NONE ? TF_NONE : c->ctrl[p->parent];
	c->ctrl[plan] = p->retry == TF_NONE ? outer : p->retry;
	if (p->retry != TF_NONE)
		g->plans[p->retry].node = new_node(g, p->retry, TF_NODE_RETRY);
}

static void leave_flow(struct compile *c, uint32_t plan)
{
	struct tf_graph *g = c->g;
	struct tf_plan *p = &g->plans[plan];
	if (p->retry != TF_NONE)
		number_atom(c, p->retry, p->parent == TF_NONE ? TF_NONE : c->ctrl[p->parent]);
	uint32_t end = new_node(g, plan, TF_NODE_END);
	g->peer[end] = p->node;
	g->peer[p->node] = end;
}

static void number_nodes(struct compile *c)
{
	struct tf_graph *g = c->g;
	uint32_t at = 0;
	enter_flow(c, at);
	uint32_t next = g->plans[at].first;
	for (;;) {
		if (next == TF_NONE) { /* the flow `at` is complete */
			leave_flow(c, at);
			if (g->plans[at].parent == TF_NONE)
				break;
			next = g->plans[at].next;
			at = g->plans[at].parent;
		} else if (g->plans[next].kind == TF_NODE_FLOW) {
			at = next;
			enter_flow(c, at);
			next = g->plans[at].first;
		} else {
			g->plans[next].node = new_node(g, next, TF_NODE_TASK);
			number_atom(c, next, c->ctrl[at]);
			next = g->plans[next].next;
		}
	}
	for (uint32_t a = 0; a < g->atom_count; a++)
		if (g->atom_retry[a] != TF_NONE)
			g->atom_retry[a] = g->peer[g->plans[g->atom_retry[a]].node];
}

static uint32_t last_node(const struct tf_graph *g, uint32_t plan)
{
	uint32_t n = g->plans[plan].node;
	return g->kind[n] == TF_NODE_FLOW ? g->peer[n] : n;
}

struct edges {
	uint32_t *from, *to;
	size_t count;
};

static void edge(struct edges *e, uint32_t from, uint32_t to)
{
	e->from[e->count] = from;
	e->to[e->count++] = to;
}

/* Entry or retry to what has no predecessor, links, and what has no successor to the end. */
static void join_flow(struct compile *c, uint32_t flow, struct edges *e)
{
	struct tf_graph *g = c->g;
	const struct tf_plan *f = &g->plans[flow];
	uint32_t start = f->node, end = g->peer[f->node];
	if (f->retry != TF_NONE) {
		edge(e, start, g->plans[f->retry].node);
		start = g->plans[f->retry].node;
	}
	if (f->first == TF_NONE)
		edge(e, start, end);
	for (uint32_t p = f->first; p != TF_NONE; p = g->plans[p].next) {
		bool head = f->pattern == TF_LINEAR ? p == f->first : c->in_count[p] == 0;
		if (head)
			edge(e, start, g->plans[p].node);
	}
	for (uint32_t p = f->first; p != TF_NONE; p = g->plans[p].next) {
		uint32_t links = c->out_at[p + 1] - c->out_at[p];
		if (f->pattern == TF_LINEAR && g->plans[p].next != TF_NONE)
			edge(e, last_node(g, p), g->plans[g->plans[p].next].node);
		else if (links == 0)
			edge(e, last_node(g, p), end);
		for (uint32_t i = c->out_at[p]; i < c->out_at[p + 1]; i++)
			edge(e, last_node(g, p), g->plans[g->links[c->out[i]].to].node);
	}
}

/* One direction of the adjacency: for each node, the other ends in order of the edges. */
static void adjacency(uint32_t nodes, const struct edges *e, const uint32_t *key, const uint32_t *value,
	uint32_t **at_out, uint32_t **list_out)
{
	uint32_t *at = tf_calloc(nodes + 2, sizeof *at);
	uint32_t *list = tf_malloc((e->count + 1) * sizeof *list);
	for (size_t i = 0; i < e->count; i++)
		at[key[i] + 2]++;
	for (uint32_t n = 0; n < nodes; n++)
		at[n + 2] += at[n + 1];
	for (size_t i = 0; i < e->count; i++)
		list[at[key[i] + 1]++] = value[i];
	*at_out = at;
	*list_out = list;
}

static void build_edges(struct compile *c)
{
	struct tf_graph *g = c->g;
	/* Each plan takes part in at most three edges besides its links. */
	size_t max = (size_t)g->plan_count * 3 + g->link_count + 1;
	struct edges e = {tf_malloc(max * sizeof(uint32_t)), tf_malloc(max * sizeof(uint32_t)), 0};
	for (uint32_t p = 0; p < g->plan_count; p++)
		if (g->plans[p].kind == TF_NODE_FLOW)
			join_flow(c, p, &e);
	TF_ASSERT(e.count <= max);
	adjacency(g->node_count, &e, e.from, e.to, &g->succ_at, &g->succ);
	adjacency(g->node_count, &e, e.to, e.from, &g->pred_at, &g->pred);
	free(e.from);
	free(e.to);
}

static int by_target(const void *a, const void *b)
{
	const struct tf_edge_decider *x = a, *y = b;
	if (x->to != y->to)
		return x->to < y->to ? -1 : 1;
	return x->from < y->from ? -1 : x->from > y->from;
}

static void collect_deciders(struct compile *c)
{
	struct tf_graph *g = c->g;
	uint32_t links = c->out_at[g->plan_count];
	for (uint32_t i = 0; i < links; i++)
		g->decider_count += g->links[c->out[i]].decider >= 0;
	g->deciders = tf_malloc((g->decider_count + 1) * sizeof *g->deciders);
	uint32_t n = 0;
	for (uint32_t i = 0; i < links; i++) {
		const struct tf_link *l = &g->links[c->out[i]];
		if (l->decider >= 0)
			g->deciders[n++] = (struct tf_edge_decider){
				last_node(g, l->from), g->plans[l->to].node, l->decider, l->depth};
	}
	qsort(g->deciders, n, sizeof *g->deciders, by_target);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "m[3]" is an item of a map "m". */
static bool is_item_name(const struct tf_graph *g, const char *name)
{
	const char *bracket = strrchr(name, '[');
	size_t digits = bracket ? strspn(bracket + 1, "0123456789") : 0;
	if (digits == 0 || strcmp(bracket + 1 + digits, "]") != 0)
		return false;
	char *base = tf_strndup(name, (size_t)(bracket - name));
	uint32_t id = tf_intern_find(g->names, base);
	free(base);
	return id != TF_NONE && g->atom_by_name[id] != TF_NONE && g->specs[g->atom_by_name[id]]->each;
}

/* Items of maps have names that nothing else may have. */
static int check_item_names(const struct tf_graph *g, struct tf_err *err)
{
	for (uint32_t a = 0; a < g->atom_count; a++)
		if (is_item_name(g, g->specs[a]->name))
			return tf_err_set(err, TF_EEXIST,
				"'%s' is the name of an item of a map: no atom can have it",
				g->specs[a]->name);
	return 0;
}

static int index_names(struct tf_graph *g, struct tf_err *err)
{
	uint32_t names = tf_intern_count(g->names);
	g->atom_by_name = tf_malloc((names + 1) * sizeof *g->atom_by_name);
	memset(g->atom_by_name, 0xff, (names + 1) * sizeof *g->atom_by_name);
	const char **twice = tf_malloc((g->atom_count + 1) * sizeof *twice);
	size_t count = 0;
	int rc = 0;
	for (uint32_t a = 0; a < g->atom_count; a++) {
		uint32_t name = g->plans[g->plan_of[g->atom_node[a]]].name;
		if (g->specs[a]->name[0] == '\0')
			rc = tf_err_set(err, TF_EINVAL, "%s name must be non-empty (in flow '%s')",
				tf_graph_atom_is_retry(g, a) ? "Retry" : "Task", tf_graph_name(g));
		if (g->atom_by_name[name] != TF_NONE)
			twice[count++] = g->specs[a]->name;
		g->atom_by_name[name] = a;
	}
	if (rc == 0 && count) {
		qsort(twice, count, sizeof *twice, by_text);
		struct tf_buf text = TF_BUF_INIT;
		for (size_t i = 0; i < count && text.len < sizeof err->message; i++)
			if (i == 0 || strcmp(twice[i], twice[i - 1]) != 0)
				tf_buf_printf(&text, "%s'%s'", i ? ", " : "", twice[i]);
		rc = tf_err_set(err, TF_EEXIST, "Atoms with duplicate names found: [%s]", text.data);
		tf_buf_free(&text);
	}
	free(twice);
	return rc;
}

static void allocate(struct tf_graph *g)
{
	size_t nodes = (size_t)g->plan_count * 2 + 1, atoms = g->draft_count + (size_t)1;
	g->kind = tf_calloc(nodes, sizeof *g->kind);
	g->pattern = tf_calloc(nodes, sizeof *g->pattern);
	g->parent = tf_malloc(nodes * sizeof *g->parent);
	g->peer = tf_malloc(nodes * sizeof *g->peer);
	g->plan_of = tf_malloc(nodes * sizeof *g->plan_of);
	g->specs = tf_malloc(atoms * sizeof *g->specs);
	g->atom_node = tf_malloc(atoms * sizeof *g->atom_node);
	g->atom_retry = tf_malloc(atoms * sizeof *g->atom_retry);
}

int tf_graph_compile(struct tf_graph *g, struct tf_err *err)
{
	TF_ASSERT(!g->compiled && g->plan_count > 0 && g->open == TF_NONE);
	struct compile c = {.g = g};
	c.in_count = tf_calloc(g->plan_count, sizeof *c.in_count);
	c.ctrl = tf_malloc(g->plan_count * sizeof *c.ctrl);
	group_links(&c);
	int rc = order_graphs(&c, err);
	if (rc == 0) {
		g->compiled = true;
		allocate(g);
		number_nodes(&c);
		build_edges(&c);
		collect_deciders(&c);
		rc = index_names(g, err);
		rc = rc == 0 ? check_item_names(g, err) : rc;
	}
	if (rc == 0)
		tf_scope_index(g);
	free(c.in_count);
	free(c.ctrl);
	free(c.out_at);
	free(c.out);
	return rc;
}
