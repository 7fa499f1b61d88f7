/* One item out of a result, as the reference's container[index] finds it (ENGINE.md 2.3). */
#ifndef TF_ENGINE_ITEM_H
#define TF_ENGINE_ITEM_H

#include "base/value.h"
#include "engine/graph.h"

/* New reference: the whole value; element `index` of a list, character `index` of a string or
 * member "index" of an object; or member `symbol` of an object. NULL: it has none. */
struct tf_value *tf_item(struct tf_value *container, const struct tf_provide *p);

#endif
