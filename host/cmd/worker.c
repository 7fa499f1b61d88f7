/* `tfhost worker`: serve tasks. This process runs no code of the user: a configuration file is read in a Lua state that
 * is closed before anything is served. */
#include <argp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/excerpt.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/transport_args.h"
#include "script/worker_config.h"
#include "wbe/worker.h"

enum {
	KEY_LUA_DIR = 256,
	KEY_SLOTS,
	KEY_NO_WATCH,
	KEY_CONTROL,
	KEY_LOAD_TIMEOUT,
	KEY_DRAIN_TIMEOUT,
	KEY_TIME_LIMIT,
	KEY_TIME_WARNING,
	KEY_MEMORY_LIMIT,
	MAX_SLOTS = 10000,
	MAX_LOAD_TIMEOUT = 86400,
	MAX_SECONDS = 100000000
};

static const struct argp_option worker_options[] = {
	{"config", 'c', "FILE", 0,
		"Lua file that returns a table with url, exchange, topic, tasks, transport, "
		"transport_options, "
		"retry_options, slots, watch, control, load_timeout, drain_timeout, time_limit, "
		"time_warning, "
		"memory_limit; options of the command line win",
		0},
	{"topic", 't', "NAME", 0, "Topic to serve (\"default\")", 0},
	{"slots", KEY_SLOTS, "N", 0, "Tasks at once (number of cores)", 0},
	{"no-watch", KEY_NO_WATCH, 0, 0,
		"Do not load scripts again when they change; HUP and `tfhost reload` do", 0},
	{"control", KEY_CONTROL, "PATH", 0,
		"Control socket, for status, reload, rollback; \"none\": without (a name with the pid, in "
		"$TFHOST_CONTROL_DIR, $XDG_RUNTIME_DIR/tfhost, or /tmp/tfhost-UID)",
		0},
	{"load-timeout", KEY_LOAD_TIMEOUT, "SECONDS", 0, "Scripts may take so long to load (30)", 0},
	{"drain-timeout", KEY_DRAIN_TIMEOUT, "SECONDS", 0,
		"What still runs so long after TERM is ended and given back to other workers (no limit)", 0},
	{"time-limit", KEY_TIME_LIMIT, "SECONDS", 0,
		"A task that has no limit of its own is killed after so long (none)", 0},
	{"time-warning", KEY_TIME_WARNING, "SECONDS", 0, "It and its engine are told after so long (never)",
		0},
	{"memory-limit", KEY_MEMORY_LIMIT, "BYTES", 0,
		"It is killed when its process has so much memory, as 512M or 2G (no limit)", 0},
	{"verbose", 'v', 0, 0, "Log more", 0},
	{"lua-dir", KEY_LUA_DIR, "DIR", 0, "Take the library from the source tree DIR (also: TFHOST_LUA_DIR)",
		0},
	{0},
};

struct worker_args {
	struct tf_transport_args transport;
	struct tf_worker_config config; /* what the command line says */
	const char *file;
};

static unsigned worker_parse_slots(const char *text, struct argp_state *state)
{
	char *end;
	long n = strtol(text, &end, 10);
	if (*end || end == text || n < 1 || n > MAX_SLOTS)
		argp_error(state, "--slots: expected a number from 1 to %d, got \"%s\"", MAX_SLOTS, text);
	return (unsigned)n;
}

static double worker_parse_seconds(const char *option, const char *text, double max, struct argp_state *state)
{
	char *end;
	double n = strtod(text, &end);
	if (*end || end == text || !(n >= 0.001 && n <= max))
		argp_error(state, "--%s: expected seconds, above 0 and up to %.0f, got \"%s\"", option, max,
			text);
	return n;
}

static uint64_t worker_parse_ms(const char *option, const char *text, struct argp_state *state)
{
	return (uint64_t)(1000 * worker_parse_seconds(option, text, MAX_SECONDS, state));
}

static uint64_t worker_parse_bytes(const char *option, const char *text, struct argp_state *state)
{
	char *end;
	double n = strtod(text, &end);
	const char *units = "KMG", *unit = *end ? strchr(units, *end) : NULL;
	for (const char *u = units; unit && u <= unit; u++)
		n *= 1024;
	end += unit != NULL;
	if (*end || end == text || !(n >= 1 << 20 && n <= (double)(1ull << 50)))
		argp_error(
			state, "--%s: expected bytes, at least 1M, as 512M or 2G, got \"%s\"", option, text);
	return (uint64_t)n;
}

