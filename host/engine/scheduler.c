#include "engine/scheduler.h"

#include <string.h>

#include "base/mem.h"
#include "engine/graph_internal.h"

/* Flags of a node. */
enum {
	SETTLED = 1,
	CLEAR = 2,
	STARTED =
		4,  /* it, or an atom after it, has left PENDING: every atom that has, has all before it so */
	STATIC = 8, /* no atom before it: unsettled never */
};
/* Flags of an atom. */
enum { IN_CANDIDATES = 1, IN_READY = 2, LEFT_OVER = 4 };

struct list {
	uint32_t *items;
	size_t head, count, cap;
};

struct op {             /* the last decision that a retry's successors follow */
	uint32_t stamp; /* 0: none */
	uint8_t intention;
};

struct tf_scheduler {
	struct tf_graph *g;
	bool override_revert_all;
	uint8_t *state, *intent, *atom_flags; /* by atom; intent holds only while not PENDING */
	uint8_t *flags;                       /* by node */
	uint32_t *unsettled, *unclear, *seen; /* by node */
	uint32_t search;
	uint32_t *swept,
		sweep;  /* by node: `sweep` if everything after it is IGNORE; NULL while there was none */
	struct op *ops; /* by atom (retries); NULL while there was none */
	struct op all;  /* the last decision about all atoms */
	uint32_t clock; /* of decisions */
	uint32_t
		undone_at; /* clock when atoms were last ignored, reset or loaded: marks of retries may be gone */
	struct op *derived; /* by node: intentions of PENDING atoms, at `derived_at` */
	uint32_t derived_at;
	struct list candidates, ready, taken;
	struct list work, found;
	void (*intention_changed)(void *arg, unsigned atom); /* or NULL */
	void *arg;
};

static void push(struct list *l, uint32_t v)
{
	if (l->count == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 16;
		l->items = tf_realloc(l->items, l->cap * sizeof *l->items);
	}
	l->items[l->count++] = v;
}

struct tf_scheduler *tf_scheduler_new(struct tf_graph *g, bool override_revert_all)
{
	struct tf_scheduler *s = TF_NEW(struct tf_scheduler);
	s->g = g;
	s->override_revert_all = override_revert_all;
	s->state = tf_calloc(g->atom_count + 1, 1);
	s->intent = tf_calloc(g->atom_count + 1, 1);
	s->atom_flags = tf_calloc(g->atom_count + 1, 1);
	s->flags = tf_calloc(g->node_count, 1);
	s->unsettled = tf_calloc(g->node_count, sizeof *s->unsettled);
	s->unclear = tf_calloc(g->node_count, sizeof *s->unclear);
	s->seen = tf_calloc(g->node_count, sizeof *s->seen);
	s->clock = 1;
	s->sweep = 1;
	tf_scheduler_reset(s);
	return s;
}

void tf_scheduler_delete(struct tf_scheduler *s)
{
	if (!s)
		return;
	void *arrays[] = {s->state, s->intent, s->atom_flags, s->flags, s->unsettled, s->unclear, s->seen,
		s->swept, s->ops, s->derived, s->candidates.items, s->ready.items, s->taken.items,
		s->work.items, s->found.items};
	for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
		free(arrays[i]);
	free(s);
}

enum tf_state tf_scheduler_state(const struct tf_scheduler *s, unsigned atom)
{
	return (enum tf_state)s->state[atom];
}

bool tf_scheduler_all_done(const struct tf_scheduler *s)
{
	for (uint32_t a = 0; a < s->g->atom_count; a++)
		if (s->state[a] != TF_SUCCESS && s->state[a] != TF_IGNORE)
			return false;
	return true;
}

static bool is_atom(const struct tf_graph *g, uint32_t node)
{
	return g->kind[node] == TF_NODE_TASK || g->kind[node] == TF_NODE_RETRY;
}

/* --- readiness --------------------------------------------------------------------------- */

static bool settled_itself(const struct tf_scheduler *s, uint32_t node)
{
	if (!is_atom(s->g, node))
		return true;
	uint32_t a = s->g->peer[node];
	if (s->state[a] == TF_SUCCESS)
		return s->intent[a] == TF_INTENT_EXECUTE;
	return s->state[a] == TF_IGNORE && s->intent[a] == TF_INTENT_IGNORE;
}

