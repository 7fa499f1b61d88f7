/* A transport moves messages between peers on one exchange; it does not know what they carry.
 *
 * Glossary. Exchange: one direct exchange, named at open. Topic: a routing key; its queue is
 * "<exchange>_<topic>" (PROTOCOL.md 1). Delivery tag: handle of a received, unsettled message.
 *
 * Everything runs on the loop's thread; a back end may have threads of its own. No callback
 * runs inside a call of this interface.
 * To add a transport: one .c with a `struct tf_transport_ops`, listed in transport.c.
 */
#ifndef TF_TRANSPORT_TRANSPORT_H
#define TF_TRANSPORT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/histogram.h"
#include "base/value.h"
#include "loop/loop.h"
#include "transport/url.h"

/* Header by which tfhost peers know each other; its value is opaque text to the transport.
 * AMQP: a long-string field of the headers table; filesystem: a member of "headers".
 * Absent (NULL): headers is the empty table, byte for byte what Python sends. */
#define TF_PEER_HEADER "x-tfhost"

struct tf_message {
	const char *topic;          /* routing key */
	const char *type;           /* NOTIFY, REQUEST, RESPONSE; received: may be NULL (absent) */
	const char *reply_to;       /* NULL: absent (filesystem: null) */
	const char *correlation_id; /* NULL: absent */
	const char *peer;           /* text of TF_PEER_HEADER, NULL: absent */
	const char *body;
	size_t body_len;
	int priority; /* sent: a queue that looks at it gives the highest first */
	uint64_t
		expires_ms; /* sent: whoever has taken it by then has it, later nobody gets it; 0: no end. AMQP alone */
	/* received only: */
	const char *content_type; /* NULL: absent */
	uint64_t tag;             /* delivery tag */
	bool redelivered;
};

enum tf_publish_flags {
	/* The destination's queue is declared and bound by us when the broker says that nothing is
	 * bound (probes and requests to a topic). Without it an unroutable message is TF_RETURNED. */
	TF_PUBLISH_DECLARE = 1,
	/* `lost` tells when this topic's queue turns out not to be the one that earlier messages with this flag went to. */
	TF_PUBLISH_TRACK = 2,
};

enum tf_publish_status {
	TF_PUBLISHED,      /* the broker confirmed it, or the file was renamed into place */
	TF_RETURNED,       /* nothing is bound to the topic: nobody will read it */
	TF_PUBLISH_FAILED, /* refused or given up: see err */
};

enum tf_settle { TF_ACK, TF_REJECT, TF_REQUEUE };

/* Called on the loop. Members may be NULL but for `message`. */
struct tf_transport_events {
	/* `m` and all it points to is valid until the callback returns. Settle `m->tag` once, at
	 * any later time. Tags of a lost connection may still be settled: nothing happens then,
	 * and the broker delivers the message again. */
	void (*message)(void *arg, const struct tf_message *m);
	/* A message was rejected because its body is larger than max_message: `m` without the body.
	 * Nothing to settle. Not told by the filesystem, whose files are not read then. */
	void (*oversized)(void *arg, const struct tf_message *m);
	/* Outcome of the publish with this id (never for id 0). */
	void (*published)(void *arg, uint64_t id, enum tf_publish_status status, const struct tf_err *err);
	/* The topic's queue was deleted since, and made anew perhaps, by whomever: what was published there with
	 * TF_PUBLISH_TRACK, has its outcome by now, and was not taken by anybody, is gone. Told when another message with
	 * that flag is published, before its outcome. Only transports that track. May be NULL. */
	void (*lost)(void *arg, const char *topic);
	/* Connection came up (declared, consuming) or went down; `err` says why when down.
	 * Publishing while down queues within the limits and goes out after the reconnect. */
	void (*state)(void *arg, bool up, const struct tf_err *err);
};

struct tf_retry_options {      /* PROTOCOL.md 5.5; seconds. Accepted from the reference; we retry for ever */
	double interval_start; /* first delay; default 1 */
	double interval_step;  /* kept for compatibility; we double */
	double interval_max;   /* cap of the delay; default 1, at least interval_start */
	int max_retries;       /* accepted and ignored */
};

struct tf_transport_config {
	const char *url;               /* list as in url.h; NULL: by transport, else TF_URL_DEFAULT */
	const char *transport;         /* "filesystem", "memory", "amqp", ... or NULL */
	struct tf_value *options;      /* transport_options: JSON object, or NULL */
	const char *exchange;          /* required, non-empty */
	struct tf_retry_options retry; /* zeroes: defaults */
	unsigned prefetch;             /* unsettled messages at once on the shared queue; 0: unlimited */
	size_t max_message;            /* bytes of a body, in and out; 0: TF_MAX_MESSAGE */
	size_t max_queued;             /* publishes not yet confirmed; 0: TF_MAX_QUEUED */
};

