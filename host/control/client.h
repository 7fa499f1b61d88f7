/* The other end of a control socket: blocking, for the command line. */
#ifndef TF_CONTROL_CLIENT_H
#define TF_CONTROL_CLIENT_H

#include "base/err.h"
#include "base/value.h"

/* Sockets of processes of that kind ("worker") that live; those left by dead ones are removed. NULL-terminated, caller frees. */
int tf_control_find(const char *kind, char ***paths, struct tf_err *err);
/* Ask, wait for the answer. 0: *result is new. The other side's refusal is TF_ESTATE; TF_ECLOSED: nobody is there; TF_ETIMEOUT:
 * no answer within `timeout_ms` (above 0), also of a process that stands still. */
int tf_control_ask(const char *path, const char *request, unsigned timeout_ms, struct tf_value **result,
	struct tf_err *err);

#endif
