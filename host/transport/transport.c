#include "transport/transport.h"

#include <string.h>

#include "base/mem.h"
#include "transport/diagnosis.h"

extern const struct tf_transport_ops tf_transport_amqp, tf_transport_filesystem, tf_transport_memory;

static const struct tf_transport_ops *const BACKENDS[] = {
	&tf_transport_amqp,
	&tf_transport_filesystem,
	&tf_transport_memory,
};

enum {
	NAME_MAX_BYTES = 254, /* exchange + topic; the queue's name is an AMQP short string */
	SHORT_STRING_MAX = 255,
	PEER_MAX = 1 << 16,
};

static const struct tf_transport_ops *backend_of(const char *scheme)
{
	size_t i;
	const char *const *s;

	for (i = 0; i < sizeof(BACKENDS) / sizeof(*BACKENDS); i++)
		for (s = BACKENDS[i]->schemes; *s; s++)
			if (strcmp(*s, scheme) == 0)
				return BACKENDS[i];
	return NULL;
}

/* NULL: TF_EINVAL. `transport` wins over the URL, as in kombu. Otherwise all URLs must be of one back
 * end: a fail-over list does not change it. */
static const struct tf_transport_ops *choose(
	const char *transport, const struct tf_url_list *urls, struct tf_err *err)
{
	struct tf_url_list named;
	const struct tf_transport_ops *chosen;
	size_t i;

	if (transport) {
		if (tf_url_parse_list(NULL, transport, &named, err) < 0)
			return NULL;
		chosen = backend_of(named.urls[0].scheme);
		tf_url_list_free(&named);
		if (!chosen)
			tf_err_set(err, TF_EINVAL, "transport \"%s\" is not built in", transport);
		return chosen;
	}
	chosen = backend_of(urls->urls[0].scheme);
	if (!chosen)
		tf_err_set(err, TF_EINVAL, "no transport for URL scheme \"%s\"", urls->urls[0].scheme);
	for (i = 1; chosen && i < urls->count; i++) {
		if (backend_of(urls->urls[i].scheme) == chosen)
			continue;
		tf_err_set(err, TF_EINVAL,
			"the URLs of a fail-over list must be of one transport, not \"%s\" and \"%s\"",
			urls->urls[0].scheme, urls->urls[i].scheme);
		chosen = NULL;
	}
	return chosen;
}

static int check_config(const struct tf_transport_config *c, struct tf_err *err)
{
	const struct tf_retry_options *r = &c->retry;

	if (!c->exchange || !*c->exchange)
		return tf_err_set(err, TF_EINVAL, "an exchange name is needed");
	if (strlen(c->exchange) > NAME_MAX_BYTES)
		return tf_err_set(err, TF_EINVAL, "exchange name has %zu bytes, at most %d are allowed",
			strlen(c->exchange), NAME_MAX_BYTES);
	/* Written so that NaN is refused, too. */
	if (!(r->interval_start >= 0 && r->interval_step >= 0 && r->interval_max >= 0 && r->max_retries >= 0))
		return tf_err_set(err, TF_EINVAL, "retry_options must not be negative");
	return 0;
}

int tf_transport_open(struct tf_loop *loop, const struct tf_transport_config *config,
	const struct tf_transport_events *events, void *arg, struct tf_transport **out, struct tf_err *err)
{
	struct tf_url_list urls = {0};
	const struct tf_transport_ops *ops = NULL;
	struct tf_transport_config c = *config;
	struct tf_transport *t;
	int rc;

	TF_ASSERT(events->message);
	rc = check_config(config, err);
	if (rc < 0)
		return rc;
	rc = tf_url_parse_list(config->url, config->transport, &urls, err);
	if (rc < 0)
		return rc;
	ops = choose(config->transport, &urls, err);
	if (!ops) {
		rc = TF_EINVAL;
		goto out;
	}
	c.max_message = c.max_message ? c.max_message : TF_MAX_MESSAGE;
	c.max_queued = c.max_queued ? c.max_queued : TF_MAX_QUEUED;
	rc = ops->open(loop, &c, &urls, &t, err);
	if (rc < 0)
		goto out;
	t->ops = ops;
	t->loop = loop;
	t->events = *events;
	t->arg = arg;
	t->exchange = tf_strdup(config->exchange);
	t->max_message = c.max_message;
	t->max_queued = c.max_queued;
	*out = t;
out:
	tf_url_list_free(&urls);
	return rc;
}

