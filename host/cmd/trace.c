/* `tfhost trace UUID`: options to one JSON object, which lua/tfhost/trace.lua works on. */
#include <argp.h>

#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/lua_command.h"
#include "cmd/transport_args.h"

enum { KEY_BACKEND = 256, KEY_JSON, KEY_ALL };

static const struct argp_option trace_options[] = {
	{"backend", KEY_BACKEND, "FILE", 0, "The logbook (also: TFHOST_BACKEND; default: as for tfhost run)",
		0},
	{"json", KEY_JSON, 0, 0,
		"One JSON object for the flow, then one for each run of an atom, a line each", 0},
	{"all", KEY_ALL, 0, 0, "Show each run of a large flow, instead of the longest", 0},
	{0},
};

static error_t trace_parse(int key, char *value, struct argp_state *state)
{
	struct tf_value **options = state->input;
	struct tf_json v;
	switch (key) {
	case KEY_BACKEND:
		tf_args_set_text(options, "backend", value);
		return 0;
	case KEY_JSON:
		tf_args_set_flag(options, "json", true);
		return 0;
	case KEY_ALL:
		tf_args_set_flag(options, "all", true);
		return 0;
	case ARGP_KEY_ARG:
		if (*options && tf_json_get(tf_value_json(*options), "uuid", &v))
			argp_error(state, "one flow at a time: \"%s\" is too many", value);
		tf_args_set_text(options, "uuid", value);
		return 0;
	case ARGP_KEY_END:
		if (!*options || !tf_json_get(tf_value_json(*options), "uuid", &v))
			argp_error(state, "which flow? (tfhost flow list shows their uuids)");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child trace_children[] = {{&tf_lua_dir_argp, 0, NULL, 0}, {0}};

static const struct argp trace_argp = {
	.options = trace_options,
	.parser = trace_parse,
	.children = trace_children,
	.args_doc = "UUID|last",
	.doc = "Show when the atoms of a flow ran, out of its logbook: how long each waited for a worker and "
	       "ran there, which "
	       "worker that was, what failed, what was tried again and reverted; then how much each worker "
	       "did. The beginning of a "
	       "uuid will do; \"last\" is the flow that was begun last."
	       "\vExample: tfhost trace last\n\n"
	       "Exit codes: 0 shown, 2 no such flow, 64 wrong command line.",
};

int tf_cmd_trace(int argc, char **argv)
{
	struct tf_value *options = NULL;
	tf_command_line(&trace_argp, argc, argv, 0, &options);
	tf_args_set_text(&options, "command", argv[0]);
	int code = tf_lua_command(argv[0], "tfhost.trace", options, -1);
	tf_value_unref(options);
	return code;
}