static error_t worker_parse(int key, char *value, struct argp_state *state)
{
	struct worker_args *args = state->input;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->transport;
		return 0;
	case 'c':
		args->file = value;
		return 0;
	case 't':
		free(args->config.topic);
		args->config.topic = tf_strdup(value);
		return 0;
	case KEY_SLOTS:
		args->config.slots = worker_parse_slots(value, state);
		return 0;
	case KEY_NO_WATCH:
		args->config.no_watch = true;
		return 0;
	case KEY_CONTROL:
		free(args->config.control);
		args->config.control = tf_strdup(value);
		return 0;
	case KEY_LOAD_TIMEOUT:
		args->config.load_timeout =
			worker_parse_seconds("load-timeout", value, MAX_LOAD_TIMEOUT, state);
		return 0;
	case KEY_DRAIN_TIMEOUT:
		args->config.drain_timeout = worker_parse_seconds("drain-timeout", value, MAX_SECONDS, state);
		return 0;
	case KEY_TIME_LIMIT:
		args->config.limits.time_ms = worker_parse_ms("time-limit", value, state);
		return 0;
	case KEY_TIME_WARNING:
		args->config.limits.warning_ms = worker_parse_ms("time-warning", value, state);
		return 0;
	case KEY_MEMORY_LIMIT:
		args->config.limits.memory = worker_parse_bytes("memory-limit", value, state);
		return 0;
	case 'v':
		tf_log_set_level(TF_LOG_DEBUG);
		return 0;
	case KEY_LUA_DIR: /* the loader is another process */
		setenv("TFHOST_LUA_DIR", value, 1);
		return 0;
	case ARGP_KEY_ARG:
		tf_worker_add_task(&args->config, value);
		return 0;
	case ARGP_KEY_END:
		if (!args->file && args->config.task_count == 0)
			argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child worker_children[] = {{&tf_transport_argp, 0, "Transport:", 1}, {0}};

static const struct argp worker_argp = {
	.options = worker_options,
	.parser = worker_parse,
	.args_doc = "SCRIPT|MODULE|MODULE:TASK...\n--config FILE",
	.doc = "Serve tasks: every task class that SCRIPT (tasks.lua) or MODULE returns, or the one named."
	       "\vTERM or INT finishes what runs and exits with 0, or with 3 if some of it was given back "
	       "after "
	       "--drain-timeout; a second one gives up at once (128 + "
	       "signal). HUP loads the scripts again. 1 says "
	       "that the scripts or the transport could not be used, 64 that the command line is wrong.",
	.children = worker_children,
};

static void worker_override(char **to, const char *value)
{
	if (!value)
		return;
	free(*to);
	*to = tf_strdup(value);
}

/* The file's configuration with what the command line says put over it. */
static int worker_merge(struct worker_args *args, struct tf_worker_config *out, struct tf_err *err)
{
	int rc = args->file ? tf_worker_config_load(args->file, out, err) : 0;
	if (rc < 0)
		return rc;
	worker_override(&out->url, args->transport.url);
	worker_override(&out->exchange, args->transport.exchange);
	worker_override(&out->transport, args->transport.transport);
	worker_override(&out->topic, args->config.topic);
	worker_override(&out->control, args->config.control);
	out->no_watch |= args->config.no_watch;
	if (args->config.load_timeout > 0)
		out->load_timeout = args->config.load_timeout;
	if (args->config.drain_timeout > 0)
		out->drain_timeout = args->config.drain_timeout;
	struct tf_limits limits = args->config.limits;
	tf_limits_fill(&limits, &out->limits);
	out->limits = limits;
	if (args->config.slots)
		out->slots = args->config.slots;
	if (args->transport.options) {
		tf_value_unref(out->options);
		out->options = tf_value_ref(args->transport.options);
	}
	if (args->config.task_count)
		tf_worker_clear_tasks(out);
	for (size_t i = 0; i < args->config.task_count; i++)
		tf_worker_add_task(out, args->config.tasks[i]);
	return 0;
}

/* What is wrong, and the lines of the script that it is about. */
static void worker_complain(
	const char *program, const struct tf_worker_config *config, const struct tf_err *err)
{
	struct tf_buf files = TF_BUF_INIT, out = TF_BUF_INIT;
	char real[PATH_MAX];
	for (size_t i = 0; i < config->task_count; i++)
		if (realpath(config->tasks[i], real))
			tf_buf_append(&files, real, strlen(real) + 1);
	fprintf(stderr, "%s: %s\n", program, err->message);
	if (tf_excerpt(err->message, &files, &out))
		fwrite(out.data, 1, out.len, stderr);
	tf_buf_free(&files);
	tf_buf_free(&out);
}

int tf_cmd_worker(int argc, char **argv)
{
	struct worker_args args = {0};
	struct tf_worker_config config = {0};
	struct tf_err err;
	int signo = 0;
	argp_err_exit_status = TF_EXIT_USAGE;
	argp_parse(&worker_argp, argc, argv, 0, NULL, &args);
	int rc = worker_merge(&args, &config, &err);
	if (rc == 0)
		rc = tf_worker_run(&config, &signo, &err);
	if (rc < 0)
		worker_complain(argv[0], &config, &err);
	tf_worker_config_free(&config);
	tf_worker_config_free(&args.config);
	tf_value_unref(args.transport.options);
	return rc < 0 ? TF_EXIT_ERROR : signo ? 128 + signo : rc > 0 ? TF_EXIT_GIVEN_BACK : TF_EXIT_OK;
}
