#include "transport/amqp_conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

enum {
	FRAME_OVERHEAD = 8,
	ANSWER_MS_WITHOUT_HEARTBEAT = 60000, /* patience with a call when no heartbeat was agreed */
};

struct timeval tf_amqp_seconds(double s)
{
	return (struct timeval){.tv_sec = (time_t)s, .tv_usec = (suseconds_t)((s - (double)(time_t)s) * 1e6)};
}

static void mark(struct tf_amqp_conn *c)
{
	atomic_store(&c->link->busy_since, tf_amqp_now());
}

static const char TRANSIENT_ADVICE[] =
	" (this broker refuses the transient queues that TaskFlow declares, as RabbitMQ does from 4.3 on: "
	"give all "
	"peers the transport option topology=durable; or, for Python peers, permit them in rabbitmq.conf: "
	"deprecated_features.permit.transient_nonexcl_queues = true)";
static const char ARGUMENTS_ADVICE[] = " (something declared it with other arguments, or a peer has another "
				       "topology: delete it, or use another "
				       "exchange)";

/* What the operator can do about a refusal. */
static const char *advice(const struct tf_amqp_closed *closed)
{
	if (strstr(closed->text, "transient_nonexcl_queues"))
		return TRANSIENT_ADVICE;
	if (closed->class_id == 0 && closed->code == AMQP_ACCESS_REFUSED)
		return " (check user and password of the URL)";
	switch (closed->code) {
	case AMQP_ACCESS_REFUSED:
		return " (the user lacks a permission: rabbitmqctl set_permissions)";
	case AMQP_NOT_ALLOWED:
		return " (check the vhost of the URL: it must exist and the user must have access to it)";
	case AMQP_PRECONDITION_FAILED:
		if (strstr(closed->text, "acknowledgement"))
			return " (a task runs longer than the broker's consumer_timeout; it goes on)";
		return closed->class_id == AMQP_BASIC_CLASS ? "" : ARGUMENTS_ADVICE;
	case AMQP_RESOURCE_LOCKED:
		return " (another connection owns the queue exclusively: use another exchange or topic)";
	default:
		return "";
	}
}

static int code_of(uint16_t reply_code)
{
	switch (reply_code) {
	case AMQP_ACCESS_REFUSED:
	case AMQP_NOT_ALLOWED:
		return TF_EAUTH;
	default:
		return TF_EIO;
	}
}

static void remember(
	struct tf_amqp_conn *c, uint16_t code, amqp_bytes_t text, uint16_t class_id, uint16_t method_id)
{
	size_t n = text.len < sizeof(c->closed.text) - 1 ? text.len : sizeof(c->closed.text) - 1;

	c->closed = (struct tf_amqp_closed){.code = code, .class_id = class_id, .method_id = method_id};
	memcpy(c->closed.text, text.bytes, n);
}

/* The broker closed the connection (method is connection.close) or the channel: answer, and tell. */
int tf_amqp_conn_on_close(struct tf_amqp_conn *c, amqp_channel_t channel, const char *doing,
	const amqp_method_t *m, struct tf_err *err)
{
	amqp_connection_close_ok_t connection_ok = {0};
	amqp_channel_close_ok_t channel_ok = {0};

	if (m->id == AMQP_CONNECTION_CLOSE_METHOD) {
		const amqp_connection_close_t *x = m->decoded;

		remember(c, x->reply_code, x->reply_text, x->class_id, x->method_id);
		amqp_send_method(c->state, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &connection_ok);
		return tf_err_set(err, code_of(c->closed.code), "%s: %s: %s%s", c->where, doing,
			c->closed.text, advice(&c->closed));
	}
	if (m->id == AMQP_CHANNEL_CLOSE_METHOD) {
		const amqp_channel_close_t *x = m->decoded;

		remember(c, x->reply_code, x->reply_text, x->class_id, x->method_id);
		amqp_send_method(c->state, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &channel_ok);
		return tf_err_set(
			err, TF_ESTATE, "%s: %s: %s%s", c->where, doing, c->closed.text, advice(&c->closed));
	}
	return tf_err_set(err, TF_EIO, "%s: %s: unexpected method 0x%08x", c->where, doing, (unsigned)m->id);
}

