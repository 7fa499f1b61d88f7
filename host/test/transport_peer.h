/* A peer for transport tests: one transport, and everything that it called back, in order. */
#ifndef TF_TEST_TRANSPORT_PEER_H
#define TF_TEST_TRANSPORT_PEER_H

#include "transport/transport.h"

struct peer_message { /* owned copies */
	char *topic, *type, *reply_to, *correlation_id, *peer, *content_type, *body;
	size_t body_len;
	uint64_t tag;
	bool redelivered;
};

struct peer_outcome {
	uint64_t id;
	enum tf_publish_status status;
	struct tf_err err; /* code 0: none came */
};

struct peer {
	struct tf_loop *loop; /* borrowed */
	struct tf_transport *t;
	struct peer_message *messages; /* owned */
	size_t count;
	struct peer_outcome *outcomes; /* owned */
	size_t outcome_count;
	unsigned losts, ups, downs;
	char lost[64];          /* the topic of the last one */
	size_t lost_after;      /* outcomes that came before it */
	struct tf_err down_err; /* of the last down */
	bool inside;            /* set by the test around its calls: no callback may come */
	int settle;             /* enum tf_settle at once, or -1 (the default): leave it */
	void (*hook)(struct peer *p, const struct peer_message *m); /* called last, may be NULL */
	void *hook_arg;
};

/* Opens with `options` (JSON text or NULL); fails the test if that fails. */
void peer_open(struct peer *p, struct tf_loop *loop, const char *transport, const char *exchange,
	const char *options);
/* The same with a whole config, whose result is returned. */
int peer_open_config(
	struct peer *p, struct tf_loop *loop, const struct tf_transport_config *config, struct tf_err *err);
void peer_consume(struct peer *p, const char *topic, unsigned prefetch);
/* A REQUEST with reply_to "reply" and a correlation id equal to the body. */
void peer_send(struct peer *p, const char *topic, const char *body, unsigned flags, uint64_t id);
/* Turn the loop until `*counter` is at least `n`; fails the test after a minute. */
#define peer_until(p, counter, n) peer_until_at((p), &(counter), sizeof(counter), (n), __FILE__, __LINE__)
void peer_until_at(struct peer *p, const void *counter, size_t size, uint64_t n, const char *file, int line);
/* Turn for `ms`. */
void peer_idle(struct peer *p, unsigned ms);
void peer_forget(struct peer *p); /* messages and outcomes so far */
void peer_close(struct peer *p);  /* idempotent */

#endif
