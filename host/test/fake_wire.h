/* A scripted transport for tests of the engine and the worker side: keeps what was published and
 * settled, delivers what the test says, reports what the test says. Nothing happens by itself. */
#ifndef TF_TEST_FAKE_WIRE_H
#define TF_TEST_FAKE_WIRE_H

#include <sys/queue.h>

#include "transport/transport.h"

struct fake_sent {
	TAILQ_ENTRY(fake_sent) link;
	struct tf_message m; /* owned copies */
	unsigned flags;
	uint64_t id;
};

struct fake_wire {
	struct tf_transport base;
	TAILQ_HEAD(, fake_sent) sent; /* not yet taken */
	size_t sent_count;            /* in it */
	char *topics;                 /* owned; consumed, each followed by a space */
	unsigned limit;               /* the last that was asked for */
	enum tf_settle last;          /* how the last tag was settled */
	uint64_t last_tag;
	size_t acked, rejected, requeued, unsettled;
	int refuse; /* code that publish returns, 0: accept */
	uint64_t next_tag;
	bool *settled; /* owned; by tag */
	size_t settled_cap;
	void (*on_settle)(struct fake_wire *w, uint64_t tag, enum tf_settle how); /* may be NULL */
	void *user;
};

/* For struct tf_wbe_seam. The wire made last is fake_wire_last. */
int fake_wire_open(struct tf_loop *loop, const struct tf_transport_config *config,
	const struct tf_transport_events *events, void *arg, struct tf_transport **out, struct tf_err *err);
extern struct fake_wire *fake_wire_last;

/* The oldest message not yet taken, NULL if none; free with fake_sent_free. */
struct fake_sent *fake_wire_take(struct fake_wire *w);
void fake_sent_free(struct fake_sent *s);
/* Forget all that was sent; returns how many. */
size_t fake_wire_drop(struct fake_wire *w);
/* Deliver a message (m->tag is chosen here and returned). */
uint64_t fake_wire_deliver(struct fake_wire *w, const struct tf_message *m);
/* Report the outcome of a publish. */
void fake_wire_confirm(struct fake_wire *w, uint64_t id, enum tf_publish_status status);
void fake_wire_state(struct fake_wire *w, bool up);
/* From now on it tracks: TF_PUBLISH_TRACK is the test's to serve. */
void fake_wire_tracks(struct fake_wire *w);
void fake_wire_lost(struct fake_wire *w, const char *topic);
/* From now on a broker stands between the peers. */
void fake_wire_broker(struct fake_wire *w);

#endif
