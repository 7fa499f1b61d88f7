/* What this worker promised to engines that do not watch over it, and what it inherits of workers of its topic, on this
 * machine, that were killed.
 *
 * A request that such an engine knows to be RUNNING must have an outcome some time. While it is unacknowledged its queue
 * gives it to another worker if this one dies; but a queue of the compat topology goes with its last reader, what is
 * unacknowledged too. So all are in the diary. Who finds the diary of a dead worker asks by the key under which that one had
 * bound the topic's queue whether the queue is still the one it was: if so, the request is in it, or with another worker;
 * if not, or if it was acknowledged because it ran long, it is ours. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "wbe/diary.h"
#include "wbe/service.h"

#define LOOK_MS 10000 /* between two looks for dead workers */

struct tf_inheritance {
	TAILQ_ENTRY(tf_inheritance) link;
	struct tf_orphan *orphan; /* owned */
	uint64_t question;        /* id of the publish that tells whether its queue is there */
};

/* ---- what we promise */

static bool is_promise(const struct tf_server *s, const struct tf_job *j)
{
	return s->diary && !j->peer.present && !j->entry;
}

static void complain(const struct tf_job *j, const struct tf_err *err)
{
	tf_warn("worker", "task '%s' would be lost if this worker died as the last one of its topic: %s",
		j->task_name, err->message);
}

void tf_promise_begin(struct tf_server *s, struct tf_job *j)
{
	struct tf_err err;
	struct tf_buf body = TF_BUF_INIT;
	if (!is_promise(s, j))
		return;
	tf_request_write(&j->request, &body);
	const struct tf_diary_entry e = {.reply_to = j->engine->reply_to,
		.correlation_id = j->correlation_id,
		.body = body.data,
		.body_len = body.len};
	if (tf_diary_take(s->diary, &e, &j->entry, &err) < 0) {
		j->entry = 0;
		complain(j, &err);
	}
	tf_buf_free(&body);
}

bool tf_promise_acknowledge(struct tf_server *s, struct tf_job *j)
{
	struct tf_err err;
	if (!j->entry)
		return false;
	if (tf_diary_acknowledge(s->diary, j->entry, &err) == 0)
		return true;
	complain(j, &err);
	return false;
}

void tf_promise_outcome(struct tf_server *s, struct tf_job *j)
{
	struct tf_err err;
	if (j->entry &&
		tf_diary_outcome(s->diary, j->entry, j->failed, j->final.data, j->final.len, &err) < 0)
		complain(j, &err);
}

void tf_promise_kept(struct tf_server *s, struct tf_job *j)
{
	if (j->entry)
		tf_diary_settle(s->diary, j->entry);
	j->entry = 0;
}

/* ---- what we inherit */

void tf_inherit_create(struct tf_server *s, const char *dir)
{
	TAILQ_INIT(&s->inheritances);
	if (!dir || !s->transport->ops->groups)
		return;
	s->diary = tf_diary_new(dir, s->self.worker);
	s->diary_dir = tf_strdup(dir);
}

static void forget(struct tf_server *s, struct tf_inheritance *i, bool settled)
{
	TAILQ_REMOVE(&s->inheritances, i, link);
	tf_orphan_delete(i->orphan, settled);
	free(i);
}

void tf_inherit_destroy(struct tf_server *s)
{
	struct tf_inheritance *i;
	while (s->diary && (i = TAILQ_FIRST(&s->inheritances)) != NULL)
		forget(s, i, false);
	tf_diary_delete(s->diary);
	free(s->diary_dir);
}

char *tf_inherit_key(const char *worker)
{
	return tf_asprintf("tfhost-worker.%s", worker);
}

/* Its file goes when all that is ours is in our own diary. */
static void take(struct tf_server *s, struct tf_inheritance *i, bool gone)
{
	const struct tf_orphan *o = i->orphan;
	size_t taken = 0;
	for (size_t n = 0; n < o->count; n++) {
		const struct tf_diary_entry *e = &o->entries[n];
		if (gone || e->acknowledged || e->final)
			taken += tf_service_inherit(s, e);
	}
	tf_info("worker", "worker %s died with %zu requests; %zu of them are gone on with here%s", o->owner,
		o->count, taken,
		taken < o->count ? ", the others are with their queue, or were taken before" : "");
	forget(s, i, true);
}

/* Is the queue of that worker there? The question goes to whoever reads it, as any probe, and is answered to us. */
static void ask(struct tf_server *s, struct tf_inheritance *i)
{
	char *key = tf_inherit_key(i->orphan->owner);
	const struct tf_message m = {.topic = key,
		.type = TF_TYPE_NOTIFY,
		.reply_to = s->self.worker,
		.body = "{}",
		.body_len = 2};
	i->question = ++s->last_id;
	if (tf_transport_publish(s->transport, &m, 0, i->question, NULL) < 0)
		forget(s, i, false); /* found again later */
	free(key);
}

void tf_inherit_look(struct tf_server *s)
{
	struct tf_orphan *o;
	uint64_t now = tf_clock_ms(&s->pace.clock);
	if (!s->diary || s->draining || !s->consuming || now < s->look_at)
		return;
	s->look_at = now + LOOK_MS;
	while ((o = tf_orphan_next(s->diary_dir)) != NULL) {
		bool ours = true;
		struct tf_inheritance *i = TF_NEW(struct tf_inheritance);
		i->orphan = o;
		TAILQ_INSERT_TAIL(&s->inheritances, i, link);
		for (size_t n = 0; n < o->count; n++)
			ours = ours && (o->entries[n].acknowledged || o->entries[n].final);
		if (ours)
			take(s, i, false);
		else
			ask(s, i);
	}
}

bool tf_inherit_published(struct tf_server *s, uint64_t id, enum tf_publish_status status)
{
	struct tf_inheritance *i;
	if (!s->diary)
		return false;
	TAILQ_FOREACH(i, &s->inheritances, link)
	{
		if (i->question != id)
			continue;
		if (status == TF_PUBLISH_FAILED)
			forget(s, i, false);
		else
			take(s, i, status == TF_RETURNED);
		return true;
	}
	return false;
}
