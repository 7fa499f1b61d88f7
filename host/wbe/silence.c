/* Workers that are not heard of while they run something, and what becomes of that (ARCHITECTURE 4). */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "protocol/failure.h"
#include "wbe/client.h"

#define flight_of(w) ((struct tf_flight *)(void *)((char *)(w)-offsetof(struct tf_flight, watch)))

/* What happened to the request, for people; caller frees. */
static char *loss_story(const struct tf_client *c, const struct tf_watched *w, const struct tf_flight *f)
{
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_printf(&b, "worker %s (topic '%s'", w->peer.worker, f->topic);
	if (w->peer.host[0])
		tf_buf_printf(&b, ", host %s", w->peer.host);
	if (w->peer.pid > 0)
		tf_buf_printf(&b, ", pid %lld", (long long)w->peer.pid);
	tf_buf_printf(&b,
		") was silent for %.1f s while it ran task '%s': its process was killed or stopped, or it "
		"lost its "
		"connection; what the task did until then is not known",
		(double)(tf_pace_ms(&c->pace) - w->heard) / 1000.0, f->request.task_name);
	return b.data;
}

void tf_client_lose(struct tf_client *c, struct tf_flight *f, char *story)
{
	c->stats.lost++;
	f->losses++;
	f->begun_us = 0;
	free(f->loss);
	f->loss = story;
}

unsigned tf_client_attempts(const struct tf_client *c, const struct tf_flight *f)
{
	return f->attempts ? f->attempts : c->config.attempts;
}

bool tf_client_used_up(struct tf_client *c, struct tf_flight *f)
{
	unsigned attempts = tf_client_attempts(c, f);
	if (f->losses < attempts)
		return false;
	tf_client_complete(c, f, true,
		tf_failure_format(tf_types_worker_lost, "%s; attempts used up: %u of %u", f->loss, f->losses,
			attempts));
	return true;
}

/* The worker of `f` is lost: another one may take it, unless it was tried often enough. */
static void hand_over(struct tf_client *c, struct tf_flight *f, const struct tf_watched *w)
{
	struct tf_log_ids ids = tf_flight_log_ids(c, f);
	ids.worker = w->peer.worker;
	tf_client_lose(c, f, loss_story(c, w, f));
	tf_debug_of(&ids, "engine", "%s", f->loss);
	if (c->cancelling && f->request.action == TF_EXECUTE) {
		tf_client_complete(c, f, true,
			tf_failure_format(tf_types_cancelled, "%s; its engine was cancelled", f->loss));
		return;
	}
	if (tf_client_used_up(c, f))
		return;
	c->stats.handed_over++;
	tf_supervision_unwatch(c->supervision, &f->watch);
	tf_inflight_wait_again(c->inflight, f, tf_pace_ms(&c->pace));
}

/* Who is there besides? Whoever answers gets what the lost worker had. */
static void look_for_others(struct tf_client *c)
{
	c->probe_gap = TF_CLIENT_HURRY_MS;
	c->probe_at = tf_client_now(c);
	tf_client_place(c);
}

/* ---- is it the worker that is silent, or the broker?
 *
 * A broker that stands still (stopped, out of memory, behind a network that swallows packets) silences
 * everybody at once, long before a heartbeat tells. So while a worker is silent for half the time
 * allowed we send ourselves a message; without an answer no worker is judged. */

#define ECHO_MS 400

static uint64_t half_silence(const struct tf_client *c)
{
	return (uint64_t)c->config.silence_ms / 2;
}

bool tf_client_broker_is_silent(const struct tf_client *c)
{
	return c->transport->ops->broker && tf_pace_ms(&c->pace) - c->heard_at >= half_silence(c);
}

bool tf_client_is_echo(const struct tf_client *c, const struct tf_message *m)
{
	return m->reply_to && !strcmp(m->reply_to, c->config.reply_topic);
}

void tf_client_heard(struct tf_client *c)
{
	uint64_t now = tf_pace_ms(&c->pace);
	if (c->asked_at && now - c->asked_at >= half_silence(c)) {
		tf_info("engine", "the broker delivers again, after %.1f s",
			(double)(now - c->heard_at) / 1000.0);
		tf_supervision_grace(c->supervision, (uint64_t)c->config.silence_ms);
	}
	c->asked_at = 0;
	c->heard_at = now;
}

static void ask_broker(struct tf_client *c)
{
	uint64_t now = tf_pace_ms(&c->pace);
	const struct tf_watched *w = tf_supervision_longest(c->supervision);
	if (!w || !c->transport->ops->broker || now - w->heard < half_silence(c) ||
		now - c->echo_at < ECHO_MS)
		return;
	const struct tf_message m = {.topic = c->config.reply_topic,
		.type = TF_TYPE_NOTIFY,
		.reply_to = c->config.reply_topic,
		.body = "{}",
		.body_len = 2};
	c->echo_at = now;
	if (!c->asked_at)
		c->asked_at = now;
	(void)tf_transport_publish(c->transport, &m, 0, 0, NULL); /* no answer says enough */
}

void tf_client_judge_silence(struct tf_client *c)
{
	struct tf_watched *w;
	ask_broker(c);
	if (tf_client_broker_is_silent(c))
		return;
	while ((w = tf_supervision_silent(c->supervision)) != NULL) {
		const struct tf_log_ids ids = {.flow = c->config.reply_topic, .worker = w->peer.worker};
		tf_warn_of(&ids, "engine", "worker %s is silent: its tasks go to others", w->peer.worker);
		bool last = false;
		while (!last) {
			struct tf_watch *watch = TAILQ_FIRST(&w->watches);
			struct tf_flight *f = flight_of(watch);
			last = !TAILQ_NEXT(watch, link); /* `w` goes with its last watch */
			tf_finder_forget(c->finder, f->topic);
			hand_over(c, f, w);
		}
		look_for_others(c);
	}
}
