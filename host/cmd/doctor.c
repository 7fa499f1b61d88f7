/* `tfhost doctor`: what a worker with these options would meet, looked at before it matters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timex.h>

#include "base/excerpt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/worker_args.h"
#include "control/control.h"
#include "pool/pool.h"
#include "script/worker_config.h"
#include "transport/diagnosis.h"
#include "wbe/worker.h"

enum { KEY_JSON = 700, DOCTOR_LOAD_S = 30, DOCTOR_SLOT_FILES = 4, DOCTOR_OWN_FILES = 64 };

static const struct argp_option doctor_options[] = {
	{"json", KEY_JSON, 0, 0, "One JSON object a finding and line", 0},
	{0},
};

struct doctor {
	struct tf_worker_args worker;
	bool json;
	unsigned counts[TF_FINDING_PROBLEM + 1];
	struct tf_diagnosis findings;
};

static error_t doctor_parse(int key, char *value, struct argp_state *state)
{
	struct doctor *d = state->input;
	(void)value;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &d->worker;
		return 0;
	case KEY_JSON:
		d->json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const char doctor_doc[] =
	"Look at what a worker with these options would meet, and an engine alike: settings; the broker "
	"(reached, version, "
	"permissions, exchange and queues, heartbeat, alarms) or the directory (rename, locks, inotify, "
	"space, leftovers); "
	"scripts; clock. It says what is wrong and what to do. What it makes in order to look is taken away "
	"again."
	"\vFindings: ok; unseen, what matters and cannot be seen from here; warning; problem.\n\n"
	"Exit codes: 0 no problem; 1 problems; 64 wrong command line.\n\n"
	"Example: tfhost doctor tasks.lua --url amqp://user:password@broker// --topic booking";

/* ---- findings ---- */

static void put_member(struct tf_buf *line, const char *name, const char *text)
{
	tf_buf_puts(line, line->len ? ", " : "{");
	if (text)
		tf_json_write_text(line, name, text);
	else
		tf_buf_printf(line, "\"%s\": null", name);
}

static void doctor_found(
	void *arg, enum tf_finding what, const char *check, const char *text, const char *advice)
{
	static const char *const names[] = {
#define X(name, word) word,
		TF_FINDINGS(X)
#undef X
	};
	struct doctor *d = arg;
	struct tf_buf line = TF_BUF_INIT;
	d->counts[what]++;
	if (!d->json) {
		printf("%-8s %-16s %s\n", names[what], check, text);
		if (advice)
			printf("%26s-> %s\n", "", advice);
		fflush(stdout);
		return;
	}
	put_member(&line, "finding", names[what]);
	put_member(&line, "check", check);
	put_member(&line, "text", text);
	put_member(&line, "advice", advice);
	printf("%s}\n", line.data);
	fflush(stdout);
	tf_buf_free(&line);
}

/* ---- scripts ---- */

struct scripts {
	const struct tf_diagnosis *d;
	const struct tf_worker_config *config;
	struct tf_loop *loop;
	struct tf_pool *pool;
	size_t classes;
	double seconds;
};

static void scripts_end(struct scripts *s, const char *why)
{
	struct tf_buf text = TF_BUF_INIT;
	if (!why) {
		tf_found(s->d, TF_FINDING_OK, "scripts", NULL,
			"%zu task classes load, and a process for them starts", s->classes);
	} else {
		tf_buf_puts(&text, why);
		tf_excerpt(why, tf_pool_files(s->pool), &text);
		tf_found(s->d, TF_FINDING_PROBLEM, "scripts", "tfhost lint says more of mistakes in scripts",
			"%s", text.data);
		tf_buf_free(&text);
	}
	tf_loop_stop(s->loop);
}

static void on_ready(void *arg, char *const *names, size_t count, const struct tf_err *err)
{
	struct scripts *s = arg;
	(void)names;
	s->classes = count;
	if (err)
		scripts_end(s, err->message);
	else
		tf_pool_want(s->pool, 1);
}

static void on_slot_free(void *arg)
{
	scripts_end(arg, NULL);
}

static void on_slot_failed(void *arg, bool told, const struct tf_err *err)
{
	(void)told;
	scripts_end(arg, err->message);
}

static void on_limit(void *arg)
{
	struct scripts *s = arg;
	char why[80];
	snprintf(why, sizeof(why), "they are not loaded after %g s (load_timeout)", s->seconds);
	scripts_end(s, why);
}

