#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "wbe/commands.h"

static void put_text(struct tf_buf *out, const char *name, const char *text)
{
	tf_buf_printf(out, "\"%s\": ", name);
	tf_json_write_string(out, text, tf_utf8_valid_len(text, strlen(text)));
	tf_buf_puts(out, ", ");
}

static void put_counters(struct tf_buf *out, const struct tf_server_stats *s)
{
	tf_buf_printf(out,
		"{\"requests\": %" PRIu64 ", \"succeeded\": %" PRIu64 ", \"failed\": %" PRIu64
		", \"malformed\": %" PRIu64 ", \"joined\": %" PRIu64 ", \"from_ledger\": %" PRIu64
		", \"dropped\": %" PRIu64 ", \"probes\": %" PRIu64 "}",
		s->requests, s->succeeded, s->failed, s->malformed, s->joined, s->answered_from_ledger,
		s->dropped, s->probes);
}

static void run(void *subject, struct tf_json request, struct tf_control_call *call)
{
	const struct tf_worker_subject *w = subject;
	struct tf_buf out = TF_BUF_INIT;
	struct tf_server_stats s;
	(void)request;
	tf_server_stats(w->server, &s);
	tf_buf_puts(&out, "{\"kind\": \"worker\", ");
	put_text(&out, "worker", tf_server_uuid(w->server));
	put_text(&out, "topic", w->topic);
	put_text(&out, "exchange", w->exchange);
	put_text(&out, "url", w->place);
	tf_buf_printf(&out,
		"\"pid\": %ld, \"seconds\": %" PRIu64 ", \"slots\": %u, \"busy\": %u, \"watching\": %s, ",
		(long)getpid(), (tf_clock_ms(tf_loop_clock(w->loop)) - w->begun_ms) / 1000, s.slots, s.busy,
		tf_reloader_watches(w->reloader) ? "true" : "false");
	tf_buf_puts(&out, "\"counters\": ");
	put_counters(&out, &s);
	tf_buf_puts(&out, ", \"scripts\": ");
	tf_generations_status(tf_server_generations(w->server), &out);
	tf_buf_putc(&out, '}');
	tf_control_answer(call, out.data);
	tf_buf_free(&out);
}

const struct tf_command tf_command_status = {.name = "status",
	.help = "what it serves: generations of scripts, slots, counters, the last load error",
	.run = run};
