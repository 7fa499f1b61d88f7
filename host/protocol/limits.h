/* What one action of a task may use. A zero means: none of its own, so the next one counts: what the engine sent with the
 * request, else what the task's class says, else the worker's default. */
#ifndef TF_PROTOCOL_LIMITS_H
#define TF_PROTOCOL_LIMITS_H

#include <stdint.h>

struct tf_limits {
	uint64_t time_ms;    /* from its start to its end; then it is killed */
	uint64_t warning_ms; /* from its start; it and its engine are told */
	uint64_t memory;     /* bytes that its process may occupy; then it is killed */
	uint64_t arguments;  /* bytes of their JSON text; a request with more is not run */
	uint64_t result;     /* bytes of its JSON text, be it a failure's; more is a failure */
};

/* What a class of tasks says for all workers that serve it; zeroes: nothing. */
struct tf_class_limits {
	uint64_t concurrency;       /* so many of it run at a time in one worker */
	uint64_t arguments, result; /* as in tf_limits */
};

/* Unix time in milliseconds: what two machines can agree on. */
uint64_t tf_limits_wall_ms(void);

/* What `l` leaves open, of `other`. */
static inline void tf_limits_fill(struct tf_limits *l, const struct tf_limits *other)
{
	l->time_ms = l->time_ms ? l->time_ms : other->time_ms;
	l->warning_ms = l->warning_ms ? l->warning_ms : other->warning_ms;
	l->memory = l->memory ? l->memory : other->memory;
	l->arguments = l->arguments ? l->arguments : other->arguments;
	l->result = l->result ? l->result : other->result;
}

/* Whether a running task has to be watched for them. */
static inline int tf_limits_any(const struct tf_limits *l)
{
	return l->time_ms || l->warning_ms || l->memory;
}

#endif
