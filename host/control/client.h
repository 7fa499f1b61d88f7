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

/* A command that tells events until one of the two hangs up. */
struct tf_control_stream;
/* As tf_control_ask, without waiting for anything but the connection. */
int tf_control_follow(const char *path, const char *request, unsigned timeout_ms,
	struct tf_control_stream **out, struct tf_err *err);
int tf_control_stream_fd(const struct tf_control_stream *s); /* readable: there may be an event */
/* The next event that has come: 1 and *event is new, or 0. Negative: TF_ECLOSED, the other side ended; a refusal; no JSON. */
int tf_control_stream_next(struct tf_control_stream *s, struct tf_value **event, struct tf_err *err);
void tf_control_stream_delete(struct tf_control_stream *s); /* NULL allowed */

#endif