int tf_amqp_conn_failed(struct tf_amqp_conn *c, const char *doing, int status, struct tf_err *err)
{
	const char *hint = "";
	int code = TF_EIO, because = errno;

	switch (status) {
	case AMQP_STATUS_TIMEOUT:
		code = TF_ETIMEOUT;
		break;
	case AMQP_STATUS_HEARTBEAT_TIMEOUT:
		code = TF_ETIMEOUT;
		hint = ": the broker or the network is dead or too slow";
		break;
	case AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED:
		hint = ": check the host of the URL";
		break;
	case AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED:
		code = TF_EAUTH;
		hint = ": the broker's certificate is for another host name than the URL's (an IP address "
		       "in the URL never matches: use a name)";
		break;
	case AMQP_STATUS_SSL_PEER_VERIFY_FAILED:
	case AMQP_STATUS_SSL_CONNECTION_FAILED:
		code = TF_EAUTH;
		hint = ": is the broker's certificate signed by ca_certs, is this its TLS port, does it "
		       "demand a client certificate?";
		break;
	case AMQP_STATUS_SSL_ERROR:
	case AMQP_STATUS_CONNECTION_CLOSED:
		if (c->tls)
			hint = ": if this happens at every try, the broker may refuse our certificate";
		break;
	case AMQP_STATUS_SOCKET_ERROR:
		errno = because;
		if (errno && errno != EAGAIN && errno != EINPROGRESS)
			return tf_err_sys(err, "%s: %s", c->where, doing);
		break;
	default:
		break;
	}
	return tf_err_set(err, code, "%s: %s: %s%s", c->where, doing, amqp_error_string2(status), hint);
}

static int tell(struct tf_amqp_conn *c, amqp_channel_t channel, const char *doing, amqp_rpc_reply_t r,
	struct tf_err *err)
{
	switch (r.reply_type) {
	case AMQP_RESPONSE_NORMAL:
		return 0;
	case AMQP_RESPONSE_SERVER_EXCEPTION:
		return tf_amqp_conn_on_close(c, channel, doing, &r.reply, err);
	case AMQP_RESPONSE_LIBRARY_EXCEPTION:
		return tf_amqp_conn_failed(c, doing, r.library_error, err);
	default:
		return tf_err_set(err, TF_EIO, "%s: %s: no answer", c->where, doing);
	}
}

int tf_amqp_conn_check(struct tf_amqp_conn *c, amqp_channel_t channel, const char *doing, amqp_rpc_reply_t r,
	struct tf_err *err)
{
	mark(c);
	int rc = tell(c, channel, doing, r, err);
	amqp_maybe_release_buffers_on_channel(c->state, channel); /* else it keeps every answer */
	return rc;
}

/* --- connecting --- */

static int login(struct tf_amqp_conn *c, const struct tf_url *url, struct tf_err *err)
{
	const struct tf_amqp_options *o = &c->shared->options;
	struct timeval tv = tf_amqp_seconds(o->connect_timeout);
	char name[300];
	amqp_table_entry_t abilities[2], properties[3];
	amqp_table_t table = {.num_entries = 3, .entries = properties};
	amqp_rpc_reply_t r;

	snprintf(name, sizeof(name), "tfhost %s %s, process %d", c->link->name, c->shared->exchange,
		(int)getpid());
	memset(abilities, 0, sizeof(abilities));
	memset(properties, 0, sizeof(properties));
	abilities[0].key = amqp_cstring_bytes("consumer_cancel_notify");
	abilities[1].key = amqp_cstring_bytes("connection.blocked");
	abilities[0].value.kind = abilities[1].value.kind = AMQP_FIELD_KIND_BOOLEAN;
	abilities[0].value.value.boolean = abilities[1].value.value.boolean = 1;
	properties[0].key = amqp_cstring_bytes("capabilities");
	properties[0].value.kind = AMQP_FIELD_KIND_TABLE;
	properties[0].value.value.table = (amqp_table_t){.num_entries = 2, .entries = abilities};
	properties[1].key = amqp_cstring_bytes("product");
	properties[1].value.kind = AMQP_FIELD_KIND_UTF8;
	properties[1].value.value.bytes = amqp_cstring_bytes("tfhost");
	properties[2].key = amqp_cstring_bytes("connection_name");
	properties[2].value.kind = AMQP_FIELD_KIND_UTF8;
	properties[2].value.value.bytes = amqp_cstring_bytes(name);

	amqp_set_handshake_timeout(c->state, &tv);
	amqp_set_rpc_timeout(c->state, &tv);
	if (o->external)
		r = amqp_login_with_properties(c->state, url->vhost, AMQP_DEFAULT_MAX_CHANNELS, o->frame_max,
			o->heartbeat, &table, AMQP_SASL_METHOD_EXTERNAL, "");
	else
		r = amqp_login_with_properties(c->state, url->vhost, AMQP_DEFAULT_MAX_CHANNELS, o->frame_max,
			o->heartbeat, &table, AMQP_SASL_METHOD_PLAIN, url->user, url->password);
	return tf_amqp_conn_check(c, TF_AMQP_CHANNEL, "login", r, err);
}

