/* What the loop's side and the two threads of the amqp transport share. Internal to host/transport/amqp*.
 *
 * Glossary. Link: one of the two broker connections with its thread; `consumer` consumes and
 * settles, `publisher` publishes and takes confirms (ARCHITECTURE 3: rabbitmq-c blocks, so it never
 * runs on the loop). The consumer leads: it chooses the URL of a fail-over list, the
 * publisher follows it to the same broker, and sends only while every topic is consumed, so that an
 * answer always finds our queue.
 *
 * Between threads travel whole lists, under `lock`; a link waiting on its socket is woken by its
 * eventfd, the loop by `post`, once for any number of messages. Each wake-up of a thread is time on a message's way, so
 * while a link's thread only waits, the loop does in its place what never waits: it writes what a turn has published or
 * settled as far as the socket takes it, and reads what has arrived. All else (connecting, calls that the broker answers,
 * full sockets, TLS, faults) is the thread's. Who holds the link's `own` is at work on the connection.
 */
#ifndef TF_TRANSPORT_AMQP_H
#define TF_TRANSPORT_AMQP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/value.h"
#include "transport/transport.h"
#include "transport/url.h"

/* transport_options of this back end; tf_amqp_options_parse lists them. */
struct tf_amqp_options {
	double connect_timeout; /* seconds for TCP, TLS and login each */
	int heartbeat;          /* seconds; 0: none */
	/* topology "durable": exchange and queues survive their users and the broker's restart. Else "compat", as
	 * Python TaskFlow declares them. */
	bool durable;
	bool quorum; /* of durable queues */
	int max_priority; /* durable topics: up to this one the broker gives higher ones first; 0: it does not look */
	int expires_ms; /* a durable private queue that nobody uses goes after this time */
	int frame_max;
	bool external; /* SASL EXTERNAL: the client certificate is the login */
	bool tls;      /* `ssl` was asked for; amqps URLs have it anyway */
	bool verify;   /* the broker's certificate */
	bool check_hostname;
	char *ca_certs; /* owned, as the next two; NULL: not given */
	char *certfile;
	char *keyfile;
};

/* `options`: JSON object or NULL. TF_EINVAL names the option; on error nothing is to be freed. */
int tf_amqp_options_parse(struct tf_amqp_options *o, const struct tf_value *options, struct tf_err *err);
void tf_amqp_options_free(struct tf_amqp_options *o);

/* A received message on its way to the loop; one allocation, free() it. */
struct tf_amqp_delivery {
	struct tf_amqp_delivery *next;
	struct tf_message m; /* points into this allocation */
	size_t size;         /* of the allocation */
	bool oversized;      /* rejected already; without the body */
};

/* A message to publish, on its way to the broker and back; one allocation. */
struct tf_amqp_publish {
	struct tf_amqp_publish *next;
	struct tf_message m; /* points into this allocation */
	uint64_t id;
	uint64_t order; /* of submission */
	uint64_t at_us; /* of tf_clock_us, when it was submitted */
	size_t size;
	unsigned flags;
	uint64_t route; /* number of the binding of our own that it was sent by; 0: the topic's */
	bool lost;      /* no message, but the news that the queue of m.topic is gone */
	unsigned tries; /* times it was returned or refused */
	enum tf_publish_status status; /* once done */
	struct tf_err *err;            /* owned; NULL: none */
};

struct tf_amqp_publish_list {
	struct tf_amqp_publish *head, *tail;
};
struct tf_amqp_publish *tf_amqp_publish_new(const struct tf_message *m); /* a copy of `m`; zeroes else */
void tf_amqp_publish_append(struct tf_amqp_publish_list *l, struct tf_amqp_publish *p);
/* Put all of `front` before what is in `l`; empties `front`. */
void tf_amqp_publish_prepend(struct tf_amqp_publish_list *l, struct tf_amqp_publish_list *front);
struct tf_amqp_publish *tf_amqp_publish_shift(struct tf_amqp_publish_list *l); /* NULL: empty */
void tf_amqp_publish_free(struct tf_amqp_publish_list *l);

struct tf_amqp_delivery_list {
	struct tf_amqp_delivery *head, *tail;
	size_t count, bytes;
};
void tf_amqp_delivery_append(struct tf_amqp_delivery_list *l, struct tf_amqp_delivery *d);
void tf_amqp_delivery_join(struct tf_amqp_delivery_list *l, struct tf_amqp_delivery_list *more);
void tf_amqp_delivery_free(struct tf_amqp_delivery_list *l);

struct tf_amqp_settle {
	uint64_t tag;
	enum tf_settle how;
};

struct tf_amqp_settle_list {
	struct tf_amqp_settle *items; /* owned */
	size_t count, cap;
};

struct tf_amqp_topic {
	char *name; /* owned */
	unsigned prefetch;
	char *group; /* owned; NULL: in none */
};

/* Our tags: delivery tag of the channel, and in the upper bits the connection it belongs to. */
#define TF_AMQP_TAG_BITS 48

