/* A broker as a peer of ours would meet it: one connection to each URL, on which everything is tried once. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "transport/amqp_conn.h"
#include "transport/amqp_diagnose.h"

enum {
	DIAGNOSE_ANSWER_MS = 3000, /* a message of ours may be on its way */
	DIAGNOSE_CLOSE_MS = 1000,
	DIAGNOSE_SLOW_MS = 200,
	DIAGNOSE_LONG_HEARTBEAT = 60,
	DIAGNOSE_TOPICS = 16, /* those that are looked at */
};

struct visit {
	const struct tf_diagnosis *d;
	struct tf_amqp_shared *shared;
	const struct tf_url *url;
	struct tf_amqp_conn conn;
	bool confirmed, received;
	int refused; /* calls that the broker refused */
};

static const char SHARED_TOPOLOGY[] =
	"all peers must agree on the topology: give this one the transport option topology that the others "
	"have, "
	"or delete what is there when nobody uses it, or use another --exchange";
static const char PERMISSIONS[] = "rabbitmqctl set_permissions -p VHOST USER '^EXCHANGE' '^EXCHANGE' "
				  "'^EXCHANGE' gives configure, write and read on "
				  "all names that begin so";

static int on_method(void *arg, const amqp_method_t *m, struct tf_err *err)
{
	struct visit *v = arg;
	(void)err;
	if (m->id == AMQP_BASIC_ACK_METHOD)
		v->confirmed = true;
	return 0;
}

static int on_content(void *arg, struct tf_amqp_content *content, struct tf_err *err)
{
	struct visit *v = arg;
	(void)err;
	if (content->method == AMQP_BASIC_DELIVER_METHOD)
		v->received = true;
	return 0;
}

static const struct tf_amqp_handler HANDLER = {.method = on_method, .content = on_content};

/* ---- one URL ---- */

static const char *unreachable_advice(const struct tf_err *err)
{
	switch (err->code) {
	case TF_EAUTH:
		return "the broker answers, but not to this login: see user, password and vhost of the URL "
		       "(rabbitmqctl "
		       "list_users, list_vhosts, list_permissions; `guest` may come from the broker's own "
		       "machine only)";
	case TF_ETIMEOUT:
		return "something at that address does not answer: is this RabbitMQ's port (5672, TLS 5671), "
		       "does a firewall "
		       "swallow what we send, is the URL amqps:// where the port is for TLS?";
	default:
		return "is the broker running there, and is the port right (5672, TLS 5671)? "
		       "rabbitmq-diagnostics status, "
		       "on its machine, tells";
	}
}

static char *text_of(amqp_bytes_t b)
{
	return tf_strndup(b.bytes, b.len);
}

/* A text of the table that the broker introduces itself with; caller frees. */
static char *property(const amqp_table_t *t, const char *name)
{
	for (int i = 0; t && i < t->num_entries; i++) {
		const amqp_table_entry_t *e = &t->entries[i];
		if (e->key.len == strlen(name) && !memcmp(e->key.bytes, name, e->key.len) &&
			e->value.kind == AMQP_FIELD_KIND_UTF8)
			return text_of(e->value.value.bytes);
	}
	return NULL;
}

static void look_at_version(const struct visit *v)
{
	const amqp_table_t *t = amqp_get_server_properties(v->conn.state);
	char *product = property(t, "product"), *version = property(t, "version"),
	     *cluster = property(t, "cluster_name");
	int major = 0, minor = 0;
	bool rabbit = product && !strcmp(product, "RabbitMQ");
	if (version)
		sscanf(version, "%d.%d", &major, &minor);
	tf_found(v->d, TF_FINDING_OK, "broker", NULL, "%s: %s %s%s%s", v->conn.where,
		product ? product : "a broker without name", version ? version : "of unknown version",
		cluster ? ", cluster " : "", cluster ? cluster : "");
	if (!rabbit)
		tf_found(v->d, TF_FINDING_WARNING, "broker",
			"RabbitMQ 3.8 or later is what tfhost is tested with", "%s: this is not RabbitMQ",
			v->conn.where);
	else if (major > 4 || (major == 4 && minor >= 3))
		tf_found(v->d, v->shared->options.durable ? TF_FINDING_OK : TF_FINDING_WARNING, "broker",
			v->shared->options.durable ? NULL
						   : "transport option topology=durable, for all peers",
			"%s: RabbitMQ refuses the transient queues of the topology \"compat\" from 4.3 on, "
			"unless its "
			"configuration permits them",
			v->conn.where);
	free(product);
	free(version);
	free(cluster);
}