static int open_channel(struct tf_amqp_conn *c, amqp_channel_t channel, struct tf_err *err)
{
	amqp_channel_open(c->state, channel);
	return tf_amqp_conn_check(c, channel, "channel.open", amqp_get_rpc_reply(c->state), err);
}

int tf_amqp_conn_open(struct tf_amqp_conn *c, const struct tf_url *url, struct tf_err *err)
{
	struct timeval tv;
	int rc;

	TF_ASSERT(!c->state);
	c->where = tf_url_redact(url);
	c->tls = c->shared->options.tls || strcmp(url->scheme, "amqps") == 0;
	c->blocked = false;
	c->state = amqp_new_connection();
	TF_ASSERT(c->state);
	rc = tf_amqp_conn_open_socket(c, url, err);
	if (rc == 0)
		rc = login(c, url, err);
	if (rc == 0)
		rc = open_channel(c, TF_AMQP_CHANNEL, err);
	if (rc == 0 && c->declare_channel != TF_AMQP_CHANNEL)
		rc = open_channel(c, c->declare_channel, err);
	if (rc < 0) {
		tf_amqp_conn_close(c, false, 0);
		return rc == TF_ESTATE ? TF_EIO : rc;
	}
	c->frame_max = amqp_get_frame_max(c->state);
	c->heartbeat = amqp_get_heartbeat(c->state);
	tv = tf_amqp_seconds(c->heartbeat ? c->heartbeat * 2 : ANSWER_MS_WITHOUT_HEARTBEAT / 1000);
	amqp_set_rpc_timeout(c->state, &tv);
	c->serviced = tf_amqp_now();
	return 0;
}

static void drop_content(struct tf_amqp_conn *c)
{
	free(c->content.d);
	c->content = (struct tf_amqp_content){0};
}

int tf_amqp_conn_reopen(struct tf_amqp_conn *c, amqp_channel_t channel, struct tf_err *err)
{
	if (channel == TF_AMQP_CHANNEL)
		drop_content(c);
	return open_channel(c, channel, err);
}

void tf_amqp_conn_close(struct tf_amqp_conn *c, bool orderly, int ms)
{
	struct timeval tv = tf_amqp_seconds(ms / 1000.0);

	if (!c->state)
		return;
	if (orderly && tf_amqp_conn_flush(c, NULL) == 0) {
		mark(c);
		amqp_set_rpc_timeout(c->state, &tv);
		amqp_connection_close(c->state, AMQP_REPLY_SUCCESS);
	}
	c->failed = 0;
	pthread_mutex_lock(&c->link->fd_lock);
	if (c->link->fd >= 0) {
		shutdown(c->link->fd, SHUT_RDWR); /* the loop has the socket, too */
		close(c->link->fd);
	}
	c->link->fd = -1;
	pthread_mutex_unlock(&c->link->fd_lock);
	amqp_destroy_connection(c->state);
	c->state = NULL;
	tf_buf_free(&c->out);
	free(c->where);
	c->where = NULL;
	drop_content(c);
	atomic_store(&c->link->busy_since, 0);
}

/* --- calls --- */