static bool clear_itself(const struct tf_scheduler *s, uint32_t node)
{
	if (!is_atom(s->g, node))
		return true;
	uint8_t state = s->state[s->g->peer[node]];
	return state == TF_PENDING || state == TF_REVERTED || state == TF_IGNORE;
}

static bool execute_ready(const struct tf_scheduler *s, uint32_t a)
{
	uint32_t node = s->g->atom_node[a];
	bool may = s->state[a] == TF_PENDING ||
		   (s->state[a] == TF_RETRYING && s->intent[a] == TF_INTENT_EXECUTE);
	if (!may || s->unsettled[node] > 0)
		return false;
	/* Predecessors that are settled speak for the intention; where there is none, ask for it. */
	return s->state[a] == TF_RETRYING || !(s->flags[node] & STATIC) ||
	       s->all.intention == TF_INTENT_EXECUTE;
}

static bool revert_ready(const struct tf_scheduler *s, uint32_t a)
{
	return (s->state[a] == TF_SUCCESS || s->state[a] == TF_FAILURE) &&
	       (s->intent[a] == TF_INTENT_REVERT || s->intent[a] == TF_INTENT_RETRY) &&
	       s->unclear[s->g->atom_node[a]] == 0;
}

static void find_ready(struct tf_scheduler *s, uint32_t a)
{
	if (execute_ready(s, a) && !(s->atom_flags[a] & (IN_CANDIDATES | IN_READY))) {
		s->atom_flags[a] |= IN_CANDIDATES;
		push(&s->candidates, a);
	} else if (revert_ready(s, a)) {
		tf_scheduler_ready(s, a);
	}
}

void tf_scheduler_ready(struct tf_scheduler *s, unsigned atom)
{
	if (s->state[atom] == TF_RUNNING || s->state[atom] == TF_REVERTING)
		s->atom_flags[atom] |= LEFT_OVER;
	if (s->atom_flags[atom] & IN_READY)
		return;
	s->atom_flags[atom] |= IN_READY;
	push(&s->ready, atom);
}

/* Bring the settled flag of `node` up to date, and through it those of the nodes after it: in order of
 * distance, so that deciders near the start are asked first. */
static void update_settled(struct tf_scheduler *s, uint32_t node)
{
	const struct tf_graph *g = s->g;
	s->work.count = 0;
	push(&s->work, node);
	for (size_t i = 0; i < s->work.count; i++) {
		uint32_t n = s->work.items[i];
		bool settled = s->unsettled[n] == 0 && settled_itself(s, n);
		if (settled == !!(s->flags[n] & SETTLED))
			continue;
		s->flags[n] ^= SETTLED;
		for (uint32_t e = g->succ_at[n]; e < g->succ_at[n + 1]; e++) {
			uint32_t to = g->succ[e];
			s->unsettled[to] += settled ? UINT32_MAX : 1; /* modulo 2^32: one less */
			if (settled && s->unsettled[to] == 0 && is_atom(g, to))
				find_ready(s, g->peer[to]);
			if (settled ? s->unsettled[to] == 0 : s->unsettled[to] == 1)
				push(&s->work, to);
		}
	}
}

/* The same for clear, towards the nodes before it. */
static void update_clear(struct tf_scheduler *s, uint32_t node)
{
	const struct tf_graph *g = s->g;
	s->work.count = 0;
	push(&s->work, node);
	while (s->work.count) {
		uint32_t n = s->work.items[--s->work.count];
		bool clear = s->unclear[n] == 0 && clear_itself(s, n);
		if (clear == !!(s->flags[n] & CLEAR))
			continue;
		s->flags[n] ^= CLEAR;
		if (!clear)
			s->flags[n] |= STARTED;
		for (uint32_t e = g->pred_at[n]; e < g->pred_at[n + 1]; e++) {
			uint32_t from = g->pred[e];
			s->unclear[from] += clear ? UINT32_MAX : 1;
			if (clear && s->unclear[from] == 0 && is_atom(g, from))
				find_ready(s, g->peer[from]);
			if (clear ? s->unclear[from] == 0 : s->unclear[from] == 1)
				push(&s->work, from);
		}
	}
}

void tf_scheduler_set(struct tf_scheduler *s, unsigned atom, enum tf_state state)
{
	uint32_t node = s->g->atom_node[atom];
	if (state == TF_RUNNING && s->state[atom] != TF_RUNNING)
		s->intent[atom] = TF_INTENT_EXECUTE;
	s->atom_flags[atom] &= (uint8_t)~LEFT_OVER;
	s->state[atom] = (uint8_t)state;
	update_clear(s, node);
	update_settled(s, node);
	find_ready(s, atom);
}

