/* Who can run what: the workers known from their NOTIFY answers (PROTOCOL.md 5.1, 5.3).
 * Pure: the clock is handed in. Taking an answer costs by the names in it, picking costs nothing,
 * however many workers there are. */
#ifndef TF_WBE_FINDER_H
#define TF_WBE_FINDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "protocol/message.h"

/* Anybody can send answers: what is remembered of them is bounded. */
#define TF_FINDER_MAX_TOPICS 65536
#define TF_FINDER_MAX_OFFERS 2000000 /* class names of all topics together */

struct tf_finder;

/* expiry_ms 0: workers never expire. */
struct tf_finder *tf_finder_new(const struct tf_clock *clock, uint64_t expiry_ms);
void tf_finder_delete(struct tf_finder *f);
/* Take an answer. True if it told something new (an unknown topic, another set of tasks). An answer
 * beyond the limits is not taken: false. */
bool tf_finder_answer(struct tf_finder *f, const struct tf_notify *n);
/* Forget workers not heard of for expiry_ms; returns how many. Cheap when none is due. */
size_t tf_finder_expire(struct tf_finder *f);
/* Forget this topic until an answer of it comes again. */
void tf_finder_forget(struct tf_finder *f, const char *topic);
/* When the next worker will be due, by the clock handed in; UINT64_MAX if none ever. */
uint64_t tf_finder_due(const struct tf_finder *f);
/* Topic of a worker that runs `task_cls`, chosen uniformly at random; NULL if none. Borrowed until
 * the next change. */
const char *tf_finder_pick(const struct tf_finder *f, const char *task_cls);
/* Whether the topic's worker runs `task_cls`. */
bool tf_finder_offers(const struct tf_finder *f, const char *topic, const char *task_cls);
size_t tf_finder_count(const struct tf_finder *f); /* topics known */

#endif
