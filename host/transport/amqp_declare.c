/* What is declared on the broker: the exchange and the topics' queues, by topology.
 *
 * `compat`: as Python TaskFlow does: transient, deleted with their last user, what is in them too.
 * `durable`: all survives the broker's restart. The queue of a shared topic stays until somebody deletes it. A private
 * queue (its topic is a uuid: an engine's replies, a worker's own) outlives its owner's death for a while, so that an
 * engine which resumes the flow finds the replies; an owner that leaves in order deletes it.
 */
#include <stdio.h>
#include <string.h>

#include "base/uuid.h"
#include "transport/amqp_conn.h"

amqp_bytes_t tf_amqp_queue_name(const struct tf_amqp_conn *c, const char *topic, char buf[TF_AMQP_NAME_MAX])
{
	snprintf(buf, TF_AMQP_NAME_MAX, "%s_%s", c->shared->exchange, topic);
	return amqp_cstring_bytes(buf);
}

int tf_amqp_conn_declare_exchange(struct tf_amqp_conn *c, struct tf_err *err)
{
	const bool durable = c->shared->options.durable;
	int rc = tf_amqp_conn_flush(c, err);

	if (rc < 0)
		return rc;
	amqp_exchange_declare(c->state, c->declare_channel, amqp_cstring_bytes(c->shared->exchange),
		amqp_cstring_bytes("direct"), 0, durable, !durable, 0, amqp_empty_table);
	return tf_amqp_conn_check(
		c, c->declare_channel, "exchange.declare", amqp_get_rpc_reply(c->state), err);
}

static int declare(struct tf_amqp_conn *c, amqp_bytes_t queue, const char *topic, struct tf_err *err)
{
	const struct tf_amqp_options *o = &c->shared->options;
	const bool private = tf_is_uuid(topic);
	amqp_table_entry_t entries[2] = {
		{.key = amqp_cstring_bytes("x-queue-type"),
			.value = {.kind = AMQP_FIELD_KIND_UTF8,
				.value.bytes = amqp_cstring_bytes(o->quorum ? "quorum" : "classic")}},
		{.key = amqp_cstring_bytes(private ? "x-expires" : "x-max-priority"),
			.value = {.kind = AMQP_FIELD_KIND_I32,
				.value.i32 = private ? o->expires_ms : o->max_priority}},
	};
	const amqp_table_t arguments = {
		.num_entries = private || o->max_priority ? 2 : 1, .entries = entries};

	amqp_queue_declare(c->state, c->declare_channel, queue, 0, o->durable, 0, !o->durable,
		o->durable ? arguments : amqp_empty_table);
	return tf_amqp_conn_check(c, c->declare_channel, "queue.declare", amqp_get_rpc_reply(c->state), err);
}

int tf_amqp_conn_declare_queue(struct tf_amqp_conn *c, const char *topic, struct tf_err *err)
{
	char buf[TF_AMQP_NAME_MAX];
	amqp_bytes_t queue = tf_amqp_queue_name(c, topic, buf);
	int rc = tf_amqp_conn_flush(c, err);

	if (rc == 0)
		rc = declare(c, queue, topic, err);
	return rc < 0 ? rc : tf_amqp_conn_bind_queue(c, topic, topic, err);
}

int tf_amqp_conn_bind_queue(struct tf_amqp_conn *c, const char *topic, const char *key, struct tf_err *err)
{
	char buf[TF_AMQP_NAME_MAX];
	int rc = tf_amqp_conn_flush(c, err);

	if (rc < 0)
		return rc;
	amqp_queue_bind(c->state, c->declare_channel, tf_amqp_queue_name(c, topic, buf),
		amqp_cstring_bytes(c->shared->exchange), amqp_cstring_bytes(key), amqp_empty_table);
	return tf_amqp_conn_check(c, c->declare_channel, "queue.bind", amqp_get_rpc_reply(c->state), err);
}

int tf_amqp_conn_unbind_queue(struct tf_amqp_conn *c, const char *topic, const char *key, struct tf_err *err)
{
	char buf[TF_AMQP_NAME_MAX];
	int rc = tf_amqp_conn_flush(c, err);

	if (rc < 0)
		return rc;
	amqp_queue_unbind(c->state, c->declare_channel, tf_amqp_queue_name(c, topic, buf),
		amqp_cstring_bytes(c->shared->exchange), amqp_cstring_bytes(key), amqp_empty_table);
	return tf_amqp_conn_check(c, c->declare_channel, "queue.unbind", amqp_get_rpc_reply(c->state), err);
}

int tf_amqp_conn_delete_queue(struct tf_amqp_conn *c, const char *topic, struct tf_err *err)
{
	char buf[TF_AMQP_NAME_MAX];
	int rc = tf_amqp_conn_flush(c, err);

	if (rc < 0)
		return rc;
	amqp_queue_delete(c->state, c->declare_channel, tf_amqp_queue_name(c, topic, buf), 0, 0);
	return tf_amqp_conn_check(c, c->declare_channel, "queue.delete", amqp_get_rpc_reply(c->state), err);
}

int tf_amqp_conn_count_consumers(
	struct tf_amqp_conn *c, const char *topic, unsigned *count, struct tf_err *err)
{
	char buf[TF_AMQP_NAME_MAX];
	const amqp_queue_declare_ok_t *ok;
	int rc = tf_amqp_conn_flush(c, err);

	if (rc == 0)
		rc = tf_amqp_conn_reopen(c, TF_AMQP_DECLARE_CHANNEL, err);
	if (rc < 0)
		return rc;
	ok = amqp_queue_declare(c->state, TF_AMQP_DECLARE_CHANNEL, tf_amqp_queue_name(c, topic, buf), 1, 0, 0,
		0, amqp_empty_table);
	*count = ok ? ok->consumer_count : 0;
	rc = tf_amqp_conn_check(
		c, TF_AMQP_DECLARE_CHANNEL, "queue.declare", amqp_get_rpc_reply(c->state), err);
	if (rc < 0)
		return rc;
	return tf_amqp_conn_check(c, TF_AMQP_DECLARE_CHANNEL, "channel.close",
		amqp_channel_close(c->state, TF_AMQP_DECLARE_CHANNEL, AMQP_REPLY_SUCCESS), err);
}

bool tf_amqp_conn_bury_queue(struct tf_amqp_conn *c, const char *topic)
{
	/* A queue whose node is away is "not found", too, and is nobody's to delete. */
	if (c->closed.code != AMQP_NOT_FOUND || !strstr(c->closed.text, "stopped by supervisor"))
		return false;
	return tf_amqp_conn_reopen(c, c->declare_channel, NULL) == 0 &&
	       tf_amqp_conn_delete_queue(c, topic, NULL) == 0;
}
