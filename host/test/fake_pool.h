/* A scripted endpoint for tests of the worker side: keeps what was submitted, ends it as the test
 * says. */
#ifndef TF_TEST_FAKE_POOL_H
#define TF_TEST_FAKE_POOL_H

#include "wbe/endpoint.h"

struct fake_job {
	uint64_t id;
	struct tf_request request; /* owned copy */
};

struct fake_pool {
	struct tf_pool_events events;
	void *arg;
	unsigned slots;
	struct fake_job *jobs; /* owned; those in slots, in order of submission */
	size_t count;
	int refuse;            /* code that submit returns, 0: accept */
	struct tf_label label; /* of whatever it tells */
	const char *limited;   /* class that says this of itself */
	struct tf_class_limits class_limits;
};

extern const struct tf_endpoint_ops fake_pool_ops;
extern struct fake_pool *fake_pool_last; /* made last; NULL once it is gone */

/* The pool has loaded these classes (NULL-terminated). */
void fake_pool_ready(struct fake_pool *p, const char *const *names);
/* Job in slot `i` (0: the oldest). */
void fake_pool_started(struct fake_pool *p, size_t i);
void fake_pool_event(struct fake_pool *p, size_t i, const char *type, const char *details);
/* It is given back. */
void fake_pool_back(struct fake_pool *p, size_t i);
/* It ends with this value (a failure dict if failed). */
void fake_pool_done(struct fake_pool *p, size_t i, bool failed, const char *result);

#endif
