/* `tfhost workers`: options to one JSON object, which lua/tfhost/workers.lua works on. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/lua_command.h"
#include "cmd/transport_args.h"

enum { KEY_JSON = 256, KEY_TOPICS, KEY_TIMEOUT, KEY_CLASSES, WORKERS_MAX_SECONDS = 3600 };

static const struct argp_option workers_options[] = {
	{"config", 'c', "FILE", 0,
		"Lua file with url, topics, ..., as for tfhost run; the environment (TFHOST_URL, ...) wins "
		"over it",
		0},
	{"topics", KEY_TOPICS, "A,B", 0, "Topics to ask on (\"default\")", 0},
	{"classes", KEY_CLASSES, 0, 0, "List the task classes of each worker, too", 0},
	{"json", KEY_JSON, 0, 0, "One JSON object a worker and line", 0},
	{"timeout", KEY_TIMEOUT, "SECONDS", 0, "For the connection and all answers (5)", 0},
	{0},
};

struct workers_args {
	struct tf_transport_args transport;
	struct tf_value *all, *flags; /* objects or NULL, owned */
};

static void workers_set_timeout(struct workers_args *args, const char *text, struct argp_state *state)
{
	char *end, exact[32];
	double seconds = strtod(text, &end);
	if (*end || end == text || !(seconds > 0 && seconds <= WORKERS_MAX_SECONDS))
		argp_error(
			state, "--timeout: expected seconds up to %d, got \"%s\"", WORKERS_MAX_SECONDS, text);
	snprintf(exact, sizeof(exact), "%.3f", seconds);
	tf_args_set_member(&args->all, "timeout", exact);
}

static error_t workers_parse(int key, char *value, struct argp_state *state)
{
	struct workers_args *args = state->input;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->transport;
		return 0;
	case 'c':
		tf_args_set_text(&args->all, "file", value);
		return 0;
	case KEY_TOPICS:
		tf_args_set_text(&args->flags, "topics", value);
		return 0;
	case KEY_CLASSES:
		tf_args_set_flag(&args->all, "classes", true);
		return 0;
	case KEY_JSON:
		tf_args_set_flag(&args->all, "json", true);
		return 0;
	case KEY_TIMEOUT:
		workers_set_timeout(args, value, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child workers_children[] = {
	{&tf_transport_argp, 0, "Transport:", 1}, {&tf_lua_dir_argp, 0, NULL, 0}, {0}};

static const struct argp workers_argp = {
	.options = workers_options,
	.parser = workers_parse,
	.children = workers_children,
	.doc = "Ask over the broker (or the directory) who serves topics, wherever they run: host, process, "
	       "slots, what waits, "
	       "generation of scripts. tfhost workers answer at once, however long the topic's queue is; of "
	       "Python workers one "
	       "line a topic is told, since they do not say which of them answers."
	       "\vExample: tfhost workers --url amqp://guest:guest@localhost// --topics work,mail\n\n"
	       "Exit codes: 0 somebody answers on every topic; 1 nobody answers on one of them; 2 no "
	       "connection, or settings that "
	       "cannot be used; 64 wrong command line.",
};

int tf_cmd_workers(int argc, char **argv)
{
	struct workers_args args = {0};
	tf_command_line(&workers_argp, argc, argv, 0, &args);
	tf_log_set_level(TF_LOG_ERROR); /* what there is to say, it says itself */
	tf_transport_args_put(&args.transport, &args.flags);
	tf_args_set_text(&args.all, "command", argv[0]);
	tf_args_set_member(&args.all, "flags", args.flags ? tf_value_text(args.flags) : "{}");
	int code = tf_lua_command(argv[0], "tfhost.workers", args.all, -1);
	tf_value_unref(args.transport.options);
	tf_value_unref(args.flags);
	tf_value_unref(args.all);
	return code;
}