/* Settle them as update_settled would, collect what that makes ready, and take it back. */
size_t tf_scheduler_foresee(
	struct tf_scheduler *s, const unsigned *atoms, size_t count, const unsigned **next)
{
	const struct tf_graph *g = s->g;
	s->work.count = s->found.count = 0;
	for (size_t i = 0; i < count; i++)
		if (s->intent[atoms[i]] == TF_INTENT_EXECUTE && s->unsettled[g->atom_node[atoms[i]]] == 0)
			push(&s->work, g->atom_node[atoms[i]]);
	for (size_t i = 0; i < s->work.count; i++) {
		uint32_t n = s->work.items[i];
		for (uint32_t e = g->succ_at[n]; e < g->succ_at[n + 1]; e++) {
			uint32_t to = g->succ[e];
			if (--s->unsettled[to] > 0)
				continue;
			if (settled_itself(s, to)) /* no atom, or an ignored one */
				push(&s->work, to);
			else if (execute_ready(s, g->peer[to]))
				push(&s->found, g->peer[to]);
		}
	}
	for (size_t i = 0; i < s->work.count; i++) {
		uint32_t n = s->work.items[i];
		for (uint32_t e = g->succ_at[n]; e < g->succ_at[n + 1]; e++)
			s->unsettled[g->succ[e]]++;
	}
	*next = s->found.items;
	return s->found.count;
}

/* --- the whole graph --------------------------------------------------------------------- */

void tf_scheduler_reset(struct tf_scheduler *s)
{
	memset(s->state, TF_PENDING, s->g->atom_count);
	memset(s->intent, TF_INTENT_EXECUTE, s->g->atom_count);
	s->all = (struct op){++s->clock, TF_INTENT_EXECUTE};
}

static void forget(struct tf_scheduler *s)
{
	memset(s->atom_flags, 0, s->g->atom_count);
	s->candidates.head = s->candidates.count = 0;
	s->ready.count = 0;
	s->taken.count = 0;
	s->sweep++;
	s->undone_at = s->clock;
}

/* Nodes in rising order: all before a node are done when it comes. */
static void count_unsettled(struct tf_scheduler *s)
{
	const struct tf_graph *g = s->g;
	for (uint32_t n = 0; n < g->node_count; n++) {
		uint32_t unsettled = 0;
		bool fixed = true;
		for (uint32_t e = g->pred_at[n]; e < g->pred_at[n + 1]; e++) {
			unsettled += !(s->flags[g->pred[e]] & SETTLED);
			fixed = fixed && (s->flags[g->pred[e]] & STATIC) && !is_atom(g, g->pred[e]);
		}
		s->unsettled[n] = unsettled;
		s->flags[n] &= (uint8_t) ~(SETTLED | STATIC);
		s->flags[n] |= (fixed ? STATIC : 0) | (unsettled == 0 && settled_itself(s, n) ? SETTLED : 0);
	}
}

static void count_unclear(struct tf_scheduler *s)
{
	const struct tf_graph *g = s->g;
	for (uint32_t n = g->node_count; n-- > 0;) {
		uint32_t unclear = 0;
		bool started = is_atom(g, n) && s->state[g->peer[n]] != TF_PENDING;
		for (uint32_t e = g->succ_at[n]; e < g->succ_at[n + 1]; e++) {
			unclear += !(s->flags[g->succ[e]] & CLEAR);
			started = started || (s->flags[g->succ[e]] & STARTED);
		}
		s->unclear[n] = unclear;
		s->flags[n] &= (uint8_t) ~(CLEAR | STARTED);
		s->flags[n] |= (started ? STARTED : 0) | (unclear == 0 && clear_itself(s, n) ? CLEAR : 0);
	}
}

void tf_scheduler_rebuild(struct tf_scheduler *s)
{
	forget(s);
	count_unsettled(s);
	count_unclear(s);
	for (uint32_t a = 0; a < s->g->atom_count; a++)
		find_ready(s, a);
}

void tf_scheduler_on_intention(struct tf_scheduler *s, void (*changed)(void *arg, unsigned atom), void *arg)
{
	s->intention_changed = changed;
	s->arg = arg;
}

enum tf_intention tf_scheduler_kept_intention(const struct tf_scheduler *s, unsigned atom)
{
	return (enum tf_intention)(s->state[atom] == TF_PENDING ? s->all.intention : s->intent[atom]);
}

