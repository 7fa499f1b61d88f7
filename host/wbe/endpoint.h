/* What performs requests for the worker side: generations of slots, or a script of a test. */
#ifndef TF_WBE_ENDPOINT_H
#define TF_WBE_ENDPOINT_H

#include "pool/generations.h"

struct tf_endpoint {
	const struct tf_endpoint_ops *ops;
	void *pool; /* owned */
};

/* Meaning of the members: pool/generations.h. */
struct tf_endpoint_ops {
	int (*open)(struct tf_loop *loop, const struct tf_generations_config *config,
		const struct tf_pool_events *events, void *arg, void **pool, struct tf_err *err);
	int (*submit)(void *pool, uint64_t job, const struct tf_request *r, struct tf_err *err);
	void (*take_back)(void *pool);
	bool (*stop_job)(void *pool, uint64_t job, const char *const *types, const char *why);
	unsigned (*busy_slots)(const void *pool);
	const struct tf_label *(*label)(const void *pool); /* NULL: outcomes do not say what produced them */
	void (*resize)(void *pool, unsigned slots);
	/* NULL: classes say nothing */
	const struct tf_class_limits *(*class_limits)(const void *pool, const char *cls);
	void (*destroy)(void *pool);
};

extern const struct tf_endpoint_ops tf_endpoint_generations;

#endif
