/* Requests that wait for a slot, and which of them is next: the one of the highest priority, of equals the oldest. Of every
 * TF_RUNQUEUE_FAIR that are taken one is the oldest whatever its priority, so none waits for ever. A class may have a
 * limit of concurrency: what would go beyond it waits, and nobody else waits for that. Pure. */
#ifndef TF_POOL_RUNQUEUE_H
#define TF_POOL_RUNQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/map.h"

enum { TF_RUNQUEUE_FAIR = 8 };

struct tf_runclass; /* of requests; runqueue.c */

/* A request's place; zeroed, it is in no queue. Embedded in what waits, and owned by it. */
struct tf_runplace {
	TAILQ_ENTRY(tf_runplace) all, ranked, aged;
	struct tf_runclass *cls;  /* NULL: in no queue */
	struct tf_runclass *line; /* whose line it waits in; NULL: it was taken */
	uint64_t order;           /* lower is older */
	int priority;
};
TAILQ_HEAD(tf_runplaces, tf_runplace);

struct tf_runqueue {
	struct tf_runplaces all;   /* what waits, in the order in which it came */
	struct tf_map *classes;    /* owned; name -> struct tf_runclass */
	struct tf_runclass *other; /* owned; the line of those whose class has no limit */
	TAILQ_HEAD(, tf_runclass) limited;
	uint64_t taken;
};

void tf_runqueue_create(struct tf_runqueue *q);
void tf_runqueue_destroy(struct tf_runqueue *q); /* empty by then, or forgotten by those in it */
/* So many of this class may be taken at a time; 0: any number. What is taken already stays so. */
void tf_runqueue_limit(struct tf_runqueue *q, const char *cls, unsigned limit);
/* Begin to wait. `cls` NULL: of no class that has a limit. `order` is the caller's, for instance a number raised with each request. */
void tf_runqueue_add(
	struct tf_runqueue *q, struct tf_runplace *w, const char *cls, int priority, uint64_t order);
/* Whose turn it is, the same until something changes; NULL: nobody's, for nobody waits or all wait for their class. */
struct tf_runplace *tf_runqueue_next(struct tf_runqueue *q);
/* `w`, which waits, is given to a slot. It counts as one of its class until it leaves. */
void tf_runqueue_take(struct tf_runqueue *q, struct tf_runplace *w);
/* `w` waits no more, or has ended, or comes back to wait again (tf_runqueue_add). In no queue: nothing happens. */
void tf_runqueue_leave(struct tf_runqueue *q, struct tf_runplace *w);
/* Whether it waits for nothing but its class. */
bool tf_runqueue_is_blocked(const struct tf_runplace *w);
size_t tf_runqueue_blocked(const struct tf_runqueue *q); /* how many do */
/* Those that wait, in the order in which they came: TAILQ_FIRST(&q->all), TAILQ_NEXT(w, all). */
static inline bool tf_runqueue_waits(const struct tf_runplace *w)
{
	return w->line != NULL;
}

#endif
