/* The receiving half of amqp_conn.h: frames in, messages assembled. */
#include <poll.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "transport/amqp_conn.h"

static void mark(struct tf_amqp_conn *c, uint64_t now)
{
	if (!c->no_waiting) /* that is about the thread */
		atomic_store(&c->link->busy_since, now);
}

static int protocol_error(struct tf_amqp_conn *c, const char *what, struct tf_err *err)
{
	return tf_err_set(err, TF_EFORMAT, "%s: the broker breaks AMQP: %s", c->where, what);
}

static int on_closed(struct tf_amqp_conn *c, const amqp_method_t *m, struct tf_err *err)
{
	return tf_amqp_conn_on_close(c, TF_AMQP_CHANNEL, "closed by the broker", m, err);
}

/* --- methods --- */

static int on_connection_method(struct tf_amqp_conn *c, const amqp_method_t *m, struct tf_err *err)
{
	switch (m->id) {
	case AMQP_CONNECTION_CLOSE_METHOD:
		return on_closed(c, m, err);
	case AMQP_CONNECTION_BLOCKED_METHOD: {
		const amqp_connection_blocked_t *b = m->decoded;

		c->blocked = true;
		tf_warn("amqp", "%s: the broker takes no messages for now: %.*s", c->where,
			(int)b->reason.len, (const char *)b->reason.bytes);
		return 0;
	}
	case AMQP_CONNECTION_UNBLOCKED_METHOD:
		c->blocked = false;
		tf_info("amqp", "%s: the broker takes messages again", c->where);
		return 0;
	default:
		return 0;
	}
}

static void start_content(struct tf_amqp_conn *c, amqp_method_number_t method, amqp_bytes_t key)
{
	struct tf_amqp_content *x = &c->content;

	*x = (struct tf_amqp_content){.method = method};
	/* A short string: at most 255 bytes. */
	memcpy(x->routing_key, key.bytes, key.len < sizeof(x->routing_key) ? key.len : 0);
	if (memchr(x->routing_key, 0, key.len) != NULL && key.len)
		x->refused = "NUL in the routing key";
}

static int on_method(struct tf_amqp_conn *c, const amqp_frame_t *f, struct tf_err *err)
{
	const amqp_method_t *m = &f->payload.method;

	if (f->channel == 0)
		return on_connection_method(c, m, err);
	if (m->id == AMQP_CHANNEL_CLOSE_METHOD)
		return on_closed(c, m, err);
	if (c->content.method)
		return protocol_error(c, "a method inside a message", err);
	if (m->id == AMQP_BASIC_DELIVER_METHOD) {
		const amqp_basic_deliver_t *d = m->decoded;

		start_content(c, m->id, d->routing_key);
		c->content.delivery_tag = d->delivery_tag;
		c->content.redelivered = d->redelivered;
		return 0;
	}
	if (m->id == AMQP_BASIC_RETURN_METHOD) {
		const amqp_basic_return_t *r = m->decoded;

		start_content(c, m->id, r->routing_key);
		return 0;
	}
	return c->handler->method(c->arg, m, err);
}

/* --- content --- */

struct text {
	const amqp_bytes_t *bytes; /* NULL: absent */
	const char **into;
};

static const amqp_bytes_t *peer_header(const amqp_basic_properties_t *p)
{
	int i;

	if (!(p->_flags & AMQP_BASIC_HEADERS_FLAG))
		return NULL;
	for (i = 0; i < p->headers.num_entries; i++) {
		const amqp_table_entry_t *e = &p->headers.entries[i];

		if (e->key.len == strlen(TF_PEER_HEADER) &&
			memcmp(e->key.bytes, TF_PEER_HEADER, e->key.len) == 0 &&
			(e->value.kind == AMQP_FIELD_KIND_UTF8 || e->value.kind == AMQP_FIELD_KIND_BYTES))
			return &e->value.value.bytes;
	}
	return NULL;
}

/* One allocation: struct, texts, body with a NUL after it. */
static struct tf_amqp_delivery *make_delivery(
	struct tf_amqp_content *x, const amqp_basic_properties_t *p, size_t body)
{
	struct tf_message m = {.tag = x->delivery_tag, .redelivered = x->redelivered, .body_len = body};
	const struct text texts[] = {
		{p->_flags & AMQP_BASIC_TYPE_FLAG ? &p->type : NULL, &m.type},
		{p->_flags & AMQP_BASIC_REPLY_TO_FLAG ? &p->reply_to : NULL, &m.reply_to},
		{p->_flags & AMQP_BASIC_CORRELATION_ID_FLAG ? &p->correlation_id : NULL, &m.correlation_id},
		{p->_flags & AMQP_BASIC_CONTENT_TYPE_FLAG ? &p->content_type : NULL, &m.content_type},
		{peer_header(p), &m.peer},
	};
	const size_t count = sizeof(texts) / sizeof(*texts);
	size_t i, size = sizeof(struct tf_amqp_delivery) + strlen(x->routing_key) + 1 + body + 1;
	struct tf_amqp_delivery *d;
	char *at;