/* As a worker does: a loader, and a slot that runs their setup hooks. */
static void look_at_scripts(const struct tf_diagnosis *d, const struct tf_worker_config *config)
{
	static const struct tf_pool_events events = {
		.ready = on_ready, .slot_free = on_slot_free, .slot_failed = on_slot_failed};
	struct scripts s = {.d = d, .config = config, .loop = tf_loop_new()};
	char uuid[TF_UUID_LEN + 1];
	struct tf_err err;
	tf_uuid(uuid);
	char **argv = tf_worker_loader_argv(config, uuid);
	const struct tf_pool_config pool = {.slots = 1, .loader_argv = argv, .idle_start = true};
	s.seconds = config->load_timeout > 0 ? config->load_timeout : DOCTOR_LOAD_S;
	struct tf_timer *limit = tf_timer_new(s.loop, on_limit, &s);
	tf_timer_start(limit, (uint64_t)(1000 * s.seconds), 0);
	if (tf_pool_new(s.loop, &pool, &events, &s, &s.pool, &err) == 0)
		tf_loop_run(s.loop);
	else
		tf_found(d, TF_FINDING_PROBLEM, "scripts", NULL, "%s", err.message);
	tf_timer_delete(limit);
	tf_pool_delete(s.pool);
	tf_loop_delete(s.loop);
	tf_worker_free_argv(argv);
}

/* ---- this machine ---- */

static void look_at_process(const struct tf_diagnosis *d, const struct tf_worker_config *config)
{
	struct rlimit files;
	struct tf_err err;
	char *directory = NULL;
	rlim_t need = DOCTOR_OWN_FILES + (rlim_t)DOCTOR_SLOT_FILES * (config->slots ? config->slots : 1);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY && files.rlim_cur < need)
		tf_found(d, TF_FINDING_PROBLEM, "descriptors", "ulimit -n, or LimitNOFILE= of the service",
			"a process may open %llu, %u slots need about %llu",
			(unsigned long long)files.rlim_cur, config->slots, (unsigned long long)need);
	if (config->control && !strcmp(config->control, TF_WORKER_NO_CONTROL))
		return;
	int rc = config->control ? 0 : tf_control_directory(false, &directory, &err);
	if (rc < 0 && rc != TF_ENOTFOUND)
		tf_found(d, TF_FINDING_PROBLEM, "control socket",
			"make it this user's and mode 0700, or name another by TFHOST_CONTROL_DIR", "%s",
			err.message);
	free(directory);
}

static void look_at_clock(const struct tf_diagnosis *d)
{
	struct timex clock = {0};
	int state = adjtimex(&clock);
	if (state < 0)
		tf_found(d, TF_FINDING_UNSEEN, "clock", NULL,
			"the kernel does not tell whether it is synchronised");
	else if (state == TIME_ERROR || (clock.status & STA_UNSYNC))
		tf_found(d, TF_FINDING_WARNING, "clock", "chrony or systemd-timesyncd",
			"this machine's is not synchronised; queue_limit compares it with those of other "
			"machines");
	else
		tf_found(d, TF_FINDING_OK, "clock", NULL, "this machine's is synchronised");
}

/* ---- all ---- */

static void look_at_all(const struct tf_diagnosis *d, const struct tf_worker_config *config)
{
	const char *const topics[] = {config->topic ? config->topic : "default", NULL};
	const struct tf_transport_config transport = {.url = config->url,
		.transport = config->transport,
		.options = config->options,
		.exchange = config->exchange ? config->exchange : "default",
		.retry = config->retry};
	look_at_process(d, config);
	tf_transport_diagnose(&transport, topics, d);
	if (config->task_count)
		look_at_scripts(d, config);
	look_at_clock(d);
}

static void doctor_sum_up(const struct doctor *d)
{
	if (d->json)
		return;
	printf("%u problems, %u warnings\n", d->counts[TF_FINDING_PROBLEM], d->counts[TF_FINDING_WARNING]);
}

int tf_cmd_doctor(int argc, char **argv)
{
	struct argp worker_argp = tf_worker_argp; /* its options, without its texts */
	worker_argp.doc = worker_argp.args_doc = NULL;
	const struct argp_child children[] = {{&worker_argp, 0, "Options of the worker:", 1}, {0}};
	const struct argp argp = {.options = doctor_options,
		.parser = doctor_parse,
		.args_doc = "[SCRIPT|MODULE|MODULE:TASK...]",
		.doc = doctor_doc,
		.children = children};
	struct doctor d = {.findings = {.found = doctor_found}};
	struct tf_worker_config config = {0};
	struct tf_err err;
	bool usage = false;
	d.findings.arg = &d;
	tf_command_line(&argp, argc, argv, 0, &d);
	struct tf_value *given = tf_worker_args_value(&d.worker);
	tf_args_set_flag(&given, "optional_tasks", true);
	int rc = tf_worker_config_resolve(given, d.worker.file, &config, &usage, &err);
	tf_value_unref(given);
	if (rc < 0 && usage) {
		fprintf(stderr, "%s: %s\n", argv[0], err.message);
	} else if (rc < 0) {
		tf_found(&d.findings, TF_FINDING_PROBLEM, "settings", NULL, "%s", err.message);
	} else {
		if (!config.log_level)
			tf_log_set_level(TF_LOG_OFF); /* the findings say it */
		tf_log_configure(config.log_format, config.log_level);
		look_at_all(&d.findings, &config);
	}
	if (!usage)
		doctor_sum_up(&d);
	tf_worker_args_free(&d.worker);
	tf_worker_config_free(&config);
	return usage ? TF_EXIT_USAGE : d.counts[TF_FINDING_PROBLEM] ? TF_EXIT_ERROR : TF_EXIT_OK;
}