void tf_transport_diagnose(
	const struct tf_transport_config *config, const char *const *topics, const struct tf_diagnosis *d)
{
	struct tf_url_list urls = {0};
	const struct tf_transport_ops *ops = NULL;
	struct tf_err err;

	if (check_config(config, &err) == 0 &&
		tf_url_parse_list(config->url, config->transport, &urls, &err) == 0)
		ops = choose(config->transport, &urls, &err);
	if (!ops)
		tf_found(d, TF_FINDING_PROBLEM, "transport", NULL, "%s", err.message);
	else if (ops->diagnose)
		ops->diagnose(config, &urls, topics, d);
	else
		tf_found(d, TF_FINDING_OK, "transport", NULL, "%s: there is nothing to look at", ops->name);
	tf_url_list_free(&urls);
}

static int check_topic(const struct tf_transport *t, const char *topic, struct tf_err *err)
{
	size_t len;

	if (!topic || !*topic)
		return tf_err_set(err, TF_EINVAL, "a topic is needed");
	len = strlen(t->exchange) + strlen(topic);
	if (len > NAME_MAX_BYTES)
		return tf_err_set(err, TF_EINVAL,
			"exchange and topic have %zu bytes together, at most %d are allowed", len,
			NAME_MAX_BYTES);
	return 0;
}

int tf_transport_consume(struct tf_transport *t, const char *topic, unsigned prefetch, struct tf_err *err)
{
	return tf_transport_consume_in(t, topic, NULL, prefetch, err);
}

int tf_transport_consume_in(
	struct tf_transport *t, const char *topic, const char *group, unsigned prefetch, struct tf_err *err)
{
	int rc = check_topic(t, topic, err);

	if (rc == 0 && group)
		rc = check_topic(t, group, err);
	return rc < 0 ? rc : t->ops->consume(t, topic, t->ops->groups ? group : NULL, prefetch, err);
}

void tf_transport_limit(struct tf_transport *t, const char *topic, unsigned prefetch)
{
	t->ops->limit(t, topic, prefetch);
}

static int check_property(const char *name, const char *value, size_t max, struct tf_err *err)
{
	if (value && strlen(value) > max)
		return tf_err_set(err, TF_EINVAL, "%s has %zu bytes, at most %zu are allowed", name,
			strlen(value), max);
	return 0;
}

int tf_transport_publish(
	struct tf_transport *t, const struct tf_message *m, unsigned flags, uint64_t id, struct tf_err *err)
{
	int rc;

	if ((rc = check_topic(t, m->topic, err)) < 0 ||
		(rc = check_property("type", m->type, SHORT_STRING_MAX, err)) < 0 ||
		(rc = check_property("reply_to", m->reply_to, SHORT_STRING_MAX, err)) < 0 ||
		(rc = check_property("correlation_id", m->correlation_id, SHORT_STRING_MAX, err)) < 0 ||
		(rc = check_property("header " TF_PEER_HEADER, m->peer, PEER_MAX, err)) < 0)
		return rc;
	if (m->body_len > t->max_message)
		return tf_err_set(err, TF_ELIMIT, "message to %s has %zu bytes, at most %zu are allowed",
			m->topic, m->body_len, t->max_message);
	if (t->queued >= t->max_queued)
		return tf_err_set(err, TF_EAGAIN, "%zu messages wait to be published", t->queued);
	return t->ops->publish(t, m, flags, id, err);
}

void tf_transport_settle(struct tf_transport *t, uint64_t tag, enum tf_settle how)
{
	t->ops->settle(t, tag, how);
}

bool tf_transport_is_up(const struct tf_transport *t)
{
	return t->up;
}

void tf_transport_close(struct tf_transport *t)
{
	char *exchange = t->exchange;

	t->ops->close(t); /* frees t, and may still need the name */
	free(exchange);
}
