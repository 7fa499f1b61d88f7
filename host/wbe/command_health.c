/* {} -> {"kind": "worker", "pid": 12, "topic": "t", "live": true, "ready": false, "reason": "..."}. Who answers is alive. */
#include <string.h>
#include <unistd.h>

#include "wbe/commands.h"

static void run(void *subject, struct tf_json request, struct tf_control_call *call)
{
	const struct tf_worker_subject *w = subject;
	struct tf_buf out = TF_BUF_INIT;
	struct tf_err why;
	(void)request;
	bool ready = tf_server_check_ready(w->server, &why) == 0;
	tf_buf_printf(&out, "{\"kind\": \"worker\", \"pid\": %ld, ", (long)getpid());
	tf_json_write_text(&out, "topic", w->topic);
	tf_buf_printf(&out, ", \"live\": true, \"ready\": %s, \"reason\": ", ready ? "true" : "false");
	if (ready)
		tf_buf_puts(&out, "null");
	else
		tf_json_write_string(&out, why.message, tf_utf8_valid_len(why.message, strlen(why.message)));
	tf_buf_putc(&out, '}');
	tf_control_answer(call, out.data);
	tf_buf_free(&out);
}

const struct tf_command tf_command_health = {
	.name = "health", .help = "whether it takes requests now, and if not, why", .run = run};
