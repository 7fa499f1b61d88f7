/* Where an atom's action runs. The engine does not know: serial (in its own Lua state), parallel
 * (slots) and worker-based (a transport) are implementations of this interface.
 *
 * A completion never fires inside submit: the executor reports it at a later turn, or hands it to
 * `done` from its own poll step (see `step`).
 */
#ifndef TF_ENGINE_EXECUTOR_H
#define TF_ENGINE_EXECUTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/value.h"
#include "protocol/message.h"

/* One action of one atom. Borrowed during submit: the executor refs or copies what it keeps. */
struct tf_work {
	unsigned atom;        /* an atom's or an item's number; with `round`, the key of the completion */
	int64_t round;        /* raised with each retry or reset */
	const char *uuid;     /* of the atom detail: correlation id */
	const char *name;     /* of an item: "map[1]" */
	const char *task_cls; /* class name on the wire */
	struct tf_value *task_version;  /* array of integers */
	unsigned attempts;              /* runs allowed when workers are lost; 0: the executor's default */
	const struct tf_limits *limits; /* NULL: none; by reference, for very many may wait to be submitted */
	int priority;                   /* of those that wait for a place the highest is next */
	unsigned
		concurrency; /* so many of its class at a time, where this process has the class; 0: any number */
	uint64_t queue_ms; /* so long it may wait for a worker to begin it; 0: no such limit */
	enum tf_action action;
	struct tf_value *arguments; /* object: parameter -> value */
	bool result_failed;         /* revert: what execute gave */
	struct tf_value *result;    /* revert: value or failure dict; NULL on execute */
	struct tf_value *failures;  /* revert: object; NULL on execute */
	/* `began` told an earlier engine this of the action: it may still run there; "": that one may have submitted it, and
	 * no more is known; or NULL */
	const char *performer;
};

static inline struct tf_limits tf_work_limits(const struct tf_work *w)
{
	return w->limits ? *w->limits : (struct tf_limits){0};
}

struct tf_completion {
	unsigned atom;
	float ran_s; /* for people: that it ran, without its waiting; 0: all the time since submit */
	int64_t round;
	enum tf_action action;
	bool failed;
	uint16_t worker;         /* for people: who ran it, by ops->worker; 0: nobody to speak of */
	struct tf_value *result; /* value or failure dict; borrowed during the callback */
	uint64_t receipt;        /* for `settle`, once the outcome is safe; 0: nobody waits for that */
};

struct tf_executor_events {
	void (*done)(void *arg, const struct tf_completion *c);
	/* A task notified: "update_progress" or any other type, details an object; borrowed. */
	void (*event)(void *arg, unsigned atom, int64_t round, const char *type, struct tf_value *details);
	/* The action is performed by this peer, should anybody ask for it again. May be NULL. */
	void (*began)(void *arg, unsigned atom, int64_t round, const char *performer);
	/* From inside `withdraw`: this action will not be performed, and no `done` will follow. */
	void (*withdrawn)(void *arg, unsigned atom, int64_t round);
};

struct tf_executor;
struct tf_executor_ops {
	const char *name; /* "serial", "parallel", "worker-based" */
	bool here;        /* actions run in the classes that this process has, in it or in forks of it */
	bool at_once;     /* an action is performed inside submit: nothing is gained by submitting ahead */
	/* Called once before the first submit of a run. */
	int (*start)(struct tf_executor *x, struct tf_err *err);
	/* 0: accepted, `done` will follow exactly once. Negative: not accepted, no `done`. */
	int (*submit)(struct tf_executor *x, const struct tf_work *w, struct tf_err *err);
	/* The outcome of a `done` with this receipt is committed, or was not wanted. NULL if it gives none. */
	void (*settle)(struct tf_executor *x, uint64_t receipt);
	/* Hand back, through `withdrawn`, what nobody has begun to perform. NULL: nothing ever waits. */
	void (*withdraw)(struct tf_executor *x);
	/* End the executions in flight, as far as they can be reached: each gets its `done`, sooner with a failure
	 * tfhost.Cancelled; reverts go on. Also those that are submitted again until `start`. NULL: what runs, runs. */
	void (*cancel)(struct tf_executor *x);
	/* What people call the worker with this number of a completion; borrowed. NULL: it numbers none. */
	const char *(*worker)(const struct tf_executor *x, uint16_t number);
	/* Give up everything in flight (each gets a `done` with a failure) and release connections. */
	void (*stop)(struct tf_executor *x);
	void (*destroy)(struct tf_executor *x);
};
struct tf_executor { /* an implementation embeds it as its first member */
	const struct tf_executor_ops *ops;
	struct tf_executor_events events; /* set by the engine before start, as the next two */
	void *arg;
	bool timed; /* somebody will look at `ran_s` */
};

#endif
