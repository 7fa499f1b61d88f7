#include "pool/pool.h"

#include <signal.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "pool/pool_private.h"
#include "pool/usage.h"
#include "protocol/failure.h"

enum {
	POOL_DELAY_MS = 100, /* before the second try; doubled */
	POOL_DELAY_MAX_MS = 10000,
	POOL_HUNG_MS = 200,    /* between the end of a socket and that of its process */
	POOL_MAX_FORKING = 16, /* asked of the loader at a time: its socket holds that many */
};

uint64_t pool_now(const struct tf_pool *p)
{
	return tf_clock_ms(p->clock);
}

uint64_t pool_delay(unsigned failures)
{
	if (failures == 0)
		return 0;
	uint64_t ms = (uint64_t)POOL_DELAY_MS << (failures < 8 ? failures - 1 : 7);
	return ms < POOL_DELAY_MAX_MS ? ms : POOL_DELAY_MAX_MS;
}

void pool_enter(struct tf_pool *p)
{
	p->depth++;
}

void pool_leave(struct tf_pool *p)
{
	if (--p->depth > 0 || !p->deleted)
		return;
	free(p->slots);
	free(p->class_limits);
	free(p);
}

void pool_fail_orphans(struct tf_pool *p, const struct tf_err *err)
{
	while (!p->deleted && p->orphans) {
		struct pool_job *j = p->orphans;
		p->orphans = j->next;
		struct tf_value *failure = tf_failure_format(tf_types_worker_lost,
			"no slot is left to run task '%s' (%s): %s", j->name, j->cls, err->message);
		if (p->events.done)
			p->events.done(p->arg, j->id, true, failure);
		tf_value_unref(failure);
		pool_job_free(j);
	}
}

/* ready(err) or lost(err), once. */
void pool_give_up(struct tf_pool *p, const struct tf_err *err)
{
	if (p->over)
		return;
	p->over = true;
	pool_fail_orphans(p, err);
	if (p->deleted)
		return;
	if (!p->loaded) {
		if (p->events.ready)
			p->events.ready(p->arg, NULL, 0, err);
	} else if (p->events.lost) {
		p->events.lost(p->arg, err);
	}
}

/* ---- keeping the slots up ---- */

static bool slot_stays(const struct pool_slot *s)
{
	return s->state != POOL_SLOT_ABSENT && !s->dismissed && !pool_recycle_is_due(s);
}

bool pool_has_surplus(struct tf_pool *p)
{
	unsigned staying = 0;
	if (!p->shrinking)
		return false;
	for (unsigned i = 0; i < p->slot_count; i++)
		staying += slot_stays(&p->slots[i]);
	p->shrinking = staying > p->wanted;
	return p->shrinking;
}

void pool_fill(struct tf_pool *p)
{
	struct tf_err err;
	if (p->over || p->deleted || p->loader_state != POOL_LOADER_READY)
		return;
	uint64_t now = pool_now(p);
	unsigned forking = 0, staying = 0;
	for (unsigned i = 0; i < p->slot_count; i++) {
		forking += p->slots[i].state == POOL_SLOT_FORKING;
		staying += slot_stays(&p->slots[i]);
	}
	for (unsigned i = 0; i < p->slot_count && forking < POOL_MAX_FORKING; i++) {
		struct pool_slot *s = &p->slots[i];
		if (s->state != POOL_SLOT_ABSENT)
			continue;
		if (staying++ >= p->wanted)
			return;
		int rc = 0;
		if (now >= p->next_fork_ms)
			rc = pool_slot_fork(s, &err);
		forking++;
		if (rc < 0) {
			tf_warn("pool", "cannot start a slot: %s", err.message);
			p->bad_starts++;
			p->next_fork_ms = now + pool_delay(p->bad_starts);
		}
		if (now < p->next_fork_ms) {
			tf_timer_start(p->timer, p->next_fork_ms - now, 0);
			return;
		}
	}
}

static void pool_on_timer(void *arg)
{
	struct tf_pool *p = arg;
	struct tf_err err;
	pool_enter(p);
	if (p->loader_pid == 0 && !p->over && pool_loader_start(p, &err) < 0)
		pool_loader_failed(p, &err, true);
	if (!p->deleted)
		pool_fill(p);
	if (!p->deleted)
		pool_tell_free(p);
	pool_leave(p);
}

