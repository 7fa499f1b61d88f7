/* `tfhost conf`: the settings that `worker` or `run` would have, which lua/tfhost/conf.lua finds and shows. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/lua_command.h"
#include "cmd/run_args.h"
#include "cmd/worker_args.h"

enum { KEY_ORIGIN = 256, KEY_JSON };

static const struct argp_option conf_options[] = {
	{"origin", KEY_ORIGIN, 0, 0,
		"Also where each value comes from: option, variable, file and line, default", 0},
	{"json", KEY_JSON, 0, 0, "One JSON object a setting and line", 0},
	{"config", 'c', "FILE", 0, "The file, as for the command", 0},
	{0},
};

struct conf_args {
	bool origin, json, run;
	const char *file;
	int rest; /* index in argv of what follows the command; 0: nothing */
};

static error_t conf_parse(int key, char *value, struct argp_state *state)
{
	struct conf_args *args = state->input;
	switch (key) {
	case KEY_ORIGIN:
		args->origin = true;
		return 0;
	case KEY_JSON:
		args->json = true;
		return 0;
	case 'c':
		args->file = value;
		return 0;
	case ARGP_KEY_ARG:
		args->run = !strcmp(value, "run");
		if (!args->run && strcmp(value, "worker") != 0)
			argp_error(state, "expected worker or run, got \"%s\"", value);
		args->rest = state->next;
		state->next = state->argc;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp conf_argp = {
	.options = conf_options,
	.parser = conf_parse,
	.args_doc = "[worker|run [OPTION...]]",
	.doc = "Show the settings that `tfhost worker` (or `tfhost run`) would have with these options, in "
	       "this environment: the "
	       "command line wins over the environment (TFHOST_SLOTS for slots), that over the file. "
	       "Passwords are not "
	       "shown."
	       "\vExample: TFHOST_SLOTS=4 tfhost conf --origin worker --config worker.lua --topic test\n\n"
	       "Exit codes: 0 shown; 1 the file cannot be used; 64 wrong command line, or a variable has a "
	       "wrong value.",
};

/* What the command would get from its own options, the rest of ours. */
static struct tf_value *conf_given(struct conf_args *args, int argc, char **argv)
{
	char *title = tf_asprintf("%s %s", argv[0], args->run ? "run" : "worker");
	char **words = args->rest ? argv + args->rest - 1 : argv;
	int count = args->rest ? argc - args->rest + 1 : 1;
	struct tf_run_args run = {.flow.optional = true, .file = args->file};
	struct tf_worker_args worker = {.file = args->file};
	struct tf_value *given;
	words[0] = title;
	if (args->run) {
		tf_command_line(&tf_run_argp, count, words, 0, &run);
		given = tf_run_args_value(&run);
		tf_run_args_free(&run);
	} else {
		tf_command_line(&tf_worker_argp, count, words, 0, &worker);
		given = tf_worker_args_value(&worker);
		tf_worker_args_free(&worker);
	}
	free(title);
	return given;
}

int tf_cmd_conf(int argc, char **argv)
{
	struct conf_args args = {0};
	char *program = argv[0];
	tf_command_line(&conf_argp, argc, argv, ARGP_IN_ORDER, &args);
	struct tf_value *given = conf_given(&args, argc, argv), *options = NULL;
	tf_args_set_member(&options, "given", tf_value_text(given));
	tf_args_set_text(&options, "kind", args.run ? "run" : "worker");
	tf_args_set_flag(&options, "origin", args.origin);
	tf_args_set_flag(&options, "json", args.json);
	int code = tf_lua_command(program, "tfhost.conf", options, -1);
	tf_value_unref(given);
	tf_value_unref(options);
	return code;
}
