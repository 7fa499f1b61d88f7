/* {"check": false, "canary": 0.1, "requests": 50} -> {"generation": 3, "hash": "..."} once that serves, or is on trial. */
#include "wbe/command_label.h"
#include "wbe/commands.h"

static int read_share(struct tf_json request, struct tf_reload *how, struct tf_err *err)
{
	struct tf_json v;
	int64_t wanted;
	if (tf_json_get(request, "canary", &v) && tf_json_type(v) != TF_JSON_NULL &&
		(!tf_json_double(v, &how->share) || !(how->share > 0 && how->share < 1)))
		return tf_err_set(err, TF_EINVAL, "canary: expected a share between 0 and 1");
	if (!tf_json_get(request, "requests", &v) || tf_json_type(v) == TF_JSON_NULL)
		return 0;
	if (!tf_json_int64(v, &wanted) || wanted < 1)
		return tf_err_set(err, TF_EINVAL, "requests: expected a number from 1");
	how->canary_wanted = (uint64_t)wanted;
	return 0;
}

static void run(void *subject, struct tf_json request, struct tf_control_call *call)
{
	const struct tf_worker_subject *w = subject;
	struct tf_json check;
	struct tf_err err;
	struct tf_reload how = {.done = tf_command_answer_label, .arg = call};
	how.check = tf_json_get(request, "check", &check) && tf_json_type(check) == TF_JSON_TRUE;
	if (read_share(request, &how, &err) < 0)
		tf_control_refuse(call, &err);
	else
		tf_generations_reload(tf_server_generations(w->server), &how);
}

const struct tf_command tf_command_reload = {.name = "reload",
	.help = "load the scripts again (check: only try; canary: a share of the requests first)",
	.run = run};