int tf_amqp_conn_consume(
	struct tf_amqp_conn *c, const char *topic, unsigned prefetch, const char *tag, struct tf_err *err)
{
	char buf[TF_AMQP_NAME_MAX];
	int rc = tf_amqp_conn_flush(c, err);

	if (rc < 0)
		return rc;
	/* Not global: the limit of the consumers that start after it, each for itself. */
	amqp_basic_qos(c->state, TF_AMQP_CHANNEL, 0, (uint16_t)(prefetch > 65535 ? 65535 : prefetch), 0);
	rc = tf_amqp_conn_check(c, TF_AMQP_CHANNEL, "basic.qos", amqp_get_rpc_reply(c->state), err);
	if (rc < 0)
		return rc;
	amqp_basic_consume(c->state, TF_AMQP_CHANNEL, tf_amqp_queue_name(c, topic, buf),
		amqp_cstring_bytes(tag), 0, 0, 0, amqp_empty_table);
	return tf_amqp_conn_check(c, TF_AMQP_CHANNEL, "basic.consume", amqp_get_rpc_reply(c->state), err);
}

int tf_amqp_conn_cancel(struct tf_amqp_conn *c, const char *tag, struct tf_err *err)
{
	int rc = tf_amqp_conn_flush(c, err);

	if (rc < 0)
		return rc;
	amqp_basic_cancel(c->state, TF_AMQP_CHANNEL, amqp_cstring_bytes(tag));
	return tf_amqp_conn_check(c, TF_AMQP_CHANNEL, "basic.cancel", amqp_get_rpc_reply(c->state), err);
}

int tf_amqp_conn_confirm_select(struct tf_amqp_conn *c, struct tf_err *err)
{
	amqp_confirm_select(c->state, TF_AMQP_CHANNEL);
	return tf_amqp_conn_check(c, TF_AMQP_CHANNEL, "confirm.select", amqp_get_rpc_reply(c->state), err);
}

int tf_amqp_conn_ack(struct tf_amqp_conn *c, uint64_t delivery_tag, bool multiple, struct tf_err *err)
{
	amqp_basic_ack_t ack = {.delivery_tag = delivery_tag, .multiple = multiple};
	int rc;

	rc = tf_amqp_out_method(c, AMQP_BASIC_ACK_METHOD, &ack);
	return rc == AMQP_STATUS_OK ? 0 : tf_amqp_conn_failed(c, "acknowledging a message", rc, err);
}

int tf_amqp_conn_settle(struct tf_amqp_conn *c, uint64_t delivery_tag, enum tf_settle how, struct tf_err *err)
{
	amqp_basic_reject_t reject = {.delivery_tag = delivery_tag, .requeue = how == TF_REQUEUE};
	int rc;

	if (how == TF_ACK)
		return tf_amqp_conn_ack(c, delivery_tag, false, err);
	rc = tf_amqp_out_method(c, AMQP_BASIC_REJECT_METHOD, &reject);
	return rc == AMQP_STATUS_OK ? 0 : tf_amqp_conn_failed(c, "rejecting a message", rc, err);
}

int tf_amqp_conn_send_heartbeat(struct tf_amqp_conn *c, struct tf_err *err)
{
	amqp_frame_t f = {.frame_type = AMQP_FRAME_HEARTBEAT, .channel = 0};
	int rc = tf_amqp_conn_flush(c, err);

	if (rc < 0)
		return rc;
	mark(c);
	rc = amqp_send_frame(c->state, &f);
	return rc == AMQP_STATUS_OK ? 0 : tf_amqp_conn_failed(c, "sending a heartbeat", rc, err);
}

/* --- publishing --- */

static void set_text(amqp_basic_properties_t *p, amqp_flags_t flag, amqp_bytes_t *field, const char *text)
{
	if (!text)
		return;
	p->_flags |= flag;
	*field = amqp_cstring_bytes(text);
}

