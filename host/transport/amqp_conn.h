/* One connection with one channel to a broker: connecting (TCP, TLS, login), declaring, frames in
 * and out. Blocks; belongs to the thread of its link. Internal to host/transport/amqp*.
 *
 * Error codes that callers tell apart: TF_ESTATE: the broker closed the channel, see `closed`,
 * the connection may be used on after tf_amqp_conn_reopen. Any other: the connection is lost.
 */
#ifndef TF_TRANSPORT_AMQP_CONN_H
#define TF_TRANSPORT_AMQP_CONN_H

#include <amqp.h>
#include <amqp_framing.h>

#include "base/buf.h"
#include "transport/amqp.h"

enum {
	TF_AMQP_CHANNEL = 1, /* messages */
	/* Queues of others are declared on a channel of their own: a refusal closes that one, and
	 * leaves what is unconfirmed on the first alone. */
	TF_AMQP_DECLARE_CHANNEL = 2,
};

/* A message whose frames are arriving: basic.deliver or basic.return. */
struct tf_amqp_content {
	amqp_method_number_t method; /* 0: none */
	uint64_t delivery_tag;
	bool redelivered;
	char routing_key[256];
	uint64_t size, received; /* bytes of the body */
	bool has_header;
	const char *refused; /* why it was not assembled, or NULL; static text */
	bool oversized;
	struct tf_amqp_delivery *d; /* NULL if refused; if oversized, without the body */
};

struct tf_amqp_handler {
	/* A method of the channel other than deliver, return and close; returns 0 or an error code. */
	int (*method)(void *arg, const amqp_method_t *m, struct tf_err *err);
	/* A whole message; may take content->d by setting it to NULL. */
	int (*content)(void *arg, struct tf_amqp_content *content, struct tf_err *err);
};

struct tf_amqp_closed { /* why the broker closed the channel or connection */
	uint16_t code, class_id, method_id;
	char text[256];
};

struct tf_amqp_conn {
	struct tf_amqp_shared *shared;
	struct tf_amqp_link *link;
	const struct tf_amqp_handler *handler;
	void *arg;
	amqp_connection_state_t state; /* NULL: not connected */
	char *where;                   /* owned: redacted URL, for errors */
	int fd;
	int frame_max;
	int heartbeat;                  /* as negotiated */
	amqp_channel_t declare_channel; /* one of the two above */
	bool tls;
	bool blocked;      /* connection.blocked: the broker takes no publishes */
	uint64_t serviced; /* ms: when the library last had a chance to send a heartbeat */
	struct tf_amqp_closed closed;
	struct tf_amqp_content content;
	struct tf_buf out; /* whole frames, see tf_amqp_conn_flush */
	bool no_waiting;   /* the loop is at work: what the socket does not take stays in `out` */
	int failed;        /* the loop read this: the thread's next tf_amqp_conn_read gives it; 0: nothing */
	struct tf_err failure;
};

int tf_amqp_conn_open(struct tf_amqp_conn *c, const struct tf_url *url, struct tf_err *err);
/* `orderly`: close handshake, waiting `ms` at most. Frees everything; conn may be opened again. */
void tf_amqp_conn_close(struct tf_amqp_conn *c, bool orderly, int ms);
/* After TF_ESTATE: a new channel. What was unconfirmed or unsettled is gone. */
int tf_amqp_conn_reopen(struct tf_amqp_conn *c, amqp_channel_t channel, struct tf_err *err);

/* As the topology says (amqp_declare.c); `compat` byte for byte as PROTOCOL.md 2.1. */
int tf_amqp_conn_declare_exchange(struct tf_amqp_conn *c, struct tf_err *err);
int tf_amqp_conn_declare_queue(struct tf_amqp_conn *c, const char *topic, struct tf_err *err); /* and bind */
/* The topic's queue under one more routing key. */
int tf_amqp_conn_bind_queue(struct tf_amqp_conn *c, const char *topic, const char *key, struct tf_err *err);
int tf_amqp_conn_unbind_queue(struct tf_amqp_conn *c, const char *topic, const char *key, struct tf_err *err);
/* Also with what is in it. A queue that is gone is no error. */
int tf_amqp_conn_delete_queue(struct tf_amqp_conn *c, const char *topic, struct tf_err *err);
/* How many consume the topic's queue, which is not declared: without it TF_ESTATE, and `closed` says NOT_FOUND. On the channel
 * for declarations, which must not be open otherwise. */
