#include "wbe/command_label.h"
#include "wbe/commands.h"

static void run(void *subject, struct tf_json request, struct tf_control_call *call)
{
	const struct tf_worker_subject *w = subject;
	struct tf_err err;
	(void)request;
	if (tf_generations_rollback(tf_server_generations(w->server), tf_command_answer_label, call, &err) <
		0)
		tf_control_refuse(call, &err);
}

const struct tf_command tf_command_rollback = {.name = "rollback",
	.help = "return to the generation before, without the files; or give up the canary",
	.run = run};
