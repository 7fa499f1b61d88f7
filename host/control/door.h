/* A socket that listens: who comes in is handed on, one at a time. While this process may open nothing, clients wait, told of
 * in the log once, and the loop rests: it would be told of them without end. */
#ifndef TF_CONTROL_DOOR_H
#define TF_CONTROL_DOOR_H

#include "loop/loop.h"

struct tf_door;

/* Takes over `fd`, which listens. `entered` gets descriptors that do not block, and owns them. `area` and `name` are for the
 * log, borrowed. */
struct tf_door *tf_door_new(struct tf_loop *loop, int fd, const char *area, const char *name,
	void (*entered)(void *arg, int fd), void *arg);
void tf_door_delete(struct tf_door *d); /* NULL allowed */

#endif