static void pool_reap(struct tf_pool *p)
{
	for (unsigned i = 0; i < p->slot_count && !p->deleted; i++)
		pool_slot_reap(&p->slots[i]);
	if (!p->deleted)
		pool_loader_reap(p);
}

uint64_t pool_hung(struct tf_pool *p)
{
	uint64_t now = pool_now(p);
	if (!tf_timer_active(p->hung_timer))
		tf_timer_start(p->hung_timer, POOL_HUNG_MS, 0);
	return now ? now : 1;
}

static void pool_on_hung(void *arg)
{
	struct tf_pool *p = arg;
	pool_enter(p);
	pool_reap(p); /* SIGCHLD may have gone astray: scripts can change what a signal does */
	uint64_t limit = pool_now(p) - POOL_HUNG_MS;
	bool more = !p->deleted && p->loader_hung_ms > 0;
	if (more && p->loader_hung_ms <= limit && p->loader_pid > 0)
		kill(p->loader_pid, SIGKILL);
	for (unsigned i = 0; i < p->slot_count && !p->deleted; i++)
		more |= pool_slot_check_hung(&p->slots[i], limit);
	if (more && !p->deleted)
		tf_timer_start(p->hung_timer, POOL_HUNG_MS, 0);
	pool_leave(p);
}

static void pool_on_chld(void *arg, int signo)
{
	struct tf_pool *p = arg;
	(void)signo;
	pool_enter(p);
	pool_reap(p);
	pool_leave(p);
}

/* ---- interface ---- */

/* For the slots, and for successors of all. */
static unsigned pool_places(const struct tf_pool *p)
{
	return p->config.max_tasks || p->config.max_growth ? 2 * p->config.slots : p->config.slots;
}

int tf_pool_new(struct tf_loop *loop, const struct tf_pool_config *config,
	const struct tf_pool_events *events, void *arg, struct tf_pool **out, struct tf_err *err)
{
	if (config->slots < 1 || config->slots > TF_POOL_MAX_SLOTS)
		return tf_err_set(
			err, TF_EINVAL, "slots: %u is not in 1..%d", config->slots, TF_POOL_MAX_SLOTS);
	if (!config->loader_argv && !config->runner)
		return tf_err_set(err, TF_EINVAL, "a pool needs the arguments of a loader, or a runner");
	struct tf_pool *p = TF_NEW(struct tf_pool);
	p->loop = loop;
	p->config = *config;
	if (p->config.max_frame == 0)
		p->config.max_frame = TF_MAX_FRAME;
	p->events = *events;
	p->arg = arg;
	p->clock = tf_loop_clock(loop);
	p->loader_fd = -1;
	p->starved = true;
	p->wanted = config->idle_start ? 0 : config->slots;
	p->oom = tf_oom_new();
	p->slot_count = pool_places(p);
	/* Room for the most there can be: pages that are not touched cost nothing. */
	p->slots = tf_calloc(2 * TF_POOL_MAX_SLOTS, sizeof(*p->slots));
	for (unsigned i = 0; i < p->slot_count; i++)
		pool_slot_init(&p->slots[i], p);
	int rc = pool_loader_start(p, err);
	if (rc < 0) {
		tf_oom_delete(p->oom);
		free(p->slots);
		free(p);
		return rc;
	}
	p->timer = tf_timer_new(loop, pool_on_timer, p);
	p->hung_timer = tf_timer_new(loop, pool_on_hung, p);
	p->limits = tf_timer_new(loop, pool_on_limits, p);
	p->tick = tf_timer_new(loop, pool_on_tick, p);
	p->chld = tf_signal_new(loop, SIGCHLD, pool_on_chld, p);
	*out = p;
	return 0;
}

/* An idle slot; else the one with the fewest requests of those that may have more; NULL. */
static struct pool_slot *pool_choose(struct tf_pool *p)
{
	struct pool_slot *best = NULL;
	for (unsigned i = 0; i < p->slot_count; i++) {
		struct pool_slot *s = &p->slots[i];
		if (s->state == POOL_SLOT_IDLE)
			return s;
		if (!p->idle && pool_slot_has_room(s) && (!best || s->jobs < best->jobs))
			best = s;
	}
	return best;
}

