/* The broker inside the process, of memory.c: exchanges with their queues, and the turns in which it calls back. An
 * exchange lives as long as a transport uses it; a queue, from its declaration to its last consumer. */
#ifndef TF_TRANSPORT_MEMORY_HUB_H
#define TF_TRANSPORT_MEMORY_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/map.h"
#include "transport/tags.h"
#include "transport/transport.h"

struct tf_memory_parcel { /* one message */
	TAILQ_ENTRY(tf_memory_parcel) link;
	struct tf_message m;                 /* strings and body follow the struct */
	uint64_t seq;                        /* place in its queue */
	struct tf_memory_consumer *consumer; /* while unsettled */
	unsigned refs; /* a callback that settles must not pull the message from under itself */
	unsigned flags;
	uint64_t id;
};
TAILQ_HEAD(tf_memory_parcels, tf_memory_parcel);

struct tf_memory_queue {
	char *topic;                    /* owned */
	struct tf_memory_parcels again; /* requeued, in order of seq, all before `fresh` */
	struct tf_memory_parcels fresh;
	size_t count;
	uint64_t seq;
	TAILQ_HEAD(, tf_memory_consumer) consumers; /* the next to be served first */
	TAILQ_ENTRY(tf_memory_queue) ready_link;
	bool ready;
};

struct tf_memory_consumer {
	struct tf_memory *transport;
	struct tf_memory_queue *queue;
	unsigned prefetch, unsettled;
	TAILQ_ENTRY(tf_memory_consumer) queue_link, transport_link;
};

struct tf_memory_notice { /* a callback to make */
	TAILQ_ENTRY(tf_memory_notice) link;
	struct tf_memory *transport;
	bool is_state, up;
	uint64_t id;
	enum tf_publish_status status;
	struct tf_err *err; /* owned or NULL */
};

struct tf_memory_hub { /* one exchange of one loop */
	struct tf_memory_hub *next;
	struct tf_loop *loop;
	char *exchange;
	unsigned refs;         /* transports, and a dispatch that runs */
	struct tf_map *queues; /* topic -> struct tf_memory_queue */
	TAILQ_HEAD(, tf_memory_queue) ready;
	TAILQ_HEAD(, tf_memory_notice) notices;
	struct tf_post *post;
};

struct tf_memory {
	struct tf_transport base;
	struct tf_memory_hub *hub;
	TAILQ_HEAD(, tf_memory_consumer) consumers;
	struct tf_tags tags;             /* -> struct tf_memory_parcel */
	struct tf_memory_parcels outbox; /* published while down */
	unsigned drop;
};

/* The exchange of that name of this loop; a reference. */
struct tf_memory_hub *tf_memory_hub_get(struct tf_loop *loop, const char *exchange);
void tf_memory_hub_unref(struct tf_memory_hub *h);

/* A copy of the message; the caller's reference. */
struct tf_memory_parcel *tf_memory_parcel_new(const struct tf_message *m);
void tf_memory_parcel_unref(struct tf_memory_parcel *p);

/* The topic's queue, made if it is not there. */
struct tf_memory_queue *tf_memory_queue_declare(struct tf_memory_hub *h, const char *topic);
/* With its messages; it has no consumers any more. */
void tf_memory_queue_delete(struct tf_memory_hub *h, struct tf_memory_queue *q);
/* Messages or room came: look at the queue in the next turn. */
void tf_memory_queue_kick(struct tf_memory_hub *h, struct tf_memory_queue *q);

/* To its queue, and tell how that went. Takes the reference to `p`. */
void tf_memory_route(struct tf_memory *t, struct tf_memory_parcel *p);
/* An unsettled message, off its transport's tags already, back to its place in its queue. */
void tf_memory_requeue(struct tf_memory_parcel *p);
/* Make that callback in a turn to come; both are copied, `err` may be NULL. */
void tf_memory_notify(struct tf_memory *t, const struct tf_memory_notice *what, const struct tf_err *err);

#endif
