/* {"slots": 4}, {"add": 2} or {"add": -1} -> {"pid": 12, "slots": 4, "before": 3}. What runs in slots that are too many is
 * finished; more than fits is TF_EINVAL, and changes nothing. */
#include <unistd.h>

#include "wbe/commands.h"

/* The number asked for; out of range too, which is refused later. */
static int read_slots(struct tf_json request, unsigned now, unsigned *slots, struct tf_err *err)
{
	struct tf_json v;
	int64_t n, sum;
	bool add = tf_json_get(request, "add", &v);
	if ((!add && !tf_json_get(request, "slots", &v)) || !tf_json_int64(v, &n))
		return tf_err_set(err, TF_EINVAL, "expected \"slots\": a number, or \"add\": a number");
	if (n < -TF_POOL_MAX_SLOTS || n > TF_POOL_MAX_SLOTS)
		return tf_err_set(err, TF_EINVAL, "at most %d slots", TF_POOL_MAX_SLOTS);
	sum = add ? (int64_t)now + n : n;
	if (sum < 1)
		return tf_err_set(err, TF_EINVAL,
			"%lld slots: at least one is left (a worker that is to take no more work is drained)",
			(long long)sum);
	*slots = (unsigned)sum;
	return 0;
}

static void run(void *subject, struct tf_json request, struct tf_control_call *call)
{
	const struct tf_worker_subject *w = subject;
	struct tf_buf out = TF_BUF_INIT;
	struct tf_server_stats s;
	struct tf_err err;
	unsigned slots = 0;
	tf_server_stats(w->server, &s);
	int rc = read_slots(request, s.slots, &slots, &err);
	if (rc == 0)
		rc = tf_server_resize(w->server, slots, &err);
	if (rc < 0) {
		tf_control_refuse(call, &err);
		return;
	}
	tf_buf_printf(&out, "{\"pid\": %ld, \"slots\": %u, \"before\": %u}", (long)getpid(), slots, s.slots);
	tf_control_answer(call, out.data);
	tf_buf_free(&out);
}

const struct tf_command tf_command_slots = {.name = "slots",
	.help = "serve with more or fewer slots (slots: so many; add: so many more)",
	.run = run};
