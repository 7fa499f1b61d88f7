/* Engines learn what a worker serves by asking, every few seconds; those that asked lately are told at once when that
 * changes. To them it is an answer: Python's finder takes those unasked as well (PROTOCOL.md 8). */
#include <stdlib.h>

#include "base/mem.h"
#include "wbe/service.h"

/* Engines ask every 5 s; who has not for so long is gone. */
#define AUDIENCE_MS 16000
#define AUDIENCE_MAX 200
/* Told in one turn: requests must not wait for that. */
#define AUDIENCE_STEP 4

void tf_audience_create(struct tf_server *s)
{
	TAILQ_INIT(&s->audience);
	s->audience_by_topic = tf_map_new();
}

static void forget(struct tf_server *s, struct tf_listener *l)
{
	TAILQ_REMOVE(&s->audience, l, link);
	tf_map_remove(s->audience_by_topic, l->reply_to);
	s->audience_count--;
	free(l->reply_to);
	free(l);
}

void tf_audience_destroy(struct tf_server *s)
{
	struct tf_listener *l;
	while (s->audience_by_topic && (l = TAILQ_FIRST(&s->audience)) != NULL)
		forget(s, l);
	tf_map_delete(s->audience_by_topic, NULL);
}

void tf_audience_heard(struct tf_server *s, const char *reply_to, bool tfhost)
{
	struct tf_listener *l = tf_map_get(s->audience_by_topic, reply_to);
	if (l) {
		TAILQ_REMOVE(&s->audience, l, link);
	} else {
		if (s->audience_count == AUDIENCE_MAX)
			forget(s, TAILQ_FIRST(&s->audience));
		l = TF_NEW(struct tf_listener);
		l->reply_to = tf_strdup(reply_to);
		tf_map_set(s->audience_by_topic, reply_to, l);
		s->audience_count++;
	}
	l->tfhost = l->tfhost || tfhost;
	l->asked_at = tf_pace_ms(&s->pace);
	TAILQ_INSERT_TAIL(&s->audience, l, link);
}

void tf_audience_announce(struct tf_server *s)
{
	struct tf_listener *l;
	uint64_t now = tf_pace_ms(&s->pace);
	while ((l = TAILQ_FIRST(&s->audience)) != NULL && now - l->asked_at > AUDIENCE_MS)
		forget(s, l);
	TAILQ_FOREACH(l, &s->audience, link)
	l->owed = true;
	s->announcing = true;
	tf_service_arm(s, 0);
}

void tf_audience_step(struct tf_server *s)
{
	struct tf_listener *l;
	unsigned said = 0;
	if (!s->announcing)
		return;
	TAILQ_FOREACH_REVERSE(l, &s->audience, tf_audience, link)
	{
		if (!l->owed)
			continue;
		if (said++ == AUDIENCE_STEP) {
			tf_service_arm(s, 1);
			return;
		}
		l->owed = false;
		tf_reply_notify(s, l->reply_to, l->tfhost, -1);
	}
	s->announcing = false;
}
