/* Before anything runs: can every input be satisfied (ENGINE.md 17)? */
#ifndef TF_ENGINE_VALIDATE_H
#define TF_ENGINE_VALIDATE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/map.h"
#include "engine/graph.h"

/* tf_graph_validate with the flow-wide values as a map by name. */
int tf_validate(const struct tf_graph *g, const struct tf_map *store, struct tf_err *err);

#endif
