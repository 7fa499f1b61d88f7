/* `tfhost reload` and `tfhost rollback`: generations of a running worker's scripts. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/control_args.h"

enum { KEY_CHECK = 256, KEY_CANARY, KEY_REQUESTS, KEY_JSON };
#define RELOAD_JSON \
	{ \
		"json", KEY_JSON, 0, 0, "One JSON object a worker and line", 0 \
	}

struct reload_args {
	struct tf_control_args control;
	bool check, json;
	const char *what; /* becomes of the scripts, for people */
	double share;
	long requests;
};

static const struct argp_option reload_options[] = {
	{"check", KEY_CHECK, 0, 0, "Only try: say whether the scripts load, change nothing", 0},
	{"canary", KEY_CANARY, "SHARE", 0,
		"Give the new scripts this share of the requests (10%) first; they serve all once enough "
		"have "
		"ended well, and are taken back when more fail than with the old ones",
		0},
	{"requests", KEY_REQUESTS, "N", 0, "Outcomes of the canary that decide for it (50)", 0},
	RELOAD_JSON,
	{0},
};

static const struct argp_option rollback_options[] = {RELOAD_JSON, {0}};

/* "10%" or "0.1" */
static double reload_parse_share(const char *text, struct argp_state *state)
{
	char *end;
	double share = strtod(text, &end);
	if (end != text && !strcmp(end, "%"))
		share /= 100;
	else if (end == text || *end)
		share = 0;
	if (!(share > 0 && share < 1))
		argp_error(state, "--canary: expected a share above 0 and below 100%%, as 10%%, got \"%s\"",
			text);
	return share;
}

static error_t reload_parse(int key, char *value, struct argp_state *state)
{
	struct reload_args *args = state->input;
	char *end;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->control;
		return 0;
	case KEY_CHECK:
		args->check = true;
		return 0;
	case KEY_CANARY:
		args->share = reload_parse_share(value, state);
		return 0;
	case KEY_JSON:
		args->json = true;
		return 0;
	case KEY_REQUESTS:
		args->requests = strtol(value, &end, 10);
		if (*end || end == value || args->requests < 1)
			argp_error(state, "--requests: expected a number from 1, got \"%s\"", value);
		return 0;
	case ARGP_KEY_END:
		if (args->check && args->share > 0)
			argp_error(state, "--check changes nothing: it does not go with --canary");
		if (args->requests && args->share == 0)
			argp_error(state, "--requests goes with --canary");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child reload_children[] = {{&tf_control_argp, 0, "Which worker:", 1}, {0}};

static const struct argp reload_argp = {
	.options = reload_options,
	.parser = reload_parse,
	.doc = "Have a worker load its scripts again, as it does by itself when they change."
	       "\vExample: tfhost reload --topic work --canary 10%\n\n"
	       "The new scripts serve once they have loaded without an error and a slot of theirs is ready; "
	       "else the old ones "
	       "go on, and the error is told.\n\n"
	       "Exit codes: 0 they serve, load (--check), or are on trial (--canary); 1 they cannot be used, "
	       "or no worker "
	       "answers; 64 wrong command line.",
	.children = reload_children,
};

static const struct argp rollback_argp = {
	.options = rollback_options,
	.parser = reload_parse,
	.doc = "Have a worker return at once to the scripts that it served before, as they were: the files "
	       "are not "
	       "read. During a canary that is given up."
	       "\vExample: tfhost rollback --pid 4711\n\n"
	       "Exit codes: 0 they serve; 1 there are none before, or no worker answers; 64 wrong command "
	       "line.",
	.children = reload_children,
};

static void reload_show(void *arg, const struct tf_value *result)
{
	const struct reload_args *args = arg;
	struct tf_json v;
	int64_t generation = 0;
	char *hash = NULL;
	if (args->json) {
		printf("%s\n", tf_value_text(result));
		return;
	}
	if (tf_json_get(tf_value_json(result), "generation", &v))
		tf_json_int64(v, &generation);
	if (tf_json_get(tf_value_json(result), "hash", &v))
		hash = tf_json_strdup(v, NULL);
	if (generation > 0)
		printf("generation %" PRId64 " (%s) %s\n", generation, hash ? hash : "?", args->what);
	else
		printf("the scripts (%s) %s\n", hash ? hash : "?", args->what);
	free(hash);
}

int tf_cmd_reload(int argc, char **argv)
{
	struct reload_args args = {0};
	struct tf_buf request = TF_BUF_INIT;
	tf_command_line(&reload_argp, argc, argv, 0, &args);
	tf_buf_printf(&request, "{\"command\": \"reload\", \"check\": %s", args.check ? "true" : "false");
	if (args.share > 0)
		tf_buf_printf(&request, ", \"canary\": %.6g", args.share);
	if (args.requests)
		tf_buf_printf(&request, ", \"requests\": %ld", args.requests);
	tf_buf_putc(&request, '}');
	args.what = args.check ? "load" : args.share > 0 ? "is on trial" : "serves";
	int code = tf_control_args_run(&args.control, argv[0], true, request.data, reload_show, &args);
	tf_buf_free(&request);
	return code;
}

int tf_cmd_rollback(int argc, char **argv)
{
	struct reload_args args = {.what = "serves"};
	tf_command_line(&rollback_argp, argc, argv, 0, &args);
	return tf_control_args_run(
		&args.control, argv[0], true, "{\"command\": \"rollback\"}", reload_show, &args);
}
