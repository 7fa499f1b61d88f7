/* What the files of the engine layer know of a graph. Everybody else includes graph.h.
 *
 * Nodes are numbered so that every edge goes to a higher number, and a flow's nodes are one
 * range: entry, retry, contents in order, end. Hence for an atom of a flow, "before" is "lower".
 * Atoms are numbered in node order (ENGINE.md 5), where a retry comes after its flow's contents.
 */
#ifndef TF_ENGINE_GRAPH_INTERNAL_H
#define TF_ENGINE_GRAPH_INTERNAL_H

#include <stdint.h>

#include "base/arena.h"
#include "engine/graph.h"
#include "base/intern.h"

struct tf_plan {         /* a flow or an atom as the builder was told, by the id that it returned */
	uint8_t kind;    /* enum tf_node_kind, never TF_NODE_END */
	uint8_t pattern; /* flow */
	uint32_t parent; /* TF_NONE: root */
	uint32_t next;   /* sibling */
	uint32_t first, last, count; /* flow: children without the retry */
	uint32_t retry;              /* flow: or TF_NONE */
	uint32_t name;
	uint32_t spec; /* atom: index in `drafts` */
	uint32_t node; /* compiled: entry or atom node */
};
struct tf_link { /* between plans, in order of creation */
	uint32_t from, to;
	int decider; /* -1: none */
	int depth;
};
struct tf_edge_decider {   /* compiled, sorted by `to` */
	uint32_t from, to; /* nodes */
	int decider;
	int depth;
};
struct tf_provider {
	uint32_t node, atom;
	uint32_t provide; /* index in the spec's provides */
};
struct tf_reach {             /* of a child (its first node) within its graph flow; see scope.c */
	uint32_t first, last; /* interval of the spanning forest: inside means reachable */
	uint32_t low, rank;   /* not inside means not reachable */
};

struct tf_graph {
	struct tf_arena arena;
	struct tf_intern *names;
	/* builder */
	struct tf_plan *plans;
	uint32_t plan_count, plan_cap;
	struct tf_link *links;
	uint32_t link_count, link_cap;
	struct tf_atom_spec *drafts;
	uint32_t draft_count, draft_cap;
	uint32_t open; /* the open flow, or TF_NONE */
	bool compiled;

	/* compiled */
	uint32_t node_count, atom_count;
	uint8_t *kind;     /* by node */
	uint8_t *pattern;  /* by node: a flow's */
	uint32_t *parent;  /* by node: entry of the flow around it; TF_NONE for root entry and end */
	uint32_t *peer;    /* by node: entry -> end, end -> entry, atom -> its number */
	uint32_t *plan_of; /* by node: entry or atom */
	uint32_t *succ_at, *succ, *pred_at, *pred; /* [at[n], at[n + 1]) */
	const struct tf_atom_spec **specs;         /* by atom */
	uint32_t *atom_node;                       /* by atom */
	uint32_t *atom_retry;                      /* by atom: controlling retry (an atom), or TF_NONE */
	uint32_t *atom_by_name;                    /* by name id, or TF_NONE */
	struct tf_edge_decider *deciders;
	uint32_t decider_count;
	/* scope index (scope.c) */
	uint32_t *provider_at;         /* by name id, count + 1 entries */
	struct tf_provider *providers; /* of one symbol by rising node */
	uint32_t *depth, *jump;        /* by node: a flow's depth and far ancestor */
	struct tf_reach *reach;        /* by node; NULL if no graph flow has links */
	uint32_t *seen, *todo;         /* scratch of searches */
	uint32_t search;
};

/* Index the compiled graph; called by tf_graph_compile. */
void tf_scope_index(struct tf_graph *g);

#endif