int tf_pool_submit(struct tf_pool *p, uint64_t job, const struct tf_request *r, struct tf_err *err)
{
	if (p->over)
		return tf_err_set(err, TF_ESTATE, "the pool has no loader any more");
	struct pool_slot *s = p->orphans ? NULL : pool_choose(p);
	if (!s) {
		p->starved = true;
		return tf_err_set(err, TF_EAGAIN, "no slot is free");
	}
	struct pool_job *j = TF_NEW(struct pool_job);
	int rc = tf_frame_put_request(&j->frame, p->config.max_frame, job, r, err);
	if (rc < 0) {
		tf_err_prefix(err, "the request for task '%.100s' is too large", r->task_name);
		pool_job_free(j);
		return rc;
	}
	j->id = job;
	j->order = ++p->next_order;
	j->attempts = 1;
	j->name = tf_strdup(r->task_name);
	j->cls = tf_strdup(r->task_cls);
	j->flow = tf_strdup(r->flow);
	j->uuid = tf_strdup(r->uuid);
	pool_slot_run(s, j);
	if (p->idle == 0)
		p->starved = true;
	return 0;
}

void tf_pool_want(struct tf_pool *p, unsigned slots)
{
	p->shrinking = true; /* or not: pool_has_surplus */
	p->wanted = slots < TF_POOL_MAX_SLOTS ? slots : TF_POOL_MAX_SLOTS;
	if (p->config.slots < p->wanted)
		p->config.slots = p->wanted;
	for (; p->slot_count < pool_places(p); p->slot_count++)
		pool_slot_init(&p->slots[p->slot_count], p);
	pool_enter(p);
	for (unsigned i = 0; i < p->slot_count && pool_has_surplus(p); i++) {
		if (p->slots[i].state == POOL_SLOT_STANDBY)
			pool_slot_dismiss(&p->slots[i]);
	}
	for (unsigned i = 0; i < p->slot_count && pool_has_surplus(p); i++) {
		if (p->slots[i].state == POOL_SLOT_IDLE)
			pool_slot_dismiss(&p->slots[i]);
	}
	if (p->idle == 0)
		p->starved = true;
	pool_recycle_promote(p);
	pool_fill(p);
	if (p->idle > 0 && p->starved)
		tf_timer_start(p->timer, 0, 0); /* nobody is called from inside a call */
	pool_leave(p);
}

void tf_pool_take_back(struct tf_pool *p)
{
	pool_enter(p);
	for (unsigned i = 0; i < p->slot_count; i++) {
		if (p->slots[i].state == POOL_SLOT_BUSY)
			pool_slot_take_back(&p->slots[i]);
	}
	pool_return_orphans(p);
	pool_leave(p);
}

/* The job that waits for a slot, taken out; NULL. */
static struct pool_job *pool_take_orphan(struct tf_pool *p, uint64_t job)
{
	struct pool_job **at = &p->orphans;
	while (*at && (*at)->id != job)
		at = &(*at)->next;
	struct pool_job *j = *at;
	if (j)
		*at = j->next;
	return j;
}

static struct pool_slot *pool_slot_of(struct tf_pool *p, uint64_t job, struct pool_job **found)
{
	for (unsigned i = 0; i < p->slot_count; i++) {
		for (struct pool_job *j = p->slots[i].job; j; j = j->next) {
			if (j->id != job)
				continue;
			*found = j;
			return &p->slots[i];
		}
	}
	return NULL;
}

/* It never began. */
static void pool_tell_stopped(
	struct tf_pool *p, struct pool_job *j, const char *const *types, const char *why)
{
	struct tf_value *failure = tf_failure_format(types, "%s", why);
	if (p->events.done)
		p->events.done(p->arg, j->id, true, failure);
	tf_value_unref(failure);
	pool_job_free(j);
}

