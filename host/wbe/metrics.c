#include "wbe/metrics.h"

#include "base/exposition.h"
#include "pool/metrics.h"

static void put_tally(struct tf_buf *out, const char *name, const char *help, const struct tf_tally *t)
{
	const struct tf_tally_row *row;
	tf_expose_head(out, name, "counter", help);
	for (unsigned i = 0; (row = tf_tally_at(t, i)) != NULL; i++) {
		tf_expose_sample(
			out, name, (double)row->succeeded, "class", row->name, "outcome", "success", NULL);
		tf_expose_sample(
			out, name, (double)row->failed, "class", row->name, "outcome", "failure", NULL);
	}
}

/* ---- a worker ---- */

static void put_requests(struct tf_buf *out, const struct tf_server_stats *s)
{
	const struct tf_labelled duplicates[] = {{"joined", s->joined}, {"ledger", s->answered_from_ledger}};
	tf_expose_histogram(out, "tfhost_worker_queue_wait_seconds",
		"How long requests waited here, from their arrival until their task began.", &s->wait);
	tf_expose_histogram(
		out, "tfhost_worker_run_seconds", "How long tasks ran, from begin to end.", &s->run);
	tf_expose_gauge(out, "tfhost_worker_oldest_unstarted_seconds",
		"Age of the oldest request here whose task has not begun; 0: none waits.",
		(double)s->oldest_ms / 1000);
	tf_expose_counter(out, "tfhost_worker_redeliveries_total",
		"Requests that the broker had delivered before, to this worker or another.", s->redelivered);
	TF_EXPOSE_LABELLED(out, "tfhost_worker_duplicates_suppressed_total",
		"Requests that came again and were not run again: joined to the run, or answered from the "
		"ledger.",
		"how", duplicates);
	tf_expose_counter(out, "tfhost_worker_outcomes_dropped_total",
		"Outcomes that no engine took within a minute.", s->dropped);
	tf_expose_counter(out, "tfhost_worker_events_dropped_total",
		"Events of tasks that could not be sent.", s->events_dropped);
	tf_expose_counter(out, "tfhost_worker_given_back_total",
		"Running tasks that were ended because a drain took too long.", s->given_back);
	tf_expose_counter(out, "tfhost_worker_malformed_messages_total", "Messages rejected.", s->malformed);
	tf_expose_counter(
		out, "tfhost_worker_probes_total", "Questions of engines that were answered.", s->probes);
}

static void put_generations(struct tf_buf *out, const struct tf_generations_stats *g)
{
	const struct tf_labelled reloads[] = {{"ok", g->reloads}, {"failed", g->refused}};
	TF_EXPOSE_LABELLED(out, "tfhost_worker_reloads_total",
		"Changed scripts that were loaded, and that could not be used.", "outcome", reloads);
	tf_expose_counter(out, "tfhost_worker_rollbacks_total",
		"Returns to scripts before, canaries that were given up among them.", g->rollbacks);
}

static void put_transport(struct tf_buf *out, const struct tf_transport *t)
{
	const struct tf_transport_stats *s = &t->stats;
	const struct tf_labelled messages[] = {{"received", s->received}, {"published", s->published},
		{"returned", s->returned}, {"rejected", s->rejected}, {"requeued", s->requeued}};
	tf_expose_gauge(out, "tfhost_transport_connected", "1: the broker or the directory can be reached.",
		tf_transport_is_up(t));
	tf_expose_gauge(out, "tfhost_transport_unconfirmed", "Messages published and not confirmed yet.",
		(double)t->queued);
	TF_EXPOSE_LABELLED(out, "tfhost_transport_messages_total", "Messages, by what became of them.",
		"what", messages);
}

