#include "wbe/endpoint.h"

static int open_pool(struct tf_loop *loop, const struct tf_pool_config *config,
	const struct tf_pool_events *events, void *arg, void **pool, struct tf_err *err)
{
	struct tf_pool *p = NULL;
	int rc = tf_pool_new(loop, config, events, arg, &p, err);
	*pool = p;
	return rc;
}

static int submit(void *pool, uint64_t job, const struct tf_request *r, struct tf_err *err)
{
	return tf_pool_submit(pool, job, r, err);
}

static unsigned busy_slots(const void *pool)
{
	return tf_pool_busy_slots(pool);
}

static void destroy(void *pool)
{
	tf_pool_delete(pool);
}

const struct tf_endpoint_ops tf_endpoint_pool = {
	.open = open_pool, .submit = submit, .busy_slots = busy_slots, .destroy = destroy};
