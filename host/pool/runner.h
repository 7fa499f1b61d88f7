/* What runs inside loader and slot: loads scripts and performs actions. Implemented by
 * host/script/task_runner; the pool does not know that scripts exist. */
#ifndef TF_POOL_RUNNER_H
#define TF_POOL_RUNNER_H

#include <stdbool.h>

#include "base/err.h"
#include "base/value.h"
#include "protocol/message.h"

/* How a running task speaks while it runs; given to tf_runner.run. */
struct tf_runner_sink {
	/* The task was built: its action starts now (RUNNING on the wire). At most once, before events. */
	void (*started)(void *arg);
	/* Before `started`, and only if it has limits: what it may use. NULL: nobody watches over it. */
	void (*limits)(void *arg, const struct tf_limits *l);
	/* It takes far more memory than its limit: bytes. Does not return. NULL if `limits` is. */
	void (*breach)(void *arg, uint64_t bytes);
	/* So many bytes more cannot be had. Does not return. NULL if `limits` is. */
	void (*refused)(void *arg, size_t bytes);
	void (*event)(void *arg, const char *type, struct tf_value *details);
	const struct tf_limits *defaults; /* of tasks that have none of their own; NULL: none */
	void *arg;
};

#define TF_SOURCES_HASH 17 /* 16 hex digits and NUL */

struct tf_runner {
	void *arg;
	struct tf_limits defaults; /* limits of tasks that have none of their own */
	/* In the loader, once: load the scripts and give the class names served, as on the wire.
	 * *names is a NULL-terminated array, strings and array freed by the caller. */
	int (*load)(void *arg, char ***names, struct tf_err *err);
	/* After load, whatever came of it: the files that were read, as absolute paths (NULL-terminated, freed by the
	 * caller), and a hash of what they say, TF_SOURCES_HASH bytes with NUL. May be NULL. */
	void (*sources)(void *arg, char ***files, char *hash);
	/* After a load that did: what this class says of itself; *out is zeroed. May be NULL. */
	void (*class_limits)(void *arg, const char *name, struct tf_class_limits *out);
	/* In a freshly forked slot, once (reseed random numbers, setup hooks). */
	int (*slot_start)(void *arg, struct tf_err *err);
	/* In a slot that is not needed any more, before it exits (teardown hooks). May be NULL. */
	void (*slot_stop)(void *arg);
	/* Perform the action. Returns a new reference: the value returned, or with *failed a failure
	 * dict; never NULL. */
	struct tf_value *(*run)(
		void *arg, const struct tf_request *r, const struct tf_runner_sink *sink, bool *failed);
	/* After a run's outcome was sent: collect garbage while nobody waits. May be NULL. */
	void (*idle)(void *arg);
};

#endif
