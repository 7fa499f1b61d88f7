/* `tfhost health`: for probes of service managers; the answer is the exit code. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/control_args.h"

enum { KEY_LIVE = 256, KEY_READY, KEY_JSON };
enum { HEALTH_NOT_READY = 2, HEALTH_TIMEOUT_MS = 5000 };

struct health_args {
	struct tf_control_args control;
	bool live, ready, json;
	bool some_not_ready;
};

static const struct argp_option health_options[] = {
	{"live", KEY_LIVE, 0, 0, "Only whether it answers: restart it if not", 0},
	{"ready", KEY_READY, 0, 0, "Whether it takes requests, too (default)", 0},
	{"json", KEY_JSON, 0, 0, "One JSON object a worker and line", 0},
	{0},
};

static error_t health_parse(int key, char *value, struct argp_state *state)
{
	struct health_args *args = state->input;
	(void)value;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->control;
		return 0;
	case KEY_LIVE:
		args->live = true;
		return 0;
	case KEY_READY:
		args->ready = true;
		return 0;
	case KEY_JSON:
		args->json = true;
		return 0;
	case ARGP_KEY_END:
		if (args->live && args->ready)
			argp_error(state, "--live and --ready: choose one");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child health_children[] = {{&tf_control_argp, 0, "Which worker (all):", 1}, {0}};

static const struct argp health_argp = {
	.options = health_options,
	.parser = health_parse,
	.doc = "Say whether workers of this user on this machine are well: they answer whatever their tasks "
	       "do."
	       "\vA worker is ready when its scripts serve, it is connected, and it does not drain.\n\n"
	       "Exit code: 0 all that are meant are well; 1 one does not answer in time, or there is none; "
	       "2 all answer and one is not ready; 64 wrong command line.\n\n"
	       "Example: tfhost health --ready --control /run/tfhost/work.sock --timeout 2",
	.children = health_children,
};

static void health_show(void *arg, const struct tf_value *result)
{
	struct health_args *args = arg;
	struct tf_json w = tf_value_json(result), v;
	int64_t pid = 0;
	bool ready = tf_json_get(w, "ready", &v) && tf_json_type(v) == TF_JSON_TRUE;
	if (!ready)
		args->some_not_ready = true;
	if (args->json) {
		printf("%s\n", tf_value_text(result));
		return;
	}
	if (tf_json_get(w, "pid", &v))
		tf_json_int64(v, &pid);
	char *reason = tf_json_get(w, "reason", &v) && tf_json_type(v) == TF_JSON_STRING
			       ? tf_json_strdup(v, NULL)
			       : NULL;
	printf("worker %" PRId64 ": %s%s%s\n", pid, ready ? "ready" : "not ready", reason ? ": " : "",
		reason ? reason : "");
	free(reason);
}

int tf_cmd_health(int argc, char **argv)
{
	struct health_args args = {.control.timeout_ms = HEALTH_TIMEOUT_MS};
	tf_command_line(&health_argp, argc, argv, 0, &args);
	int code = tf_control_args_run(
		&args.control, argv[0], false, "{\"command\": \"health\"}", health_show, &args);
	return code == TF_EXIT_OK && args.some_not_ready && !args.live ? HEALTH_NOT_READY : code;
}
