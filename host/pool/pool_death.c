/* How a slot ended, and what its job's engine is told: the cause, signal or exit code, and what the task used. */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "pool/pool_private.h"
#include "pool/process.h"
#include "protocol/failure.h"

enum tf_slot_death pool_death_cause(const struct pool_slot *s, enum pool_slot_state was, int status)
{
	const struct pool_job *j = s->job;
	const struct tf_pool *p = s->pool;
	if (was == POOL_SLOT_FORKING || was == POOL_SLOT_STARTING)
		return TF_SLOT_START;
	if (j && j->stop_types)
		return j->stop_types == tf_types_time_limit     ? TF_SLOT_TIME_LIMIT
		       : j->stop_types == tf_types_memory_limit ? TF_SLOT_MEMORY_LIMIT
								: TF_SLOT_TASK_STOPPED;
	if (s->breach)
		return TF_SLOT_BAD_MESSAGE;
	if (!WIFSIGNALED(status))
		return TF_SLOT_EXIT;
	if (tf_claims_refused(s->claims))
		return TF_SLOT_OUT_OF_MEMORY;
	uint64_t before = j && j->accounted ? j->oom_count : p->oom_count;
	return WTERMSIG(status) == SIGKILL && tf_oom_count(p->oom) > before ? TF_SLOT_OUT_OF_MEMORY
									    : TF_SLOT_SIGNAL;
}

/* What it had come to, beyond how the process ended. */
static void death_explain(const struct pool_slot *s, enum tf_slot_death cause, struct tf_buf *text)
{
	uint64_t refused = tf_claims_refused(s->claims);
	if (cause == TF_SLOT_OUT_OF_MEMORY && refused) {
		tf_buf_printf(text,
			"; out of memory (rlimit): it could not have %.1f MB more, beyond the limit",
			(double)refused / 1048576);
		tf_process_describe_limit(getpid(), text); /* which slots inherit */
	} else if (cause == TF_SLOT_OUT_OF_MEMORY) {
		tf_buf_puts(text, "; out of memory (cgroup): the kernel killed it in ");
		tf_oom_describe(s->pool->oom, text);
	}
	if (s->breach)
		tf_buf_printf(text, "; it was ended because %s", s->breach);
}

/* The same for programs: args of the failure, the text first as with any. */
static struct tf_value *death_args(const struct pool_slot *s, const char *text, int status, double seconds,
	double cpu, const struct rusage *usage)
{
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_putc(&b, '[');
	tf_json_write_string(&b, text, tf_utf8_valid_len(text, strlen(text)));
	tf_buf_printf(&b, ", {\"pid\": %d, ", (int)s->pid);
	if (WIFSIGNALED(status))
		tf_buf_printf(&b, "\"signal\": %d, \"exit_code\": null", WTERMSIG(status));
	else
		tf_buf_printf(&b, "\"signal\": null, \"exit_code\": %d", WEXITSTATUS(status));
	tf_buf_printf(&b, ", \"seconds\": %.3f, \"cpu_seconds\": %.3f, \"peak_memory\": %" PRId64 "}]",
		seconds, cpu, (int64_t)usage->ru_maxrss * 1024);
	return tf_value_take(&b);
}

static double seconds_of(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

struct tf_value *pool_death_failure(const struct pool_slot *s, const struct pool_job *j,
	enum tf_slot_death cause, int status, const struct rusage *usage)
{
	struct tf_buf text = TF_BUF_INIT;
	double seconds = (double)(pool_now(s->pool) - s->begun_ms) / 1000;
	double cpu = seconds_of(&usage->ru_utime) + seconds_of(&usage->ru_stime);
	double before =
		(double)tf_claims_cpu_us(s->claims, j->number) / 1e6; /* tasks that the slot ran before */
	cpu = before < cpu ? cpu - before : 0;
	if (j->stop_types)
		tf_buf_printf(&text, "%s; ", j->stop_why);
	tf_buf_printf(&text, "slot (pid %d) running task '%s' (%s) ", (int)s->pid, j->name, j->cls);
	tf_process_describe_end(status, &text);
	tf_buf_printf(&text, " after %.1f s; cpu %.1f s, peak memory %.0f MB", seconds, cpu,
		(double)usage->ru_maxrss / 1024);
	death_explain(s, cause, &text);
	const struct tf_log_ids ids = pool_log_ids(j);
	tf_warn_of(&ids, "pool", "%s", text.data);
	struct tf_value *args = death_args(s, text.data, status, seconds, cpu, usage);
	struct tf_value *failure = tf_failure_value(&(struct tf_failure){.exception_str = text.data,
		.exc_type_names = j->stop_types                    ? j->stop_types
				  : cause == TF_SLOT_OUT_OF_MEMORY ? tf_types_out_of_memory
								   : tf_types_worker_lost,
		.exc_args = args});
	tf_value_unref(args);
	tf_buf_free(&text);
	return failure;
}
