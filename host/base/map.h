/* Map from string to pointer (a thin wall around uthash). Keys are copied. */
#ifndef TF_BASE_MAP_H
#define TF_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

struct tf_map;

struct tf_map *tf_map_new(void);
/* Frees the map; calls `free_value` (unless NULL) on each value. NULL map allowed. */
void tf_map_delete(struct tf_map *m, void (*free_value)(void *));
/* Set; returns the previous value (caller's to free) or NULL. */
void *tf_map_set(struct tf_map *m, const char *key, void *value);
void *tf_map_get(const struct tf_map *m, const char *key); /* NULL if absent */
void *tf_map_remove(struct tf_map *m, const char *key);    /* the value, or NULL */
size_t tf_map_count(const struct tf_map *m);
/* Visit in order of insertion; the visitor may remove the visited entry, nothing else.
 * Stops early when it returns false. */
void tf_map_each(struct tf_map *m, bool (*visit)(const char *key, void *value, void *arg), void *arg);

#endif