#define TF_MAX_MESSAGE (64u << 20)
#define TF_MAX_QUEUED 100000u

struct tf_transport_stats { /* since open */
	uint64_t received, published, returned, rejected, requeued, oversized, malformed, reconnects;
};

struct tf_diagnosis;
struct tf_transport; /* a back end embeds it as its first member */

struct tf_transport_ops {
	const char *name;       /* "amqp" */
	const char *schemes[4]; /* canonical URL schemes, NULL-terminated */
	bool tracks;            /* TF_PUBLISH_TRACK does something: queues can vanish with what they hold */
	bool groups;            /* has tf_transport_consume_in */
	bool broker; /* messages pass a process between the peers, which can stand still while we are up */
	int (*open)(struct tf_loop *loop, const struct tf_transport_config *config,
		const struct tf_url_list *urls, struct tf_transport **out, struct tf_err *err);
	int (*consume)(struct tf_transport *t, const char *topic, const char *group, unsigned prefetch,
		struct tf_err *err); /* group: NULL, or there are groups */
	void (*limit)(struct tf_transport *t, const char *topic, unsigned prefetch);
	int (*publish)(struct tf_transport *t, const struct tf_message *m, unsigned flags, uint64_t id,
		struct tf_err *err);
	void (*settle)(struct tf_transport *t, uint64_t tag, enum tf_settle how);
	void (*close)(struct tf_transport *t);
	/* As tf_transport_diagnose (diagnosis.h), with what the configuration says checked. NULL: there is nothing to look at. */
	void (*diagnose)(const struct tf_transport_config *config, const struct tf_url_list *urls,
		const char *const *topics, const struct tf_diagnosis *d);
};

struct tf_transport {
	const struct tf_transport_ops *ops;
	struct tf_loop *loop; /* borrowed */
	struct tf_transport_events events;
	void *arg;
	struct tf_transport_stats stats;
	struct tf_histogram confirm; /* from a publish to its confirm; amqp alone */
	bool up;                     /* kept by the back end, before it calls events.state */
	char *exchange;              /* owned; freed by tf_transport_close */
	/* Set by tf_transport_open from the config, defaults filled in. */
	size_t max_message, max_queued;
	/* Publishes without outcome; a back end that counts them here (up in publish, down before
	 * events.published) is refused new ones by tf_transport_publish at max_queued. */
	size_t queued;
};

/* Choose the back end by `transport`, else by the URL's scheme (as kombu does), check names and options (an unknown option,
 * an exchange longer than 254 bytes: TF_EINVAL), connect in the background. Not being able to
 * connect is no error: it is reported by `state` and retried for ever with capped exponential
 * backoff and jitter. */
int tf_transport_open(struct tf_loop *loop, const struct tf_transport_config *config,
	const struct tf_transport_events *events, void *arg, struct tf_transport **out, struct tf_err *err);

/* Declare the topic's queue and consume it, now and after every reconnect. `prefetch` bounds its
 * unsettled messages (0: unlimited). May be called for several topics. */
int tf_transport_consume(struct tf_transport *t, const char *topic, unsigned prefetch, struct tf_err *err);

/* Another prefetch for a topic that is consumed, soon. What was delivered beyond a smaller one stays. */
void tf_transport_limit(struct tf_transport *t, const char *topic, unsigned prefetch);

/* The same, and what is published to `group` comes too, as to others who name it: each gets a copy. A group is published to like
 * a topic, without TF_PUBLISH_DECLARE; while it has nobody, that is returned. Without groups (ops->groups): as consume. */
int tf_transport_consume_in(
	struct tf_transport *t, const char *topic, const char *group, unsigned prefetch, struct tf_err *err);

/* Queue a message; all of `m` is copied. Order per transport is kept. id 0: no `published`
 * callback wanted. TF_ELIMIT: body too large; TF_EAGAIN: max_queued reached. */
int tf_transport_publish(
	struct tf_transport *t, const struct tf_message *m, unsigned flags, uint64_t id, struct tf_err *err);

void tf_transport_settle(struct tf_transport *t, uint64_t tag, enum tf_settle how);

/* Whether the peers of this transport can be reached right now. */
bool tf_transport_is_up(const struct tf_transport *t);

/* Flush what was published and settled (bounded: 2 s if the broker does not answer), requeue what
 * was not settled, disconnect, free. Blocks for that time at most; no callback runs afterwards. */
void tf_transport_close(struct tf_transport *t);

#endif
