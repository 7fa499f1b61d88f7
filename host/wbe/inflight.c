#include "wbe/inflight.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"

struct tf_inflight {
	struct tf_map *by_uuid;
	struct tf_map *by_publish; /* id in hex -> flight */
	struct tf_map *by_class;   /* task_cls -> struct tf_waiting */
	TAILQ_HEAD(, tf_waiting) waiting;
	struct tf_flights all;
	struct tf_flights timed; /* WAITING and PENDING, in order of submission */
	struct tf_flights again[TF_QUEUE_COUNT];
	uint64_t last_id;
};

struct tf_inflight *tf_inflight_new(void)
{
	struct tf_inflight *t = TF_NEW(struct tf_inflight);
	t->by_uuid = tf_map_new();
	t->by_publish = tf_map_new();
	t->by_class = tf_map_new();
	TAILQ_INIT(&t->waiting);
	TAILQ_INIT(&t->all);
	TAILQ_INIT(&t->timed);
	for (size_t i = 0; i < sizeof(t->again) / sizeof(t->again[0]); i++)
		TAILQ_INIT(&t->again[i]);
	return t;
}

void tf_inflight_delete(struct tf_inflight *t)
{
	if (!t)
		return;
	TF_ASSERT(TAILQ_EMPTY(&t->all) && TAILQ_EMPTY(&t->waiting) && tf_map_count(t->by_publish) == 0);
	tf_map_delete(t->by_uuid, NULL);
	tf_map_delete(t->by_publish, NULL);
	tf_map_delete(t->by_class, NULL);
	free(t);
}

size_t tf_inflight_count(const struct tf_inflight *t)
{
	return tf_map_count(t->by_uuid);
}

static void wait_for_class(struct tf_inflight *t, struct tf_flight *f)
{
	struct tf_waiting *w = tf_map_get(t->by_class, f->request.task_cls);
	if (!w) {
		w = TF_NEW(struct tf_waiting);
		w->task_cls = tf_strdup(f->request.task_cls);
		TAILQ_INIT(&w->flights);
		TAILQ_INSERT_TAIL(&t->waiting, w, link);
		tf_map_set(t->by_class, w->task_cls, w);
	}
	struct tf_flight *before = TAILQ_LAST(&w->flights, tf_flights);
	while (before && before->priority < f->priority)
		before = TAILQ_PREV(before, tf_flights, queued);
	if (before)
		TAILQ_INSERT_AFTER(&w->flights, before, f, queued);
	else
		TAILQ_INSERT_HEAD(&w->flights, f, queued);
	f->waiting = w;
	f->queue = TF_QUEUE_WAITING;
}

static void stop_waiting(struct tf_inflight *t, struct tf_flight *f)
{
	struct tf_waiting *w = f->waiting;
	f->waiting = NULL;
	TAILQ_REMOVE(&w->flights, f, queued);
	if (!TAILQ_EMPTY(&w->flights))
		return;
	TAILQ_REMOVE(&t->waiting, w, link);
	tf_map_remove(t->by_class, w->task_cls);
	free(w->task_cls);
	free(w);
}

void tf_inflight_dequeue(struct tf_inflight *t, struct tf_flight *f)
{
	if (f->queue == TF_QUEUE_WAITING)
		stop_waiting(t, f);
	else if (f->queue != TF_QUEUE_NONE)
		TAILQ_REMOVE(&t->again[f->queue], f, queued);
	f->queue = TF_QUEUE_NONE;
}

void tf_inflight_wait(struct tf_inflight *t, struct tf_flight *f)
{
	TF_ASSERT(f->state == TF_REQUEST_WAITING);
	tf_inflight_dequeue(t, f);
	wait_for_class(t, f);
}

struct tf_flight *tf_inflight_add(struct tf_inflight *t, const struct tf_work *w, uint64_t now)
{
	if (tf_map_get(t->by_uuid, w->uuid))
		return NULL;
	struct tf_flight *f = TF_NEW(struct tf_flight);
	f->atom = w->atom;
	f->round = w->round;
	f->uuid = tf_strdup(w->uuid);
	f->since = now;
	f->attempts = w->attempts;
	f->priority = w->priority;
	f->queue_ms = w->queue_ms;
	f->begin_by = now + w->queue_ms;
	f->state = TF_REQUEST_WAITING;
	f->performer = w->performer ? tf_strdup(w->performer) : NULL;
	f->request = (struct tf_request){
		.task_cls = tf_strdup(w->task_cls),
		.task_name = tf_strdup(w->name),
		.task_version = tf_value_ref(w->task_version),
		.action = w->action,
		.arguments = tf_value_ref(w->arguments),
		.has_result = w->action == TF_REVERT,
		.result_failed = w->result_failed,
		.result = tf_value_ref(w->result),
		.failures = tf_value_ref(w->failures),
		.limits = tf_work_limits(w),
	};
	tf_map_set(t->by_uuid, f->uuid, f);
	TAILQ_INSERT_TAIL(&t->all, f, all);
	TAILQ_INSERT_TAIL(&t->timed, f, timed);
	wait_for_class(t, f);
	return f;
}

