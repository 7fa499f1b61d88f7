#include "fake_pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmocka_all.h"
#include "protocol/failure.h"

struct fake_pool *fake_pool_last;

static int open_fake(struct tf_loop *loop, const struct tf_generations_config *config,
	const struct tf_pool_events *events, void *arg, void **pool, struct tf_err *err)
{
	(void)loop, (void)err;
	struct fake_pool *p = TF_NEW(struct fake_pool);
	p->events = *events;
	p->arg = arg;
	p->slots = config->pool.slots;
	p->jobs = tf_calloc(config->pool.slots, sizeof(*p->jobs));
	fake_pool_last = p;
	*pool = p;
	return 0;
}

static int submit(void *pool, uint64_t job, const struct tf_request *r, struct tf_err *err)
{
	struct fake_pool *p = pool;
	if (p->refuse)
		return tf_err_set(err, p->refuse, "refused by the test");
	if (p->count == p->slots)
		return tf_err_set(err, TF_EAGAIN, "no slot is free");
	for (size_t i = 0; i < p->count; i++)
		assert_int_not_equal(p->jobs[i].id, job);
	p->jobs[p->count].id = job;
	tf_request_copy(r, &p->jobs[p->count].request);
	p->count++;
	return 0;
}

/* What is in a slot of ours has begun. */
static void take_back(void *pool)
{
	(void)pool;
}

static bool stop_job(void *pool, uint64_t job, const char *const *types, const char *why)
{
	struct fake_pool *p = pool;
	for (size_t i = 0; i < p->count; i++) {
		if (p->jobs[i].id != job)
			continue;
		struct tf_value *failure = tf_failure_format(types, "%s", why);
		fake_pool_done(p, i, true, tf_value_text(failure));
		tf_value_unref(failure);
		return true;
	}
	return false;
}

static unsigned busy_slots(const void *pool)
{
	return (unsigned)((const struct fake_pool *)pool)->count;
}

static const struct tf_label *label(const void *pool)
{
	return &((const struct fake_pool *)pool)->label;
}

static const struct tf_class_limits *class_limits(const void *pool, const char *cls)
{
	const struct fake_pool *p = pool;
	return p->limited && !strcmp(p->limited, cls) ? &p->class_limits : NULL;
}

static void destroy(void *pool)
{
	struct fake_pool *p = pool;
	for (size_t i = 0; i < p->count; i++)
		tf_request_free(&p->jobs[i].request);
	free(p->jobs);
	free(p);
	fake_pool_last = NULL;
}

const struct tf_endpoint_ops fake_pool_ops = {.open = open_fake,
	.submit = submit,
	.take_back = take_back,
	.stop_job = stop_job,
	.busy_slots = busy_slots,
	.label = label,
	.class_limits = class_limits,
	.destroy = destroy};

void fake_pool_ready(struct fake_pool *p, const char *const *names)
{
	size_t n = 0;
	while (names[n])
		n++;
	p->events.ready(p->arg, (char *const *)(uintptr_t)names, n, NULL);
}

void fake_pool_started(struct fake_pool *p, size_t i)
{
	assert_true(i < p->count);
	p->events.started(p->arg, p->jobs[i].id, tf_clock_us());
}

static struct tf_value *value(const char *text)
{
	struct tf_err err;
	struct tf_value *v = tf_value_parse(text, strlen(text), 0, &err);
	if (!v)
		fail_msg("%s: %s", text, err.message);
	return v;
}

void fake_pool_event(struct fake_pool *p, size_t i, const char *type, const char *details)
{
	struct tf_value *v = value(details);
	assert_true(i < p->count);
	p->events.event(p->arg, p->jobs[i].id, type, v);
	tf_value_unref(v);
}

static uint64_t take_out(struct fake_pool *p, size_t i)
{
	uint64_t id = p->jobs[i].id;
	tf_request_free(&p->jobs[i].request);
	memmove(p->jobs + i, p->jobs + i + 1, (p->count - i - 1) * sizeof(*p->jobs));
	p->count--;
	return id;
}

void fake_pool_back(struct fake_pool *p, size_t i)
{
	assert_true(i < p->count);
	p->events.back(p->arg, take_out(p, i));
	p->events.slot_free(p->arg);
}

void fake_pool_done(struct fake_pool *p, size_t i, bool failed, const char *result)
{
	assert_true(i < p->count);
	struct tf_value *v = value(result);
	bool was_full = p->count == p->slots;
	p->events.done(p->arg, take_out(p, i), failed, v);
	tf_value_unref(v);
	if (was_full)
		p->events.slot_free(p->arg);
}
