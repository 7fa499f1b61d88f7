/* `tfhost lua FILE [ARGUMENT...]`, `tfhost lua -e CODE`: a Lua with the library at hand. */
#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/lua_command.h"
#include "script/program.h"
#include "script/state.h"

static const struct argp_option lua_options[] = {
	{"execute", 'e', "CODE", 0, "Run CODE; may be given several times, before FILE", 0},
	{0},
};

struct lua_args {
	char *const *argv;  /* of the command */
	const char **codes; /* owned array */
	size_t code_count;
	int file; /* index in argv of FILE, 0: none */
	int argc;
};

static error_t lua_parse(int key, char *value, struct argp_state *state)
{
	struct lua_args *args = state->input;
	switch (key) {
	case 'e':
		args->codes = tf_realloc(args->codes, (args->code_count + 1) * sizeof(*args->codes));
		args->codes[args->code_count++] = value;
		return 0;
	case ARGP_KEY_ARG: /* FILE: all that follows is the script's */
		args->file = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (!args->file && args->code_count == 0)
			argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child lua_children[] = {{&tf_lua_dir_argp, 0, NULL, 0}, {0}};

static const struct argp lua_argp = {
	.children = lua_children,
	.options = lua_options,
	.parser = lua_parse,
	.args_doc = "FILE [ARGUMENT...]\n-e CODE",
	.doc = "Run a Lua script (FILE, `-` is standard input) with the taskflow library, as `lua` would."
	       "\vExample: tfhost lua -e 'print(require(\"taskflow\"))'\n\n"
	       "The script finds its arguments in `arg`.\n\n"
	       "Exit codes: 0 it has ended; 1 an error; what it gave to os.exit; 64 wrong command line.",
};

int tf_cmd_lua(int argc, char **argv)
{
	struct lua_args args = {.argv = argv, .argc = argc};
	struct lua_State *L = NULL;
	struct tf_err err;
	int code = TF_EXIT_ERROR;
	tf_command_line(&lua_argp, argc, argv, ARGP_IN_ORDER, &args);
	if (tf_state_new(&(struct tf_state_options){.makes_flows = true}, &L, &err) < 0) {
		fprintf(stderr, "%s: %s\n", argv[0], err.message);
		goto out;
	}
	tf_program_set_arg(L, argv, argc, args.file);
	for (size_t i = 0; i < args.code_count; i++) {
		if (tf_program_run_code(L, args.codes[i]) < 0)
			goto out;
	}
	if (args.file && tf_program_run_file(L, argv + args.file, argc - args.file) < 0)
		goto out;
	code = TF_EXIT_OK;
out:
	tf_state_delete(L);
	free(args.codes);
	return code;
}
