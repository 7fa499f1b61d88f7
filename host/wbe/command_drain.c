/* {"seconds": 30, "wait": true} -> {"pid": 12, "running": 2, "given_back": 0}: take no more work, finish what runs, end. What
 * still runs after `seconds` (absent: the worker's drain_timeout; 0: at once) is ended and given back. With `wait` the
 * answer comes when all that is done. */
#include <inttypes.h>
#include <math.h>
#include <unistd.h>

#include "wbe/commands.h"

enum { DRAIN_MAX_SECONDS = 100000000 };

/* NAN: as configured. */
static int read_seconds(struct tf_json request, double *seconds, struct tf_err *err)
{
	struct tf_json v;
	*seconds = NAN;
	if (!tf_json_get(request, "seconds", &v) || tf_json_type(v) == TF_JSON_NULL)
		return 0;
	if (!tf_json_double(v, seconds) || !(*seconds >= 0 && *seconds <= DRAIN_MAX_SECONDS))
		return tf_err_set(
			err, TF_EINVAL, "seconds: expected a number from 0 to %d", DRAIN_MAX_SECONDS);
	return 0;
}

void tf_command_answer_drained(const struct tf_worker_subject *w, struct tf_control_call *call)
{
	struct tf_buf out = TF_BUF_INIT;
	struct tf_server_stats s;
	tf_server_stats(w->server, &s);
	tf_buf_printf(&out, "{\"pid\": %ld, \"running\": %u, \"given_back\": %" PRIu64 "}", (long)getpid(),
		s.busy, s.given_back);
	tf_control_answer(call, out.data);
	tf_buf_free(&out);
}

static void run(void *subject, struct tf_json request, struct tf_control_call *call)
{
	struct tf_worker_subject *w = subject;
	struct tf_json wait;
	struct tf_err err;
	double seconds;
	int rc = read_seconds(request, &seconds, &err);
	bool waits = tf_json_get(request, "wait", &wait) && tf_json_type(wait) == TF_JSON_TRUE;
	if (rc == 0 && waits && w->ending_count == TF_WORKER_ENDING)
		rc = tf_err_set(&err, TF_ELIMIT, "too many wait for its end");
	if (rc < 0) {
		tf_control_refuse(call, &err);
		return;
	}
	if (waits)
		w->ending[w->ending_count++] = call;
	else
		tf_command_answer_drained(w, call);
	w->drain(w->drain_arg, seconds);
}

const struct tf_command tf_command_drain = {.name = "drain",
	.help = "take no more work, finish what runs, end (seconds: what still runs then is given back; "
		"wait: answer then)",
	.run = run};