void tf_flight_delete(struct tf_flight *f)
{
	TF_ASSERT(tf_request_final(f->state) && !f->watch.worker);
	tf_request_free(&f->request);
	free(f->uuid);
	free(f->topic);
	free(f->unreadable);
	free(f->performer);
	free(f->holder);
	free(f->loss);
	free(f);
}

struct tf_flight *tf_inflight_find(const struct tf_inflight *t, const char *uuid)
{
	return tf_map_get(t->by_uuid, uuid);
}

static bool is_timed(enum tf_request_state s)
{
	return s == TF_REQUEST_WAITING || s == TF_REQUEST_PENDING;
}

#define ID_TEXT 17 /* 16 hex digits and NUL */

static const char *id_text(uint64_t id, char out[ID_TEXT])
{
	snprintf(out, ID_TEXT, "%" PRIx64, id);
	return out;
}

static void settle_id(struct tf_inflight *t, struct tf_flight *f)
{
	char key[ID_TEXT];
	if (f->publish)
		tf_map_remove(t->by_publish, id_text(f->publish, key));
	f->publish = 0;
}

bool tf_inflight_move(struct tf_inflight *t, struct tf_flight *f, enum tf_request_state to)
{
	if (!tf_request_may(f->state, to))
		return false;
	if (is_timed(f->state) && !is_timed(to))
		TAILQ_REMOVE(&t->timed, f, timed);
	tf_inflight_dequeue(t, f);
	if (f->lane)
		f->lane->pending--;
	f->lane = NULL;
	f->state = to;
	if (tf_request_final(to)) {
		settle_id(t, f);
		TAILQ_REMOVE(&t->all, f, all);
		tf_map_remove(t->by_uuid, f->uuid);
	}
	return true;
}

void tf_inflight_wait_again(struct tf_inflight *t, struct tf_flight *f, uint64_t now)
{
	if (f->state == TF_REQUEST_PENDING)
		TAILQ_REMOVE(&t->timed, f, timed);
	TF_ASSERT(tf_inflight_move(t, f, TF_REQUEST_WAITING));
	settle_id(t, f); /* what becomes of that sending does not matter any more */
	free(f->unreadable);
	f->unreadable = NULL;
	f->begin_by = now + f->queue_ms;
	f->since = now;
	TAILQ_INSERT_TAIL(&t->timed, f, timed);
	wait_for_class(t, f);
}

void tf_inflight_renew(struct tf_inflight *t, struct tf_flight *f, uint64_t now)
{
	TF_ASSERT(f->state == TF_REQUEST_WAITING || f->state == TF_REQUEST_PENDING);
	f->since = now;
	TAILQ_REMOVE(&t->timed, f, timed);
	TAILQ_INSERT_TAIL(&t->timed, f, timed);
}

uint64_t tf_inflight_publish(struct tf_inflight *t, struct tf_flight *f)
{
	char key[ID_TEXT];
	settle_id(t, f);
	f->publish = ++t->last_id;
	tf_map_set(t->by_publish, id_text(f->publish, key), f);
	return f->publish;
}

struct tf_flight *tf_inflight_published(struct tf_inflight *t, uint64_t id)
{
	char key[ID_TEXT];
	struct tf_flight *f = tf_map_get(t->by_publish, id_text(id, key));
	if (f)
		settle_id(t, f);
	return f;
}

struct tf_flight *tf_inflight_oldest(const struct tf_inflight *t)
{
	return TAILQ_FIRST(&t->timed);
}

struct tf_waiting *tf_inflight_waiting(const struct tf_inflight *t)
{
	return TAILQ_FIRST(&t->waiting);
}

struct tf_flight *tf_inflight_first(const struct tf_inflight *t)
{
	return TAILQ_FIRST(&t->all);
}

void tf_inflight_again(struct tf_inflight *t, struct tf_flight *f, enum tf_flight_queue queue, uint64_t at)
{
	TF_ASSERT(queue >= TF_QUEUE_PENDING_AGAIN && queue < TF_QUEUE_COUNT);
	static const enum tf_request_state allowed[] = {
		[TF_QUEUE_PENDING_AGAIN] = TF_REQUEST_PENDING,
		[TF_QUEUE_RUNNING_AGAIN] = TF_REQUEST_RUNNING,
		[TF_QUEUE_SEARCHING] = TF_REQUEST_WAITING,
		[TF_QUEUE_ASKING] = TF_REQUEST_WAITING,
	};
	if (queue == TF_QUEUE_UNREADABLE)
		TF_ASSERT(f->state == TF_REQUEST_PENDING || f->state == TF_REQUEST_RUNNING);
	else
		TF_ASSERT(f->state == allowed[queue]);
	tf_inflight_dequeue(t, f);
	f->queue = queue;
	f->again_at = at;
	TAILQ_INSERT_TAIL(&t->again[queue], f, queued);
}

struct tf_flight *tf_inflight_next_again(const struct tf_inflight *t, enum tf_flight_queue queue)
{
	return TAILQ_FIRST(&t->again[queue]);
}

struct tf_flight *tf_inflight_last_again(const struct tf_inflight *t, enum tf_flight_queue queue)
{
	return TAILQ_LAST(&t->again[queue], tf_flights);
}