static void look_at_connection(const struct visit *v)
{
	const struct tf_amqp_conn *c = &v->conn;
	const char *host = v->url->host;
	bool here = !strcmp(host, "localhost") || !strncmp(host, "127.", 4) || !strcmp(host, "::1");
	if (c->heartbeat == 0)
		tf_found(v->d, TF_FINDING_WARNING, "heartbeat",
			"let the broker have one (heartbeat in rabbitmq.conf), and the transport option "
			"heartbeat",
			"%s: there is none: a connection that is cut silently is not noticed", c->where);
	else
		tf_found(v->d, c->heartbeat > DIAGNOSE_LONG_HEARTBEAT ? TF_FINDING_WARNING : TF_FINDING_OK,
			"heartbeat",
			c->heartbeat > DIAGNOSE_LONG_HEARTBEAT ? "transport option heartbeat=10" : NULL,
			"%s: %d s: a connection that is cut silently is noticed after twice that", c->where,
			c->heartbeat);
	if (!c->tls && !here)
		tf_found(v->d, TF_FINDING_WARNING, "encryption",
			"amqps:// in the URL, where the broker has TLS",
			"%s: password and messages travel in clear text", c->where);
}

/* ---- what a peer does ---- */

/* A call that the broker refused: say so, and have a channel again. False: the connection is lost, too. */
static bool refused(struct visit *v, const char *check, int rc, const struct tf_err *why)
{
	struct tf_err err;
	const struct tf_amqp_closed *closed = &v->conn.closed;
	const char *advice = closed->code == AMQP_PRECONDITION_FAILED ? SHARED_TOPOLOGY
			     : closed->code == AMQP_ACCESS_REFUSED    ? PERMISSIONS
								      : NULL;
	v->refused++;
	tf_found(v->d, TF_FINDING_PROBLEM, rc == TF_ESTATE && advice == PERMISSIONS ? "permissions" : check,
		rc == TF_ESTATE ? advice : "see the broker's log", "%s", why->message);
	if (rc != TF_ESTATE)
		return false;
	rc = tf_amqp_conn_reopen(&v->conn, TF_AMQP_CHANNEL, &err);
	if (rc < 0)
		tf_found(v->d, TF_FINDING_PROBLEM, "broker", NULL, "%s", err.message);
	return rc == 0;
}

enum there { NOT_THERE, THERE, NOBODY_KNOWS };

/* After a declaration that only asks. */
static enum there there(struct visit *v)
{
	struct tf_err err;
	int rc = tf_amqp_conn_check(
		&v->conn, TF_AMQP_CHANNEL, "looking", amqp_get_rpc_reply(v->conn.state), &err);
	if (rc == 0)
		return THERE;
	bool absent = rc == TF_ESTATE && v->conn.closed.code == AMQP_NOT_FOUND;
	if (rc == TF_ESTATE)
		tf_amqp_conn_reopen(&v->conn, TF_AMQP_CHANNEL, &err);
	return absent ? NOT_THERE : NOBODY_KNOWS;
}

static bool look_at_exchange(struct visit *v, bool *made)
{
	struct tf_err err;
	amqp_bytes_t name = amqp_cstring_bytes(v->shared->exchange);
	amqp_exchange_declare(v->conn.state, TF_AMQP_CHANNEL, name, amqp_cstring_bytes("direct"), 1, 0, 0, 0,
		amqp_empty_table);
	enum there before = there(v);
	int rc = tf_amqp_conn_declare_exchange(&v->conn, &err);
	if (rc < 0)
		return refused(v, "exchange", rc, &err);
	*made = before == NOT_THERE;
	tf_found(v->d, TF_FINDING_OK, "exchange", NULL, "%s: \"%s\" %s", v->conn.where, v->shared->exchange,
		*made ? "is not there yet; peers make it" : "is as this topology has it");
	return true;
}

