/* The failure dictionary (PROTOCOL.md 4): the JSON form in which an error travels and is stored. */
#ifndef TF_PROTOCOL_FAILURE_H
#define TF_PROTOCOL_FAILURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/value.h"

/* Type chains of failures that the host itself produces; NULL-terminated, end in "Exception". */
extern const char
	*const tf_types_request_timeout[]; /* taskflow.exceptions.RequestTimeout, ExecutionFailure, ... */
extern const char
	*const tf_types_time_limit[]; /* tfhost.TimeLimitExceeded, tfhost.LimitExceeded, RuntimeError */
extern const char *const tf_types_memory_limit[]; /* tfhost.MemoryLimitExceeded, ... */
extern const char *const tf_types_out_of_memory
	[]; /* tfhost.OutOfMemory, MemoryLimitExceeded, LimitExceeded, WorkerLost, ... */
extern const char *const tf_types_size_limit[];  /* tfhost.SizeLimitExceeded, ... */
extern const char *const tf_types_cancelled[];   /* tfhost.Cancelled, Exception */
extern const char *const tf_types_worker_lost[]; /* tfhost.WorkerLost, RuntimeError */
extern const char *const tf_types_lua_error[];   /* tfhost.LuaError, RuntimeError */
extern const char *const tf_types_key_error[];   /* KeyError, LookupError */
extern const char *const tf_types_type_error[];  /* TypeError */
extern const char *const tf_types_value_error[]; /* ValueError */
extern const char *const tf_types_os_error[];    /* OSError */
extern const char *const tf_types_not_found[];   /* taskflow.exceptions.NotFound, TaskFlowException */

struct tf_failure {
	const char *exception_str;
	const char *traceback_str;         /* NULL: "" */
	const char *const *exc_type_names; /* NULL-terminated, most derived first */
	struct tf_value *exc_args;         /* array; NULL: [exception_str] */
	struct tf_value *causes;           /* array of failure dicts; NULL: [] */
};
/* New value with exactly the six keys, version 1. Text that is not UTF-8 has the foreign bytes
 * replaced by '?'. */
struct tf_value *tf_failure_value(const struct tf_failure *f);
/* Short form: formatted text, no traceback. */
struct tf_value *tf_failure_format(const char *const *types, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* NULL if `size` bytes are within `limit` (0: none); else the failure of `task` whose `what` ("arguments", "result") are too
 * large: it names all of these. */
struct tf_value *tf_failure_size(const char *task, const char *what, size_t size, uint64_t limit);

/* The two steps of PROTOCOL.md 4 on foreign data; the story names the path. */
int tf_failure_check_schema(struct tf_json dict, struct tf_err *err);      /* nested causes included */
int tf_failure_check_reconstruct(struct tf_json dict, struct tf_err *err); /* version, extra keys */
/* Step two, with the type of error that a Python peer meets: tf_types_value_error, _type_error or
 * _key_error; NULL if `dict` can be rebuilt. */
const char *const *tf_failure_reconstruct_error(struct tf_json dict, struct tf_err *err);

/* A dict that passes step two, in a form that passes both and has the six keys: what is missing or
 * null is filled in (a root type becomes Exception), so that it can be sent on in a revert.
 * A dict that is in that form already is copied byte for byte. */
struct tf_value *tf_failure_normalise(struct tf_json dict);

/* "RuntimeError: boom", for people. Caller frees. */
char *tf_failure_summary(struct tf_json dict);
/* Whether one of exc_type_names equals `name`. */
bool tf_failure_is(struct tf_json dict, const char *name);

#endif
