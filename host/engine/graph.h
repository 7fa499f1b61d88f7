/* A flow, compiled: nodes, edges and scopes (ENGINE.md 5 and 6).
 *
 * Built top down by whoever has a flow (host/script/flow_load), then frozen by tf_graph_compile.
 * Node kinds: flow entry, task, retry, flow end ("name[$]"); entry and end are pass-through.
 * A builder call copies everything it is given.
 */
#ifndef TF_ENGINE_GRAPH_H
#define TF_ENGINE_GRAPH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/value.h"
#include "protocol/limits.h"

enum tf_pattern { TF_LINEAR, TF_UNORDERED, TF_GRAPH };
enum tf_node_kind { TF_NODE_FLOW, TF_NODE_TASK, TF_NODE_RETRY, TF_NODE_END };

struct tf_binding { /* parameter <- symbol */
	const char *param;
	const char *symbol;
	bool optional;
};
struct tf_provide { /* symbol <- result */
	const char *symbol;
	enum { TF_WHOLE, TF_INDEX, TF_KEY } how; /* whole result, result[index], result[symbol] */
	size_t index;
};
struct tf_atom_spec { /* in order of sizes: a flow may have a million */
	const char *name;
	const char *task_cls;             /* class name on the wire */
	struct tf_value *version;         /* array of integers; NULL: [1, 0] */
	struct tf_limits limits;          /* of each action; zeroes: none of its own */
	uint64_t queue_ms;                /* so long it may wait for a worker to begin it; 0: no such limit */
	const struct tf_binding *execute; /* execute's mapping */
	const struct tf_binding *revert;  /* revert's mapping */
	const struct tf_provide *provides;
	struct tf_value *inject; /* object: atom-local constants, or NULL */
	/* A map: the parameter of `execute` that is bound to a list, or NULL. The task runs once for each element, which
	 * it gets under this name; `limit` of these items at once, 0: any number. The result is the list of theirs. */
	const char *each;
	size_t limit;
	uint32_t execute_count, revert_count, provide_count;
	unsigned attempts; /* runs allowed when workers are lost, 0: the engine's default */
	int priority;
	unsigned concurrency; /* of its class; 0: none */
	/* Reverting it calls nothing that looks at the failures of the flow, as far as this process knows. */
	bool no_revert;
};

struct tf_graph;

struct tf_graph *tf_graph_new(void);
void tf_graph_delete(struct tf_graph *g);

/* Open a flow inside the one that is open (the first is the root); returns its node id. */
int tf_graph_open_flow(struct tf_graph *g, const char *name, enum tf_pattern pattern);
/* Add an atom to the open flow; returns its node id. A retry is at most one a flow, its first child. */
int tf_graph_add_task(struct tf_graph *g, const struct tf_atom_spec *spec);
int tf_graph_add_retry(struct tf_graph *g, const struct tf_atom_spec *spec);
/* Add a task that differs from an earlier one of this graph, `like`, in its name alone. */
int tf_graph_add_task_like(struct tf_graph *g, int like, const char *name);
/* Close the open flow; returns its node id. */
int tf_graph_close_flow(struct tf_graph *g);
/* A second link of the same pair keeps the first's decider unless it brings its own.
 * TF_EINVAL: not two children of one graph flow.
 * Link two direct children (flow or atom ids) of one graph flow, closed or open. `decider` is an
 * opaque id >= 0 for the host's decider, -1 for none; depth is 0 ATOM, 1 NEIGHBORS, 2 FLOW, 3 ALL. */
int tf_graph_link(struct tf_graph *g, int from, int to, int decider, int depth, struct tf_err *err);
/* Join, order, index scopes, check: duplicate names (TF_EEXIST), cycles (TF_ECYCLE), empty names
 * (TF_EINVAL). Linear in atoms, flows and links; nesting may be of any depth. */
int tf_graph_compile(struct tf_graph *g, struct tf_err *err);
/* Every input satisfiable (ENGINE.md 17)? `store` is the flow-wide injected object or NULL.
 * TF_EMISSING with TaskFlow's text ("'x' requires ['y'] but no other entity produces ..."). */
int tf_graph_validate(const struct tf_graph *g, struct tf_json store, struct tf_err *err);

/* Atoms are numbered 0..count-1 in node order (ENGINE.md 5); that number is `atom` everywhere. */
size_t tf_graph_atom_count(const struct tf_graph *g);
const struct tf_atom_spec *tf_graph_atom(const struct tf_graph *g, unsigned atom); /* borrowed */
bool tf_graph_atom_is_retry(const struct tf_graph *g, unsigned atom);
int tf_graph_find(const struct tf_graph *g, const char *name); /* atom, or -1 */
int tf_graph_atom_of(const struct tf_graph *g, int id);        /* atom of a builder call's node id, or -1 */
const char *tf_graph_name(const struct tf_graph *g);           /* of the root flow */

#endif
