/* The options by which a process tells what it does: log lines and metrics. Shared by `run`, `flow` and `worker`. */
#ifndef TF_CMD_OBSERVE_ARGS_H
#define TF_CMD_OBSERVE_ARGS_H

#include <argp.h>

#include "base/value.h"

/* A child parser. Its input is a struct tf_value **: an object (or NULL, then made as needed) in which it sets log_format,
 * log_level and metrics, as text. */
extern const struct argp tf_observe_argp;

#endif
