/* What the loop and the two threads of an amqp transport share: made from the configuration, freed by whoever is last. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "transport/amqp.h"

static void copy_urls(struct tf_url_list *to, const struct tf_url_list *from)
{
	size_t i;

	to->urls = tf_calloc(from->count, sizeof(*to->urls));
	to->count = from->count;
	for (i = 0; i < from->count; i++) {
		const struct tf_url *u = &from->urls[i];

		to->urls[i] = (struct tf_url){.scheme = tf_strdup(u->scheme),
			.host = tf_strdup(u->host),
			.port = u->port,
			.user = tf_strdup(u->user),
			.password = tf_strdup(u->password),
			.vhost = tf_strdup(u->vhost),
			.path = tf_strdup(u->path),
			.query = tf_strdup(u->query)};
	}
}

static int link_init(struct tf_amqp_link *l, const char *name, struct tf_err *err)
{
	l->name = name;
	l->fd = -1;
	pthread_mutex_init(&l->own, NULL);
	pthread_mutex_init(&l->fd_lock, NULL);
	l->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return l->eventfd < 0 ? tf_err_sys(err, "amqp: eventfd") : 0;
}

static struct tf_retry_options retry_of(const struct tf_retry_options *given)
{
	struct tf_retry_options r = *given;

	if (r.interval_start <= 0)
		r.interval_start = 1;
	if (r.interval_max <= 0)
		r.interval_max = 1;
	if (r.interval_max < r.interval_start)
		r.interval_max = r.interval_start;
	return r;
}

int tf_amqp_shared_new(const struct tf_transport_config *config, const struct tf_url_list *urls,
	struct tf_amqp_shared **out, struct tf_err *err)
{
	struct tf_amqp_shared *s;
	struct tf_amqp_options options;
	pthread_condattr_t monotonic;
	size_t i;
	int rc;

	for (i = 0; i < urls->count; i++)
		if (!urls->urls[i].host)
			return tf_err_set(err, TF_EINVAL,
				"the amqp transport needs amqp:// or amqps:// URLs, not %s://",
				urls->urls[i].scheme);
	rc = tf_amqp_options_parse(&options, config->options, err);
	if (rc < 0)
		return rc;
	s = TF_NEW(struct tf_amqp_shared);
	s->refs = 1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->ended, &monotonic);
	pthread_condattr_destroy(&monotonic);
	s->options = options;
	copy_urls(&s->urls, urls);
	s->exchange = tf_strdup(config->exchange);
	s->retry = retry_of(&config->retry);
	s->max_message = config->max_message ? config->max_message : TF_MAX_MESSAGE;
	s->publisher.eventfd = -1;
	rc = link_init(&s->consumer, "consumer", err);
	if (rc == 0)
		rc = link_init(&s->publisher, "publisher", err);
	if (rc < 0) {
		tf_amqp_shared_unref(s);
		return rc;
	}
	*out = s;
	return 0;
}

static void link_destroy(struct tf_amqp_link *l)
{
	close(l->eventfd);
	pthread_mutex_destroy(&l->own);
	pthread_mutex_destroy(&l->fd_lock);
}

void tf_amqp_shared_unref(struct tf_amqp_shared *s)
{
	bool last;
	size_t i;

	pthread_mutex_lock(&s->lock);
	last = --s->refs == 0;
	pthread_mutex_unlock(&s->lock);
	if (!last)
		return;
	link_destroy(&s->consumer);
	link_destroy(&s->publisher);
	tf_amqp_options_free(&s->options);
	tf_url_list_free(&s->urls);
	free(s->exchange);
	for (i = 0; i < s->topic_count; i++) {
		free(s->topics[i].group);
		free(s->topics[i].name);
	}
	free(s->topics);
	free(s->settles.items);
	tf_amqp_delivery_free(&s->deliveries);
	tf_amqp_publish_free(&s->to_publish);
	tf_amqp_publish_free(&s->published);
	pthread_cond_destroy(&s->ended);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
