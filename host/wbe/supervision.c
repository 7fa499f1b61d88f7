#include "wbe/supervision.h"

#include <string.h>

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"

struct tf_supervision {
	const struct tf_pace *pace; /* borrowed */
	uint64_t silence_ms;
	uint64_t not_before;    /* paced: nobody is judged before */
	struct tf_map *workers; /* uuid -> struct tf_watched */
	TAILQ_HEAD(, tf_watched) by_silence;
};

struct tf_supervision *tf_supervision_new(const struct tf_pace *pace, uint64_t silence_ms)
{
	struct tf_supervision *s = TF_NEW(struct tf_supervision);
	s->pace = pace;
	s->silence_ms = silence_ms;
	s->workers = tf_map_new();
	TAILQ_INIT(&s->by_silence);
	return s;
}

void tf_supervision_delete(struct tf_supervision *s)
{
	if (!s)
		return;
	TF_ASSERT(TAILQ_EMPTY(&s->by_silence));
	tf_map_delete(s->workers, NULL);
	free(s);
}

static void refresh(struct tf_supervision *s, struct tf_watched *w)
{
	w->heard = tf_pace_ms(s->pace);
	TAILQ_REMOVE(&s->by_silence, w, link);
	TAILQ_INSERT_TAIL(&s->by_silence, w, link);
}

void tf_supervision_heard(struct tf_supervision *s, const struct tf_peer *peer)
{
	struct tf_watched *w = tf_map_get(s->workers, peer->worker);
	if (w)
		refresh(s, w);
}

void tf_supervision_watch(struct tf_supervision *s, struct tf_watch *watch, const struct tf_peer *peer)
{
	TF_ASSERT(peer->worker[0]);
	struct tf_watched *w = tf_map_get(s->workers, peer->worker);
	if (!w) {
		w = TF_NEW(struct tf_watched);
		TAILQ_INIT(&w->watches);
		TAILQ_INSERT_TAIL(&s->by_silence, w, link);
		tf_map_set(s->workers, peer->worker, w);
	}
	w->peer = *peer;
	refresh(s, w);
	if (watch->worker == w)
		return;
	tf_supervision_unwatch(s, watch);
	watch->worker = w;
	TAILQ_INSERT_TAIL(&w->watches, watch, link);
}

void tf_supervision_unwatch(struct tf_supervision *s, struct tf_watch *watch)
{
	struct tf_watched *w = watch->worker;
	if (!w)
		return;
	watch->worker = NULL;
	TAILQ_REMOVE(&w->watches, watch, link);
	if (!TAILQ_EMPTY(&w->watches))
		return;
	TAILQ_REMOVE(&s->by_silence, w, link);
	tf_map_remove(s->workers, w->peer.worker);
	free(w);
}

void tf_supervision_grace(struct tf_supervision *s, uint64_t ms)
{
	uint64_t at = tf_pace_ms(s->pace) + ms;
	if (at > s->not_before)
		s->not_before = at;
}

struct tf_watched *tf_supervision_longest(const struct tf_supervision *s)
{
	return TAILQ_FIRST(&s->by_silence);
}

uint64_t tf_supervision_due(const struct tf_supervision *s)
{
	const struct tf_watched *w = TAILQ_FIRST(&s->by_silence);
	if (!w)
		return UINT64_MAX;
	uint64_t due = w->heard + s->silence_ms;
	return due > s->not_before ? due : s->not_before;
}

struct tf_watched *tf_supervision_silent(const struct tf_supervision *s)
{
	return tf_supervision_due(s) <= tf_pace_ms(s->pace) ? TAILQ_FIRST(&s->by_silence) : NULL;
}