bool tf_pool_stop_job(struct tf_pool *p, uint64_t job, const char *const *types, const char *why)
{
	struct pool_job *found = NULL, *waits = pool_take_orphan(p, job);
	struct pool_slot *s = waits ? NULL : pool_slot_of(p, job, &found);
	if (!waits && !s)
		return false;
	pool_enter(p);
	if (s)
		waits = pool_slot_retrieve(s, job);
	if (waits) {
		pool_tell_stopped(p, waits, types, why);
	} else if (!p->deleted && !found->stop_types) {
		found->stop_types = types;
		found->stop_why = tf_strdup(why);
		if (found == s->job)
			pool_slot_stop(s); /* else when it is the first: pool_on_tick */
	}
	pool_leave(p);
	return true;
}

unsigned tf_pool_live_slots(const struct tf_pool *p)
{
	unsigned n = 0;
	for (unsigned i = 0; i < p->slot_count; i++)
		n += p->slots[i].state != POOL_SLOT_ABSENT;
	return n;
}

pid_t tf_pool_loader_pid(const struct tf_pool *p)
{
	return p->loader_pid;
}

const struct tf_buf *tf_pool_files(const struct tf_pool *p)
{
	return &p->files;
}

const char *tf_pool_hash(const struct tf_pool *p)
{
	return p->hash;
}

const struct tf_class_limits *tf_pool_class_limits(const struct tf_pool *p)
{
	return p->class_limits;
}

unsigned tf_pool_free_slots(const struct tf_pool *p)
{
	return p->over ? 0 : p->idle;
}

unsigned tf_pool_busy_slots(const struct tf_pool *p)
{
	unsigned n = 0;
	for (unsigned i = 0; i < p->slot_count; i++)
		n += p->slots[i].job != NULL;
	for (const struct pool_job *j = p->orphans; j; j = j->next)
		n++;
	return n;
}

pid_t tf_pool_job_pid(const struct tf_pool *p, uint64_t job)
{
	for (unsigned i = 0; i < p->slot_count; i++) {
		if (p->slots[i].job && p->slots[i].job->id == job)
			return p->slots[i].pid;
	}
	return 0;
}

static struct tf_slot_info slot_info(const struct pool_slot *s)
{
	static const char *const states[] = {
		[POOL_SLOT_FORKING] = "forking",
		[POOL_SLOT_STARTING] = "starting",
		[POOL_SLOT_STANDBY] = "standby",
		[POOL_SLOT_IDLE] = "idle",
		[POOL_SLOT_BUSY] = "busy",
		[POOL_SLOT_ENDING] = "ending",
	};
	struct tf_slot_info info = {.pid = s->pid, .state = states[s->state]};
	if (!s->job)
		return info;
	info.job = s->job->id;
	info.task_cls = s->job->cls;
	info.ahead = s->jobs - 1;
	if (s->job->cpu_ns)
		info.cpu_ns = tf_usage_cpu_ns(s->pid) - s->job->cpu_ns;
	return info;
}

void tf_pool_each_slot(const struct tf_pool *p, tf_slot_visit *visit, void *arg)
{
	for (unsigned i = 0; i < p->slot_count; i++) {
		if (p->slots[i].state == POOL_SLOT_ABSENT)
			continue;
		const struct tf_slot_info info = slot_info(&p->slots[i]);
		visit(arg, &info);
	}
}

void tf_pool_delete(struct tf_pool *p)
{
	if (!p || p->deleted)
		return;
	pool_enter(p);
	p->deleted = true;
	pool_loader_end(p);
	for (unsigned i = 0; i < p->slot_count; i++)
		pool_slot_kill(&p->slots[i]); /* all at once, then wait */
	for (unsigned i = 0; i < p->slot_count; i++)
		pool_slot_end(&p->slots[i]);
	while (p->orphans) {
		struct pool_job *j = p->orphans;
		p->orphans = j->next;
		pool_job_free(j);
	}
	tf_buf_free(&p->files);
	tf_oom_delete(p->oom);
	tf_timer_delete(p->timer);
	tf_timer_delete(p->hung_timer);
	tf_timer_delete(p->limits);
	tf_timer_delete(p->tick);
	tf_signal_delete(p->chld);
	pool_leave(p);
}
