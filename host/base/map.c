#include "base/map.h"

#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#define uthash_malloc(n) tf_malloc(n)
#define uthash_free(p, n) free(p)
#define uthash_fatal(text) tf_bug(text, __FILE__, __LINE__)
#include <uthash.h>

struct entry {
	void *value; /* borrowed */
	UT_hash_handle hh;
	char key[];
};

struct tf_map {
	struct entry *head;
};

struct tf_map *tf_map_new(void)
{
	return TF_NEW(struct tf_map);
}

void tf_map_delete(struct tf_map *m, void (*free_value)(void *))
{
	if (!m)
		return;
	struct entry *e = m->head;
	HASH_CLEAR(hh, m->head); /* drops the table; the entries stay chained */
	while (e) {
		struct entry *next = e->hh.next;
		if (free_value)
			free_value(e->value);
		free(e);
		e = next;
	}
	free(m);
}

static struct entry *find(const struct tf_map *m, const char *key)
{
	struct entry *e;
	HASH_FIND(hh, m->head, key, strlen(key), e);
	return e;
}

void *tf_map_set(struct tf_map *m, const char *key, void *value)
{
	struct entry *e = find(m, key);
	if (e) {
		void *previous = e->value;
		e->value = value;
		return previous;
	}
	size_t n = strlen(key);
	e = tf_malloc(sizeof *e + n + 1);
	memcpy(e->key, key, n + 1);
	e->value = value;
	HASH_ADD_KEYPTR(hh, m->head, e->key, n, e);
	return NULL;
}

void *tf_map_get(const struct tf_map *m, const char *key)
{
	struct entry *e = find(m, key);
	return e ? e->value : NULL;
}

void *tf_map_remove(struct tf_map *m, const char *key)
{
	struct entry *e = find(m, key);
	if (!e)
		return NULL;
	void *value = e->value;
	HASH_DEL(m->head, e);
	free(e);
	return value;
}

size_t tf_map_count(const struct tf_map *m)
{
	return HASH_COUNT(m->head);
}

void tf_map_each(struct tf_map *m, bool (*visit)(const char *key, void *value, void *arg), void *arg)
{
	struct entry *e, *next;
	HASH_ITER(hh, m->head, e, next)
	{
		if (!visit(e->key, e->value, arg))
			return;
	}
}