struct tf_amqp_link {
	const char *name; /* "consumer", "publisher" */
	pthread_t thread;
	int eventfd;
	_Atomic bool woken;          /* eventfd is written and not yet read */
	_Atomic uint64_t busy_since; /* ms; 0: waiting in poll. Marks progress while not waiting */
	/* Held by the thread unless it waits for something to happen: the loop, which takes it without waiting, may
	 * then send in its place. Taken before shared->lock. */
	pthread_mutex_t own;
	void *serving; /* under `own`: the thread's state while its connection can be used so; NULL: it cannot */
	unsigned connection;     /* under `own`: counts what was served */
	_Atomic bool loop_reads; /* the loop watches the socket: the thread need not */
	pthread_mutex_t fd_lock;
	int fd; /* duplicate of the socket, for shutdown(2) by the loop; -1: none */
	/* under shared->lock: */
	bool stop, ended;
	uint64_t deadline; /* ms; when stopping */
	bool up;
	unsigned failures; /* counts `err`s */
	struct tf_err err; /* why it is not up */
};

struct tf_amqp_shared {
	/* constant */
	struct tf_amqp_options options;
	struct tf_url_list urls;
	char *exchange;
	struct tf_retry_options retry;
	size_t max_message;
	struct tf_amqp_link consumer, publisher;

	pthread_mutex_t lock;         /* for everything below */
	pthread_cond_t ended;         /* a thread has; monotonic clock */
	unsigned refs;                /* loop and threads */
	struct tf_post *post;         /* NULL: closed */
	struct tf_amqp_topic *topics; /* only grows */
	size_t topic_count;
	unsigned limits;                         /* times that a prefetch was changed */
	size_t active_url;                       /* where the consumer is, or was last */
	bool consumer_ready;                     /* connected, and all topics consumed */
	struct tf_amqp_settle_list settles;      /* to the consumer */
	struct tf_amqp_delivery_list deliveries; /* from the consumer */
	bool throttled;                          /* the consumer waits for the loop to take deliveries */
	struct tf_amqp_publish_list to_publish;  /* to the publisher */
	struct tf_amqp_publish_list published;   /* from the publisher: done */
	uint64_t oversized, malformed;           /* since last taken by the loop */
};

/* TF_EINVAL: URLs or options that cannot be. One reference. */
int tf_amqp_shared_new(const struct tf_transport_config *config, const struct tf_url_list *urls,
	struct tf_amqp_shared **out, struct tf_err *err);
void tf_amqp_shared_unref(struct tf_amqp_shared *s);

/* --- what both threads use (amqp_link.c) --- */

uint64_t tf_amqp_now(void); /* ms, monotonic */
/* Start the thread with every signal blocked: they belong to the loop, and SIGPIPE to nobody. */
void tf_amqp_link_start(struct tf_amqp_link *l, void *(*main)(void *shared), struct tf_amqp_shared *s);
/* The last call of the thread: `shared` is gone for it. */
void tf_amqp_link_end(struct tf_amqp_shared *s, struct tf_amqp_link *l);
/* Wait on the loop until the thread has ended, at most until `deadline` (ms). */
bool tf_amqp_link_join(struct tf_amqp_shared *s, struct tf_amqp_link *l, uint64_t deadline);
void tf_amqp_link_wake(struct tf_amqp_link *l); /* any thread */
void tf_amqp_link_clear_wake(
	struct tf_amqp_link *l); /* its thread, when readable, before it looks at its queues */
void tf_amqp_link_shutdown(struct tf_amqp_link *l); /* its socket, from the loop */
/* Call with the lock held: wake the loop unless it has closed. */
void tf_amqp_wake_loop(struct tf_amqp_shared *s);
void tf_amqp_link_up(struct tf_amqp_shared *s, struct tf_amqp_link *l);
/* NULL err: going down on purpose, not reported. */
void tf_amqp_link_down(struct tf_amqp_shared *s, struct tf_amqp_link *l, const struct tf_err *err);
/* True when the thread is to end; *deadline (may be NULL) until when it may flush. */
bool tf_amqp_link_stopping(struct tf_amqp_shared *s, struct tf_amqp_link *l, uint64_t *deadline);
/* Wait before the next attempt, the `failures`th in a row: exponential, capped, with jitter;
 * ends early when stopping. */
void tf_amqp_link_backoff(struct tf_amqp_shared *s, struct tf_amqp_link *l, unsigned failures);
/* Wait for a wake-up, at most `ms`. */
void tf_amqp_link_sleep(struct tf_amqp_link *l, int ms);
/* From the loop: `work` on the connection in the place of the thread, while that waits and lets others. What `work` says;
 * false also when the thread is at work itself. */
bool tf_amqp_link_instead(struct tf_amqp_link *l, bool (*work)(void *serving));

/* From the loop, in the threads' place while they wait: send what was published, or settled, as far as the socket takes it
 * without waiting. False: the thread has to, wake it. */
bool tf_amqp_publisher_send(struct tf_amqp_shared *s);
bool tf_amqp_consumer_settle(struct tf_amqp_shared *s);
/* The same for what has arrived: into shared->published and shared->deliveries, without waking the loop. False: the thread has
 * to go on from here. */
bool tf_amqp_publisher_read(struct tf_amqp_shared *s);
bool tf_amqp_consumer_read(struct tf_amqp_shared *s);

void *tf_amqp_consumer_main(void *shared);  /* amqp_consumer.c */
void *tf_amqp_publisher_main(void *shared); /* amqp_publisher.c */

#endif
