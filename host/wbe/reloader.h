/* Starts a new generation of scripts when their files change, or when HUP says so. */
#ifndef TF_WBE_RELOADER_H
#define TF_WBE_RELOADER_H

#include <stdbool.h>

#include "loop/loop.h"
#include "pool/generations.h"

struct tf_reloader;

/* Before the generations are made, so that no change of their files is missed. Without `watch` HUP alone counts. A kernel
 * that cannot watch is a warning. */
struct tf_reloader *tf_reloader_new(struct tf_loop *loop, bool watch);
void tf_reloader_attach(struct tf_reloader *r, struct tf_generations *g); /* borrowed */
bool tf_reloader_watches(const struct tf_reloader *r);
void tf_reloader_delete(struct tf_reloader *r); /* NULL allowed; before the generations */

#endif
