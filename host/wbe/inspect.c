/* A worker looked at from outside: its counters, its requests, whether it takes more. */
#include "wbe/service.h"

/* Jobs stand in the order of their arrival; those before the first that waits run, or have ended. */
static uint64_t oldest_wait_ms(const struct tf_server *s)
{
	const struct tf_job *j;
	TAILQ_FOREACH(j, &s->jobs, all)
	{
		if (j->state == TF_JOB_QUEUED || j->state == TF_JOB_SUBMITTED)
			return (tf_clock_us() - j->came_us) / 1000;
	}
	return 0;
}

void tf_server_stats(const struct tf_server *s, struct tf_server_stats *out)
{
	*out = s->stats;
	/* What the transport rejected before we saw it is malformed like the rest. */
	out->malformed += s->transport->stats.malformed + s->transport->stats.oversized;
	out->slots = s->slots;
	out->busy = s->endpoint.ops->busy_slots(s->endpoint.pool);
	out->oldest_ms = oldest_wait_ms(s);
	out->waiting = tf_jobs_waiting(s);
	out->unsettled = (unsigned)s->live_tags;
	out->window = s->window.size;
	out->unsent = s->transport->queued;
	out->reconnects = s->transport->stats.reconnects;
	out->ledger_outcomes = tf_ledger_count(s->ledger);
	out->ledger_bytes = tf_ledger_bytes(s->ledger);
	out->connected = tf_transport_is_up(s->transport);
	out->draining = s->draining;
}

const struct tf_tally *tf_server_tally(const struct tf_server *s)
{
	return s->tally;
}

const struct tf_transport *tf_server_transport(const struct tf_server *s)
{
	return s->transport;
}

static struct tf_server_task task_of(const struct tf_job *j)
{
	static const char *const states[] = {
		[TF_JOB_QUEUED] = "waiting",
		[TF_JOB_SUBMITTED] = "starting",
		[TF_JOB_RUNNING] = "running",
		[TF_JOB_FINISHED] = "delivering",
	};
	uint64_t now = tf_clock_us();
	bool ended = j->state == TF_JOB_FINISHED;
	int64_t ran_us = ended ? j->ran_us : (int64_t)(now - j->begun_us);
	return (struct tf_server_task){
		.job = j->id,
		.name = j->task_name,
		.uuid = j->correlation_id,
		.engine = j->engine->reply_to,
		.task_cls = j->request.task_cls,
		.action = j->action,
		.state = states[j->state],
		.waited_ms = (int64_t)((j->begun_us ? j->begun_us : now) - j->came_us) / 1000,
		.ran_ms = j->begun_us && ran_us >= 0 ? ran_us / 1000 : -1,
		.generation = j->label.number,
	};
}

void tf_server_each_task(const struct tf_server *s, tf_server_visit *visit, void *arg)
{
	const struct tf_job *j;
	TAILQ_FOREACH(j, &s->jobs, all)
	{
		const struct tf_server_task task = task_of(j);
		visit(arg, &task);
	}
}

int tf_server_check_ready(const struct tf_server *s, struct tf_err *err)
{
	if (s->draining)
		return tf_err_set(err, TF_ESTATE, "it drains, and takes no more requests");
	if (!s->consuming)
		return tf_err_set(err, TF_ESTATE, "its scripts have not loaded yet");
	if (!tf_transport_is_up(s->transport))
		return tf_err_set(err, TF_ESTATE, "it is not connected: its log says why");
	return 0;
}

void tf_server_watch(struct tf_server *s, tf_server_witness *witness, void *arg)
{
	s->witness = witness;
	s->witness_arg = arg;
}

struct tf_generations *tf_server_generations(struct tf_server *s)
{
	return s->endpoint.pool;
}

const char *tf_server_uuid(const struct tf_server *s)
{
	return s->self.worker;
}