/* Of both sides. */
static void put_connection(struct tf_buf *out, uint64_t reconnects, const struct tf_histogram *confirm)
{
	tf_expose_counter(
		out, "tfhost_transport_reconnects_total", "Connections made after one was lost.", reconnects);
	tf_expose_histogram(out, "tfhost_transport_confirm_seconds",
		"From publishing a message to the broker's confirm (amqp).", confirm);
}

void tf_worker_metrics_write(void *metrics, struct tf_buf *out)
{
	const struct tf_worker_metrics *m = metrics;
	const struct tf_transport *t = tf_server_transport(m->server);
	const struct tf_generations_stats *g = tf_generations_stats(tf_server_generations(m->server));
	struct tf_server_stats s;
	struct tf_err why;
	tf_server_stats(m->server, &s);
	tf_expose_head(out, "tfhost_worker_info", "gauge", "Always 1; the labels say which worker this is.");
	tf_expose_sample(out, "tfhost_worker_info", 1, "worker", tf_server_uuid(m->server), "exchange",
		m->exchange, "topic", m->topic, NULL);
	tf_expose_gauge(out, "tfhost_worker_ready", "1: a request that is sent now is taken.",
		tf_server_check_ready(m->server, &why) == 0);
	put_tally(out, "tfhost_worker_requests_total",
		"Requests whose outcome was delivered, by class of the task.", tf_server_tally(m->server));
	put_requests(out, &s);
	tf_slots_metrics("worker", s.slots, s.busy, &g->slots, out);
	put_generations(out, g);
	put_transport(out, t);
	put_connection(out, t->stats.reconnects, &t->confirm);
	tf_process_metrics(m->lag, out);
}

/* ---- an engine ---- */

void tf_executor_wbe_metrics(const struct tf_executor *x, struct tf_buf *out)
{
	struct tf_wbe_stats s;
	tf_executor_wbe_stats(x, &s);
	const struct tf_labelled lost[] = {{"silent", s.lost}, {"task_process_died", s.died}};
	put_tally(out, "tfhost_engine_requests_total", "Requests that have an outcome, by class of the task.",
		tf_executor_wbe_tally(x));
	tf_expose_histogram(out, "tfhost_engine_queue_wait_seconds",
		"How long requests waited, from their submission until a worker began them.", &s.wait);
	tf_expose_histogram(out, "tfhost_engine_run_seconds", "How long their tasks ran.", &s.run);
	tf_expose_gauge(out, "tfhost_engine_oldest_unstarted_seconds",
		"Age of the oldest request that no worker has begun; 0: none waits.",
		(double)s.oldest_ms / 1000);
	tf_expose_gauge(
		out, "tfhost_engine_requests_in_flight", "Requests without an outcome.", (double)s.in_flight);
	tf_expose_gauge(out, "tfhost_engine_workers", "Workers known.", (double)s.workers);
	TF_EXPOSE_LABELLED(out, "tfhost_engine_workers_lost_total",
		"Requests whose worker was lost: it was silent, or says that the process of the task died.",
		"cause", lost);
	tf_expose_counter(out, "tfhost_engine_handed_over_total",
		"Requests of lost workers that were given to others.", s.handed_over);
	tf_expose_counter(
		out, "tfhost_engine_timeouts_total", "Requests that no worker took in time.", s.timeouts);
	tf_expose_counter(out, "tfhost_engine_resent_total",
		"Requests sent again because a broker may have lost them.", s.resent);
	tf_expose_counter(out, "tfhost_engine_duplicates_suppressed_total",
		"Replies to requests that are over, dropped.", s.stale);
	tf_expose_counter(out, "tfhost_engine_malformed_messages_total", "Messages rejected.", s.malformed);
	put_connection(out, s.reconnects, &s.confirm);
}

void tf_process_metrics(const struct tf_lag *lag, struct tf_buf *out)
{
	tf_expose_histogram(out, "tfhost_loop_lag_seconds",
		"How late the loop of this process was, looked at four times a second.",
		tf_lag_histogram(lag));
	tf_expose_process(out);
}
