/* The requests of an engine that have no outcome yet, and the state each is in (PROTOCOL.md 5.2).
 *
 * Pure bookkeeping: nothing here sends, completes or knows the time. All changes of state go through
 * tf_inflight_move, which refuses what the state machine does not allow; so an outcome is recorded
 * once. Every operation costs the same however many requests there are, except the visits of all.
 */
#ifndef TF_WBE_INFLIGHT_H
#define TF_WBE_INFLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "engine/executor.h"
#include "protocol/message.h"
#include "protocol/state.h"
#include "wbe/supervision.h"

/* Lists that a request can be in because something is due for it; at most one at a time. */
enum tf_flight_queue {
	TF_QUEUE_NONE,
	TF_QUEUE_WAITING,
	TF_QUEUE_PENDING_AGAIN,
	TF_QUEUE_RUNNING_AGAIN,
	TF_QUEUE_SEARCHING,  /* WAITING: until it can be asked who may have it */
	TF_QUEUE_ASKING,     /* WAITING: until the worker that may run it already says that it is there */
	TF_QUEUE_UNREADABLE, /* PENDING or RUNNING: its outcome came, but cannot be read */
	TF_QUEUE_COUNT
};

/* How many requests are PENDING on a topic; the caller's. */
struct tf_lane {
	unsigned pending;
	uint64_t heard_at; /* when any of its workers answered last; 0: never, or they were asked since */
	unsigned gone;     /* how often its queue was gone */
	int64_t passed;    /* number of the last question that has come through the topic's queue */
	bool mixed;        /* a worker of another kind has answered */
	uint64_t busy_at;  /* when one of the topic's workers had no free slot, or took one; 0: never */
};

struct tf_flight {
	unsigned atom;
	int64_t round;
	char *uuid;                /* owned; correlation id */
	struct tf_request request; /* owned: strings copied, values referenced */
	enum tf_request_state state;
	uint64_t since;  /* of submission, of the loss of its worker, or of its renewal; the caller's time */
	uint16_t worker; /* who ran it, for people, as in tf_completion */
	bool given;      /* who was asked for it answered that it had gone back to the queue */
	uint64_t came_us, begun_us; /* of tf_clock_us; the latter 0: not known to have begun */
	uint64_t queue_ms; /* how long it may be WAITING and PENDING, whatever the reason; 0: no such limit */
	uint64_t begin_by; /* the caller's time; when that is over, if it has such a limit */
	int priority;      /* at a worker */
	unsigned attempts; /* runs allowed, 0: the caller's default */
	unsigned losses;   /* workers that were lost with it */
	char *loss;        /* owned or NULL; the story of the last one */
	int64_t dispatch;  /* number of sendings */
	char *topic;       /* owned; where it was last sent, NULL: nowhere yet */
	struct tf_lane
		*lane;    /* borrowed; of its topic, while PENDING; the caller sets it, and counts it up */
	uint64_t publish; /* id of the last sending, 0 when its outcome is known */
	struct tf_watch watch; /* the tfhost worker that runs it, or that alone was asked to */
	uint64_t again_at;     /* in an again queue: when to send it again, or to give up waiting */
	char *performer;       /* owned or NULL; worker that may run it for an earlier engine; "": any may */
	char *holder;          /* owned or NULL; worker that said last that it has it waiting */
	unsigned gone;         /* of its lane, when it was asked for */
	int64_t asked;         /* number of that question */
	int64_t check; /* number of the first check that was sent after it, as the next for vanished.c */
	uint64_t sure_at,
		missed_at; /* when it was sent or claimed last; when nobody claimed it first, since then */
	unsigned misses;   /* times that it was asked for since then */
	char *unreadable;  /* owned or NULL; what is wrong with its outcome */
	enum tf_flight_queue queue;
	struct tf_waiting *waiting; /* in TF_QUEUE_WAITING */
	TAILQ_ENTRY(tf_flight) all, timed, queued;
};
TAILQ_HEAD(tf_flights, tf_flight);

/* The WAITING requests of one class. */
struct tf_waiting {
	TAILQ_ENTRY(tf_waiting) link;
	char *task_cls; /* owned */
	struct tf_flights flights;
};

struct tf_inflight;

struct tf_inflight *tf_inflight_new(void);
void tf_inflight_delete(struct tf_inflight *t); /* empty by then */
size_t tf_inflight_count(const struct tf_inflight *t);

/* New request in WAITING. NULL if one of this uuid is in flight. Not freed by the table: a final
 * move takes it out, then tf_flight_delete. */
struct tf_flight *tf_inflight_add(struct tf_inflight *t, const struct tf_work *w, uint64_t now);
void tf_flight_delete(struct tf_flight *f);
struct tf_flight *tf_inflight_find(const struct tf_inflight *t, const char *uuid);
/* Change the state; false (and nothing happens) if it is not allowed from the present one. A
 * request that becomes PENDING leaves the waiting list, one that leaves PENDING has no timer any
 * more and is not counted in its lane, a final one is forgotten. */
bool tf_inflight_move(struct tf_inflight *t, struct tf_flight *f, enum tf_request_state to);
/* A RUNNING or PENDING request whose worker is lost is WAITING again, timed from `now` (no earlier than any time before). */
void tf_inflight_wait_again(struct tf_inflight *t, struct tf_flight *f, uint64_t now);

/* The request whose last sending has this id; settles the id. NULL: it has moved on. */
struct tf_flight *tf_inflight_published(struct tf_inflight *t, uint64_t id);
/* A new id for sending `f`. */
uint64_t tf_inflight_publish(struct tf_inflight *t, struct tf_flight *f);

/* A WAITING or PENDING request is timed from `now` (no earlier than any time before). */
void tf_inflight_renew(struct tf_inflight *t, struct tf_flight *f, uint64_t now);
/* The longest WAITING or PENDING; NULL if none. */
struct tf_flight *tf_inflight_oldest(const struct tf_inflight *t);
/* Classes with WAITING requests: first, then next of one. */
struct tf_waiting *tf_inflight_waiting(const struct tf_inflight *t);
/* Any request; NULL if none. */
struct tf_flight *tf_inflight_first(const struct tf_inflight *t);
/* Walk all: next of first. */
static inline struct tf_flight *tf_inflight_next(const struct tf_flight *f)
{
	return TAILQ_NEXT(f, all);
}

/* Enter one of the queues with a time (leaving any other); each is first in, first out. */
void tf_inflight_again(struct tf_inflight *t, struct tf_flight *f, enum tf_flight_queue queue, uint64_t at);
/* The head of an again queue, NULL if empty. */
struct tf_flight *tf_inflight_next_again(const struct tf_inflight *t, enum tf_flight_queue queue);
/* Its end. */
struct tf_flight *tf_inflight_last_again(const struct tf_inflight *t, enum tf_flight_queue queue);
/* A WAITING request that was in another queue waits for any worker of its class again. */
void tf_inflight_wait(struct tf_inflight *t, struct tf_flight *f);
/* Leave the queue it is in. */
void tf_inflight_dequeue(struct tf_inflight *t, struct tf_flight *f);

#endif
