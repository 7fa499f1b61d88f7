#include "wbe/finder.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/uuid.h"

struct worker;

/* A class name and the workers that offer it, in no order. */
struct class
{
	char *name; /* owned */
	struct seat {
		struct worker *worker;
		size_t offer; /* index of this class in worker->offers */
	} * seats;            /* owned */
	size_t count, cap;
};

struct worker {
	TAILQ_ENTRY(worker) link; /* by `seen`, the longest silent first */
	char *topic;              /* owned */
	uint64_t seen;
	struct offer {
		struct class *class;
		size_t seat; /* index in class->seats */
	} * offers;          /* owned; sorted by class pointer, no class twice */
	size_t count;
};

struct tf_finder {
	struct tf_clock clock;
	uint64_t expiry_ms;
	struct tf_map *workers; /* topic -> worker */
	struct tf_map *classes; /* name -> class; only classes with workers */
	TAILQ_HEAD(, worker) by_age;
	size_t offers; /* of all workers */
};

struct tf_finder *tf_finder_new(const struct tf_clock *clock, uint64_t expiry_ms)
{
	struct tf_finder *f = TF_NEW(struct tf_finder);
	f->clock = *clock;
	f->expiry_ms = expiry_ms;
	f->workers = tf_map_new();
	f->classes = tf_map_new();
	TAILQ_INIT(&f->by_age);
	return f;
}

static struct class *class_of(struct tf_finder *f, const char *name)
{
	struct class *c = tf_map_get(f->classes, name);
	if (!c) {
		c = TF_NEW(struct class);
		c->name = tf_strdup(name);
		tf_map_set(f->classes, name, c);
	}
	return c;
}

static void class_drop_if_empty(struct tf_finder *f, struct class *c)
{
	if (c->count)
		return;
	tf_map_remove(f->classes, c->name);
	free(c->name);
	free(c->seats);
	free(c);
}

/* Give up the seats of `w`; the last of a class moves into each gap. */
static void clear_offers(struct tf_finder *f, struct worker *w)
{
	for (size_t i = 0; i < w->count; i++) {
		struct class *c = w->offers[i].class;
		size_t gap = w->offers[i].seat;
		c->seats[gap] = c->seats[--c->count];
		if (gap < c->count)
			c->seats[gap].worker->offers[c->seats[gap].offer].seat = gap;
		class_drop_if_empty(f, c);
	}
	f->offers -= w->count;
	free(w->offers);
	w->offers = NULL;
	w->count = 0;
}

static int by_pointer(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)((const struct offer *)a)->class,
		  y = (uintptr_t)((const struct offer *)b)->class;
	return x < y ? -1 : x > y;
}

/* The classes that the answer names, each once, as new offers without seats. Unknown classes are
 * created if `create`, otherwise they give NULL. */
static struct offer *name_offers(struct tf_finder *f, const struct tf_notify *n, bool create, size_t *count)
{
	struct offer *offers = tf_calloc(n->task_count + 1, sizeof(*offers));
	for (size_t i = 0; i < n->task_count; i++) {
		offers[i].class = create ? class_of(f, n->tasks[i]) : tf_map_get(f->classes, n->tasks[i]);
		if (!offers[i].class) {
			free(offers);
			return NULL;
		}
	}
	qsort(offers, n->task_count, sizeof(*offers), by_pointer);
	*count = 0;
	for (size_t i = 0; i < n->task_count; i++) {
		if (!*count || offers[*count - 1].class != offers[i].class)
			offers[(*count)++] = offers[i];
	}
	return offers;
}

static bool same_offers(struct tf_finder *f, const struct worker *w, const struct tf_notify *n)
{
	size_t count = 0;
	struct offer *named = name_offers(f, n, false, &count);
	bool same = named && count == w->count;
	for (size_t i = 0; same && i < count; i++)
		same = named[i].class == w->offers[i].class;
	free(named);
	return same;
}

static void take_seats(struct tf_finder *f, struct worker *w, const struct tf_notify *n)
{
	w->offers = name_offers(f, n, true, &w->count);
	for (size_t i = 0; i < w->count; i++) {
		struct class *c = w->offers[i].class;
		if (c->count == c->cap) {
			c->cap = c->cap ? 2 * c->cap : 4;
			c->seats = tf_realloc(c->seats, c->cap * sizeof(*c->seats));
		}
		w->offers[i].seat = c->count;
		c->seats[c->count++] = (struct seat){.worker = w, .offer = i};
	}
	f->offers += w->count;
}

static void forget(struct tf_finder *f, struct worker *w)
{
	clear_offers(f, w);
	TAILQ_REMOVE(&f->by_age, w, link);
	tf_map_remove(f->workers, w->topic);
	free(w->topic);
	free(w);
}

bool tf_finder_answer(struct tf_finder *f, const struct tf_notify *n)
{
	TF_ASSERT(n->answer);
	struct worker *w = tf_map_get(f->workers, n->topic);
	bool news = !w || !same_offers(f, w, n);

	if (news && f->offers - (w ? w->count : 0) + n->task_count > TF_FINDER_MAX_OFFERS)
		return false;
	if (!w) {
		if (tf_map_count(f->workers) >= TF_FINDER_MAX_TOPICS)
			return false;
		w = TF_NEW(struct worker);
		w->topic = tf_strdup(n->topic);
		tf_map_set(f->workers, n->topic, w);
	} else {
		TAILQ_REMOVE(&f->by_age, w, link);
	}
	w->seen = tf_clock_ms(&f->clock);
	TAILQ_INSERT_TAIL(&f->by_age, w, link);
	if (news) {
		clear_offers(f, w);
		take_seats(f, w, n);
	}
	return news;
}

uint64_t tf_finder_due(const struct tf_finder *f)
{
	const struct worker *oldest = TAILQ_FIRST(&f->by_age);
	return oldest && f->expiry_ms ? oldest->seen + f->expiry_ms : UINT64_MAX;
}

size_t tf_finder_expire(struct tf_finder *f)
{
	size_t n = 0;
	uint64_t now = tf_clock_ms(&f->clock);
	for (; tf_finder_due(f) <= now; n++)
		forget(f, TAILQ_FIRST(&f->by_age));
	return n;
}

void tf_finder_forget(struct tf_finder *f, const char *topic)
{
	struct worker *w = tf_map_get(f->workers, topic);
	if (w)
		forget(f, w);
}

const char *tf_finder_pick(const struct tf_finder *f, const char *task_cls)
{
	struct class *c = tf_map_get(f->classes, task_cls);
	if (!c)
		return NULL;
	return c->seats[tf_random((unsigned)c->count)].worker->topic;
}

bool tf_finder_offers(const struct tf_finder *f, const char *topic, const char *task_cls)
{
	const struct class *c = tf_map_get(f->classes, task_cls);
	for (size_t i = 0; c && i < c->count; i++) {
		if (!strcmp(c->seats[i].worker->topic, topic))
			return true;
	}
	return false;
}

size_t tf_finder_count(const struct tf_finder *f)
{
	return tf_map_count(f->workers);
}

void tf_finder_delete(struct tf_finder *f)
{
	if (!f)
		return;
	struct worker *w, *next;
	for (w = TAILQ_FIRST(&f->by_age); w; w = next) {
		next = TAILQ_NEXT(w, link);
		forget(f, w);
	}
	tf_map_delete(f->workers, NULL);
	tf_map_delete(f->classes, NULL);
	free(f);
}