static void set_intention(struct tf_scheduler *s, uint32_t a, enum tf_intention intention)
{
	bool kept = s->state[a] != TF_PENDING || (s->flags[s->g->atom_node[a]] & STATIC);
	if (s->intention_changed && kept && s->intent[a] != intention)
		s->intention_changed(s->arg, a);
	s->intent[a] = (uint8_t)intention;
}

void tf_scheduler_load(
	struct tf_scheduler *s, unsigned atom, enum tf_state state, enum tf_intention intention)
{
	s->state[atom] = (uint8_t)state;
	s->intent[atom] = (uint8_t)intention;
}

void tf_scheduler_revert_all(struct tf_scheduler *s)
{
	/* Once decided, atoms that finish later are found ready by their own change of state. */
	if (s->all.intention == TF_INTENT_REVERT && (!s->override_revert_all || s->all.stamp == s->clock))
		return;
	s->all = (struct op){++s->clock, TF_INTENT_REVERT};
	for (uint32_t a = 0; a < s->g->atom_count; a++)
		set_intention(s, a, TF_INTENT_REVERT);
	count_unsettled(s);
	for (uint32_t a = 0; a < s->g->atom_count; a++)
		if (revert_ready(s, a))
			tf_scheduler_ready(s, a);
}

/* --- a retry's successors ---------------------------------------------------------------- */

/* Successors of `node` that have started, in the order of the reference's depth-first walk. */
static void collect_started(struct tf_scheduler *s, uint32_t node)
{
	const struct tf_graph *g = s->g;
	uint32_t search = ++s->search;
	s->found.count = 0;
	s->work.count = 0;
	for (uint32_t e = g->succ_at[node]; e < g->succ_at[node + 1]; e++)
		push(&s->work, g->succ[e]);
	while (s->work.count) {
		uint32_t n = s->work.items[--s->work.count];
		if (s->seen[n] == search || !(s->flags[n] & STARTED))
			continue;
		s->seen[n] = search;
		push(&s->found, n);
		for (uint32_t e = g->succ_at[n]; e < g->succ_at[n + 1]; e++)
			push(&s->work, g->succ[e]);
	}
}

static void note_op(struct tf_scheduler *s, unsigned retry, enum tf_intention intention)
{
	if (!s->ops)
		s->ops = tf_calloc(s->g->atom_count, sizeof *s->ops);
	s->ops[retry] = (struct op){++s->clock, (uint8_t)intention};
}

/* PENDING atoms behind others need not have been told that all are to revert: those before them were. */
void tf_scheduler_loaded(struct tf_scheduler *s)
{
	const struct tf_graph *g = s->g;
	bool revert = true;
	count_unsettled(s); /* tells which atoms have none before them */
	for (uint32_t a = 0; a < g->atom_count && revert; a++)
		if (s->state[a] != TF_PENDING || (s->flags[g->atom_node[a]] & STATIC))
			revert = s->intent[a] == TF_INTENT_REVERT;
	s->all = (struct op){++s->clock, revert ? TF_INTENT_REVERT : TF_INTENT_EXECUTE};
	for (uint32_t a = 0; a < g->atom_count; a++)
		if (g->kind[g->atom_node[a]] == TF_NODE_RETRY && s->state[a] != TF_PENDING &&
			(s->intent[a] == TF_INTENT_REVERT || s->intent[a] == TF_INTENT_RETRY))
			note_op(s, a, TF_INTENT_REVERT);
}

void tf_scheduler_mark(struct tf_scheduler *s, unsigned retry, enum tf_intention intention)
{
	if (!s->override_revert_all && s->all.intention == TF_INTENT_REVERT)
		return; /* all are to revert already */
	uint32_t node = s->g->atom_node[retry];
	bool stays = !s->override_revert_all && intention == TF_INTENT_RETRY &&
		     s->intent[retry] == TF_INTENT_REVERT;
	if (!stays)
		set_intention(s, retry, intention);
	/* Nothing that was marked for reverting has another intention before the retry executes again,
	 * unless a later RETRY may override it, or others ignored or reset it: a second failure of the same
	 * round costs nothing. */
	const struct op *last = s->ops ? &s->ops[retry] : &(struct op){0};
	bool undone = last->stamp <= s->undone_at;
	if (undone || (s->override_revert_all && last->stamp != s->clock)) {
		s->sweep += undone;
		note_op(s, retry, TF_INTENT_REVERT);
		collect_started(s, node);
		for (size_t i = 0; i < s->found.count; i++) {
			uint32_t n = s->found.items[i];
			if (is_atom(s->g, n))
				set_intention(s, s->g->peer[n], TF_INTENT_REVERT);
		}
		update_settled(s, node);
		for (size_t i = 0; i < s->found.count; i++) {
			uint32_t n = s->found.items[i];
			if (is_atom(s->g, n) && revert_ready(s, s->g->peer[n]))
				tf_scheduler_ready(s, s->g->peer[n]);
		}
	}
	if (revert_ready(s, retry))
		tf_scheduler_ready(s, retry);
}