int tf_amqp_conn_count_consumers(
	struct tf_amqp_conn *c, const char *topic, unsigned *count, struct tf_err *err);
/* After a declaration that ended in TF_ESTATE: true if it did because the broker keeps a queue of that name which is dead
 * (RabbitMQ does when a vhost was deleted while somebody declared); it is deleted then, the channel new. */
bool tf_amqp_conn_bury_queue(struct tf_amqp_conn *c, const char *topic);
int tf_amqp_conn_consume(
	struct tf_amqp_conn *c, const char *topic, unsigned prefetch, const char *tag, struct tf_err *err);
int tf_amqp_conn_cancel(struct tf_amqp_conn *c, const char *tag, struct tf_err *err);
int tf_amqp_conn_confirm_select(struct tf_amqp_conn *c, struct tf_err *err);

/* What is published, acknowledged and rejected is collected; this sends it, and waits until the socket has taken it. Calls
 * that the broker answers do it by themselves. */
int tf_amqp_conn_flush(struct tf_amqp_conn *c, struct tf_err *err);
/* Properties as PROTOCOL.md 2.3, mandatory. TF_ELIMIT: does not fit into a frame, nothing was sent. */
int tf_amqp_conn_publish(struct tf_amqp_conn *c, const struct tf_message *m, struct tf_err *err);
int tf_amqp_conn_ack(struct tf_amqp_conn *c, uint64_t delivery_tag, bool multiple, struct tf_err *err);
int tf_amqp_conn_settle(
	struct tf_amqp_conn *c, uint64_t delivery_tag, enum tf_settle how, struct tf_err *err);

/* Handle the frames that are there, at most about `max`; never waits. Serves heartbeats. */
int tf_amqp_conn_read(struct tf_amqp_conn *c, unsigned max, struct tf_err *err);
/* The same in place of the thread, which is woken if it fails. */
int tf_amqp_conn_read_here(struct tf_amqp_conn *c, unsigned max);
/* Wait for the socket, a wake-up of the link, or `ms` (less, when a heartbeat is due). True: the
 * socket may have something, or the library wants to run: call tf_amqp_conn_read. */
bool tf_amqp_conn_wait(struct tf_amqp_conn *c, int ms);
/* A heartbeat sent by hand, for a link that does not want to read. */
int tf_amqp_conn_send_heartbeat(struct tf_amqp_conn *c, struct tf_err *err);

/* --- between amqp_conn.c, amqp_declare.c, amqp_frames.c, amqp_out.c and amqp_socket.c --- */

#define TF_AMQP_NAME_MAX 512
/* Of the topic's queue; lives in `buf`. */
amqp_bytes_t tf_amqp_queue_name(const struct tf_amqp_conn *c, const char *topic, char buf[TF_AMQP_NAME_MAX]);
/* The answer to a call: 0, or what the broker or the library said. What was decoded of it is gone afterwards. */
int tf_amqp_conn_check(struct tf_amqp_conn *c, amqp_channel_t channel, const char *doing, amqp_rpc_reply_t r,
	struct tf_err *err);

/* A method of the channel, collected. Returns an AMQP_STATUS. */
int tf_amqp_out_method(struct tf_amqp_conn *c, amqp_method_number_t id, void *method);
/* Whether tf_amqp_out_publish is for this message; else the library sends it. */
bool tf_amqp_out_fits(const struct tf_amqp_conn *c, const struct tf_message *m);
int tf_amqp_out_publish(struct tf_amqp_conn *c, amqp_basic_publish_t *method,
	amqp_basic_properties_t *properties, const struct tf_message *m);

int tf_amqp_conn_open_socket(struct tf_amqp_conn *c, const struct tf_url *url, struct tf_err *err);
struct timeval tf_amqp_seconds(double s);

/* Answer and report connection.close or channel.close. */
int tf_amqp_conn_on_close(struct tf_amqp_conn *c, amqp_channel_t channel, const char *doing,
	const amqp_method_t *m, struct tf_err *err);
int tf_amqp_conn_failed(struct tf_amqp_conn *c, const char *doing, int status, struct tf_err *err);

#endif
