#include "transport/amqp.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/uuid.h"

uint64_t tf_amqp_now(void)
{
	return tf_clock_ms(&tf_clock_real);
}

void tf_amqp_link_start(struct tf_amqp_link *l, void *(*main)(void *shared), struct tf_amqp_shared *s)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&l->thread, NULL, main, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	TF_ASSERT(rc == 0);
}

void tf_amqp_link_end(struct tf_amqp_shared *s, struct tf_amqp_link *l)
{
	pthread_mutex_lock(&s->lock);
	l->ended = true;
	pthread_cond_broadcast(&s->ended);
	pthread_mutex_unlock(&s->lock);
	tf_amqp_shared_unref(s);
}

bool tf_amqp_link_join(struct tf_amqp_shared *s, struct tf_amqp_link *l, uint64_t deadline)
{
	const struct timespec ts = {
		.tv_sec = (time_t)(deadline / 1000), .tv_nsec = (long)(deadline % 1000) * 1000000};
	bool ended;

	pthread_mutex_lock(&s->lock);
	while (!l->ended && pthread_cond_timedwait(&s->ended, &s->lock, &ts) == 0)
		;
	ended = l->ended;
	pthread_mutex_unlock(&s->lock);
	if (ended)
		pthread_join(l->thread, NULL);
	return ended;
}

void tf_amqp_link_wake(struct tf_amqp_link *l)
{
	const uint64_t one = 1;

	if (!atomic_exchange(&l->woken, true))
		while (write(l->eventfd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
}

void tf_amqp_link_clear_wake(struct tf_amqp_link *l)
{
	uint64_t count;

	while (read(l->eventfd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	/* After the read: a wake in between finds `woken` set and needs no write, for the queues
	 * are looked at only after this. */
	atomic_store(&l->woken, false);
}

void tf_amqp_link_shutdown(struct tf_amqp_link *l)
{
	pthread_mutex_lock(&l->fd_lock);
	if (l->fd >= 0)
		shutdown(l->fd, SHUT_RDWR);
	pthread_mutex_unlock(&l->fd_lock);
}

bool tf_amqp_link_instead(struct tf_amqp_link *l, bool (*work)(void *serving))
{
	if (pthread_mutex_trylock(&l->own) != 0)
		return false;
	bool done = l->serving && work(l->serving);
	pthread_mutex_unlock(&l->own);
	return done;
}

void tf_amqp_wake_loop(struct tf_amqp_shared *s)
{
	if (s->post)
		tf_post_wake(s->post);
}

void tf_amqp_link_up(struct tf_amqp_shared *s, struct tf_amqp_link *l)
{
	pthread_mutex_lock(&s->lock);
	l->up = true;
	tf_amqp_wake_loop(s);
	pthread_mutex_unlock(&s->lock);
}

void tf_amqp_link_down(struct tf_amqp_shared *s, struct tf_amqp_link *l, const struct tf_err *err)
{
	pthread_mutex_lock(&s->lock);
	l->up = false;
	if (err) {
		l->err = *err;
		l->failures++;
		tf_amqp_wake_loop(s);
	}
	pthread_mutex_unlock(&s->lock);
}

bool tf_amqp_link_stopping(struct tf_amqp_shared *s, struct tf_amqp_link *l, uint64_t *deadline)
{
	bool stop;

	pthread_mutex_lock(&s->lock);
	stop = l->stop;
	if (deadline)
		*deadline = l->deadline;
	pthread_mutex_unlock(&s->lock);
	return stop;
}

void tf_amqp_link_sleep(struct tf_amqp_link *l, int ms)
{
	struct pollfd p = {.fd = l->eventfd, .events = POLLIN};

	if (poll(&p, 1, ms) > 0)
		tf_amqp_link_clear_wake(l);
}

void tf_amqp_link_backoff(struct tf_amqp_shared *s, struct tf_amqp_link *l, unsigned failures)
{
	const double start = s->retry.interval_start * 1000, cap = s->retry.interval_max * 1000;
	double delay = start;
	uint64_t until, now;

	for (; failures > 1 && delay < cap; failures--)
		delay *= 2;
	if (delay > cap)
		delay = cap;
	delay = delay / 2 + delay / 2 * tf_random(1001) / 1000; /* peers must not come back in step */
	until = tf_amqp_now() + (uint64_t)delay;
	while (!tf_amqp_link_stopping(s, l, NULL) && (now = tf_amqp_now()) < until)
		tf_amqp_link_sleep(l, (int)(until - now));
	if (tf_amqp_link_stopping(s, l, NULL))
		tf_amqp_link_sleep(l, 50); /* flushing: try often, but do not spin */
}

void tf_amqp_publish_append(struct tf_amqp_publish_list *l, struct tf_amqp_publish *p)
{
	p->next = NULL;
	if (l->tail)
		l->tail->next = p;
	else
		l->head = p;
	l->tail = p;
}

void tf_amqp_publish_prepend(struct tf_amqp_publish_list *l, struct tf_amqp_publish_list *front)
{
	if (!front->head)
		return;
	front->tail->next = l->head;
	if (!l->tail)
		l->tail = front->tail;
	l->head = front->head;
	*front = (struct tf_amqp_publish_list){0};
}

struct tf_amqp_publish *tf_amqp_publish_shift(struct tf_amqp_publish_list *l)
{
	struct tf_amqp_publish *p = l->head;

	if (p) {
		l->head = p->next;
		if (!l->head)
			l->tail = NULL;
		p->next = NULL;
	}
	return p;
}

void tf_amqp_publish_free(struct tf_amqp_publish_list *l)
{
	struct tf_amqp_publish *p;

	while ((p = tf_amqp_publish_shift(l)) != NULL) {
		free(p->err);
		free(p);
	}
}

void tf_amqp_delivery_append(struct tf_amqp_delivery_list *l, struct tf_amqp_delivery *d)
{
	struct tf_amqp_delivery_list one = {.head = d, .tail = d, .count = 1, .bytes = d->size};

	d->next = NULL;
	tf_amqp_delivery_join(l, &one);
}

void tf_amqp_delivery_join(struct tf_amqp_delivery_list *l, struct tf_amqp_delivery_list *more)
{
	if (!more->head)
		return;
	if (l->tail)
		l->tail->next = more->head;
	else
		l->head = more->head;
	l->tail = more->tail;
	l->count += more->count;
	l->bytes += more->bytes;
	*more = (struct tf_amqp_delivery_list){0};
}

void tf_amqp_delivery_free(struct tf_amqp_delivery_list *l)
{
	struct tf_amqp_delivery *d, *next;

	for (d = l->head; d; d = next) {
		next = d->next;
		free(d);
	}
	*l = (struct tf_amqp_delivery_list){0};
}