void tf_scheduler_retry(struct tf_scheduler *s, unsigned retry, tf_scheduler_visit *visit, void *arg)
{
	const struct tf_graph *g = s->g;
	note_op(s, retry, TF_INTENT_EXECUTE);
	s->undone_at = s->clock;
	s->intent[retry] = TF_INTENT_EXECUTE;
	collect_started(s, g->atom_node[retry]);
	struct list reset = s->found; /* visitors may ask, and updates may search */
	s->found = (struct list){0};
	for (size_t i = 0; i < reset.count; i++)
		s->flags[reset.items[i]] &= (uint8_t)~STARTED;
	s->sweep++;
	for (size_t i = 0; i < reset.count; i++) {
		uint32_t n = reset.items[i];
		if (!is_atom(g, n))
			continue;
		uint32_t a = g->peer[n];
		enum tf_state old = (enum tf_state)s->state[a];
		if (old == TF_PENDING)
			continue;
		s->state[a] = TF_PENDING;
		s->intent[a] = TF_INTENT_EXECUTE;
		update_clear(s, n);
		update_settled(s, n);
		visit(arg, a, old);
	}
	free(reset.items);
}

/* --- ignoring ---------------------------------------------------------------------------- */

/* `node` has started: so have all before it. */
static void start_before(struct tf_scheduler *s, uint32_t node)
{
	const struct tf_graph *g = s->g;
	s->work.count = 0;
	push(&s->work, node);
	while (s->work.count) {
		uint32_t n = s->work.items[--s->work.count];
		if (s->flags[n] & STARTED)
			continue;
		s->flags[n] |= STARTED;
		for (uint32_t e = g->pred_at[n]; e < g->pred_at[n + 1]; e++)
			push(&s->work, g->pred[e]);
	}
}

enum { DEPTH_ATOM, DEPTH_NEIGHBORS, DEPTH_FLOW, DEPTH_ALL };

static void collect_ignored(struct tf_scheduler *s, uint32_t node, int depth)
{
	const struct tf_graph *g = s->g;
	uint32_t search = ++s->search;
	if (depth == DEPTH_ALL && !s->swept)
		s->swept = tf_calloc(g->node_count, sizeof *s->swept);
	uint32_t *swept = s->swept;
	s->found.count = 0;
	push(&s->found, node);
	s->work.count = 0;
	for (uint32_t e = g->succ_at[node]; e < g->succ_at[node + 1]; e++) {
		if (depth == DEPTH_NEIGHBORS && g->kind[g->succ[e]] == TF_NODE_TASK)
			push(&s->found, g->succ[e]);
		else if (depth > DEPTH_NEIGHBORS)
			push(&s->work, g->succ[e]);
	}
	while (s->work.count) {
		uint32_t n = s->work.items[--s->work.count];
		if (s->seen[n] == search || (swept && swept[n] == s->sweep))
			continue;
		s->seen[n] = search;
		push(&s->found, n);
		if (swept && depth == DEPTH_ALL)
			swept[n] = s->sweep;
		if (depth == DEPTH_ALL || g->kind[n] == TF_NODE_TASK)
			for (uint32_t e = g->succ_at[n]; e < g->succ_at[n + 1]; e++)
				push(&s->work, g->succ[e]);
	}
}

