/* Who provides a symbol to an atom (ENGINE.md 6): the visible providers, nearest first.
 *
 * A flow's nodes are one range, so the scope levels of an atom, innermost first, are ranges that
 * follow each other downwards from the atom's own node. All providers of a symbol stand in one
 * array by node: a lookup is a binary search to the left of the atom, and a jump over the whole
 * flow or child wherever the nearest one is not a predecessor.
 */
#ifndef TF_ENGINE_SCOPE_H
#define TF_ENGINE_SCOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/graph_internal.h"

struct tf_scope {
	const struct tf_graph *g;
	uint32_t symbol; /* name id */
	uint32_t node;   /* of the atom that asks */
	uint32_t bound;  /* providers to come are below */
	uint32_t level;  /* entry of the flow whose scope the last provider was in */
};

/* symbol may be TF_NONE: nobody provides it. */
struct tf_scope tf_scope_of(const struct tf_graph *g, uint32_t atom, uint32_t symbol);
/* The next visible provider; NULL at the end. `level` changes when a scope level is left. */
const struct tf_provider *tf_scope_next(struct tf_scope *s);

/* Every provider of a symbol, in node order of atoms that provide it: count and first. */
const struct tf_provider *tf_scope_all(const struct tf_graph *g, uint32_t symbol, uint32_t *count);

#endif
