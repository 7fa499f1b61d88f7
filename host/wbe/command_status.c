/* {} -> what the worker is and serves: its slots with the processes and the requests in them, counters, generations of scripts.
 * Of what runs: its age, processor time, memory. All of it is known here: nothing is asked of tasks or of the broker. */
#include <inttypes.h>
#include <unistd.h>

#include "pool/usage.h"
#include "wbe/commands.h"

static const char *word(bool yes)
{
	return yes ? "true" : "false";
}

static void put_counters(struct tf_buf *out, const struct tf_server_stats *s)
{
	tf_buf_printf(out,
		"{\"requests\": %" PRIu64 ", \"succeeded\": %" PRIu64 ", \"failed\": %" PRIu64
		", \"malformed\": %" PRIu64 ", \"joined\": %" PRIu64 ", \"from_ledger\": %" PRIu64
		", \"dropped\": %" PRIu64 ", \"probes\": %" PRIu64 ", \"given_back\": %" PRIu64
		", \"events_dropped\": %" PRIu64 ", \"reconnects\": %" PRIu64 "}",
		s->requests, s->succeeded, s->failed, s->malformed, s->joined, s->answered_from_ledger,
		s->dropped, s->probes, s->given_back, s->events_dropped, s->reconnects);
}

static void put_queues(struct tf_buf *out, const struct tf_server_stats *s)
{
	tf_buf_printf(out, "{\"waiting\": %u, \"unsettled\": %u, \"window\": %u, \"unsent\": %zu}",
		s->waiting, s->unsettled, s->window, s->unsent);
}

static void put_task(void *arg, const struct tf_server_task *t)
{
	struct tf_buf *out = arg;
	tf_buf_printf(out, "%s{\"job\": %" PRIu64 ", ", out->data[out->len - 1] == '[' ? "" : ", ", t->job);
	tf_json_write_text(out, "task", t->name);
	tf_buf_puts(out, ", ");
	tf_json_write_text(out, "uuid", t->uuid);
	tf_buf_puts(out, ", ");
	tf_json_write_text(out, "engine", t->engine);
	if (t->task_cls) {
		tf_buf_puts(out, ", ");
		tf_json_write_text(out, "class", t->task_cls);
	}
	tf_buf_printf(out, ", \"action\": \"%s\", \"state\": \"%s\", \"waited\": %.3f, \"ran\": ",
		tf_action_name(t->action), t->state, (double)t->waited_ms / 1000);
	if (t->ran_ms >= 0)
		tf_buf_printf(out, "%.3f", (double)t->ran_ms / 1000);
	else
		tf_buf_puts(out, "null");
	tf_buf_printf(out, ", \"generation\": %" PRIu64 "}", t->generation);
}

static void put_slot(void *arg, const struct tf_label *label, const struct tf_slot_info *i)
{
	struct tf_buf *out = arg;
	tf_buf_printf(out,
		"%s{\"pid\": %d, \"state\": \"%s\", \"generation\": %" PRIu64
		", \"cpu\": %.3f, \"memory\": %" PRIu64,
		out->data[out->len - 1] == '[' ? "" : ", ", (int)i->pid, i->state, label->number,
		(double)tf_usage_cpu_ns(i->pid) / 1e9, tf_usage_memory(i->pid));
	if (i->job) {
		tf_buf_printf(out, ", \"job\": %" PRIu64 ", \"job_cpu\": %.3f, \"ahead\": %u, ", i->job,
			(double)i->cpu_ns / 1e9, i->ahead);
		tf_json_write_text(out, "class", i->task_cls);
	}
	tf_buf_putc(out, '}');
}

static void put_worker(struct tf_buf *out, const struct tf_worker_subject *w, const struct tf_server_stats *s)
{
	const char *const texts[][2] = {{"worker", tf_server_uuid(w->server)}, {"topic", w->topic},
		{"exchange", w->exchange}, {"url", w->place}, {"control", w->control_path}};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		tf_buf_puts(out, ", ");
		tf_json_write_text(out, texts[i][0], texts[i][1]);
	}
	tf_buf_printf(out,
		", \"pid\": %ld, \"seconds\": %.3f, \"slots\": %u, \"busy\": %u, \"watching\": %s"
		", \"connected\": %s, \"draining\": %s, \"cpu\": %.3f, \"memory\": %" PRIu64,
		(long)getpid(), (double)(tf_clock_ms(tf_loop_clock(w->loop)) - w->begun_ms) / 1000, s->slots,
		s->busy, word(tf_reloader_watches(w->reloader)), word(s->connected), word(s->draining),
		(double)tf_usage_cpu_ns(getpid()) / 1e9, tf_usage_memory(getpid()));
}

static void run(void *subject, struct tf_json request, struct tf_control_call *call)
{
	const struct tf_worker_subject *w = subject;
	struct tf_buf out = TF_BUF_INIT;
	struct tf_server_stats s;
	(void)request;
	tf_server_stats(w->server, &s);
	tf_buf_puts(&out, "{\"kind\": \"worker\"");
	put_worker(&out, w, &s);
	tf_buf_puts(&out, ", \"queues\": ");
	put_queues(&out, &s);
	tf_buf_printf(&out,
		", \"ledger\": {\"outcomes\": %zu, \"bytes\": %zu}, \"counters\": ", s.ledger_outcomes,
		s.ledger_bytes);
	put_counters(&out, &s);
	tf_buf_puts(&out, ", \"tasks\": [");
	tf_server_each_task(w->server, put_task, &out);
	tf_buf_puts(&out, "], \"processes\": [");
	tf_generations_each_slot(tf_server_generations(w->server), put_slot, &out);
	tf_buf_puts(&out, "], \"scripts\": ");
	tf_generations_status(tf_server_generations(w->server), &out);
	tf_buf_putc(&out, '}');
	tf_control_answer(call, out.data);
	tf_buf_free(&out);
}

const struct tf_command tf_command_status = {.name = "status",
	.help = "what it is and serves: slots, what runs and waits, queues, counters, generations of scripts",
	.run = run};