void tf_scheduler_ignore(
	struct tf_scheduler *s, unsigned atom, int depth, tf_scheduler_visit *visit, void *arg)
{
	const struct tf_graph *g = s->g;
	s->undone_at = s->clock;
	collect_ignored(s, g->atom_node[atom], depth);
	struct list ignored = s->found;
	s->found = (struct list){0};
	for (size_t i = 0; i < ignored.count; i++) {
		uint32_t n = ignored.items[i];
		if (!is_atom(g, n))
			continue;
		uint32_t a = g->peer[n];
		enum tf_state old = (enum tf_state)s->state[a];
		s->state[a] = TF_IGNORE;
		s->intent[a] = TF_INTENT_IGNORE;
		start_before(s, n);
		if (old != TF_IGNORE)
			visit(arg, a, old);
	}
	/* Only now may an atom behind the ignored ones turn out to be ready. */
	for (size_t i = 0; i < ignored.count; i++)
		if (is_atom(g, ignored.items[i]))
			update_settled(s, ignored.items[i]);
	free(ignored.items);
}

/* --- intentions of PENDING atoms --------------------------------------------------------- */

static struct op later(struct op a, struct op b)
{
	return b.stamp > a.stamp ? b : a;
}

enum tf_intention tf_scheduler_intention(struct tf_scheduler *s, unsigned atom)
{
	const struct tf_graph *g = s->g;
	if (s->state[atom] != TF_PENDING)
		return (enum tf_intention)s->intent[atom];
	if (!s->ops)
		return (enum tf_intention)s->all.intention;
	if (!s->derived)
		s->derived = tf_malloc(g->node_count * sizeof *s->derived);
	if (s->derived_at != s->clock) {
		for (uint32_t n = 0; n < g->node_count; n++) {
			struct op op = s->all;
			for (uint32_t e = g->pred_at[n]; e < g->pred_at[n + 1]; e++) {
				uint32_t p = g->pred[e];
				op = later(op, s->derived[p]);
				if (g->kind[p] == TF_NODE_RETRY)
					op = later(op, s->ops[g->peer[p]]);
			}
			s->derived[n] = op;
		}
		s->derived_at = s->clock;
	}
	return (enum tf_intention)s->derived[g->atom_node[atom]].intention;
}

/* --- the ready atoms --------------------------------------------------------------------- */

bool tf_scheduler_candidate(struct tf_scheduler *s, unsigned *atom)
{
	while (s->candidates.head < s->candidates.count) {
		uint32_t a = s->candidates.items[s->candidates.head++];
		s->atom_flags[a] &= (uint8_t)~IN_CANDIDATES;
		if (execute_ready(s, a)) {
			*atom = a;
			return true;
		}
	}
	s->candidates.head = s->candidates.count = 0;
	return false;
}

enum tf_action_kind tf_scheduler_action(struct tf_scheduler *s, unsigned atom)
{
	bool left_over = s->atom_flags[atom] & LEFT_OVER;
	if (execute_ready(s, atom))
		return TF_DO_EXECUTE;
	if (!revert_ready(s, atom) && !left_over)
		return TF_DO_NOTHING;
	switch (s->intent[atom]) {
	case TF_INTENT_EXECUTE:
		return TF_DO_EXECUTE;
	case TF_INTENT_REVERT:
		return TF_DO_REVERT;
	case TF_INTENT_RETRY:
		return TF_DO_RETRY;
	default:
		return TF_DO_NOTHING;
	}
}

static int by_priority(const void *a, const void *b, void *graph)
{
	const struct tf_graph *g = graph;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int p = g->specs[x]->priority, q = g->specs[y]->priority;
	if (p != q)
		return p > q ? -1 : 1;
	return x < y ? -1 : x > y;
}

size_t tf_scheduler_take(struct tf_scheduler *s, const unsigned **atoms)
{
	struct list batch = s->ready;
	s->ready = s->taken;
	s->taken = batch;
	s->ready.count = 0;
	bool sorted = true;
	for (size_t i = 0; i < batch.count; i++) {
		s->atom_flags[batch.items[i]] &= (uint8_t)~IN_READY;
		sorted = sorted && (i == 0 || by_priority(&batch.items[i - 1], &batch.items[i], s->g) < 0);
	}
	if (!sorted)
		qsort_r(batch.items, batch.count, sizeof *batch.items, by_priority, s->g);
	*atoms = batch.items;
	return batch.count;
}

size_t tf_scheduler_ready_count(const struct tf_scheduler *s)
{
	return s->ready.count;
}

bool tf_scheduler_left(struct tf_scheduler *s)
{
	for (size_t i = s->candidates.head; i < s->candidates.count; i++)
		if (execute_ready(s, s->candidates.items[i]))
			return true;
	for (size_t i = 0; i < s->ready.count; i++)
		if (tf_scheduler_action(s, s->ready.items[i]) != TF_DO_NOTHING)
			return true;
	return false;
}
