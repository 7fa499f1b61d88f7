/* Before anything runs: can every input be satisfied (ENGINE.md 17)? */
#ifndef TF_ENGINE_VALIDATE_H
#define TF_ENGINE_VALIDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/graph.h"

/* Whether a value of this name is injected, for all or for this atom. */
typedef bool tf_validate_given(const void *arg, uint32_t atom, const char *symbol);

/* tf_graph_validate with what is injected as `given` says. */
int tf_validate(const struct tf_graph *g, tf_validate_given *given, const void *arg, struct tf_err *err);
/* One input of an atom: optional, injected, or provided by an atom that it can see. */
bool tf_validate_satisfied(const struct tf_graph *g, tf_validate_given *given, const void *arg, uint32_t atom,
	const struct tf_binding *b);

#endif
