#include "pool/runqueue.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"

/* A class, and the line in which those wait that its limit may keep back; the others wait in one line together. */
struct tf_runclass {
	TAILQ_ENTRY(tf_runclass) limited;
	unsigned limit, active;      /* limit 0: none */
	size_t waiting;              /* in the line */
	struct tf_runplaces by_rank; /* by falling priority, then by age */
	struct tf_runplaces by_age;  /* the same, oldest first */
};

static bool is_full(const struct tf_runclass *c)
{
	return c->limit && c->active >= c->limit;
}

static bool is_older(const struct tf_runplace *a, const struct tf_runplace *b)
{
	return a->order < b->order;
}

static bool outranks(const struct tf_runplace *a, const struct tf_runplace *b)
{
	return a->priority > b->priority || (a->priority == b->priority && is_older(a, b));
}

/* Who comes later is later, as a rule: so from the end. */
static void line_insert(struct tf_runclass *line, struct tf_runplace *w)
{
	struct tf_runplace *before = TAILQ_LAST(&line->by_rank, tf_runplaces);
	while (before && outranks(w, before))
		before = TAILQ_PREV(before, tf_runplaces, ranked);
	if (before)
		TAILQ_INSERT_AFTER(&line->by_rank, before, w, ranked);
	else
		TAILQ_INSERT_HEAD(&line->by_rank, w, ranked);
	before = TAILQ_LAST(&line->by_age, tf_runplaces);
	while (before && is_older(w, before))
		before = TAILQ_PREV(before, tf_runplaces, aged);
	if (before)
		TAILQ_INSERT_AFTER(&line->by_age, before, w, aged);
	else
		TAILQ_INSERT_HEAD(&line->by_age, w, aged);
	line->waiting++;
	w->line = line;
}

static void line_remove(struct tf_runplace *w)
{
	TAILQ_REMOVE(&w->line->by_rank, w, ranked);
	TAILQ_REMOVE(&w->line->by_age, w, aged);
	w->line->waiting--;
	w->line = NULL;
}

static struct tf_runclass *class_new(void)
{
	struct tf_runclass *c = TF_NEW(struct tf_runclass);
	TAILQ_INIT(&c->by_rank);
	TAILQ_INIT(&c->by_age);
	return c;
}

static struct tf_runclass *class_of(struct tf_runqueue *q, const char *name)
{
	struct tf_runclass *c = name ? tf_map_get(q->classes, name) : q->other;
	if (!c)
		tf_map_set(q->classes, name, c = class_new());
	return c;
}

static struct tf_runclass *line_of(struct tf_runqueue *q, struct tf_runclass *c)
{
	return c->limit ? c : q->other;
}

void tf_runqueue_create(struct tf_runqueue *q)
{
	*q = (struct tf_runqueue){.classes = tf_map_new(), .other = class_new()};
	TAILQ_INIT(&q->all);
	TAILQ_INIT(&q->limited);
}

void tf_runqueue_destroy(struct tf_runqueue *q)
{
	tf_map_delete(q->classes, free);
	free(q->other);
	q->classes = NULL;
	q->other = NULL;
}

/* Those of the class go to the line that is theirs now. */
static void move_all(struct tf_runqueue *q, struct tf_runclass *c)
{
	struct tf_runplace *w;
	TAILQ_FOREACH(w, &q->all, all)
	{
		if (w->cls != c)
			continue;
		line_remove(w);
		line_insert(line_of(q, c), w);
	}
}

void tf_runqueue_limit(struct tf_runqueue *q, const char *cls, unsigned limit)
{
	struct tf_runclass *c = class_of(q, cls);
	bool was = c->limit > 0, is = limit > 0;
	c->limit = limit;
	if (was == is)
		return;
	if (is)
		TAILQ_INSERT_TAIL(&q->limited, c, limited);
	else
		TAILQ_REMOVE(&q->limited, c, limited);
	move_all(q, c);
}

void tf_runqueue_add(
	struct tf_runqueue *q, struct tf_runplace *w, const char *cls, int priority, uint64_t order)
{
	TF_ASSERT(!w->cls);
	*w = (struct tf_runplace){.cls = class_of(q, cls), .priority = priority, .order = order};
	TAILQ_INSERT_TAIL(&q->all, w, all);
	line_insert(line_of(q, w->cls), w);
}

struct tf_runplace *tf_runqueue_next(struct tf_runqueue *q)
{
	bool fair = q->taken % TF_RUNQUEUE_FAIR == TF_RUNQUEUE_FAIR - 1;
	struct tf_runplace *best = TAILQ_FIRST(fair ? &q->other->by_age : &q->other->by_rank), *w;
	const struct tf_runclass *c;
	TAILQ_FOREACH(c, &q->limited, limited)
	{
		w = is_full(c) ? NULL : TAILQ_FIRST(fair ? &c->by_age : &c->by_rank);
		if (w && (!best || (fair ? is_older(w, best) : outranks(w, best))))
			best = w;
	}
	return best;
}

void tf_runqueue_take(struct tf_runqueue *q, struct tf_runplace *w)
{
	TF_ASSERT(tf_runqueue_waits(w));
	TAILQ_REMOVE(&q->all, w, all);
	line_remove(w);
	w->cls->active++;
	q->taken++;
}

void tf_runqueue_leave(struct tf_runqueue *q, struct tf_runplace *w)
{
	if (!w->cls)
		return;
	if (tf_runqueue_waits(w)) {
		TAILQ_REMOVE(&q->all, w, all);
		line_remove(w);
	} else {
		w->cls->active--;
	}
	*w = (struct tf_runplace){0};
}

bool tf_runqueue_is_blocked(const struct tf_runplace *w)
{
	return tf_runqueue_waits(w) && is_full(w->cls);
}

size_t tf_runqueue_blocked(const struct tf_runqueue *q)
{
	size_t n = 0;
	const struct tf_runclass *c;
	TAILQ_FOREACH(c, &q->limited, limited)
	n += is_full(c) ? c->waiting : 0;
	return n;
}