static bool look_at_topic(struct visit *v, const char *topic, bool *made)
{
	struct tf_err err;
	char buf[TF_AMQP_NAME_MAX];
	amqp_bytes_t name = tf_amqp_queue_name(&v->conn, topic, buf);
	amqp_queue_declare_ok_t *queue =
		amqp_queue_declare(v->conn.state, TF_AMQP_CHANNEL, name, 1, 0, 0, 0, amqp_empty_table);
	unsigned messages = queue ? queue->message_count : 0, consumers = queue ? queue->consumer_count : 0;
	enum there before = there(v);
	int rc = tf_amqp_conn_declare_queue(&v->conn, topic, &err);
	if (rc < 0)
		return refused(v, "queue", rc, &err);
	if (before == NOT_THERE) {
		*made = true;
		tf_found(v->d, TF_FINDING_OK, "queue", NULL,
			"%s: \"%s\" is not there yet: no worker serves topic \"%s\"", v->conn.where, buf,
			topic);
		return true;
	}
	tf_found(v->d, messages && !consumers ? TF_FINDING_WARNING : TF_FINDING_OK, "queue",
		messages && !consumers ? "start a worker on that topic, or purge the queue" : NULL,
		"%s: \"%s\" is as this topology has it: %u messages wait, %u consumers", v->conn.where, buf,
		messages, consumers);
	return true;
}

static bool wait_for_both(struct visit *v, uint64_t began, struct tf_err *err)
{
	while (!(v->confirmed && v->received) && !v->conn.blocked &&
		tf_amqp_now() - began < DIAGNOSE_ANSWER_MS) {
		if (tf_amqp_conn_wait(&v->conn, 50) && tf_amqp_conn_read(&v->conn, 100, err) < 0)
			return false;
	}
	return true;
}

/* A message to ourselves, as an engine gets its replies: it needs configure, write and read on a queue of such a name. */
static int send_to_self(struct visit *v, const char *topic, struct tf_err *err)
{
	const struct tf_message m = {.topic = topic, .type = "NOTIFY", .body = "{}", .body_len = 2};
	int rc = tf_amqp_conn_declare_queue(&v->conn, topic, err);
	if (rc == 0)
		rc = tf_amqp_conn_confirm_select(&v->conn, err);
	if (rc == 0)
		rc = tf_amqp_conn_consume(&v->conn, topic, 1, "doctor", err);
	if (rc == 0)
		rc = tf_amqp_conn_publish(&v->conn, &m, err);
	if (rc == 0)
		rc = tf_amqp_conn_flush(&v->conn, err);
	return rc;
}

static void tell_of_messages(const struct visit *v, uint64_t took)
{
	if (v->conn.blocked)
		tf_found(v->d, TF_FINDING_PROBLEM, "alarm",
			"free memory or disk on the broker's machine; rabbitmq-diagnostics alarms names "
			"which",
			"%s: the broker takes no messages: it has an alarm of memory or disk", v->conn.where);
	else if (!v->confirmed || !v->received)
		tf_found(v->d, TF_FINDING_PROBLEM, "messages",
			"is the broker overloaded, or out of memory or disk? rabbitmq-diagnostics alarms, "
			"and its log",
			"%s: a message to ourselves was not %s within %d s", v->conn.where,
			v->confirmed ? "delivered" : "confirmed", DIAGNOSE_ANSWER_MS / 1000);
	else
		tf_found(v->d, took > DIAGNOSE_SLOW_MS ? TF_FINDING_WARNING : TF_FINDING_OK, "messages",
			took > DIAGNOSE_SLOW_MS ? "see the load of the broker and the way to it" : NULL,
			"%s: permissions suffice for queues, publishing and consuming; a message to "
			"ourselves took %llu ms",
			v->conn.where, (unsigned long long)took);
}

/* The broker does not read this connection any more, but it will read one that has not published. */
static bool connect_anew(struct visit *v)
{
	struct tf_err err;
	tf_amqp_conn_close(&v->conn, false, 0);
	return tf_amqp_conn_open(&v->conn, v->url, &err) == 0;
}

