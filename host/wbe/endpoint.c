#include "wbe/endpoint.h"

static int open_generations(struct tf_loop *loop, const struct tf_generations_config *config,
	const struct tf_pool_events *events, void *arg, void **pool, struct tf_err *err)
{
	struct tf_generations *g = NULL;
	int rc = tf_generations_new(loop, config, events, arg, &g, err);
	*pool = g;
	return rc;
}

static int submit(void *pool, uint64_t job, const struct tf_request *r, struct tf_err *err)
{
	return tf_generations_submit(pool, job, r, err);
}

static void take_back(void *pool)
{
	tf_generations_take_back(pool);
}

static bool stop_job(void *pool, uint64_t job, const char *const *types, const char *why)
{
	return tf_generations_stop_job(pool, job, types, why);
}

static unsigned busy_slots(const void *pool)
{
	return tf_generations_busy_slots(pool);
}

static const struct tf_label *label(const void *pool)
{
	return tf_generations_label(pool);
}

static void resize(void *pool, unsigned slots)
{
	tf_generations_resize(pool, slots);
}

static const struct tf_class_limits *class_limits(const void *pool, const char *cls)
{
	return tf_generations_class_limits(pool, cls);
}

static void destroy(void *pool)
{
	tf_generations_delete(pool);
}

const struct tf_endpoint_ops tf_endpoint_generations = {.open = open_generations,
	.submit = submit,
	.take_back = take_back,
	.stop_job = stop_job,
	.busy_slots = busy_slots,
	.label = label,
	.resize = resize,
	.class_limits = class_limits,
	.destroy = destroy};
