/* `tfhost new DIR`: lua/tfhost/new.lua writes the files. */
#include <argp.h>

#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/lua_command.h"
#include "cmd/transport_args.h"

static error_t new_parse(int key, char *value, struct argp_state *state)
{
	const char **directory = state->input;
	switch (key) {
	case ARGP_KEY_ARG:
		if (*directory)
			argp_error(state, "one project at a time: \"%s\" is too many", value);
		*directory = value;
		return 0;
	case ARGP_KEY_END:
		if (!*directory)
			argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp new_argp = {
	.parser = new_parse,
	.args_doc = "DIR",
	.doc = "Make a project in DIR, which must not exist or be empty: tasks, a flow, a spec, the "
	       "configuration of a "
	       "worker, a README that says how each is used."
	       "\vExample: tfhost new shop && cd shop && tfhost dev flow.lua\n\n"
	       "Exit codes: 0 done, 1 something could not be written, 2 DIR holds files already, 64 wrong "
	       "command line.",
};

int tf_cmd_new(int argc, char **argv)
{
	const char *directory = NULL;
	struct tf_value *options = NULL;
	tf_command_line(&new_argp, argc, argv, 0, &directory);
	tf_args_set_text(&options, "directory", directory);
	int code = tf_lua_command(argv[0], "tfhost.new", options, -1);
	tf_value_unref(options);
	return code;
}