/* Frame by frame, so that a body that takes long shows progress to the loop's watchdog. */
static int publish_large(struct tf_amqp_conn *c, amqp_basic_publish_t *method, amqp_basic_properties_t *props,
	const struct tf_message *m)
{
	const size_t piece = (size_t)c->frame_max - FRAME_OVERHEAD;
	amqp_frame_t f = {.frame_type = AMQP_FRAME_HEADER, .channel = TF_AMQP_CHANNEL};
	size_t at;
	int rc = amqp_send_method(c->state, TF_AMQP_CHANNEL, AMQP_BASIC_PUBLISH_METHOD, method);

	if (rc != AMQP_STATUS_OK)
		return rc;
	f.payload.properties.class_id = AMQP_BASIC_CLASS;
	f.payload.properties.body_size = m->body_len;
	f.payload.properties.decoded = props;
	rc = amqp_send_frame(c->state, &f);
	for (at = 0; rc == AMQP_STATUS_OK && at < m->body_len; at += piece) {
		mark(c);
		f.frame_type = AMQP_FRAME_BODY;
		f.payload.body_fragment.len = m->body_len - at < piece ? m->body_len - at : piece;
		f.payload.body_fragment.bytes = (char *)m->body + at;
		rc = amqp_send_frame(c->state, &f);
	}
	return rc;
}

/* Python sends 0, always. */
static uint8_t priority_of(const struct tf_message *m, int most)
{
	return (uint8_t)(m->priority < 0 ? 0 : m->priority > most ? most : m->priority);
}

int tf_amqp_conn_publish(struct tf_amqp_conn *c, const struct tf_message *m, struct tf_err *err)
{
	amqp_table_entry_t peer = {.key = amqp_cstring_bytes(TF_PEER_HEADER)};
	amqp_basic_properties_t p = {
		._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_CONTENT_ENCODING_FLAG |
			  AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_PRIORITY_FLAG,
		.content_type = amqp_cstring_bytes("application/json"),
		.content_encoding = amqp_cstring_bytes("utf-8"),
		.delivery_mode = 2,
		.priority = priority_of(m, c->shared->options.max_priority),
	};
	amqp_basic_publish_t method = {
		.exchange = amqp_cstring_bytes(c->shared->exchange),
		.routing_key = amqp_cstring_bytes(m->topic),
		.mandatory = 1,
	};
	char expiration[24];
	int rc;

	if (m->expires_ms) {
		snprintf(expiration, sizeof(expiration), "%llu", (unsigned long long)m->expires_ms);
		set_text(&p, AMQP_BASIC_EXPIRATION_FLAG, &p.expiration, expiration);
	}
	set_text(&p, AMQP_BASIC_TYPE_FLAG, &p.type, m->type);
	set_text(&p, AMQP_BASIC_REPLY_TO_FLAG, &p.reply_to, m->reply_to);
	set_text(&p, AMQP_BASIC_CORRELATION_ID_FLAG, &p.correlation_id, m->correlation_id);
	if (m->peer) {
		peer.value.kind = AMQP_FIELD_KIND_UTF8;
		peer.value.value.bytes = amqp_cstring_bytes(m->peer);
		p.headers = (amqp_table_t){.num_entries = 1, .entries = &peer};
		/* The properties are one frame; their other members are short strings. */
		if (strlen(m->peer) + 1200 > (size_t)c->frame_max)
			return tf_err_set(err, TF_ELIMIT,
				"header %s has %zu bytes, more than a frame of %d holds", TF_PEER_HEADER,
				strlen(m->peer), c->frame_max);
	}
	if (tf_amqp_out_fits(c, m)) {
		rc = tf_amqp_out_publish(c, &method, &p, m);
		return rc == AMQP_STATUS_OK ? 0 : tf_amqp_conn_failed(c, "publishing", rc, err);
	}
	rc = tf_amqp_conn_flush(c, err);
	if (rc < 0)
		return rc;
	mark(c);
	if (m->body_len + FRAME_OVERHEAD > (size_t)c->frame_max)
		rc = publish_large(c, &method, &p, m);
	else
		rc = amqp_basic_publish(c->state, TF_AMQP_CHANNEL, method.exchange, method.routing_key, 1, 0,
			&p, (amqp_bytes_t){.len = m->body_len, .bytes = (void *)m->body});
	return rc == AMQP_STATUS_OK ? 0 : tf_amqp_conn_failed(c, "publishing", rc, err);
}
