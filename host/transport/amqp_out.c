/* The sending half of amqp_conn.h. The library writes each frame by itself, three for a message; here what belongs
 * together goes in one write. With TLS, and for bodies that are better not copied, the library writes. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "transport/amqp_conn.h"

enum {
	FRAME_HEAD = 7, /* type, channel, size */
	FRAME_OVERHEAD = FRAME_HEAD + 1,
	OUT_MAX = 256 << 10, /* collected at most, about */
	PROPERTIES_MAX = 4096,
	METHOD_MAX = 1024, /* of basic.publish and basic.ack: two short strings at most */
};

static void mark(struct tf_amqp_conn *c)
{
	atomic_store(&c->link->busy_since, tf_amqp_now());
}

/* What goes wrong here does so again for the thread, which has the means to deal with it. */
static int flush_some(struct tf_amqp_conn *c)
{
	ssize_t n = c->out.len ? send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

	if (n > 0)
		tf_buf_consume(&c->out, (size_t)n);
	return 0;
}

int tf_amqp_conn_flush(struct tf_amqp_conn *c, struct tf_err *err)
{
	size_t sent = 0;

	if (c->no_waiting)
		return flush_some(c);
	if (c->out.len)
		mark(c);
	while (sent < c->out.len) {
		struct pollfd p = {.fd = c->fd, .events = POLLOUT};
		ssize_t n = send(c->fd, c->out.data + sent, c->out.len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			sent += (size_t)n;
			mark(c);
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			poll(&p, 1, -1); /* the loop shuts down a socket that is stuck */
		} else if (errno != EINTR) {
			tf_buf_reset(&c->out);
			return tf_err_sys(err, "%s: sending", c->where);
		}
	}
	tf_buf_reset(&c->out);
	return 0;
}

/* Room for a frame of at most `max` bytes of payload. */
static amqp_bytes_t begin_frame(struct tf_amqp_conn *c, size_t max)
{
	tf_buf_reserve(&c->out, max + FRAME_OVERHEAD);
	return (amqp_bytes_t){.bytes = c->out.data + c->out.len + FRAME_HEAD, .len = max};
}

static char *put_number(char *at, uint64_t n, int bytes)
{
	while (bytes-- > 0)
		*at++ = (char)(n >> (8 * bytes));
	return at;
}

static void end_frame(struct tf_amqp_conn *c, uint8_t type, size_t size)
{
	char *head = c->out.data + c->out.len, *at = head;

	*at++ = (char)type;
	at = put_number(at, TF_AMQP_CHANNEL, 2);
	at = put_number(at, size, 4);
	at[size] = (char)AMQP_FRAME_END;
	c->out.len += size + FRAME_OVERHEAD;
}

/* An AMQP_STATUS. */
static int put_method(struct tf_amqp_conn *c, amqp_method_number_t id, void *method)
{
	amqp_bytes_t room = begin_frame(c, METHOD_MAX);
	int n;

	put_number(room.bytes, id, 4);
	room.bytes = (char *)room.bytes + 4;
	room.len -= 4;
	n = amqp_encode_method(id, method, room);
	if (n < 0)
		return n;
	end_frame(c, AMQP_FRAME_METHOD, (size_t)n + 4);
	return AMQP_STATUS_OK;
}

static int put_header(struct tf_amqp_conn *c, amqp_basic_properties_t *p, size_t body)
{
	amqp_bytes_t room = begin_frame(c, PROPERTIES_MAX);
	char *at = put_number(room.bytes, AMQP_BASIC_CLASS, 2);
	int n;

	at = put_number(at, 0, 2);
	at = put_number(at, body, 8);
	n = amqp_encode_properties(AMQP_BASIC_CLASS, p, (amqp_bytes_t){.bytes = at, .len = room.len - 12});
	if (n < 0)
		return n;
	end_frame(c, AMQP_FRAME_HEADER, (size_t)n + 12);
	return AMQP_STATUS_OK;
}

static int flush_full(struct tf_amqp_conn *c)
{
	return c->out.len < OUT_MAX || tf_amqp_conn_flush(c, NULL) == 0 ? AMQP_STATUS_OK
									: AMQP_STATUS_SOCKET_ERROR;
}

int tf_amqp_out_method(struct tf_amqp_conn *c, amqp_method_number_t id, void *method)
{
	int rc;

	if (c->tls) {
		mark(c);
		return amqp_send_method(c->state, TF_AMQP_CHANNEL, id, method);
	}
	rc = put_method(c, id, method);
	return rc == AMQP_STATUS_OK ? flush_full(c) : rc;
}

bool tf_amqp_out_fits(const struct tf_amqp_conn *c, const struct tf_message *m)
{
	const size_t peer = m->peer ? strlen(m->peer) : 0;

	return !c->tls && m->body_len <= OUT_MAX && m->body_len + FRAME_OVERHEAD <= (size_t)c->frame_max &&
	       peer + 1200 <= PROPERTIES_MAX;
}

int tf_amqp_out_publish(struct tf_amqp_conn *c, amqp_basic_publish_t *method,
	amqp_basic_properties_t *properties, const struct tf_message *m)
{
	const size_t before = c->out.len;
	int rc = put_method(c, AMQP_BASIC_PUBLISH_METHOD, method);

	if (rc == AMQP_STATUS_OK)
		rc = put_header(c, properties, m->body_len);
	if (rc != AMQP_STATUS_OK) {
		c->out.len = before;
		return rc;
	}
	if (m->body_len) {
		memcpy(begin_frame(c, m->body_len).bytes, m->body, m->body_len);
		end_frame(c, AMQP_FRAME_BODY, m->body_len);
	}
	return flush_full(c);
}
