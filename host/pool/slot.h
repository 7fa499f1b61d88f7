/* The slot process: takes one request at a time from its socket, runs it, tells events and the outcome. */
#ifndef TF_POOL_SLOT_H
#define TF_POOL_SLOT_H

#include <stddef.h>

#include "pool/runner.h"

/* Serves `fd` until it closes. Returns the exit code of the process. */
int tf_slot_main(int fd, const struct tf_runner *runner, size_t max_frame);

#endif
