#include "wbe/ledger.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/map.h"
#include "base/mem.h"

struct entry {
	TAILQ_ENTRY(entry) link;
	uint64_t since;
	size_t len, cost;
	char *key; /* owned */
	char body[];
};

struct tf_ledger {
	struct tf_clock clock;
	struct tf_ledger_limits limits;
	struct tf_map *by_key;
	TAILQ_HEAD(, entry) by_age;
	size_t bytes;
};

struct tf_ledger *tf_ledger_new(const struct tf_clock *clock, const struct tf_ledger_limits *limits)
{
	struct tf_ledger *l = TF_NEW(struct tf_ledger);
	l->clock = *clock;
	l->limits = *limits;
	l->by_key = tf_map_new();
	TAILQ_INIT(&l->by_age);
	return l;
}

static void drop(struct tf_ledger *l, struct entry *e)
{
	TAILQ_REMOVE(&l->by_age, e, link);
	tf_map_remove(l->by_key, e->key);
	l->bytes -= e->cost;
	free(e->key);
	free(e);
}

static bool is_over(const struct tf_ledger *l, const struct entry *oldest, uint64_t now)
{
	return now - oldest->since >= l->limits.age_ms || l->bytes > l->limits.bytes ||
	       tf_map_count(l->by_key) > l->limits.count;
}

static void drop_old(struct tf_ledger *l)
{
	struct entry *e, *next;
	uint64_t now = tf_clock_ms(&l->clock);
	for (e = TAILQ_FIRST(&l->by_age); e && is_over(l, e, now); e = next) {
		next = TAILQ_NEXT(e, link);
		drop(l, e);
	}
}

void tf_ledger_put(struct tf_ledger *l, const char *key, const char *body, size_t len)
{
	struct entry *e = tf_map_get(l->by_key, key);
	size_t cost = sizeof(*e) + 2 * strlen(key) + len; /* the map has a copy of the key */
	if (e)
		drop(l, e);
	if (cost > l->limits.bytes)
		return; /* it would push out all others, and then itself */
	e = tf_malloc(sizeof(*e) + len);
	e->since = tf_clock_ms(&l->clock);
	e->len = len;
	e->key = tf_strdup(key);
	e->cost = cost;
	memcpy(e->body, body, len);
	l->bytes += e->cost;
	TAILQ_INSERT_TAIL(&l->by_age, e, link);
	tf_map_set(l->by_key, key, e);
	drop_old(l);
}

const char *tf_ledger_get(struct tf_ledger *l, const char *key, size_t *len)
{
	drop_old(l);
	const struct entry *e = tf_map_get(l->by_key, key);
	if (!e)
		return NULL;
	*len = e->len;
	return e->body;
}

size_t tf_ledger_count(const struct tf_ledger *l)
{
	return tf_map_count(l->by_key);
}

size_t tf_ledger_bytes(const struct tf_ledger *l)
{
	return l->bytes;
}

void tf_ledger_clear(struct tf_ledger *l)
{
	struct entry *e, *next;
	for (e = TAILQ_FIRST(&l->by_age); e; e = next) {
		next = TAILQ_NEXT(e, link);
		drop(l, e);
	}
}

void tf_ledger_delete(struct tf_ledger *l)
{
	if (!l)
		return;
	tf_ledger_clear(l);
	tf_map_delete(l->by_key, NULL);
	free(l);
}
