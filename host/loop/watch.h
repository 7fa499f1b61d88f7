/* Tells when files have changed, however that is done: written in place, replaced by rename, deleted and created again,
 * reached through another symbolic link, or with a whole directory above them swapped (inotify).
 *
 * Watched are the directories on the way to each file, for the names on that way alone; a symbolic link's own way too. A change is
 * told once it has settled, and early (settle.h). */
#ifndef TF_LOOP_WATCH_H
#define TF_LOOP_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

struct tf_watch;

/* TF_ESYS: the kernel gives no inotify. `changed` must not delete the watch. */
int tf_watch_new(struct tf_loop *loop, void (*changed)(void *arg), void *arg, struct tf_watch **out,
	struct tf_err *err);
/* Call `early`, too, when a change may be over; `changed` follows in any case. Nor may it delete the watch. */
void tf_watch_on_early(struct tf_watch *w, void (*early)(void *arg));
/* During `changed`: what was read since `early` is what the files say. */
bool tf_watch_early_holds(const struct tf_watch *w);
/* During either: when the change began, on the loop's clock. */
uint64_t tf_watch_since(const struct tf_watch *w);
/* Watch these files, absolute paths each ended by NUL, instead of the former. They need not exist: a file that appears is a
 * change. One that changed after the last call of `early` or `changed`, or after tf_watch_new, is told. TF_ESYS: not all can be
 * watched; the others are. */
int tf_watch_set(struct tf_watch *w, const struct tf_buf *files, struct tf_err *err);
void tf_watch_delete(struct tf_watch *w); /* NULL allowed */

#endif