	for (i = 0; i < count; i++) {
		if (!texts[i].bytes)
			continue;
		size += texts[i].bytes->len + 1;
		if (memchr(texts[i].bytes->bytes, 0, texts[i].bytes->len)) {
			x->refused = "NUL in a text property";
			return NULL;
		}
	}
	d = tf_malloc(size);
	at = (char *)(d + 1);
	m.topic = at;
	at = stpcpy(at, x->routing_key) + 1;
	for (i = 0; i < count; i++) {
		if (!texts[i].bytes)
			continue;
		*texts[i].into = at;
		memcpy(at, texts[i].bytes->bytes, texts[i].bytes->len);
		at += texts[i].bytes->len;
		*at++ = 0;
	}
	m.body = at;
	at[body] = 0;
	*d = (struct tf_amqp_delivery){.m = m, .size = size};
	return d;
}

static int end_content(struct tf_amqp_conn *c, struct tf_err *err)
{
	int rc = c->handler->content(c->arg, &c->content, err);

	free(c->content.d);
	c->content = (struct tf_amqp_content){0};
	return rc;
}

static int on_header(struct tf_amqp_conn *c, const amqp_frame_t *f, struct tf_err *err)
{
	struct tf_amqp_content *x = &c->content;

	if (!x->method || x->has_header)
		return protocol_error(c, "a message's header at the wrong place", err);
	x->has_header = true;
	x->size = f->payload.properties.body_size;
	x->oversized = x->size > c->shared->max_message;
	if (!x->refused)
		x->d = make_delivery(x, f->payload.properties.decoded, x->oversized ? 0 : (size_t)x->size);
	if (x->oversized)
		x->refused = "the body is too large";
	return x->size == 0 ? end_content(c, err) : 0;
}

static int on_body(struct tf_amqp_conn *c, const amqp_frame_t *f, struct tf_err *err)
{
	struct tf_amqp_content *x = &c->content;
	const amqp_bytes_t *piece = &f->payload.body_fragment;

	if (!x->has_header || piece->len > x->size - x->received)
		return protocol_error(c, "a message's body at the wrong place", err);
	if (x->d && !x->oversized)
		memcpy((char *)x->d->m.body + x->received, piece->bytes, piece->len);
	x->received += piece->len;
	return x->received == x->size ? end_content(c, err) : 0;
}

static int on_frame(struct tf_amqp_conn *c, const amqp_frame_t *f, struct tf_err *err)
{
	if (f->channel != 0 && f->channel != TF_AMQP_CHANNEL)
		return protocol_error(c, "a channel that we did not open", err);
	switch (f->frame_type) {
	case AMQP_FRAME_METHOD:
		return on_method(c, f, err);
	case AMQP_FRAME_HEADER:
		return on_header(c, f, err);
	case AMQP_FRAME_BODY:
		return on_body(c, f, err);
	default:
		return 0;
	}
}

static bool library_has_input(struct tf_amqp_conn *c)
{
	return amqp_frames_enqueued(c->state) || amqp_data_in_buffer(c->state);
}

static int read_frames(struct tf_amqp_conn *c, unsigned max, struct tf_err *err)
{
	struct timeval now_tv = {0, 0};
	uint64_t now = tf_amqp_now();
	amqp_frame_t f;
	int rc;

	c->serviced = now;
	while (max-- > 0) {
		mark(c, now);
		rc = amqp_simple_wait_frame_noblock(c->state, &f, &now_tv);
		if (rc == AMQP_STATUS_TIMEOUT)
			return 0;
		if (rc != AMQP_STATUS_OK)
			return tf_amqp_conn_failed(c, "reading", rc, err);
		rc = on_frame(c, &f, err);
		amqp_maybe_release_buffers_on_channel(c->state, f.channel);
		if (rc < 0)
			return rc;
		/* A TLS record may hold more than the library took: read on until it says no. */
		if (!c->tls && !library_has_input(c))
			return 0;
	}
	return 0;
}

int tf_amqp_conn_read(struct tf_amqp_conn *c, unsigned max, struct tf_err *err)
{
	int rc = c->failed;

	if (rc == 0)
		return read_frames(c, max, err);
	c->failed = 0;
	*err = c->failure;
	return rc;
}

int tf_amqp_conn_read_here(struct tf_amqp_conn *c, unsigned max)
{
	if (c->failed == 0) {
		c->no_waiting = true;
		c->failed = read_frames(c, max, &c->failure);
		tf_amqp_conn_flush(c, NULL);
		c->no_waiting = false;
	}
	return c->failed;
}

bool tf_amqp_conn_wait(struct tf_amqp_conn *c, int ms)
{
	struct pollfd p[2] = {
		{.fd = atomic_load(&c->link->loop_reads) ? -1 : c->fd, .events = POLLIN},
		{.fd = c->link->eventfd, .events = POLLIN},
	};
	/* The library sends a heartbeat after half the interval, when it is called. */
	const uint64_t quarter = c->heartbeat ? (uint64_t)c->heartbeat * 250 : 60000;
	uint64_t now = tf_amqp_now(), due = c->serviced + quarter;

	if (library_has_input(c) || c->failed)
		return true;
	if (now >= due)
		ms = 0;
	else if (ms < 0 || due - now < (uint64_t)ms)
		ms = (int)(due - now);
	if (ms > 0)
		mark(c, 0);
	pthread_mutex_unlock(&c->link->own);
	poll(p, 2, ms);
	pthread_mutex_lock(&c->link->own);
	if (ms > 0)
		now = tf_amqp_now();
	mark(c, now);
	if (p[1].revents)
		tf_amqp_link_clear_wake(c->link);
	return p[0].revents || c->failed || now >= due;
}