static bool look_at_messages(struct visit *v)
{
	struct tf_err err;
	char topic[TF_UUID_LEN + 1];
	tf_uuid(topic);
	int rc = send_to_self(v, topic, &err);
	uint64_t began = tf_amqp_now();
	if (rc == 0 && !wait_for_both(v, began, &err))
		rc = err.code;
	bool going = rc == 0 || refused(v, "messages", rc, &err);
	if (rc == 0) {
		tell_of_messages(v, tf_amqp_now() - began);
		going = !v->conn.blocked || connect_anew(v);
	}
	if (going)
		tf_amqp_conn_delete_queue(&v->conn, topic, &err);
	return going;
}

static void look_at_unseen(const struct visit *v)
{
	tf_found(v->d, TF_FINDING_UNSEEN, "consumer timeout",
		"rabbitmqctl eval 'application:get_env(rabbit, consumer_timeout).' tells; above the longest "
		"task of Python "
		"engines is what it needs to be",
		"%s: over AMQP nobody can see after how long the broker takes a request back that is not "
		"acknowledged "
		"(30 minutes by default); it concerns tasks of engines that do not supervise, as Python's",
		v->conn.where);
	tf_found(v->d, TF_FINDING_UNSEEN, "clock", "chrony or systemd-timesyncd on both machines",
		"%s: the broker does not tell its time; queue_limit compares the clocks of engines and "
		"workers",
		v->conn.where);
}

/* The exchange of "compat" goes with its last queue, so they stay until all was tried. What somebody uses by now stays. */
static void take_away(struct visit *v, const char *const *topics, const bool *queues, bool exchange)
{
	char buf[TF_AMQP_NAME_MAX];
	for (size_t i = 0; i < DIAGNOSE_TOPICS && topics[i]; i++) {
		if (!queues[i])
			continue;
		amqp_queue_delete(
			v->conn.state, TF_AMQP_CHANNEL, tf_amqp_queue_name(&v->conn, topics[i], buf), 1, 1);
		there(v);
	}
	if (!exchange)
		return;
	amqp_exchange_delete(v->conn.state, TF_AMQP_CHANNEL, amqp_cstring_bytes(v->shared->exchange), 1);
	there(v);
}

static void visit(struct visit *v, const char *const *topics)
{
	struct tf_err err;
	bool exchange = false, queues[DIAGNOSE_TOPICS] = {false};
	v->conn = (struct tf_amqp_conn){.shared = v->shared,
		.link = &v->shared->publisher,
		.handler = &HANDLER,
		.arg = v,
		.declare_channel = TF_AMQP_CHANNEL};
	if (tf_amqp_conn_open(&v->conn, v->url, &err) < 0) {
		tf_found(v->d, TF_FINDING_PROBLEM, "broker", unreachable_advice(&err), "%s", err.message);
		return;
	}
	look_at_version(v);
	look_at_connection(v);
	bool going = look_at_exchange(v, &exchange);
	for (size_t i = 0; going && i < DIAGNOSE_TOPICS && topics[i]; i++)
		going = look_at_topic(v, topics[i], &queues[i]);
	if (going && v->refused == 0) /* without exchange or queue it would be refused again */
		going = look_at_messages(v);
	if (going)
		take_away(v, topics, queues, exchange);
	look_at_unseen(v);
	tf_amqp_conn_close(&v->conn, going, DIAGNOSE_CLOSE_MS);
}

void tf_amqp_diagnose(const struct tf_transport_config *config, const struct tf_url_list *urls,
	const char *const *topics, const struct tf_diagnosis *d)
{
	struct tf_err err;
	struct tf_amqp_shared *shared;
	if (tf_amqp_shared_new(config, urls, &shared, &err) < 0) {
		tf_found(d, TF_FINDING_PROBLEM, "transport", NULL, "%s", err.message);
		return;
	}
	pthread_mutex_lock(&shared->publisher.own);
	for (size_t i = 0; i < urls->count; i++) {
		struct visit v = {.d = d, .shared = shared, .url = &urls->urls[i]};
		visit(&v, topics);
	}
	pthread_mutex_unlock(&shared->publisher.own);
	tf_amqp_shared_unref(shared);
}
